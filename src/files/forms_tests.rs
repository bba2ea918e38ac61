use super::*;

fn dates(told: Option<&str>, cells: &[&str]) -> Result<Vec<String>, String> {
    let mut dates = Dates::new(told.map(|form| form.parse().expect("a form")));
    for (i, cell) in cells.iter().enumerate() {
        dates.learn(i as u64 + 2, 6, cell);
    }
    if let Some((line, column, why)) = dates.undecided() {
        return Err(format!("{line}:{column}: {why}"));
    }
    let read = |cell: &&str| {
        dates.read(cell).map(|when| {
            let time = when.time.map_or_else(String::new, |time| format!("T{time}"));
            let offset = when.offset.map_or_else(String::new, |offset| offset.to_string());
            format!("{}{time}{offset}", when.date)
        })
    };
    cells.iter().map(read).collect()
}

#[test]
fn dates_are_read_as_people_write_them() {
    for (cell, wanted) in [
        ("2026-12-24", "2026-12-24"),
        ("2026/12/24", "2026-12-24"),
        ("20261224", "2026-12-24"),
        ("24.12.2026", "2026-12-24"),
        ("1.2.2026", "2026-02-01"),
        ("24/12/2026", "2026-12-24"),
        ("12/24/2026", "2026-12-24"),
        ("24-12-2026", "2026-12-24"),
        ("3/3/2026", "2026-03-03"),
        (" 2026-12-24 ", "2026-12-24"),
        ("2026-12-24T08:00", "2026-12-24T08:00:00"),
        ("24.12.2026 8:00", "2026-12-24T08:00:00"),
        ("12/24/2026 12:30 AM", "2026-12-24T00:30:00"),
        ("12/24/2026 2:00:05 pm", "2026-12-24T14:00:05"),
        ("2026-12-24 08:00:00.250", "2026-12-24T08:00:00.25"),
        ("2026-12-24T08:00:00Z", "2026-12-24T08:00:00+00"),
        ("24.12.2026 08:00+01:00", "2026-12-24T08:00:00+01"),
        ("24.12.2026 08:00 -0530", "2026-12-24T08:00:00-05:30"),
    ] {
        assert_eq!(dates(None, &[cell]), Ok(vec![wanted.to_owned()]), "{cell}");
    }
    for cell in [
        "",
        "soon",
        "24.12.26",
        "2026-12",
        "2026-02-30",
        "31/02/2026",
        "1989-12-31",
        "13/13/2026",
        "2026-12-24 25:00",
        "2026-12-24 8",
        "2026-12-24 08:00 CET",
        "2026-12-24 13:00 PM",
        "24.12/2026",
        "2026-12-24-1",
        "+1/12/2026",
    ] {
        assert!(dates(None, &[cell]).is_err(), "{cell}: {:?}", dates(None, &[cell]));
    }
}

#[test]
fn the_file_as_a_whole_tells_which_number_is_the_day() {
    let table: [(&[&str], &[&str]); 4] = [
        (&["03/04/2026", "24/12/2026"], &["2026-04-03", "2026-12-24"]),
        (&["03/04/2026", "12/24/2026"], &["2026-03-04", "2026-12-24"]),
        // Points say it themselves.
        (&["03.04.2026", "12/24/2026"], &["2026-04-03", "2026-12-24"]),
        (&["03/03/2026", "04/04/2026"], &["2026-03-03", "2026-04-04"]),
    ];
    for (cells, wanted) in table {
        assert_eq!(dates(None, cells).expect("decided"), wanted, "{cells:?}");
    }
    assert_eq!(
        dates(None, &["01/01/2026", "03/04/2026"]).expect_err("two ways"),
        "3:6: '03/04/2026' can be 3 April 2026 or 4 March 2026, and no date of the file tells which; say --dates dd/mm/yyyy or \
         --dates mm/dd/yyyy"
    );
    assert_eq!(
        dates(None, &["24/12/2026", "12/25/2026"]).expect_err("two forms"),
        "'12/25/2026' has the month first, line 2 has the day first; write all alike"
    );
}

