//! How spreadsheets and ERP exports write dates and numbers. A user can tell; else it is found out from the file as a whole, by the
//! cells that can be read in one way only. What can't be decided is never guessed at.

use std::str::FromStr;

use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use crate::domain::limits::{MAX_YEAR, MIN_YEAR};

/// What a user says of a file's form; what is not told is found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// How dates are written.
    pub dates: Option<DateForm>,
    /// What stands before the decimals of a number.
    pub decimal: Option<Decimal>,
    /// How characters are written; UTF-8, or UTF-16 where a byte order mark says so, if not told.
    pub encoding: Option<Encoding>,
    /// Columns by their names here and in the file: `("resource", "Arbeitsplatz")`.
    pub columns: Vec<(String, String)>,
}

/// The order of a date's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Year,
    Day,
    Month,
}

/// A form of dates, such as `dd.mm.yyyy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateForm {
    order: Order,
    /// None: eight digits in a row.
    separator: Option<char>,
}

/// What separates a date's parts.
const SEPARATORS: [char; 3] = ['-', '.', '/'];

impl FromStr for DateForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let small = text.trim().to_ascii_lowercase();
        let separator = small.chars().find(|c| !c.is_ascii_alphabetic());
        let parts: Vec<&str> = separator.map_or_else(|| vec![&*small], |separator| small.split(separator).collect());
        let order = match (parts.as_slice(), separator) {
            (["yyyymmdd"], None) => Some(Order::Year),
            (["yyyy", "mm", "dd"], Some(_)) => Some(Order::Year),
            (["dd" | "d", "mm" | "m", "yyyy"], Some(_)) => Some(Order::Day),
            (["mm" | "m", "dd" | "d", "yyyy"], Some(_)) => Some(Order::Month),
            _ => None,
        };
        match order {
            Some(order) if separator.is_none_or(|c| SEPARATORS.contains(&c)) => Ok(Self { order, separator }),
            _ => Err(format!(
                "'{}' is not a form of dates; write yyyy-mm-dd, yyyymmdd, dd.mm.yyyy, dd/mm/yyyy, mm/dd/yyyy or the like",
                text.escape_debug()
            )),
        }
    }
}

impl std::fmt::Display for DateForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(s) = self.separator else { return write!(f, "yyyymmdd") };
        match self.order {
            Order::Year => write!(f, "yyyy{s}mm{s}dd"),
            Order::Day => write!(f, "dd{s}mm{s}yyyy"),
            Order::Month => write!(f, "mm{s}dd{s}yyyy"),
        }
    }
}

/// What stands before the decimals of a number; the other of the two parts thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// `1.234,00`
    Comma,
    /// `1,234.00`
    Point,
}

impl Decimal {
    fn of(c: char) -> Self {
        if c == ',' { Decimal::Comma } else { Decimal::Point }
    }
}

impl FromStr for Decimal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "comma" | "," => Ok(Decimal::Comma),
            "point" | "dot" | "." => Ok(Decimal::Point),
            _ => Err(format!("'{}' stands before no decimals; write comma or point", text.escape_debug())),
        }
    }
}

/// How characters are written as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// What everything but old exports writes.
    Utf8,
    /// In the order of bytes that the mark at the file's beginning tells; little end first without one.
    Utf16,
    /// What older programs write in the countries of the Latin alphabet.
    Windows1252,
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        match plain.as_str() {
            "utf8" => Ok(Encoding::Utf8),
            "utf16" | "utf16le" | "utf16be" | "unicode" => Ok(Encoding::Utf16),
            "windows1252" | "cp1252" | "latin1" | "iso88591" | "ansi" => Ok(Encoding::Windows1252),
            _ => Err(format!("'{}' is no encoding; write utf-8, utf-16 or windows-1252", text.escape_debug())),
        }
    }
}

/// What Windows-1252 has in place of the control characters 0x80 to 0x9f; the rest is as in Unicode.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The bytes as UTF-8. What is not UTF-8 and was not told stays as it is: the reader of the lines names the place.
///
/// # Errors
/// UTF-16 that breaks off in the middle of a character.
pub(super) fn decoded(bytes: Vec<u8>, told: Option<Encoding>) -> Result<Vec<u8>, String> {
    let marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let encoding = told.unwrap_or(if marked { Encoding::Utf16 } else { Encoding::Utf8 });
    match encoding {
        Encoding::Utf8 => Ok(bytes),
        Encoding::Windows1252 => {
            let character = |b: u8| match b {
                0x80..=0x9f => WINDOWS_1252[usize::from(b - 0x80)],
                _ => char::from(b),
            };
            Ok(bytes.into_iter().map(character).collect::<String>().into_bytes())
        }
        Encoding::Utf16 => {
            let big = bytes.starts_with(b"\xfe\xff");
            let pairs = bytes[if marked { 2 } else { 0 }..].chunks(2);
            let unit = |pair: &[u8]| match *pair {
                [a, b] if big => u16::from_be_bytes([a, b]),
                [a, b] => u16::from_le_bytes([a, b]),
                // Half a unit can't be the half of a pair, so it is found below.
                _ => 0xd800,
            };
            char::decode_utf16(pairs.map(unit))
                .collect::<Result<String, _>>()
                .map(String::into_bytes)
                .map_err(|_| "is not UTF-16 to its end; save the file as UTF-8".to_owned())
        }
    }
}

