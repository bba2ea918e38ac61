//! What was exported and imported, for people.

use super::{GOOD, WARN, counted, paint};
use crate::cli::moving::Moved;

/// A network was exported.
pub fn exported(moved: &Moved) -> String {
    let Moved { network, store, cursor, as_of, .. } = moved;
    let head = paint(GOOD, "Exported:");
    format!(
        "{head} network '{network}' of {store} as of {as_of}, cursor {cursor}: {}.\n{}",
        sizes(moved),
        drifting(moved)
    )
}

/// A network was imported.
pub fn imported(moved: &Moved) -> String {
    let Moved { network, store, cursor, as_of, .. } = moved;
    let head = paint(GOOD, "Imported:");
    format!(
        "{head} network '{network}' into {store} as it was at {as_of}: {}. Cursors go on from {cursor}.\n{}",
        sizes(moved),
        drifting(moved)
    )
}

fn sizes(moved: &Moved) -> String {
    [
        format!("version {}", moved.version),
        counted(moved.buckets, "bucket", "buckets"),
        counted(moved.reservations, "reservation", "reservations"),
        counted(moved.entries, "event entry", "event entries"),
    ]
    .join(", ")
}

/// Moving changes nothing, not even what is wrong.
fn drifting(moved: &Moved) -> String {
    if moved.drifts == 0 {
        return String::new();
    }
    let numbers = counted(moved.drifts as u64, "number of its buckets is", "numbers of its buckets are");
    format!("{}\n", paint(WARN, &format!("{numbers} wrong; `surety audit` shows them, --repair mends them")))
}
