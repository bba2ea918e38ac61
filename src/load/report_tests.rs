//! What a report says: rows, ratios, the form for programs, the page.

use std::time::Duration;

use super::check::{Findings, Level};
use super::html::page;
use super::machine::Machine;
use super::measured::{Call, Outcome, Round, Sheet, Window};
use super::mix::Kind;
use super::plan::tests::plan;
use super::report::{Checked, Range, Report};
use super::run::{Driven, Searched};
use super::search::{Found, Step};

/// A round of a second in which each kind of call takes so many milliseconds, a call each millisecond.
fn round(kinds: &[(Kind, u64, Outcome)]) -> Round {
    let mut sheet = Sheet::default();
    let window = Window { from: 0, to: 1_000_000, slice: 100_000 };
    for due in (0..1_000_000).step_by(1_000) {
        for (kind, milliseconds, outcome) in kinds {
            let over = due + milliseconds * 1_000;
            sheet.note(&window, &Call { kind: *kind, due, sent: due + 50, over, outcome: *outcome });
        }
    }
    Round {
        lasted: Duration::from_secs(1),
        slice: Duration::from_millis(100),
        sheet,
        made: 2_000,
        spent: Some(Duration::from_millis(100)),
    }
}

pub(super) fn report() -> Report {
    let service = |hold| round(&[(Kind::Quote, 4, Outcome::Promised), (Kind::Hold, hold, Outcome::Later)]);
    let echo = || round(&[(Kind::Echo, 2, Outcome::Done)]);
    Report {
        plan: super::plan::Plan { targets: vec!["http://a<b>:1".to_owned()], ..plan() },
        begun: "2026-12-01T08:00:00Z".to_owned(),
        machine: Machine { cores: 2, processor: "P".to_owned(), system: "s".to_owned(), load: "0.1".to_owned() },
        generator: Some(0.5),
        network: (3, 1, 7, "2026-12-14".to_owned()),
        limit: None,
        driven: vec![
            Driven { name: "surety", rounds: vec![service(8), service(10), service(12)] },
            Driven { name: "echo", rounds: vec![echo(), echo(), echo()] },
        ],
        searched: Vec::new(),
        checked: Checked::Made(Box::default()),
        stopped: false,
    }
}

#[test]
fn every_figure_comes_as_a_ratio_too() {
    let report = report();
    let rows = report.driven[0].rows(report.echo());
    assert_eq!(rows.iter().map(super::report::Row::name).collect::<Vec<_>>(), ["quote", "hold", "all"]);
    let hold = &rows[1];
    assert_eq!((hold.measured.calls(), hold.measured.failures()), (3_000, 0));
    let p99 = hold.of_echo.as_ref().unwrap()[3].unwrap();
    assert!(
        (p99.median - 5.0).abs() < 0.02 && (p99.least - 4.0).abs() < 0.02 && (p99.most - 6.0).abs() < 0.02,
        "{p99:?}"
    );
    assert_eq!(hold.spent, None, "processor time is that of all calls");
    assert_eq!(rows[2].spent.map(|spent| spent.median), Some(50.0));
    assert_eq!(rows[2].of_echo.as_ref().unwrap()[6].map(|ratio| ratio.median), Some(1.0));
    let rate = rows[2].of_echo.as_ref().unwrap()[0].unwrap();
    assert!((rate.median - 1.985).abs() < 0.02, "{rate:?}");
    assert!(report.driven[1].rows(report.echo())[0].of_echo.is_none(), "the echo is compared with nothing");
    assert_eq!(Range::of([3.0, 1.0, f64::NAN, 2.0]), Some(Range { median: 2.0, least: 1.0, most: 3.0 }));
    assert_eq!(Range::of([]), None);
}

#[test]
fn what_was_not_driven_is_not_compared_with() {
    let mut report = report();
    assert_eq!(report.tables().len(), 3);
    report.driven[1].rounds.clear();
    report.stopped = true;
    let tables = report.tables();
    assert_eq!(tables.iter().map(|table| table.rows.len()).collect::<Vec<_>>(), [3, 2], "calls and outcomes");
    assert!(report.remarks()[0].contains("stopped"), "{:?}", report.remarks());
}

