//! Offers, allocations, promises at risk, fulfilments and events from the command line: what is sent, shown and returned.

use std::time::Duration;

use super::exit::Exit;
use super::fake_tests::run;

/// A file of a folder that goes with the test.
fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn offer(id: &str) -> String {
    format!(
        "id: {id}\nlines:\n  - {{sku: mug, quantity: 1}}\nzones:\n  - zone: de\n    share: 0.9\nstarts: 2026-11-27\n\
         ends: 2026-11-29\nwithin_days: 3\norders: [400, 300, 300]\n"
    )
}

#[tokio::test]
async fn exit_codes_say_yes_or_no_to_pipelines() {
    let folder = tempfile::tempdir().unwrap();
    let [all, some, none] = ["all", "some", "none"].map(|id| file(&folder, &format!("{id}.yaml"), &offer(id)));
    let table = [
        (format!("offer check {all}"), 0),
        (format!("offer check {some}"), 1),
        (format!("offer check {some} --json"), 1),
        (format!("offer check {none}"), 1),
        (format!("offer check {all} --suppose unknown,2026-11-27,1,5"), 2),
        (format!("offer check {all} --suppose nonsense"), 2),
        ("offer check /no/such/offer.yaml".to_owned(), 2),
        (format!("offer approve {all}"), 0),
        (format!("offer approve {some}"), 1),
        (format!("offer approve {some} --min-share 0.5"), 0),
        (format!("offer approve {some} --min-share 50"), 2),
        ("offer close all".to_owned(), 0),
        ("offer show all".to_owned(), 0),
        ("offer show unknown".to_owned(), 1),
        ("offer list".to_owned(), 0),
        ("suggest --zone de --from 2026-11-27 --to 2026-11-29 --within 3".to_owned(), 0),
        ("suggest --zone nowhere --from 2026-11-27 --to 2026-11-29 --within 3".to_owned(), 1),
        ("suggest --from 2026-11-27".to_owned(), 2),
        ("scorecard --from 2026-11-27 --to 2026-11-29".to_owned(), 0),
        ("scorecard --from 2026-11-29 --to 2026-11-27".to_owned(), 2),
        ("allocate --resource a --channel vip --start 2026-12-01 5".to_owned(), 0),
        ("allocate --resource a --channel unknown --start 2026-12-01 5".to_owned(), 1),
        ("allocate --resource a 5".to_owned(), 2),
        ("repromise".to_owned(), 0),
        ("repromise r1".to_owned(), 0),
        ("repromise r1 r2 --dry-run".to_owned(), 1),
        ("fix r1".to_owned(), 0),
        ("fix unknown-sku".to_owned(), 1),
        ("fulfil order-1 --delivered 2026-12-24T10:00".to_owned(), 0),
        ("fulfil unknown-sku --shipped 2026-12-24T10:00".to_owned(), 1),
        ("fulfil order-1 --shipped yesterday".to_owned(), 2),
    ];
    for (words, code) in table {
        let outcome = run(&words).await;
        assert_eq!(outcome.exit.code(), code, "{words}\n{}{}", outcome.out, outcome.err);
    }
}

#[tokio::test]
async fn faults_of_an_offer_are_shown_by_line_and_those_of_options_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "offer.yaml", &offer("all"));
    let outcome = run(&format!("offer check {path} --suppose unknown,2026-11-27,1,5")).await;
    assert_eq!(
        outcome.err,
        format!(
            "\
surety: the server refused: 2 faults in the request
  suppose[0].resource: there is no resource 'unknown'
  {path}:6:12: offer.zones[0].share: the shares add up to 0.9
  (INVALID_ARGUMENT)
"
        )
    );
    let path = file(&folder, "supposed.yaml", &format!("{}suppose: []\ncolour: red\n", offer("all")));
    let outcome = run(&format!("offer check {path}")).await;
    assert!(outcome.err.contains(&format!("{path}:12:1: there is no field 'colour'")), "{}", outcome.err);
    assert!(outcome.seen.is_empty(), "nothing was sent");
    let path = file(&folder, "s.yaml", &format!("{}suppose: [{{resource: a, delta: 5}}]\n", offer("all")));
    let outcome = run(&format!("offer approve {path}")).await;
    assert_eq!((outcome.exit, outcome.seen.len()), (Exit::Wrong, 0), "what is supposed is not set aside");
}

#[tokio::test]
async fn offers_follow_their_pages() {
    let outcome = run("offer list --limit 2").await;
    assert!(
        outcome.out.contains("\no1 ") && outcome.out.ends_with("There are more: --page-token 2\n"),
        "{}",
        outcome.out
    );
    assert_eq!(run("offer list").await.seen.len(), 3);
}

