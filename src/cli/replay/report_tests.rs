//! What a report says, word for word, and that its percentiles are exact.

use anstream::adapter::strip_str;

use super::*;

fn report() -> ReplayReport {
    let mut days = DayCounts::default();
    for (n, orders) in [(1, 6_000), (2, 1_600), (9, 400)] {
        (0..orders).for_each(|_| days.add(n));
    }
    let busy = |resource: &str, unit: &str, drawn, supply| Busy {
        resource: resource.to_owned(),
        unit: unit.to_owned(),
        drawn,
        supply,
    };
    let mut report = ReplayReport {
        orders: 9_215,
        lines: 9_215,
        promised: 7_000,
        later: 1_000,
        later_taken: true,
        refused: 1_215,
        passed_over: BTreeMap::from([("unknown SKU".to_owned(), 3)]),
        returned_lines: 2,
        returned_items: 1_001,
        days,
        bottlenecks: vec![("plant09".to_owned(), 5), ("plant03".to_owned(), 900)],
        busiest: vec![busy("plant09", "orders", 10, 1_000), busy("plant03", "orders", 1_013, 1_013)],
        lowest: Some(Lowest { resource: "plant03".to_owned(), bucket: "Mon 27 May 2013".to_owned(), balance: 0 }),
        overdrawn: Vec::new(),
        span: Some(("2013-05-27T00:00:00Z".to_owned(), "2013-05-28T00:00:00Z".to_owned())),
        took: Duration::from_millis(500),
    };
    report.rank(10);
    report
}

#[test]
fn a_report_for_people() {
    let got = strip_str(&report().text()).to_string();
    let want = "\
9,215 orders with 9,215 lines played, 2013-05-27T00:00:00Z to 2013-05-28T00:00:00Z
                            ORDERS   SHARE
  promised by their date     7,000  76.0 %
  only later, and taken      1,000  10.9 %
  refused                    1,215  13.2 %
  passed over: unknown SKU       3   0.0 %
  To promise    median 1 day, 95 % within 2 days
  Returns       2 lines with 1,001 items, in stock again
  WHAT WAS MISSING  ORDERS
  plant03              900
  plant09                5
  BUSIEST  DRAWN     OF  UNIT      SHARE
  plant03  1,013  1,013  orders  100.0 %
  plant09     10  1,000  orders    1.0 %
  Took          0.50 s, 18,430 orders/s
  Audit         no bucket was drawn below zero; the lowest balance was plant03, Mon 27 May 2013: 0
";
    assert_eq!(got, want, "\n--- got\n{got}--- want\n{want}");
}

#[test]
fn a_report_for_programs() {
    let json = report().json();
    assert_eq!(json["promised"], 7_000);
    assert_eq!(json["daysToPromise"]["median"], 1);
    assert_eq!(json["daysToPromise"]["p95"], 2);
    assert_eq!(json["busiest"][0]["utilisation"], 1.0);
    assert_eq!(json["ordersPerSecond"], 18_430.0);
    assert_eq!(json["overdrawn"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_bucket_below_zero_is_named() {
    let low = Lowest { resource: "r".to_owned(), bucket: "Tue 1 Dec 2026".to_owned(), balance: -3 };
    let report = ReplayReport { overdrawn: vec![low], ..report() };
    assert_eq!(report.verdict(), "1 bucket was drawn below zero: r, Tue 1 Dec 2026: -3");
    let nothing = ReplayReport::default();
    assert_eq!(nothing.verdict(), "no bucket was drawn below zero; nothing was drawn");
    assert!(nothing.text().contains("0.0 %"), "no orders are no fault");
}

#[test]
fn percentiles_are_exact() {
    let of = |counts: &[(i32, u64)]| DayCounts(counts.iter().copied().collect());
    assert_eq!(of(&[]).percentile(50), None);
    assert_eq!(of(&[(3, 1)]).percentile(95), Some(3));
    assert_eq!(of(&[(1, 1), (2, 1)]).percentile(50), Some(1));
    assert_eq!(of(&[(1, 94), (2, 5), (9, 1)]).percentile(95), Some(2));
    assert_eq!(of(&[(1, 95), (9, 5)]).percentile(95), Some(1));
    assert_eq!(of(&[(1, 95), (9, 5)]).percentile(96), Some(9));
    assert_eq!(of(&[(-1, 1), (0, 9)]).percentile(0), Some(-1));
}
