use super::*;
use crate::files::mutation::try_many;

fn unknown(_: &str) -> Result<Option<Bucketing>, String> {
    Ok(None)
}

fn shop(resource: &str) -> Result<Option<Bucketing>, String> {
    match resource {
        "days" => Ok(Some(Bucketing::DAYS)),
        "quarters" => Bucketing::of_minutes(15).map(Some),
        _ => Err(format!("there is no resource '{resource}' in this network")),
    }
}

fn spelled(lines: &[PlanLine]) -> Vec<String> {
    lines.iter().map(|l| format!("{} {} {} {:?}", l.line, l.supply.resource, l.supply.start, l.supply.units)).collect()
}

#[test]
fn consecutive_buckets_become_one_line() {
    let csv = "\u{feff}units,resource,start\r\n5,days,2026-12-24\r\n6,days,2026-12-25\r\n7,days,2026-12-27\r\n\r\n\
               8,days,2026-12-28\r\n1,quarters,2026-12-24\r\n2,quarters,2026-12-24T00:15\r\n3,quarters,2026-12-25\r\n\
               4,days,2026-12-29";
    assert_eq!(
        spelled(&read("p.csv", csv.as_bytes(), shop).expect("good")),
        [
            "2 days 2026-12-24 [5, 6]",
            "4 days 2026-12-27 [7]",
            "6 days 2026-12-28 [8]",
            "7 quarters 2026-12-24 [1, 2]",
            "9 quarters 2026-12-25 [3]",
            "10 days 2026-12-29 [4]",
        ]
    );
    // Who does not know the buckets can't know which follow each other.
    assert_eq!(read("p.csv", csv.as_bytes(), unknown).expect("good").len(), 8);
    assert_eq!(read("p.csv", &b"resource,start,units\n"[..], unknown).expect("good"), []);
}

#[test]
fn all_faults_of_a_plan_are_named_with_line_and_column() {
    let csv = "resource,start,units\ndays,2026-12-24,5\n,2026-12-24,5\ndays,24.12.26,-1\n\"dä\"\"ys\",2026-12-24,5.5\n\
               quarters,2026-12-24T08:05,9007199254740992\ndays,2026-12-24T08:00,1\ndays,2026-12-24\ndays,\"2026-12-24\"x,1\n\
               da\"ys,2026-12-24,1\n\"days,2026-12-24,1\ndays,2026-02-30,99999999999999999999\n";
    assert_eq!(
        read("p.csv", csv.as_bytes(), shop).expect_err("faults").to_string(),
        "p.csv:3:1: is empty; a name is needed\n\
         p.csv:4:6: '24.12.26' is not a date; write 2026-12-24, 24.12.2026, 24/12/2026 or 12/24/2026, with 08:00 after it for a \
         time\n\
         p.csv:4:15: is -1; it must lie between 0 and 9007199254740991\n\
         p.csv:5:1: there is no resource 'dä\"ys' in this network\n\
         p.csv:5:21: '5.5' is not a whole number; write digits only\n\
         p.csv:6:10: '2026-12-24T08:05' begins no bucket: the resource has buckets of 15 minutes from 00:00 on\n\
         p.csv:6:27: is 9007199254740992; it must lie between 0 and 9007199254740991\n\
         p.csv:7:6: '2026-12-24T08:00' begins no bucket: the resource has day buckets; write the date alone\n\
         p.csv:8:1: has 2 cells; the header has 3 columns\n\
         p.csv:9:18: follows a quoted cell; ',' or the line's end is needed\n\
         p.csv:10:3: is a quote within a cell; quote the whole cell, and write \"\" for a quote\n\
         p.csv:11:1: opens a quoted cell that does not end on its line; close it with '\"'\n\
         p.csv:12:6: '2026-02-30' is not a day of the calendar\n\
         p.csv:12:17: '99999999999999999999' is too large a number"
    );
}

