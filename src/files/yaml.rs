//! YAML, read event by event. Aliases are played back where they stand; how much they may stand for is bounded.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event as Raw, Parser, ScalarStyle, Span, StrInput, Tag};

use super::FileFault;
use super::events::{Event, Events, Notation, Pos, Scalar};
use crate::domain::limits::{MAX_ALIASED_EVENTS, MAX_FILE_DEPTH};

type Recorded<'t> = Rc<[(Event<'t>, Pos)]>;

/// What an anchor names, while it is read.
struct Recording<'t> {
    anchor: usize,
    /// Containers open within it.
    open: usize,
    events: Vec<(Event<'t>, Pos)>,
}

/// Reads one YAML document.
pub struct Yaml<'t> {
    parser: Parser<'t, StrInput<'t>>,
    documents: usize,
    depth: usize,
    recordings: Vec<Recording<'t>>,
    anchors: HashMap<usize, Recorded<'t>>,
    /// What an alias stands for, how much of it was played back, and the alias's own place.
    playing: Option<(Recorded<'t>, usize, Pos)>,
    /// Events that anchors keep and aliases played back: what a bomb would multiply.
    aliased: usize,
}

fn place(span: Span) -> Pos {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Pos { line: number(span.start.line()), column: number(span.start.col()).saturating_add(1) }
}

impl<'t> Yaml<'t> {
    pub fn new(text: &'t str) -> Self {
        let options = granit_parser::options! {
            emit_comments: false,
            flow_nesting_limit: MAX_FILE_DEPTH,
            block_nesting_limit: MAX_FILE_DEPTH,
        };
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            documents: 0,
            depth: 0,
            recordings: Vec::new(),
            anchors: HashMap::new(),
            playing: None,
            aliased: 0,
        }
    }

    fn played(&mut self) -> Option<(Event<'t>, Pos)> {
        let (events, at, alias) = self.playing.as_mut()?;
        // The whole lies where the alias stands, its parts where they were written.
        let next = events.get(*at).map(|(event, pos)| (event.clone(), if *at == 0 { *alias } else { *pos }));
        *at += 1;
        if next.is_none() {
            self.playing = None;
        }
        next
    }

    /// Minds the depth and what anchors name.
    fn pass(&mut self, event: Event<'t>, pos: Pos, anchor: usize) -> Result<(Event<'t>, Pos), FileFault> {
        if anchor != 0 {
            self.recordings.push(Recording { anchor, open: 0, events: Vec::new() });
        }
        let opens = matches!(event, Event::Map | Event::List);
        self.depth = if opens { self.depth + 1 } else { self.depth - usize::from(event == Event::End) };
        if self.depth > MAX_FILE_DEPTH {
            return Err(pos.fault(format!("lies more than {MAX_FILE_DEPTH} levels deep")));
        }
        self.aliased += self.recordings.len();
        if self.aliased > MAX_ALIASED_EVENTS {
            return Err(
                pos.fault(format!("brings what anchors and aliases stand for above {MAX_ALIASED_EVENTS} entries"))
            );
        }
        for recording in &mut self.recordings {
            recording.events.push((event.clone(), pos));
            recording.open = recording.open + usize::from(opens) - usize::from(event == Event::End);
        }
        // Anchors within anchors end inside out.
        while self.recordings.last().is_some_and(|r| r.open == 0) {
            if let Some(done) = self.recordings.pop() {
                self.anchors.insert(done.anchor, done.events.into());
            }
        }
        Ok((event, pos))
    }
}

fn checked_tag(tag: Option<&Tag>, pos: Pos) -> Result<bool, FileFault> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema_tag("str") => Ok(true),
        Some(tag) if tag.is_yaml_core_schema() && tag.core_suffix() != Some("binary") => Ok(false),
        Some(tag) => Err(pos.fault(format!("the tag {} means nothing here; leave it out", tag.original()))),
    }
}

impl<'t> Events<'t> for Yaml<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Pos), FileFault> {
        loop {
            if let Some((event, pos)) = self.played() {
                self.aliased += 1;
                return self.pass(event, pos, 0);
            }
            let Some(next) = self.parser.next_event() else { return Ok((Event::Eof, Pos::default())) };
            let (event, span) = next.map_err(|why| {
                let at = why.marker();
                FileFault { line: at.line() as u64, column: at.col() as u64 + 1, message: why.info() }
            })?;
            let pos = place(span);
            match event {
                Raw::StreamEnd => return Ok((Event::Eof, pos)),
                Raw::DocumentStart(..) => {
                    self.documents += 1;
                    if self.documents > 1 {
                        return Err(pos.fault("begins a second document; a file holds one"));
                    }
                }
                Raw::Alias(anchor) => {
                    let Some(events) = self.anchors.get(&anchor) else {
                        return Err(pos.fault("stands for something that contains it"));
                    };
                    self.playing = Some((Rc::clone(events), 0, pos));
                }
                Raw::Scalar(text, style, anchor, tag) => {
                    let is_text = checked_tag(tag.as_deref(), pos)?;
                    let plain = matches!(style, ScalarStyle::Plain) && !is_text;
                    let notation = if plain { Notation::Plain } else { Notation::Quoted };
                    return self.pass(Event::Scalar(Scalar { text, notation }), pos, anchor);
                }
                Raw::SequenceStart(_, anchor, tag) => {
                    checked_tag(tag.as_deref(), pos)?;
                    return self.pass(Event::List, pos, anchor);
                }
                Raw::MappingStart(_, anchor, tag) => {
                    checked_tag(tag.as_deref(), pos)?;
                    return self.pass(Event::Map, pos, anchor);
                }
                Raw::SequenceEnd | Raw::MappingEnd => return self.pass(Event::End, pos, 0),
                // Neither is a part of the document's content.
                _ => {}
            }
        }
    }
}
