//! What it means that the ledger and the rules say the same.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use surety::domain::bucket::BucketLevel;
use surety::domain::id::{NetworkId, ResourceId};
use surety::domain::levels::Levels;
use surety::domain::reservation::State;
use surety::domain::time::Moment;
use surety::ledger::LedgerError;
use surety::ledger::command::{Outcome, Refusal, Shortage};
use surety::ledger::feed::{Change, Cursor, Entry};

use super::model::{KEEP, Model};
use crate::redis_world::{Client, Value};
use crate::support::{Seen, summed};

/// One sentence if they differ.
pub fn same<T: PartialEq + Debug>(what: &str, by_rules: &T, found: &T) -> Result<(), String> {
    if by_rules == found {
        Ok(())
    } else {
        Err(format!("{what}\n  by the rules {by_rules:?}\n  but found    {found:?}"))
    }
}

/// Deep equality of answers; buckets that are short may be told in any order, each once.
pub fn same_answer(
    by_rules: &Result<Outcome, LedgerError>,
    found: &Result<Outcome, LedgerError>,
) -> Result<(), String> {
    let equal = match (by_rules, found) {
        (Ok(rules), Ok(found)) => same_outcome(rules, found),
        (Err(rules), Err(found)) => rules == found,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    };
    if equal { Ok(()) } else { Err(format!("the answer\n  by the rules {by_rules:?}\n  but found    {found:?}")) }
}

/// Deep equality of outcomes.
pub fn same_outcome(rules: &Outcome, found: &Outcome) -> bool {
    use Outcome::*;
    match (rules, found) {
        (Reservation { reservation: r, repeated: r_again }, Reservation { reservation: f, repeated: f_again }) => {
            r == f && r_again == f_again
        }
        (
            Amended { reservation: r, verdict: r_verdict, bottlenecks: r_bottlenecks },
            Amended { reservation: f, verdict: f_verdict, bottlenecks: f_bottlenecks },
        ) => r == f && r_verdict == f_verdict && r_bottlenecks == f_bottlenecks,
        (SupplySet { buckets: r }, SupplySet { buckets: f }) => r == f,
        (SupplyAdjusted { first: r_first, levels: r }, SupplyAdjusted { first: f_first, levels: f }) => {
            r_first == f_first && r == f
        }
        (Offer { offer: r, repeated: r_again }, Offer { offer: f, repeated: f_again }) => r == f && r_again == f_again,
        (NetworkApplied { version: r }, NetworkApplied { version: f }) => r == f,
        (Done, Done) => true,
        (Refused(Refusal::Short(r)), Refused(Refusal::Short(f))) => by_place(r) == by_place(f),
        (Refused(r), Refused(f)) => r == f,
        (
            Reservation { .. }
            | Amended { .. }
            | SupplySet { .. }
            | SupplyAdjusted { .. }
            | Offer { .. }
            | NetworkApplied { .. }
            | Done
            | Refused(_),
            _,
        ) => false,
    }
}

fn by_place(short: &[Shortage]) -> Vec<(&ResourceId, i32, &BucketLevel)> {
    let mut sorted: Vec<_> = short.iter().map(|s| (&s.resource, s.index, &s.level)).collect();
    sorted.sort_by_key(|(resource, index, _)| (*resource, *index));
    sorted
}

/// An entry with its buckets by name, since their order says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Normal {
    pub seq: Cursor,
    pub at: Moment,
    pub changes: Vec<Change>,
    pub buckets: BTreeMap<(ResourceId, i32), BucketLevel>,
}

impl Normal {
    /// Documents are left out: of entries that are read back they are empty, and who follows late is told the newest only.
    pub fn of(entry: &Entry) -> Result<Normal, String> {
        let mut normal = Normal { seq: entry.seq, at: entry.at, changes: Vec::new(), buckets: BTreeMap::new() };
        for change in &entry.changes {
            match change {
                Change::Bucket { resource, index, level } => {
                    if normal.buckets.insert((resource.clone(), *index), level.clone()).is_some() {
                        return Err(format!("entry {} names {resource}:{index} twice", entry.seq));
                    }
                }
                other if !normal.buckets.is_empty() => {
                    return Err(format!("entry {} has {other:?} after its buckets", entry.seq));
                }
                Change::Network { version, applied_at, .. } => {
                    let document = Arc::from([]);
                    normal.changes.push(Change::Network { version: *version, document, applied_at: *applied_at });
                }
                Change::Forgotten { .. } | Change::Reservation(_) | Change::Undone(_) | Change::Offer(_) => {
                    normal.changes.push(change.clone());
                }
            }
        }
        Ok(normal)
    }
}