#[tokio::test]
async fn a_dry_run_compares_a_plan_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "Ressource;Datum;Menge\nlej.pack;24.12.2026;100\nlej.pack;25.12.2026;130,0\nlej.pack;26.12.2026;90\n\
                lej.hour;24.12.2026 08:00;5\n";
    let path = file(&folder, "plan.csv", plan);
    let outcome = run(&format!("supply {path} --dry-run")).await;
    assert_eq!(
        outcome.out,
        "\
3 buckets would change, of 4 buckets of 2 resources in the plan:
  RESOURCE  IN THE PLAN  CHANGE  UNITS MORE  UNITS LESS  NOT COVERED
  lej.hour            1       1           5
  lej.pack            3       2          30          10           30
  RESOURCE  FROM               IS  WOULD BE  CHANGE
  lej.hour  2026-12-24T08:00    0         5      +5
  lej.pack  2026-12-25        100       130     +30
  lej.pack  2026-12-26        100        90     -10  30 short of what is promised or set aside
Nothing was changed.
"
    );
    let reads = |seen: &String| seen.starts_with("buckets ") || seen.starts_with("today ");
    assert!(outcome.seen.iter().all(reads), "{:?}", outcome.seen);
    let json = run(&format!("supply {path} --dry-run --json")).await.out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let changed = &json["resources"][1]["changed"][1];
    assert_eq!(*changed, serde_json::json!({ "start": "2026-12-26", "from": 100, "to": 90, "uncovered": 30 }));
    let same = file(&folder, "same.csv", "resource,start,units\nlej.pack,2026-12-24,100\n");
    let outcome = run(&format!("supply {same} --dry-run")).await;
    assert_eq!(
        outcome.out,
        "No changes: the server has the same supply for all 1 bucket of 1 resource. Nothing was changed.\n"
    );
}

#[tokio::test]
async fn no_row_is_loaded_unless_all_are_good_or_bad_ones_are_to_be_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "resource,start,units\nlej.pack,2026-12-24,1\nlej.park,2026-12-24,1\nlej.pack,2026-12-25,x\nlej.pack,2026-12-26,1\n";
    let path = file(&folder, "plan.csv", plan);
    let outcome = run(&format!("supply {path}")).await;
    assert_eq!((outcome.exit, outcome.seen), (Exit::Wrong, just_asked()), "nothing was sent");
    let bad = format!(
        "  {path}:3:1: the network has no resource 'lej.park'\n  {path}:4:21: 'x' is not a whole number; write digits only\n"
    );
    assert_eq!(outcome.err, format!("surety: {path} is wrong, and none of it was taken:\n{bad}"));
    let outcome = run(&format!("supply {path} --skip-bad")).await;
    assert!(outcome.out.starts_with("Loaded: 2 numbers for 1 resource, 2 buckets set"), "{}", outcome.out);
    assert_eq!(outcome.err, format!("Not all of it: 2 rows were left out:\n{bad}"));
    assert_eq!(outcome.exit, Exit::No, "not all was loaded");
}

/// What a server sees of a plan that is not sent.
fn just_asked() -> Vec<String> {
    vec!["today network=- no deadline".to_owned()]
}

#[tokio::test]
async fn rows_of_yesterday_and_slips_of_the_pen_are_faulty_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    // For the server it is 30 November 2026; the latest day is 1,100 days later.
    let plan = "resource,start,units\nlej.pack,2026-11-29,1\nlej.pack,2026-11-30,2\nlej.pack,2062-12-01,3\n\
                lej.hour,2026-11-29T23:00,4\nlej.hour,2026-11-30T00:00,5\nlej.mugs,2020-01-01,6\nlej.mugs,2029-12-04,7\n\
                lej.mugs,2029-12-05,8\n";
    let path = file(&folder, "plan.csv", plan);
    let far = "reaches more than 1100 days ahead; supply is planned at most so far";
    let over = |resource| {
        format!("lies in the past: the first bucket of '{resource}' ended at 2026-11-30T00:00:00 local time")
    };
    let bad = format!(
        "  {path}:2:10: {}\n  {path}:4:10: {far}\n  {path}:5:10: {}\n  {path}:9:10: {far}\n",
        over("lej.pack"),
        over("lej.hour")
    );
    for words in [format!("supply {path}"), format!("supply {path} --dry-run")] {
        let outcome = run(&words).await;
        assert_eq!(outcome.err, format!("surety: {path} is wrong, and none of it was taken:\n{bad}"));
        assert_eq!((outcome.exit, outcome.seen), (Exit::Wrong, just_asked()), "nothing was sent");
    }
    let outcome = run(&format!("supply {path} --skip-bad")).await;
    assert!(outcome.out.starts_with("Loaded: 4 numbers for 3 resources, 4 buckets set"), "{}", outcome.out);
    assert_eq!(outcome.err, format!("Not all of it: 4 rows were left out:\n{bad}"));
    assert_eq!(outcome.exit, Exit::No);
    let outcome = run(&format!("supply {path} --skip-bad --dry-run")).await;
    assert!(outcome.out.ends_with("Nothing was changed.\n"), "{}", outcome.out);
    assert_eq!((outcome.exit, outcome.err), (Exit::No, format!("Not all of it: 4 rows were left out:\n{bad}")));
}