#[test]
fn told_forms_are_kept_to() {
    assert_eq!(dates(Some("dd/mm/yyyy"), &["03/04/2026"]).expect("told"), ["2026-04-03"]);
    assert_eq!(dates(Some("MM/DD/YYYY"), &["03/04/2026"]).expect("told"), ["2026-03-04"]);
    assert_eq!(dates(Some("mm.dd.yyyy"), &["03.04.2026"]).expect("told"), ["2026-03-04"]);
    assert_eq!(dates(Some("yyyymmdd"), &["20260304"]).expect("told"), ["2026-03-04"]);
    assert_eq!(
        dates(Some("dd.mm.yyyy"), &["2026-03-04"]).expect_err("another form"),
        "'2026-03-04' is not a date of the form dd.mm.yyyy"
    );
    assert_eq!(
        dates(Some("mm/dd/yyyy"), &["24/12/2026"]).expect_err("no month"),
        "'24/12/2026' is not a day of the calendar"
    );
    for bad in ["", "iso", "dd.mm", "dd mm yyyy", "yyyy-dd-mm", "dd.mm/yyyy"] {
        assert!(bad.parse::<DateForm>().is_err(), "{bad}");
    }
}

fn numbers(told: Option<Decimal>, cells: &[&str]) -> Vec<Result<i64, String>> {
    let mut numbers = Numbers::new(told);
    cells.iter().for_each(|cell| numbers.learn(cell));
    cells.iter().map(|cell| numbers.read(cell)).collect()
}

#[test]
fn numbers_are_read_where_they_cannot_be_mistaken() {
    for (cell, wanted) in [
        ("12", 12),
        ("-5", -5),
        ("12,0", 12),
        ("12.00", 12),
        ("1.234,00", 1_234),
        ("1,234.0", 1_234),
        ("1.234.567", 1_234_567),
        ("1,234,567", 1_234_567),
        ("1 234", 1_234),
        ("1\u{a0}234,00", 1_234),
        ("1'234'567", 1_234_567),
        ("0,000", 0),
        ("1234,000", 1_234),
    ] {
        assert_eq!(numbers(None, &[cell]), [Ok(wanted)], "{cell}");
    }
    for cell in
        ["", "-", "x", "12,5", "12.", ",0", "12,0,0", "1.23.456", "1 23", "1.234,5", "1,2.0", "0x1", "1e3", "12-"]
    {
        assert!(numbers(None, &[cell])[0].is_err(), "{cell}: {:?}", numbers(None, &[cell]));
    }
}

#[test]
fn thousands_are_told_or_found_out() {
    assert_eq!(
        numbers(None, &["1.234"]),
        [Err("'1.234' can be 1234 or 1.234, and no number of the file tells which; say --decimal comma or --decimal point"
            .to_owned())]
    );
    assert_eq!(numbers(None, &["1.234", "12,00"]), [Ok(1_234), Ok(12)]);
    assert_eq!(numbers(None, &["1,234", "12.00"]), [Ok(1_234), Ok(12)]);
    assert_eq!(numbers(Some(Decimal::Comma), &["1.234"]), [Ok(1_234)]);
    assert_eq!(numbers(Some(Decimal::Comma), &["1,000"]), [Ok(1)]);
    assert!(numbers(Some(Decimal::Point), &["1.234"])[0].is_err(), "no whole number");
    // Where the file contradicts itself, nothing is guessed.
    assert!(numbers(None, &["1.234", "12,0", "12.0"])[0].is_err());
}

#[test]
fn characters_are_told_or_marked() {
    let text = "größe €";
    let utf16 = |big: bool, mark: bool| -> Vec<u8> {
        let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    for (bytes, told) in [
        (text.as_bytes().to_vec(), None),
        (utf16(true, true), None),
        (utf16(false, true), None),
        (utf16(false, false), Some(Encoding::Utf16)),
        (b"gr\xf6\xdfe \x80".to_vec(), Some(Encoding::Windows1252)),
    ] {
        assert_eq!(decoded(bytes, told).expect("good"), text.as_bytes(), "{told:?}");
    }
    assert!(decoded(b"\xff\xfeg".to_vec(), None).is_err());
    assert!("ebcdic".parse::<Encoding>().is_err());
}