/// Entries, one by one, in their order.
pub fn same_entries(what: &str, by_rules: &[Entry], found: &[Arc<Entry>]) -> Result<(), String> {
    for (rules, found) in by_rules.iter().zip(found) {
        same(&format!("{what}, entry {}", rules.seq), &Normal::of(rules)?, &Normal::of(found)?)?;
    }
    same(&format!("{what}: how many entries"), &by_rules.len(), &found.len())
}

/// All that a follower knows of the network's capacity.
pub fn same_levels(what: &str, model: &Model, found: Option<&Seen>) -> Result<(), String> {
    let by_rules = Seen::of(&model.state.snapshot());
    let Some(found) = found else { return Err(format!("{what}: nothing is known of the network")) };
    for (place, level) in &by_rules.buckets {
        same(&format!("{what}, bucket {}:{}", place.0, place.1), &Some(level), &found.buckets.get(place))?;
    }
    same(what, &by_rules, found)
}

/// What lies in the store itself: nothing of what is gone is left behind, and all that is to end or to be forgotten has its time.
pub fn same_store(client: &mut Client, network: &NetworkId, model: &Model) -> Result<(), String> {
    let mut ask = |words: &[&str]| -> Value { client.call(words).expect("the server answers") };
    let key = |name: &str| format!("{{surety:{network}}}:{name}");
    let names = |value: Value| -> Vec<String> { value.list().iter().map(Value::text).collect() };

    let reservations = model.reservations();
    let ids: Vec<String> = reservations.keys().map(ToString::to_string).collect();
    same("ids in their set", &ids, &names(ask(&["ZRANGE", &key("ids"), "0", "-1"])))?;
    let mut stored = names(ask(&["HKEYS", &key("reservations")]));
    stored.sort();
    same("ids of stored reservations", &ids, &stored)?;

    let mut when: BTreeMap<String, i64> = BTreeMap::new();
    for (id, r) in &reservations {
        let at = match r.state {
            State::Held => r.expires_at,
            State::Confirmed => continue,
            State::Released | State::Expired | State::Fulfilled => r.ended_at.unwrap_or(Moment::MIN).plus(KEEP),
        };
        when.insert(format!("r{id}"), at.0);
    }
    let mut adjusted = Vec::new();
    for a in model.adjustments() {
        when.insert(format!("a{}", a.request_id), a.at.plus(KEEP).0);
        adjusted.push(a.request_id.to_string());
    }
    let stored = names(ask(&["ZRANGE", &key("when"), "0", "-1", "WITHSCORES"]));
    let stored: BTreeMap<String, i64> =
        stored.chunks(2).map(|pair| (pair[0].clone(), pair[1].parse::<f64>().expect("a score") as i64)).collect();
    same("when holds end and ids are forgotten", &when, &stored)?;
    let mut stored = names(ask(&["HKEYS", &key("adjustments")]));
    stored.sort();
    same("adjustments that are remembered", &adjusted, &stored)?;

    let at_risk: Vec<String> = reservations.values().filter(|r| r.at_risk).map(|r| r.id.to_string()).collect();
    same("ids of those at risk", &at_risk, &names(ask(&["ZRANGE", &key("risk"), "0", "-1"])))?;
    let mut stored = names(ask(&["HKEYS", &key("offers")]));
    stored.sort();
    let mut offers: Vec<String> = model.state.offers().map(|o| o.offer.id.to_string()).collect();
    offers.sort();
    same("stored offers", &offers, &stored)?;
    let stored = names(ask(&["HGETALL", &key("tallies")]));
    let stored = stored.chunks(2).map(|pair| (pair[0].clone(), pair[1].parse().expect("a number")));
    let stored: BTreeMap<String, i64> = stored.filter(|(_, sum)| *sum != 0).collect();
    same("stored tallies", &summed(model.state.tallies()), &stored)?;

    let mut buckets = names(ask(&["HKEYS", &key("buckets")]));
    buckets.sort();
    let snapshot = model.state.snapshot();
    let of_resource =
        |(r, levels): &(ResourceId, Levels)| -> Vec<String> { levels.all().map(|(i, _)| format!("{r}:{i}")).collect() };
    let mut known: Vec<String> = snapshot.buckets.iter().flat_map(of_resource).collect();
    known.sort();
    same("stored buckets", &known, &buckets)
}
