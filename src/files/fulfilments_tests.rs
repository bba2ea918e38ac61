use super::*;

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("a time zone")
}

fn read_all(csv: &str) -> Result<FulfilmentsRead, String> {
    let now = "2026-12-24T09:00:00+01:00".parse().expect("an instant");
    read("f.csv", csv.as_bytes(), &Forms::default(), &berlin(), now).map_err(|faults| faults.to_string())
}

fn spelled(csv: &str) -> Vec<String> {
    let read = read_all(csv).expect("good");
    assert_eq!(read.faults.to_string(), "");
    let at = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    read.lines.iter().map(|l| format!("{} {} {} {}", l.line, l.id, at(l.shipped), at(l.delivered))).collect()
}

#[test]
fn reports_are_read_as_systems_write_them() {
    let csv = "\u{feff}Kunde;Reservierung;Versandt am;Zugestellt am\r\n\"Müller; Söhne\";r1;20.12.2026 17:30;22.12.2026 10:15:00\r\n\
               x;r2;21.12.2026;\r\nx;r3;;\r\nx;r4;;22.12.2026\r\n";
    assert_eq!(
        spelled(csv),
        [
            "2 r1 2026-12-20T16:30:00Z 2026-12-22T09:15:00Z",
            "3 r2 2026-12-21T11:00:00Z -",
            "5 r4 - 2026-12-22T11:00:00Z",
        ]
    );
    assert_eq!(read_all(csv).expect("good").open, 1);
    let csv = "delivered\tid\n12/22/2026 9:15 PM\tr1\n2026-12-22T09:15:00Z\tr2\n";
    assert_eq!(spelled(csv), ["2 r1 - 2026-12-22T20:15:00Z", "3 r2 - 2026-12-22T09:15:00Z"]);
}

#[test]
fn a_date_alone_is_neither_the_future_nor_before_its_own_sending() {
    let csv = "id,shipped,delivered\nr1,2026-12-24,2026-12-24\nr2,2026-12-22,2026-12-22 09:00\n";
    assert_eq!(
        spelled(csv),
        ["2 r1 2026-12-24T08:00:00Z 2026-12-24T08:00:00Z", "3 r2 2026-12-22T08:00:00Z 2026-12-22T08:00:00Z"]
    );
}

#[test]
fn all_faults_of_a_report_are_named() {
    let read = read_all(
        "id,shipped,delivered\n,2026-12-20,\nr1,soon,22.12.26\nr2,2026-12-22,2026-12-20\nr3,2026-12-20\nr4,2026-12-20,\n",
    )
    .expect("a header");
    assert_eq!(read.lines.len(), 1);
    assert_eq!(
        read.faults.to_string(),
        "f.csv:2:1: is empty; a name is needed\n\
         f.csv:3:4: 'soon' is not a date; write 2026-12-24, 24.12.2026, 24/12/2026 or 12/24/2026, with 08:00 after it for a time\n\
         f.csv:3:9: '22.12.26' is not a date; write 2026-12-24, 24.12.2026, 24/12/2026 or 12/24/2026, with 08:00 after it for a time\n\
         f.csv:4:15: arrived before it left; look at both\n\
         f.csv:5:1: has 2 cells; the header has 3 columns"
    );
    for (csv, wanted) in [
        (
            "id,delivery date\nr1,2026-12-20\n",
            "f.csv:1:1: neither the column 'shipped' nor 'delivered' is there; say --columns shipped=..., delivered=... which they are",
        ),
        (
            "order,delivered\n1,2026-12-20\n",
            "f.csv:1:1: the column 'id' is missing; there are 'order', 'delivered'; say --columns id=... which one it is",
        ),
        (
            "id,delivered\nr1,03/04/2026\n",
            "f.csv:2:4: '03/04/2026' can be 3 April 2026 or 4 March 2026, and no date of the file tells which; say --dates dd/mm/yyyy \
             or --dates mm/dd/yyyy",
        ),
    ] {
        assert_eq!(read_all(csv).expect_err(csv), wanted);
    }
}