/// A date and, where one is written, the time of day and its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct When {
    pub date: Date,
    pub time: Option<Time>,
    pub offset: Option<Offset>,
}

/// A date as it is written, before it is known which number is which.
enum Written {
    Known(Date),
    /// Day and month, or month and day, and the year.
    Doubtful(i8, i8, i16),
}

/// Finds out how a file's dates are written, and reads them.
#[derive(Debug, Default)]
pub(super) struct Dates {
    told: Option<DateForm>,
    /// The order of `/` and `-` dates that end with the year, and the line that shows it.
    found: Option<(Order, u64)>,
    /// The first that can be read in two ways: line, column, text.
    doubt: Option<(u64, u64, String)>,
}

fn number<N: FromStr>(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<N> {
    (digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn no_date(text: &str) -> String {
    let text = text.escape_debug();
    format!(
        "'{text}' is not a date; write 2026-12-24, 24.12.2026, 24/12/2026 or 12/24/2026, with 08:00 after it for a time"
    )
}

fn calendar(year: i16, month: i8, day: i8, text: &str) -> Result<Date, String> {
    let date = Date::new(year, month, day).map_err(|_| format!("'{text}' is not a day of the calendar"))?;
    if (MIN_YEAR..=MAX_YEAR).contains(&year) {
        Ok(date)
    } else {
        Err(format!("'{text}' lies outside the years {MIN_YEAR} to {MAX_YEAR}"))
    }
}

/// The date and what is written after it.
fn parted(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c == 'T' || c.is_whitespace()).unwrap_or(text.len());
    let (date, rest) = text.split_at(end);
    (date, rest.strip_prefix('T').unwrap_or(rest).trim_start())
}

impl Dates {
    pub fn new(told: Option<DateForm>) -> Self {
        Self { told, ..Self::default() }
    }

    fn written(&self, date: &str) -> Result<Written, String> {
        let no_date = || match self.told {
            Some(form) => format!("'{}' is not a date of the form {form}", date.escape_debug()),
            None => no_date(date),
        };
        let separator = date.chars().find(|c| SEPARATORS.contains(c));
        let Some(separator) = separator else {
            let fits = self.told.is_none_or(|form| form.separator.is_none());
            let digits: Option<u32> = number(date, 8..=8).filter(|_| fits);
            let digits = digits.ok_or_else(no_date)?;
            let (year, month, day) = (digits / 10_000, digits / 100 % 100, digits % 100);
            return calendar(year as i16, month as i8, day as i8, date).map(Written::Known);
        };
        let parts: Vec<&str> = date.split(separator).collect();
        let &[a, b, c] = parts.as_slice() else { return Err(no_date()) };
        let (order, (first, second, third)) = if a.len() == 4 {
            (Some(Order::Year), (number(b, 1..=2), number(c, 1..=2), number::<i16>(a, 4..=4)))
        } else {
            (None, (number::<i8>(a, 1..=2), number::<i8>(b, 1..=2), number(c, 4..=4)))
        };
        let (Some(first), Some(second), Some(year)) = (first, second, third) else { return Err(no_date()) };
        let order = match (self.told, order) {
            (Some(form), _) if form.separator != Some(separator) => return Err(no_date()),
            (Some(form), None) if form.order != Order::Year => Some(form.order),
            (Some(form), Some(_)) if form.order == Order::Year => Some(Order::Year),
            (Some(_), _) => return Err(no_date()),
            (None, Some(order)) => Some(order),
            // Nobody writes the month first with points.
            (None, None) if separator == '.' => Some(Order::Day),
            (None, None) => None,
        };
        match order {
            Some(Order::Year) => calendar(year, first, second, date).map(Written::Known),
            Some(Order::Day) => calendar(year, second, first, date).map(Written::Known),
            Some(Order::Month) => calendar(year, first, second, date).map(Written::Known),
            None => Ok(Written::Doubtful(first, second, year)),
        }
    }

    /// Learns from a cell, on the first way through the file.
    pub fn learn(&mut self, line: u64, column: u64, text: &str) {
        let text = text.trim();
        let Ok(Written::Doubtful(first, second, _)) = self.written(parted(text).0) else { return };
        let shown = match (first > 12, second > 12) {
            (true, false) => Some(Order::Day),
            (false, true) => Some(Order::Month),
            _ => None,
        };
        match shown {
            Some(order) => {
                self.found.get_or_insert((order, line));
            }
            None if first != second => {
                self.doubt.get_or_insert_with(|| (line, column, text.to_owned()));
            }
            None => {}
        }
    }

    /// What keeps the whole file from being read: line, column, and the two ways in which its dates can be read.
    pub fn undecided(&self) -> Option<(u64, u64, String)> {
        let (line, column, text) = self.doubt.as_ref().filter(|_| self.found.is_none())?;
        let Ok(Written::Doubtful(first, second, year)) = self.written(parted(text).0) else { return None };
        let named = |day, month| Date::new(year, month, day).map(|d| d.strftime("%-d %B %Y").to_string()).ok();
        let (day_first, month_first) = (named(first, second)?, named(second, first)?);
        let s = text.chars().find(|c| SEPARATORS.contains(c)).unwrap_or('/');
        let why = format!(
            "'{text}' can be {day_first} or {month_first}, and no date of the file tells which; say --dates dd{s}mm{s}yyyy \
             or --dates mm{s}dd{s}yyyy"
        );
        Some((*line, *column, why))
    }

    /// Reads a cell.
    ///
    /// # Errors
    /// One sentence that says what would be right.
    pub fn read(&self, text: &str) -> Result<When, String> {
        let text = text.trim();
        let (date_text, rest) = parted(text);
        let date = match self.written(date_text)? {
            Written::Known(date) => date,
            Written::Doubtful(first, second, year) => match self.found {
                Some((Order::Day, line)) if second > 12 && first <= 12 => {
                    return Err(format!(
                        "'{date_text}' has the month first, line {line} has the day first; write all alike"
                    ));
                }
                Some((Order::Month, line)) if first > 12 && second <= 12 => {
                    return Err(format!(
                        "'{date_text}' has the day first, line {line} has the month first; write all alike"
                    ));
                }
                Some((Order::Month, _)) => calendar(year, first, second, date_text)?,
                // Both numbers are the same where nothing was found.
                Some(_) | None => calendar(year, second, first, date_text)?,
            },
        };
        if rest.is_empty() {
            return Ok(When { date, time: None, offset: None });
        }
        let (time, offset) = time_of_day(rest).ok_or_else(|| {
            let rest = rest.escape_debug();
            format!(
                "'{rest}' is not a time of day; write 08:00, 08:00:00 or 8:00 AM, and +01:00 or Z after it if you like"
            )
        })?;
        Ok(When { date, time: Some(time), offset })
    }
}

/// `8:00`, `08:00:00.5`, `8:00 PM`, `08:00+01:00`, `08:00Z`.
fn time_of_day(text: &str) -> Option<(Time, Option<Offset>)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ','))).unwrap_or(text.len());
    let (clock, rest) = text.split_at(end);
    let mut parts = clock.split(':');
    let mut hour: i8 = number(parts.next()?, 1..=2)?;
    let minute: i8 = number(parts.next()?, 2..=2)?;
    let (second, nanos): (i8, i32) = match parts.next() {
        None => (0, 0),
        Some(seconds) => {
            let (whole, decimals) = seconds.split_once(['.', ',']).unwrap_or((seconds, "0"));
            let nanos = number::<u64>(decimals, 1..=9)? * 10u64.pow(9 - decimals.len() as u32);
            (number(whole, 2..=2)?, i32::try_from(nanos).ok()?)
        }
    };
    if parts.next().is_some() {
        return None;
    }
    let offset = match rest.trim().to_ascii_uppercase().as_str() {
        "" => None,
        half @ ("AM" | "PM") => {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + if half == "PM" { 12 } else { 0 };
            None
        }
        "Z" | "UTC" => Some(Offset::UTC),
        other => {
            let sign = if other.starts_with('-') { -1 } else { 1 };
            let digits: String = other.strip_prefix(['+', '-'])?.chars().filter(|c| *c != ':').collect();
            let digits: i32 = number(&digits, 4..=4)?;
            Some(Offset::from_seconds(sign * (digits / 100 * 3_600 + digits % 100 * 60)).ok()?)
        }
    };
    Some((Time::new(hour, minute, second, nanos).ok()?, offset))
}