#[test]
fn the_header_is_checked() {
    for (csv, wanted) in [
        ("", "p.csv:1:1: is empty; a header is needed: resource,start,units"),
        (
            "resource,start\n",
            "p.csv:1:1: the column 'units' is missing; there are 'resource', 'start'; say --columns units=... which one it is",
        ),
        (
            "resource,start,start,units\n",
            "p.csv:1:16: 'start' and 'start' can both be the column 'start'; say --columns start=... which one it is",
        ),
        (
            "Artikel;Material;Datum;Menge\n",
            "p.csv:1:9: 'Artikel' and 'Material' can both be the column 'resource'; say --columns resource=... which one it is",
        ),
        (
            "resource:start:units\n",
            "p.csv:1:1: 'resource:start:units' is its only column; needed are resource,start,units, parted by commas, semicolons, tabs or bars",
        ),
    ] {
        assert_eq!(read("p.csv", csv.as_bytes(), unknown).expect_err(csv).to_string(), wanted);
    }
    let said =
        read("p.csv", &b"resource,start,units\nd\xc3\xa4,\xff,1\n"[..], unknown).expect_err("not UTF-8").to_string();
    let hint = "is not UTF-8 here; save the file as UTF-8, or say --encoding windows-1252 if an older program wrote it";
    assert_eq!(said, format!("p.csv:2:4: {hint}"));
    // In the header, what an older spreadsheet writes.
    let said = read("p.csv", &b"resource;start;Kapazit\xe4t\n"[..], unknown).expect_err("Latin-1").to_string();
    assert_eq!(said, format!("p.csv:1:23: {hint}"));
}

#[test]
fn cells_may_be_parted_as_spreadsheets_part_them() {
    let plain =
        read("p.csv", &b"resource,start,units\ndays,2026-12-24,12\ndays,2026-12-25,1200\n"[..], shop).expect("good");
    for delimiter in [";", "\t", "|"] {
        let csv = format!(
            "\u{feff}resource{delimiter}start{delimiter}units\r\n\
             \"days\"{delimiter}2026-12-24{delimiter}12,0\r\ndays{delimiter}2026-12-25{delimiter}\"1200.00\"\r\n"
        );
        assert_eq!(read("p.csv", csv.as_bytes(), shop).expect(delimiter), plain);
        // A delimiter belongs to a file, not to a line.
        let mixed = format!("resource{delimiter}start{delimiter}units\ndays,2026-12-24,12\n");
        let said = read("p.csv", mixed.as_bytes(), shop).expect_err(delimiter).to_string();
        assert_eq!(said, "p.csv:2:1: has 1 cells; the header has 3 columns");
    }
    // Half a unit is none.
    for units in ["12,5", "12.", "12,0,0", ",0"] {
        let csv = format!("resource;start;units\ndays;2026-12-24;{units}\n");
        let said = read("p.csv", csv.as_bytes(), shop).expect_err(units).to_string();
        assert_eq!(said, format!("p.csv:2:17: '{units}' is not a whole number; write digits only"));
    }
}

#[test]
fn faults_are_found_at_line_4711() {
    let rows: String =
        (2..=5_000).map(|n| format!("days,2026-12-24,{}\n", if n == 4_711 { "x" } else { "1" })).collect();
    let said =
        read("p.csv", format!("resource,start,units\n{rows}").as_bytes(), shop).expect_err("a fault").to_string();
    assert_eq!(said, "p.csv:4711:17: 'x' is not a whole number; write digits only");
    // Each line of 2,000 is wrong: 1,000 are shown.
    let rows = "days,2026-12-24,-\n".repeat(2_000);
    let faults = read("p.csv", format!("resource,start,units\n{rows}").as_bytes(), shop).expect_err("faults");
    assert_eq!((faults.faults.len(), faults.left_out), (1_000, 1_000));
}

#[test]
fn a_run_fits_one_message() {
    let first = Start::parse("2020-01-01").expect("a date");
    let rows: String = (0..25_000)
        .map(|i| {
            let (day, quarter) = (i / 96, i % 96);
            format!("quarters,{}T{:02}:{:02},{i}\n", first.day() + day, quarter / 4, quarter % 4 * 15)
        })
        .collect();
    let lines = read("p.csv", format!("resource,start,units\n{rows}").as_bytes(), shop).expect("good");
    let sizes: Vec<usize> = lines.iter().map(|l| l.supply.units.len()).collect();
    assert_eq!(sizes, [10_000, 10_000, 5_000]);
    let lines = read("p.csv", format!("resource,start,units\n{rows}").as_bytes(), unknown).expect("good");
    assert_eq!(lines.len(), 25_000);
}

