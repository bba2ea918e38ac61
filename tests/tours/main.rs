//! Plays the tours of the documentation as they are told, so that what is written there is what the program says.
//!
//! It reads the blocks: `sh` is typed, and `text` or `json` is what must come out. `surety serve` runs beside the rest.
//! `UPDATE_TOURS=1` writes what comes out into the files; the difference is then to be judged by the rules.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_surety");

#[test]
fn shop() {
    play("examples/shop/README.md");
}

#[test]
fn bakery() {
    play("examples/bakery/README.md");
}

#[test]
fn studio() {
    play("examples/studio/README.md");
}

#[test]
fn checkout() {
    play("docs/checkout.md");
}

#[test]
fn marketing() {
    play("docs/marketing.md");
}

#[test]
fn operations() {
    play("docs/operations.md");
}

/// What a tour is made of.
enum Part {
    /// Prose and blocks of other kinds, as they stand.
    Prose(String),
    /// Commands, one a line.
    Typed(String),
    /// How its block begins, and what the commands before it answer.
    Answer(&'static str, String),
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let fence = match line {
            "```sh" => None,
            "```text" => Some("```text"),
            "```json" => Some("```json"),
            _ => {
                parts.push(Part::Prose(line.to_owned()));
                continue;
            }
        };
        let mut block = String::new();
        for inside in lines.by_ref().take_while(|l| *l != "```") {
            block += inside;
            block += "\n";
        }
        parts.push(match fence {
            None => Part::Typed(block),
            Some(fence) => Part::Answer(fence, block),
        });
    }
    parts
}

/// The words of a command; spaces between quotation marks part none.
fn words(line: &str) -> Vec<String> {
    let parted = line.split('"').enumerate().flat_map(|(i, part)| match i % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    parted.map(str::to_owned).collect()
}

/// A server that ends with the tour.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which the commands have noticed.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

struct Tour {
    root: PathBuf,
    server: Option<Server>,
    exported: Vec<(String, String)>,
}

impl Tour {
    /// What a command answers; nothing, if it is one that is only done.
    fn type_in(&mut self, line: &str) -> Option<String> {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).take_while(|word| *word != "#").collect();
        match words.as_slice() {
            ["export", assignment] => {
                let (name, value) = assignment.split_once('=').expect("an export assigns");
                self.exported.push((name.to_owned(), value.to_owned()));
                None
            }
            ["surety", "serve", options @ ..] => {
                let mut program = self.program();
                program.arg("serve").args(["--listen", "127.0.0.1:0"]).args(options);
                let mut child =
                    program.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
                let mut first = String::new();
                let stdout = child.stdout.take().expect("stdout is piped");
                BufReader::new(stdout).read_line(&mut first).expect("the server speaks");
                let address = first.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}: {first}"));
                self.server = Some(Server { url: format!("http://{address}"), child });
                None
            }
            ["surety", options @ ..] => {
                let url = &self.server.as_ref().expect("the server was started").url;
                let output = self.program().args(options).env("SURETY_SERVER", url).output().expect("the program runs");
                let said = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
                // A no is an answer too; anything above is a fault of the tour.
                let code = output.status.code();
                assert!(matches!(code, Some(0 | 1)), "{line}\nended with {code:?}: {}", said(output.stderr));
                Some(said(output.stdout) + &said(output.stderr))
            }
            _ => panic!("a tour types export and surety only, not {line:?}"),
        }
    }

    fn program(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.current_dir(&self.root).env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.exported.iter().map(|(name, value)| (name, value)));
        command
    }
}

fn play(document: &str) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(document);
    let text = fs::read_to_string(&path).expect("the tour is there");
    let mut tour = Tour { root, server: None, exported: Vec::new() };
    let (mut told, mut differences, mut answers) = (String::new(), String::new(), Vec::new());
    let mut typed = String::new();
    for part in parts(&text) {
        match part {
            Part::Prose(line) => told += &format!("{line}\n"),
            Part::Typed(block) => {
                told += &format!("```sh\n{block}```\n");
                let lines: Vec<String> = block.replace("\\\n", " ").lines().map(str::to_owned).collect();
                assert!(answers.is_empty(), "{}: nothing says what {typed:?} answers", path.display());
                answers = lines.iter().filter_map(|line| tour.type_in(line)).collect();
                typed = lines.join("\n");
            }
            Part::Answer(fence, expected) => {
                let answer = std::mem::take(&mut answers).join("\n");
                if settled(&answer) != settled(&expected) {
                    let _infallible = write!(differences, "\n{typed}\n--- is told\n{expected}--- comes out\n{answer}");
                }
                // What comes to the same stays as it is told.
                let told_of_it = if settled(&answer) == settled(&expected) { &expected } else { &answer };
                told += &format!("{fence}\n{told_of_it}```\n");
            }
        }
    }
    assert!(answers.is_empty(), "{}: nothing says what {typed:?} answers", path.display());
    if env::var_os("UPDATE_TOURS").is_some() {
        fs::write(&path, told).expect("the tour can be written");
    } else {
        assert!(differences.is_empty(), "{} tells otherwise:\n{differences}", path.display());
    }
}

/// What does not depend on how fast the tour is played: countdowns and instants of the clock are left out, times of day are
/// rounded down to five minutes, and columns may be as wide as they like.
fn settled(text: &str) -> String {
    let of_the_clock = ["\"asOf\": ", "\"createdAt\": ", "\"expiresAt\": "];
    let line = |line: &str| match line.split_once("within ") {
        _ if of_the_clock.iter().any(|name| line.trim_start().starts_with(name)) => line.split(':').take(1).collect(),
        Some((before, after))
            if line.trim_start().starts_with("Order within ")
                && after.trim_start().starts_with(|c: char| c.is_ascii_digit()) =>
        {
            format!("{before}within{}", after.find(", before").map_or("", |at| &after[at..]))
        }
        _ => narrow(line),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A line whose columns are two spaces apart, and whose times of day have no seconds.
fn narrow(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let columns = line.trim().split("  ").map(str::trim).filter(|column| !column.is_empty());
    let columns = columns.map(|column| column.split(' ').map(without_seconds).collect::<Vec<_>>().join(" "));
    format!("{:indent$}{}", "", columns.collect::<Vec<_>>().join("  "))
}

/// "09:03:01," is "09:00,"; other words stay.
fn without_seconds(word: &str) -> String {
    let (time, mark) = word.strip_suffix(',').map_or((word, ""), |time| (time, ","));
    let parts: Vec<&str> = time.split(':').collect();
    let two_digits = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    match (parts.as_slice(), parts.iter().all(two_digits)) {
        ([hour, minute, ..], true) if parts.len() <= 3 => {
            let minute: u32 = minute.parse().expect("two digits are a number");
            format!("{hour}:{:02}{mark}", minute - minute % 5)
        }
        _ => word.to_owned(),
    }
}