/// Finds out how a file's numbers are written, and reads whole ones.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    told: Option<Decimal>,
    /// What cells that can be read in one way only show.
    comma: bool,
    point: bool,
}

/// A whole number as it is written.
enum WrittenNumber {
    /// With what it shows of decimals, if it shows it.
    Known(i64, Option<Decimal>),
    /// Thousands, or decimals after this character?
    Doubtful(char),
}

fn no_number(text: &str) -> String {
    format!("'{}' is not a whole number; write digits only", text.escape_debug())
}

/// Whether digits stand in groups of three, as thousands are parted.
fn is_grouped(text: &str, by: char) -> bool {
    let mut groups = text.split(by);
    let first = groups.next().unwrap_or_default();
    (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3)
}

impl Numbers {
    pub fn new(told: Option<Decimal>) -> Self {
        Self { told, ..Self::default() }
    }

    fn written(text: &str, told: Option<Decimal>) -> Result<WrittenNumber, String> {
        let wrong = || no_number(text);
        let (sign, body) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
        // These part thousands and nothing else.
        let spaces = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\'' | '’');
        let whole_part = body.split([',', '.']).next().unwrap_or_default();
        if let Some(by) = body.chars().find(|c| spaces(*c))
            && !is_grouped(whole_part, by)
        {
            return Err(wrong());
        }
        let body: String = body.chars().filter(|c| !spaces(*c)).collect();
        let known = |whole: &str, shows| {
            let digits: String = whole.chars().filter(|c| !matches!(c, ',' | '.')).collect();
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(wrong());
            }
            let number = format!("{sign}{digits}").parse().map_err(|_| format!("'{text}' is too large a number"))?;
            Ok(WrittenNumber::Known(number, shows))
        };
        // Decimals must say nothing, and thousands before them must be parted rightly.
        let fraction = |mark: char, shows| {
            let (whole, decimals) = body.rsplit_once(mark).ok_or_else(wrong)?;
            let other = if mark == ',' { '.' } else { ',' };
            let nothing = !decimals.is_empty() && decimals.bytes().all(|b| b == b'0');
            let parted = !whole.contains(other) || is_grouped(whole, other);
            if whole.contains(mark) || !nothing || !parted { Err(wrong()) } else { known(whole, shows) }
        };
        let marks: Vec<char> = body.chars().filter(|c| matches!(c, ',' | '.')).collect();
        match (marks.as_slice(), told) {
            ([], _) => known(&body, None),
            (_, Some(decimal)) => {
                let (mark, other) = if decimal == Decimal::Comma { (',', '.') } else { ('.', ',') };
                match body.contains(mark) {
                    true => fraction(mark, None),
                    false if is_grouped(&body, other) => known(&body, None),
                    false => Err(wrong()),
                }
            }
            ([only], None) => {
                let (whole, rest) = body.split_once(*only).unwrap_or((&body, ""));
                if rest.len() == 3 && (1..=3).contains(&whole.len()) && whole != "0" {
                    return known(&body, None).map(|_| WrittenNumber::Doubtful(*only));
                }
                fraction(*only, Some(Decimal::of(*only)))
            }
            ([first, rest @ ..], None) if rest.iter().all(|mark| mark == first) => {
                let other = if *first == ',' { Decimal::Point } else { Decimal::Comma };
                if is_grouped(&body, *first) { known(&body, Some(other)) } else { Err(wrong()) }
            }
            ([.., last], None) => fraction(*last, Some(Decimal::of(*last))),
        }
    }

    /// Learns from a cell, on the first way through the file.
    pub fn learn(&mut self, text: &str) {
        if let Ok(WrittenNumber::Known(_, Some(shows))) = Self::written(text.trim(), self.told) {
            self.comma |= shows == Decimal::Comma;
            self.point |= shows == Decimal::Point;
        }
    }

    /// Reads a whole number.
    ///
    /// # Errors
    /// One sentence that says what would be right.
    pub fn read(&self, text: &str) -> Result<i64, String> {
        let text = text.trim();
        let found = match (self.comma, self.point) {
            (true, false) => Some(Decimal::Comma),
            (false, true) => Some(Decimal::Point),
            _ => None,
        };
        match Self::written(text, self.told)? {
            WrittenNumber::Known(number, _) => Ok(number),
            WrittenNumber::Doubtful(mark) => match found {
                Some(decimal) => match Self::written(text, Some(decimal))? {
                    WrittenNumber::Known(number, _) => Ok(number),
                    WrittenNumber::Doubtful(_) => Err(no_number(text)),
                },
                None => {
                    let (thousands, decimals) = (text.replace(mark, ""), text.replace(mark, "."));
                    Err(format!(
                        "'{text}' can be {thousands} or {decimals}, and no number of the file tells which; say --decimal comma \
                         or --decimal point"
                    ))
                }
            },
        }
    }
}

#[cfg(test)]
#[path = "forms_tests.rs"]
mod tests;
