//! Holds the layering of ARCHITECTURE.md and the house rules that a compiler does not know.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer with the modules of this crate that it may use, beside itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("allocator", &[]),
    ("domain", &[]),
    ("planner", &["domain"]),
    ("clock", &["domain"]),
    ("ledger", &["domain", "clock"]),
    ("view", &["domain", "ledger"]),
    ("telemetry", &[]),
    ("app", &["domain", "planner", "ledger", "view", "clock", "telemetry"]),
    ("edge", &["app", "domain", "proto", "telemetry"]),
    ("files", &["domain", "app", "edge", "proto"]),
    ("load", &["domain", "edge", "proto"]),
    ("proto", &[]),
];

/// The composition root may use all and is used by none of the above.
const ROOT: &[&str] = &["server", "cli", "main", "lib"];

/// Parts of the ledger that only the composition root may name: concrete stores.
const STORES: &[&str] = &["ledger::embedded", "ledger::redis"];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder of sources").map(|e| e.expect("an entry").path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            found.push(entry);
        }
    }
}

/// Tests may bring together what the code keeps apart, and measure what it costs.
fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs") || name.contains("/tests/")
}

fn all() -> Vec<(String, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    assert!(found.len() > 20, "the sources were found");
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&src).expect("below src").display().to_string();
            let layer = name.split(['/', '.']).next().unwrap_or_default().to_owned();
            let text = fs::read_to_string(&path).expect("a readable file");
            (name, layer, text)
        })
        .collect()
}

#[test]
fn layers_use_only_what_they_may() {
    let mut wrong = Vec::new();
    for (name, layer, text) in all() {
        if is_test(&name) || ROOT.contains(&layer.as_str()) {
            continue;
        }
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(known, _)| *known == layer)
            .unwrap_or_else(|| panic!("{name}: '{layer}' is not in the table of ARCHITECTURE.md"));
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for part in line.split("crate::").skip(1) {
                let used: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if used != layer && !used.is_empty() && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("src/{name}:{}: {layer} may not use {used}", number + 1));
                }
                if layer != "ledger" && STORES.iter().any(|store| part.starts_with(store)) {
                    wrong.push(format!("src/{name}:{}: only the composition root names a store", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_pure_layers_stay_pure() {
    let mut wrong = Vec::new();
    for (name, layer, text) in all() {
        let pure = ["domain", "planner"].contains(&layer.as_str())
            || ["ledger/audit.rs", "ledger/rules.rs", "ledger/state.rs", "ledger/transition.rs"]
                .contains(&name.as_str());
        if !pure || is_test(&name) {
            continue;
        }
        for word in [
            "tokio",
            "async fn",
            "std::fs",
            "std::net",
            "SystemTime",
            "Instant::now",
            "tonic",
            "prost",
            "fjall",
            "rand::",
        ] {
            if text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word)) {
                wrong.push(format!("src/{name}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_are_nouns_of_the_domain_or_verbs_of_the_service() {
    for (name, _, _) in all() {
        for part in name.trim_end_matches(".rs").split('/') {
            let vague = ["utils", "util", "common", "helpers", "helper", "types", "models", "misc"];
            assert!(!vague.contains(&part), "src/{name}: '{part}' says nothing");
        }
    }
}

#[test]
fn nothing_is_left_half_done() {
    let markers = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimple", "mented!(")];
    for (name, _, text) in all() {
        for marker in markers {
            assert!(!text.contains(marker), "src/{name} has a {marker}");
        }
    }
}
