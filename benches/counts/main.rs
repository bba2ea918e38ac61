//! How many instructions and allocations each piece of the service takes, beside those that were committed: a slow-down shows as a
//! number, whatever else the machine does.
//!
//!     tests/counts [check | write]
//!
//! builds this program as the committed counts were (`build.toml`) and compares, or writes `counts.csv` anew. Each piece is run in a
//! process of its own under `valgrind --tool=callgrind`; to look at one by hand, with the lines where its instructions go:
//!
//!     valgrind --tool=callgrind --toggle-collect=surety_measured PROGRAM run planner/quote_free

mod allocator;
mod compare;
#[path = "../scenarios/mod.rs"]
mod scenarios;

use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering;

use allocator::{ALLOCATIONS, Counting};
use compare::{Count, Counts};
use scenarios::{ALL, Scenario, Turn};

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// Set by `tests/counts`: built otherwise, the program counts something else.
const BUILT: &str = "SURETY_COUNTS_BUILT";

/// What is counted. Its name is one that callgrind finds.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn surety_measured(turn: &mut Turn, turns: usize) {
    // The first was made to warm up.
    for number in 1..=turns {
        turn(number);
    }
}

/// Runs a piece, and prints how many allocations its turns took.
fn run(scenario: &Scenario) {
    let mut turn = (scenario.prepare)(scenario.turns + 1);
    turn(0);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    surety_measured(&mut turn, scenario.turns);
    println!("{}", ALLOCATIONS.load(Ordering::Relaxed) - before);
}

/// The C library copies and compares memory in ways that differ from processor to processor; this is what all of x86-64 have, so that
/// another machine counts the same.
const PLAIN_LIBC: &str = "glibc.cpu.hwcaps=-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,-BMI2,-MOVBE,-RTM";

/// Has a piece run under callgrind.
fn count(scenario: &Scenario) -> Result<Count, String> {
    let out = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    let ran = Command::new("valgrind")
        .env("GLIBC_TUNABLES", PLAIN_LIBC)
        .args(["--tool=callgrind", "--toggle-collect=surety_measured"])
        .arg(format!("--callgrind-out-file={}", out.path().display()))
        .arg(std::env::current_exe().map_err(|e| e.to_string())?)
        .args(["run", scenario.name])
        .output()
        .map_err(|e| format!("valgrind does not start ({e}); install it: apt-get install valgrind"))?;
    if !ran.status.success() {
        return Err(format!("{}: {}", scenario.name, String::from_utf8_lossy(&ran.stderr)));
    }
    let profile = std::fs::read_to_string(out.path()).map_err(|e| e.to_string())?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ")).and_then(|n| n.trim().parse().ok());
    let instructions: u64 = total.ok_or("callgrind tells no total")?;
    let allocations = String::from_utf8_lossy(&ran.stdout).trim().parse::<u64>();
    let allocations = allocations.map_err(|e| format!("{}: {e}", scenario.name))?;
    let turns = scenario.turns as f64;
    Ok(Count {
        scenario: scenario.name.to_owned(),
        instructions: (instructions as f64 / turns).round() as u64,
        // To the hundredth, as tables that grow do so now and then.
        allocations: (allocations as f64 / turns * 100.0).round() / 100.0,
    })
}

fn count_all() -> Result<Counts, String> {
    let all = ALL.iter().map(count).collect::<Result<Vec<_>, _>>()?;
    Ok(Counts { made_with: compare::made_with()?, all })
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["run", name] => match ALL.iter().find(|scenario| scenario.name == name) {
            Some(scenario) => {
                run(scenario);
                Ok(())
            }
            None => Err(format!("there is no '{name}'")),
        },
        _ if std::env::var_os(BUILT).is_none() => {
            println!("Nothing is counted: tests/counts builds this as the committed counts were, and runs it.");
            Ok(())
        }
        [] | ["check"] => count_all().and_then(|counts| compare::check(&counts)),
        ["write"] => count_all().and_then(|counts| compare::write(&counts)),
        _ => Err("use: tests/counts [check | write]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\n{why}");
            ExitCode::FAILURE
        }
    }
}