#[test]
fn the_form_for_programs_has_everything() {
    let json = report().json();
    assert_eq!(json["plan"]["pace"]["inFlight"], 4);
    assert_eq!(json["plan"]["seed"], 1);
    let hold = &json["subjects"][0]["calls"][1];
    assert_eq!((hold["kind"].as_str(), hold["calls"].as_u64()), (Some("hold"), Some(3_000)));
    assert_eq!(hold["outcomes"]["later"], 3_000);
    for name in ["p50", "p90", "p99", "p99.9", "max"] {
        assert!(hold["latencyMilliseconds"][name].as_f64().is_some_and(|ms| ms > 7.9), "{name}: {hold}");
        assert!(hold["ofEcho"][name]["median"].as_f64().is_some_and(|ratio| ratio > 3.9), "{name}: {hold}");
    }
    assert_eq!(json["subjects"][1]["rounds"].as_array().map(Vec::len), Some(3));
    assert_eq!((&json["check"]["made"], &json["check"]["violated"]), (&true.into(), &0.into()));
    assert!(json["search"].is_null());
}

#[test]
fn a_search_is_told_step_by_step() {
    let limit = Duration::from_millis(20);
    let step =
        |rate: f64, ms: u64| Step { rate, due: rate, answered: rate, p99: Duration::from_millis(ms), failures: 0 };
    let found = |best: f64| Found { steps: vec![step(best, 5), step(best * 2.0, 50)], best: Some(best) };
    let searched =
        vec![Searched { name: "surety", found: found(1_000.0) }, Searched { name: "echo", found: found(4_000.0) }];
    let report = Report { limit: Some(limit), searched, driven: Vec::new(), ..report() };
    assert_eq!(
        report.remarks(),
        [
            "surety keeps up with 1,000 calls a second.",
            "echo keeps up with 4,000 calls a second.",
            "That is 0.25 of the echo's rate."
        ]
    );
    assert_eq!(report.json()["search"][0]["steps"][1]["fault"], "p99 above the limit");
    let tables = report.tables();
    assert_eq!(tables.len(), 1);
    assert_eq!(tables[0].rows[0].join(" "), "surety 1,000 1,000 5.00 passed");
    assert!(page(&report).contains("Latency at each rate of the search"));
}

#[test]
fn the_page_has_its_plots_and_escapes_text() {
    let html = page(&report());
    assert_eq!(html.matches("<svg").count(), 3, "by percentile, rate over time, latency over time");
    for title in ["Latency by percentile", "Answers a second over time", "Latency over time"] {
        assert!(html.contains(title), "{title}");
    }
    assert!(html.contains("http://a&lt;b&gt;:1") && !html.contains("a<b>"), "texts are escaped");
    assert!(html.contains("Nothing was oversold") && html.contains("echo p99"));
    for fetched in ["<script", "href=", "src=", "url(", "@import"] {
        assert!(!html.contains(fetched), "{fetched}: nothing is fetched");
    }
}

#[test]
fn violations_are_told() {
    let violations = vec!["load-0000000, 2026-12-01T00:00:00Z: oversold".to_owned()];
    let fullest =
        Some(Level { resource: "r".to_owned(), from: "2026-12-01T00:00:00Z".to_owned(), units: 6, supply: 5 });
    let findings = Findings { violations, violated: 3, holds: 6, fullest, booked: 1, ..Findings::default() };
    let report = Report { checked: Checked::Made(Box::new(findings)), ..report() };
    assert!(report.violated());
    let told = report.verdict();
    assert!(told[0].starts_with("Promises were broken: 3 findings."), "{told:?}");
    assert_eq!(told[1..3], ["load-0000000, 2026-12-01T00:00:00Z: oversold", "and 2 more"]);
    assert!(page(&report).contains("class=\"bad\""));
}
