//! Counts beside the committed ones.

use std::fmt::Write as _;
use std::process::Command;

/// The committed counts.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/counts/counts.csv");
/// How far instructions may differ, either way, before the file is to be written anew.
const TOLERANCE: f64 = 0.04;
/// The same of allocations: half of what the file tells apart.
const ALLOCATIONS: f64 = 0.015;

const HEADER: &str = "scenario,instructions,allocations";

/// What one call of a piece takes.
#[derive(Clone, Debug)]
pub struct Count {
    pub scenario: String,
    pub instructions: u64,
    pub allocations: f64,
}

/// Those of all pieces.
pub struct Counts {
    /// The compiler and the machine's kind: instructions of another are not comparable.
    pub made_with: String,
    pub all: Vec<Count>,
}

/// The compiler and the machine's kind, here.
pub fn made_with() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(rustc).arg("--version").output().map_err(|e| format!("rustc does not start: {e}"))?;
    Ok(format!("{} on {}", String::from_utf8_lossy(&told.stdout).trim(), std::env::consts::ARCH))
}

impl Counts {
    fn read() -> Result<Counts, String> {
        let text = std::fs::read_to_string(FILE).map_err(|e| format!("{FILE}: {e}; tests/counts write makes it"))?;
        let comments = text.lines().filter_map(|line| line.strip_prefix("# "));
        let made_with = comments.filter_map(|line| line.strip_prefix("with: ")).next().unwrap_or_default().to_owned();
        let lines = text.lines().filter(|line| !line.starts_with('#') && *line != HEADER);
        let all = lines.map(|line| {
            let wrong = || format!("{FILE}: '{line}' is no count");
            let [scenario, instructions, allocations] = line.split(',').collect::<Vec<_>>()[..] else {
                return Err(wrong());
            };
            Ok(Count {
                scenario: scenario.to_owned(),
                instructions: instructions.parse().map_err(|_| wrong())?,
                allocations: allocations.parse().map_err(|_| wrong())?,
            })
        });
        Ok(Counts { made_with, all: all.collect::<Result<_, _>>()? })
    }

    fn find(&self, scenario: &str) -> Option<&Count> {
        self.all.iter().find(|count| count.scenario == scenario)
    }
}

/// Writes the counts in the place of the committed ones.
pub fn write(counts: &Counts) -> Result<(), String> {
    let mut text = format!(
        "# What one call of each piece takes. `tests/counts` compares, `tests/counts write` writes this file.\n# with: {}\n{HEADER}\n",
        counts.made_with
    );
    for Count { scenario, instructions, allocations } in &counts.all {
        // Writing to a string does not fail.
        let _infallible = writeln!(text, "{scenario},{instructions},{allocations}");
    }
    print_table(counts);
    std::fs::write(FILE, text).map_err(|e| format!("{FILE}: {e}"))
}

/// As docs/performance.md has it.
fn print_table(counts: &Counts) {
    println!("| piece | instructions | allocations |\n|---|---|---|");
    for Count { scenario, instructions, allocations } in &counts.all {
        println!("| {scenario} | {instructions} | {allocations} |");
    }
}

/// Fails where the counts differ from the committed ones.
pub fn check(counts: &Counts) -> Result<(), String> {
    let before = Counts::read()?;
    let same_kind = before.made_with == counts.made_with;
    let mut wrong = Vec::new();
    println!(
        "| piece | instructions before | now | ratio | allocations before | now | |\n|---|---|---|---|---|---|---|"
    );
    for now in &counts.all {
        let Some(old) = before.find(&now.scenario) else {
            wrong.push(format!("{} is new", now.scenario));
            continue;
        };
        let ratio = now.instructions as f64 / old.instructions as f64;
        let mut said = Vec::new();
        if same_kind && (ratio - 1.0).abs() > TOLERANCE {
            said.push(if ratio > 1.0 { "MORE INSTRUCTIONS" } else { "FEWER INSTRUCTIONS" });
        }
        if (now.allocations - old.allocations).abs() > ALLOCATIONS {
            let more = now.allocations > old.allocations;
            said.push(if more { "MORE ALLOCATIONS" } else { "FEWER ALLOCATIONS" });
        }
        let (name, mark) = (&now.scenario, said.join(", "));
        println!(
            "| {name} | {} | {} | {ratio:.3} | {} | {} | {mark} |",
            old.instructions, now.instructions, old.allocations, now.allocations
        );
        if !said.is_empty() {
            wrong.push(format!("{name}: {mark}"));
        }
    }
    let gone = before.all.iter().filter(|old| counts.find(&old.scenario).is_none());
    wrong.extend(gone.map(|old| format!("{} is gone", old.scenario)));
    if !same_kind {
        println!(
            "\nINSTRUCTIONS WERE NOT COMPARED: the committed counts are of {}, these of {}.\n`tests/counts write` writes them anew.",
            before.made_with, counts.made_with
        );
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "Not as committed in benches/counts/counts.csv (instructions by more than {:.0} %):\n  {}\nIf it is meant to be so, `tests/counts write` \
         writes the file anew: commit it with the change, and say why. If not, callgrind_annotate tells where it goes (docs/performance.md).",
        TOLERANCE * 100.0,
        wrong.join("\n  ")
    ))
}