#[test]
fn overlong_lines_are_refused() {
    let csv = format!("resource,start,units\n{}", "x".repeat(1 << 20));
    let said = read("p.csv", csv.as_bytes(), unknown).expect_err("too long").to_string();
    assert_eq!(said, "p.csv:2:1: is longer than 65536 bytes, the most that a line may have");
}

#[test]
fn mutated_plans_never_panic() {
    let good = "resource,start,units\ndays,2026-12-24,5\n\"days\",2026-12-25,6\nquarters,2026-12-24T08:15,7\r\n";
    try_many("plans", 4_000, good.as_bytes(), |bytes| {
        let _ = read("p.csv", bytes, shop);
        let _ = read("p.csv", bytes, unknown);
    });
}

fn read_all(csv: &str) -> Result<PlanRead, FileFaults> {
    read_export("p.csv", csv.as_bytes(), &Forms::default(), shop, |_, _| Ok(()))
}

fn export(csv: impl AsRef<[u8]>, forms: &Forms) -> Vec<String> {
    let read = read_export("p.csv", csv.as_ref(), forms, shop, |_, _| Ok(())).expect("a header");
    assert_eq!(read.faults.to_string(), "");
    spelled(&read.lines)
}

#[test]
fn exports_of_other_programs_are_understood() {
    let wanted = ["2 days 2026-12-24 [1200, 50]", "4 quarters 2026-12-24T08:15 [7]"];
    let (plain, told) = (Forms::default(), |text: &str| {
        let (name, theirs) = text.split_once('=').expect("a pair");
        Forms { columns: vec![(name.to_owned(), theirs.to_owned())], ..Forms::default() }
    });
    for (csv, forms) in [
        (
            "Werk;Arbeitsplatz;Datum;Menge;Einheit\r\n1000;days;24.12.2026;1.200,00;ST\r\n1000;days;25.12.2026;50,0;ST\r\n\
             1000;quarters;24.12.2026 08:15:00;7;ST\r\n",
            &plain,
        ),
        (
            "Item\tDate\tQty.\ndays\t12/24/2026\t\"1,200.0\"\ndays\t12/25/2026\t50\nquarters\t12/24/2026 8:15 AM\t7\n",
            &plain,
        ),
        ("Qty,START DATE,Resource ID\n1 200,2026/12/24,days\n50,20261225,days\n7,2026-12-24 08:15,quarters\n", &plain),
        (
            "item,Work Center,date,units\nx,days,24/12/2026,1200\nx,days,25/12/2026,50\nx,quarters,24/12/2026 08:15,7\n",
            &told("resource=work center"),
        ),
        (
            "\"Menge, Stk\";start;resource\n1200;2026-12-24;days\n50;2026-12-25; days \n7;2026-12-24T08:15;quarters\n",
            &told("units=Menge, Stk"),
        ),
    ] {
        assert_eq!(export(csv, forms), wanted, "{csv}");
    }
    // A first line for spreadsheets only, which counts as a line.
    let sep = export("sep=;\r\nresource;start;units\r\ndays;2026-12-24;1\r\n", &plain);
    assert_eq!(sep, ["3 days 2026-12-24 [1]"]);
    let utf16: Vec<u8> =
        "\u{feff}resource;start;units\r\ndays;24.12.2026;5\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(export(utf16, &plain), ["2 days 2026-12-24 [5]"]);
    let latin = Forms { encoding: Some("windows-1252".parse().expect("an encoding")), ..Forms::default() };
    assert_eq!(export(b"resource;start;Kapazit\xe4t\ndays;24.12.2026;5\n", &latin), ["2 days 2026-12-24 [5]"]);
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let csv = "resource,start,units\ndays,03/04/2026,5\ndays,04/05/2026,x\n";
    assert_eq!(
        read_all(csv).expect_err("two ways").to_string(),
        "p.csv:2:6: '03/04/2026' can be 3 April 2026 or 4 March 2026, and no date of the file tells which; say --dates dd/mm/yyyy \
         or --dates mm/dd/yyyy"
    );
    let csv = "resource;start;units\ndays;2026-12-24;1.200\ndays;2026-12-25;5\n";
    let read = read_all(csv).expect("a header");
    assert_eq!(
        read.faults.to_string(),
        "p.csv:2:17: '1.200' can be 1200 or 1.200, and no number of the file tells which; say --decimal comma or --decimal point"
    );
    // The good rows are there for who wants them.
    assert_eq!(spelled(&read.lines), ["3 days 2026-12-25 [5]"]);
}

