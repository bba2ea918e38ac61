//! From paths to places: where in a file a path such as `resources[3].weekly[0].units` lies.

use std::borrow::Cow;
use std::collections::HashMap;

use super::events::{Event, Events, Pos};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Field(String),
    Index(usize),
}

/// A key as the contract writes it.
pub fn snake_case(key: &str) -> Cow<'_, str> {
    if !key.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Borrowed(key);
    }
    let mut snake = String::with_capacity(key.len() + 2);
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    Cow::Owned(snake)
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (field, indexes) = part.split_once('[').unwrap_or((part, ""));
        if !field.is_empty() {
            steps.push(Step::Field(field.to_owned()));
        }
        for index in indexes.split(['[', ']']).filter(|i| !i.is_empty()) {
            if let Ok(index) = index.parse() {
                steps.push(Step::Index(index));
            }
        }
    }
    steps
}

/// The paths that are looked for, as a tree: only what lies on one of them is followed.
#[derive(Default)]
struct Tree {
    children: HashMap<(usize, Step), usize>,
    parents: Vec<usize>,
    places: Vec<Option<Pos>>,
}

impl Tree {
    fn add(&mut self, path: &str) -> usize {
        steps(path).into_iter().fold(0, |node, step| match self.children.get(&(node, step.clone())) {
            Some(&child) => child,
            None => {
                let child = self.parents.len();
                self.children.insert((node, step), child);
                self.parents.push(node);
                self.places.push(None);
                child
            }
        })
    }

    fn child(&self, node: Option<usize>, step: impl FnOnce() -> Step) -> Option<usize> {
        self.children.get(&(node?, step())).copied()
    }

    fn note(&mut self, node: Option<usize>, pos: Pos) {
        if let Some(node) = node {
            self.places[node].get_or_insert(pos);
        }
    }

    /// The place of the node, or of the nearest that contains it.
    fn place(&self, mut node: usize) -> Pos {
        loop {
            if let Some(pos) = self.places[node] {
                return pos;
            }
            if node == 0 {
                return Pos { line: 1, column: 1 };
            }
            node = self.parents[node];
        }
    }
}

enum Frame {
    List { node: Option<usize>, next: usize },
    Map { node: Option<usize>, key: Option<(Option<usize>, Pos)> },
}

/// The places of the paths, in their order. A value's place is its own; that of a map or list behind a key is the key's.
/// What follows an unreadable part of the file is not found.
pub fn locate<'t>(events: &mut (dyn Events<'t> + '_), paths: &[&str]) -> Vec<Pos> {
    let mut tree = Tree { parents: vec![0], places: vec![None], ..Tree::default() };
    let wanted: Vec<usize> = paths.iter().map(|path| tree.add(path)).collect();
    let mut stack: Vec<Frame> = Vec::new();
    while let Ok((event, pos)) = events.next() {
        if event == Event::Eof {
            break;
        }
        if event == Event::End {
            stack.pop();
            continue;
        }
        // Which node the value belongs to, and the place of its key, if it has one.
        let (node, key_pos) = match stack.last_mut() {
            None => (Some(0), None),
            Some(Frame::List { node, next }) => {
                let (node, index) = (*node, *next);
                *next += 1;
                (tree.child(node, || Step::Index(index)), None)
            }
            Some(Frame::Map { node, key }) => match (key.take(), &event) {
                (Some((node, pos)), _) => (node, Some(pos)),
                (None, Event::Scalar(scalar)) => {
                    let child = tree.child(*node, || Step::Field(snake_case(&scalar.text).into_owned()));
                    *key = Some((child, pos));
                    continue;
                }
                // A map or list as a key: no path leads there.
                (None, _) => {
                    *key = Some((None, pos));
                    (None, None)
                }
            },
        };
        match event {
            Event::Scalar(_) => tree.note(node, pos),
            Event::Map => {
                tree.note(node, key_pos.unwrap_or(pos));
                stack.push(Frame::Map { node, key: None });
            }
            Event::List => {
                tree.note(node, key_pos.unwrap_or(pos));
                stack.push(Frame::List { node, next: 0 });
            }
            Event::End | Event::Eof => {}
        }
    }
    wanted.into_iter().map(|node| tree.place(node)).collect()
}
