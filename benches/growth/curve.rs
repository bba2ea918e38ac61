//! Curves: what something costs at each size, as a table, and whether it grows as it should.

/// How a cost may grow from the smallest to the largest size.
#[derive(Clone, Copy)]
pub enum Growth {
    /// Not at all, but for what the processor's caches no longer hold.
    Flat,
    /// As the size does.
    InStep,
    /// As the size does up to this one.
    InStepUpTo(f64),
    /// By what it takes to look for things in the machine's memory in place of the processor's caches.
    Caches,
    /// By at most so many times what the column of this place does.
    AsColumn(usize),
}

/// For caches and the machine's other work.
const SLACK_FLAT: f64 = 3.0;
/// A microsecond of work that looks at some twenty places becomes several.
const SLACK_CACHES: f64 = 8.0;
const SLACK: f64 = 1.5;

/// One cost at all sizes.
pub struct Column {
    pub name: &'static str,
    /// None: it is shown and not judged, as a rate is.
    pub may_grow: Option<Growth>,
    /// One a size; none where it was not measured.
    pub values: Vec<Option<f64>>,
}

impl Column {
    /// How many times the first value the last is.
    fn grew(&self, sizes: &[f64]) -> Option<(f64, f64, f64, f64)> {
        let mut known = sizes.iter().zip(&self.values).filter_map(|(size, value)| value.map(|value| (*size, value)));
        let (smallest, first) = known.next()?;
        let (largest, last) = known.next_back()?;
        Some((smallest, largest, last / first, largest / smallest))
    }
}

/// The median of what several rounds came to; none: there was no round.
pub fn median(mut of: Vec<f64>) -> Option<f64> {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied()
}

fn bar(value: f64, most: f64) -> String {
    const WIDTH: f64 = 10.0;
    "▪".repeat((value / most * WIDTH).round().max(1.0) as usize)
}

/// Whole numbers with commas, small ones with digits behind the point.
fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap_or("")).collect();
    groups.join(",")
}

fn size(of: f64) -> String {
    if of < 100.0 { format!("{of:.0}") } else { number(of) }
}

/// Prints the table and, below it, each column that was judged. `what` is what the sizes count.
pub fn print(what: &str, sizes: &[f64], columns: &[Column]) {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    println!("\n| {what} | {} |\n|---|{}", names.join(" | "), "---|".repeat(columns.len()));
    let most: Vec<f64> = columns.iter().map(|c| c.values.iter().flatten().copied().fold(0.0, f64::max)).collect();
    for (row, of) in sizes.iter().enumerate() {
        let cells = columns.iter().zip(&most).map(|(column, most)| match column.values[row] {
            Some(value) => format!("{} {}", number(value), bar(value, *most)),
            None => "-".to_owned(),
        });
        println!("| {} | {} |", size(*of), cells.collect::<Vec<_>>().join(" | "));
    }
    println!();
    for column in columns {
        let (Some(may), Some((from, to, grew, sizes_grew))) = (column.may_grow, column.grew(sizes)) else { continue };
        let most = match may {
            Growth::Flat => SLACK_FLAT,
            Growth::InStep => sizes_grew * SLACK,
            Growth::InStepUpTo(size) => to.min(size) / from * SLACK,
            Growth::Caches => SLACK_CACHES,
            Growth::AsColumn(at) => columns[at].grew(sizes).map_or(1.0, |(_, _, grew, _)| grew.max(1.0)) * SLACK,
        };
        let said = if grew <= most { "as it should be" } else { "**FASTER THAN IT SHOULD**" };
        println!(
            "- {}: {grew:.2} times from {} to {} {what}, at most {most:.2}: {said}",
            column.name,
            size(from),
            size(to)
        );
    }
}