#[test]
fn good_rows_around_bad_ones_stay_apart() {
    let csv = "resource,start,units\ndays,2026-12-24,1\ndays,2026-12-25,x\ndays,2026-12-26,3\nnights,2026-12-24,1\n\
               days,2026-12-24T08:00,1\ndays,2026-12-27,4\ndays,2026-12-28T00:00+01:00,4\n";
    let read = read_all(csv).expect("a header");
    assert_eq!(spelled(&read.lines), ["2 days 2026-12-24 [1]", "4 days 2026-12-26 [3]", "7 days 2026-12-27 [4]"]);
    assert_eq!(
        read.faults.to_string(),
        "p.csv:3:17: 'x' is not a whole number; write digits only\n\
         p.csv:5:1: there is no resource 'nights' in this network\n\
         p.csv:6:6: '2026-12-24T08:00' begins no bucket: the resource has day buckets; write the date alone\n\
         p.csv:8:6: has an offset; write the local time of the resource's site without one"
    );
}

#[test]
fn rows_that_contradict_each_other_are_all_named() {
    let (days, quarters) =
        ("resource,start,units\ndays,2026-12-05,12\n", "resource,start,units\nquarters,2026-12-05,1\n");
    let pair = |a: (u64, i64), b: (u64, i64)| {
        let one = |(line, units), (there, other)| {
            format!(
                "p.csv:{line}: sets its bucket to {units}, and line {there} sets the same bucket to {other}; leave one row for it"
            )
        };
        format!("{}\n{}", one(a, b), one(b, a))
    };
    for (csv, kept, faults) in [
        (format!("{days}days,2026-12-05,13\n"), vec![], pair((2, 12), (3, 13))),
        // In the middle of a run, which falls apart.
        (
            format!("{days}days,2026-12-06,1\ndays,2026-12-07,2\ndays,2026-12-06,3\ndays,2026-12-07,2\n"),
            vec!["2 days 2026-12-05 [12]", "4 days 2026-12-07 [2]"],
            pair((3, 1), (5, 3)),
        ),
        (
            format!(
                "{quarters}quarters,2026-12-05T00:15,2\nquarters,2026-12-05T00:30,3\nquarters,2026-12-05T00:00,4\n"
            ),
            vec!["3 quarters 2026-12-05T00:15 [2, 3]"],
            pair((2, 1), (5, 4)),
        ),
        // The same twice is no contradiction, and other resources and bad rows are none either.
        (
            format!("{days}days,2026-12-05,12\nquarters,2026-12-05,5\ndays,2026-12-06,1\n"),
            vec!["2 days 2026-12-05 [12]", "4 quarters 2026-12-05 [5]", "5 days 2026-12-06 [1]"],
            String::new(),
        ),
    ] {
        let read = read_all(&csv).expect(&csv);
        assert_eq!(
            (spelled(&read.lines), read.faults.to_string()),
            (kept.iter().map(|k| (*k).to_owned()).collect(), faults)
        );
    }
    // Of three, two of which agree, none is known to be right.
    let csv = format!("{days}days,2026-12-05,12\ndays,2026-12-05,13\n");
    let three = read_all(&csv).expect("a header");
    assert_eq!((three.lines.len(), three.faults.faults.len()), (0, 3));
    // Without a network, starts are all that is known.
    let csv = format!("{quarters}quarters,2026-12-05T00:00,2\nquarters,2026-12-05T00:01,2\n");
    assert_eq!(read("p.csv", csv.as_bytes(), unknown).expect_err("a contradiction").to_string(), pair((2, 1), (3, 2)));
}

#[test]
fn buckets_out_of_reach_are_faults_of_their_rows() {
    let csv = "resource,start,units\ndays,2026-12-04,1\ndays,2026-12-05,2\ndays,2026-12-06,3\n";
    let fifth = Start::parse("2026-12-05").expect("a date").day();
    let within = |_: &str, index: i32| if index < fifth.0 { Err("is over".to_owned()) } else { Ok(()) };
    let read = read_export("p.csv", csv.as_bytes(), &Forms::default(), shop, within).expect("a header");
    assert_eq!(spelled(&read.lines), ["3 days 2026-12-05 [2, 3]"]);
    assert_eq!(read.faults.to_string(), "p.csv:2:6: is over");
}