#[tokio::test]
async fn a_plan_that_contradicts_itself_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "Ressource;Datum;Menge\nlej.pack;05.12.2026;12\nlej.pack;05.12.2026;13\nlej.pack;06.12.2026;14\nlej.pack;06.12.2026;14\n";
    let path = file(&folder, "plan.csv", plan);
    let outcome = run(&format!("supply {path}")).await;
    let bad = format!(
        "  {path}:2: sets its bucket to 12, and line 3 sets the same bucket to 13; leave one row for it\n  \
         {path}:3: sets its bucket to 13, and line 2 sets the same bucket to 12; leave one row for it\n"
    );
    assert_eq!(outcome.err, format!("surety: {path} is wrong, and none of it was taken:\n{bad}"));
    assert_eq!((outcome.exit, outcome.seen), (Exit::Wrong, just_asked()), "nothing was sent");
    let outcome = run(&format!("supply {path} --skip-bad")).await;
    assert!(outcome.out.starts_with("Loaded: 1 number for 1 resource, 1 bucket set"), "{}", outcome.out);
}

#[tokio::test]
async fn fulfilments_are_looked_up_before_any_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let csv = "Reservierung;Versandt;Zugestellt\norder-1;20.12.2026 08:00;\norder-2;;22.12.2026 10:00\nunknown-sku;;22.12.2026\n\
               released;;22.12.2026\norder-3;;\n";
    let path = file(&folder, "done.csv", csv);
    let bad = format!("  {path}:4: there is no reservation 'unknown-sku'\n");
    let outcome = run(&format!("fulfil {path}")).await;
    assert_eq!(outcome.exit, Exit::Wrong);
    assert!(outcome.seen.iter().all(|seen| seen.starts_with("show ")), "nothing was reported: {:?}", outcome.seen);
    assert_eq!(
        outcome.err,
        format!(
            "surety: {path} names what can't be reported, and none of it was:\n{bad}  {path}:5: released was released; nothing was \
             promised any more\n"
        )
    );
    let outcome = run(&format!("fulfil {path} --dry-run")).await;
    assert_eq!(
        outcome.out,
        format!(
            "\
Would report: 1 as delivered, 1 as shipped.
1 row has neither been shipped nor delivered yet.
Not all of it: 2 rows can't be reported:
{bad}  {path}:5: released was released; nothing was promised any more
Nothing was changed.
"
        )
    );
    assert_eq!(outcome.exit, Exit::No);
    let outcome = run(&format!("fulfil {path} --skip-bad")).await;
    assert_eq!(outcome.seen, ["fulfilment network=- no deadline"], "the server judges one by one");
    assert!(
        outcome.out.starts_with("Reported: 1 order delivered, 1 shipped that were not known before.\n"),
        "{}",
        outcome.out
    );
    assert!(outcome.out.contains(&format!("{bad}  {path}:5: released: was released before\n")), "{}", outcome.out);
    assert_eq!(outcome.exit, Exit::No);
    let good = file(&folder, "good.csv", &csv.lines().take(3).collect::<Vec<_>>().join("\n"));
    let outcome = run(&format!("fulfil {good}")).await;
    assert_eq!((outcome.exit, outcome.seen.len()), (Exit::Done, 3));
}

#[tokio::test]
async fn events_go_on_where_the_connection_broke() {
    let outcome = run("events --follow --count 5 --in-network torn").await;
    let cursors = outcome.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let cursors: Vec<_> = cursors.map(|event| event["cursor"].as_str().unwrap().to_owned()).collect();
    assert_eq!(cursors, ["1", "2", "3", "4", "5"], "{}", outcome.err);
    assert_eq!((outcome.exit, outcome.seen.len()), (Exit::Done, 3));
    assert_eq!(outcome.err.matches("going on where it broke off").count(), 2, "{}", outcome.err);
    let outcome = run("events --from 3 --follow --count 2").await;
    assert!(outcome.out.starts_with("{\"cursor\":\"4\""), "{}", outcome.out);
    // Who does not follow is told that it broke.
    assert_eq!(run("events --in-network torn").await.exit.code(), 69);
}

#[tokio::test]
async fn who_follows_waits_for_more_until_told_to_stop() {
    let followed = tokio::time::timeout(Duration::from_millis(700), run("events --follow --from 5")).await;
    assert!(followed.is_err(), "a stream that ends is followed on");
    assert_eq!(run("events --follow --from 5 --timeout 300ms").await.exit, Exit::Done);
}
