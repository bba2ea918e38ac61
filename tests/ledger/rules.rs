//! The rules under random sequences of commands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use surety::domain::ask::Ask;
use surety::domain::bucket::{BucketLevel, PoolLevel, Shares};
use surety::domain::draw::{Pool, Take};
use surety::domain::id::ResourceId;
use surety::domain::reservation::Reservation;
use surety::domain::time::{Moment, Span};
use surety::ledger::command::{Command, Confirm, Outcome, Refusal, Retake};
use surety::ledger::feed::{Change, Entry};
use surety::ledger::record;
use surety::ledger::rules::{State, apply};

use crate::dice::{seed, setting};
use crate::support::*;

/// What the standing plan gives every bucket here.
const STANDING: i64 = 4;
/// What is counted without a reservation.
const COUNTED: &str = "lost\tthis";
const RESOURCES: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Do {
    Hold { id: u8, by: u8, draws: Vec<(u8, i32, u8, i64)>, seconds: i64 },
    Confirm { id: u8, retake: bool },
    Release { id: u8 },
    Extend { id: u8, seconds: i64 },
    Amend { id: u8, by: u8, request: u8, stale: bool, draws: Vec<(u8, i32, u8, i64)> },
    Undo { id: u8 },
    SetSupply { resource: u8, index: i32, units: Vec<i64> },
    Adjust { request: u8, resource: u8, index: i32, delta: i64 },
    Network { document: u8, dropped: Vec<u8>, stale: bool },
    Forget { resource: u8, index: i32 },
    Allocate { request: u8, by: u8, resource: u8, index: i32, rows: Vec<(i64, i64, Option<i64>)> },
    Approve { id: u8, request: u8, envelope: Vec<(u8, i32, i64)>, seconds: i64 },
    Close { id: u8 },
    Mark { id: u8, at_risk: bool, stale: bool },
    Repromise { id: u8, days: i32, stale: bool, draws: Vec<(u8, i32, u8, i64)> },
    Fix { id: u8, fixed: bool },
    Ship { id: u8, seconds: i64 },
    Deliver { id: u8, days: i32 },
    Count { by: i64 },
    Refused { request: u64 },
    Wait { seconds: i64 },
}

fn draws() -> impl Strategy<Value = Vec<(u8, i32, u8, i64)>> {
    prop::collection::vec((0..3u8, 0..3i32, 0..3u8, 1..6i64), 0..5)
}

fn step() -> impl Strategy<Value = Do> {
    prop_oneof![
        6 => (0..8u8, 0..5u8, draws(), 1..60i64)
            .prop_map(|(id, by, draws, seconds)| Do::Hold { id, by, draws, seconds }),
        3 => (0..8u8, any::<bool>()).prop_map(|(id, retake)| Do::Confirm { id, retake }),
        3 => (0..8u8).prop_map(|id| Do::Release { id }),
        1 => (0..8u8, 1..60i64).prop_map(|(id, seconds)| Do::Extend { id, seconds }),
        3 => (0..8u8, 0..5u8, 0..4u8, prop::bool::weighted(0.1), draws())
            .prop_map(|(id, by, request, stale, draws)| Do::Amend { id, by, request, stale, draws }),
        1 => (0..8u8).prop_map(|id| Do::Undo { id }),
        2 => (0..3u8, 0..3i32, prop::collection::vec(0..20i64, 1..3))
            .prop_map(|(resource, index, units)| Do::SetSupply { resource, index, units }),
        1 => (0..4u8, 0..3u8, 0..3i32, -9..9i64)
            .prop_map(|(request, resource, index, delta)| Do::Adjust { request, resource, index, delta }),
        1 => (0..3u8, prop::collection::vec(0..3u8, 0..2), prop::bool::weighted(0.2))
            .prop_map(|(document, dropped, stale)| Do::Network { document, dropped, stale }),
        1 => (0..3u8, 0..4i32).prop_map(|(resource, index)| Do::Forget { resource, index }),
        2 => (0..4u8, 1..3u8, 0..3u8, 0..3i32, rows())
            .prop_map(|(request, by, resource, index, rows)| Do::Allocate { request, by, resource, index, rows }),
        1 => (0..3u8, 0..2u8, prop::collection::vec((0..3u8, 0..3i32, 0..4i64), 0..4), 0..90i64)
            .prop_map(|(id, request, envelope, seconds)| Do::Approve { id, request, envelope, seconds }),
        1 => (0..3u8).prop_map(|id| Do::Close { id }),
        2 => (0..8u8, any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(id, at_risk, stale)| Do::Mark { id, at_risk, stale }),
        2 => (0..8u8, 0..4i32, prop::bool::weighted(0.1), draws())
            .prop_map(|(id, days, stale, draws)| Do::Repromise { id, days, stale, draws }),
        1 => (0..8u8, any::<bool>()).prop_map(|(id, fixed)| Do::Fix { id, fixed }),
        1 => (0..8u8, 0..3i64).prop_map(|(id, seconds)| Do::Ship { id, seconds }),
        1 => (0..8u8, -2..20i32).prop_map(|(id, days)| Do::Deliver { id, days }),
        1 => (-3..9i64).prop_map(|by| Do::Count { by }),
        1 => (0..3u64).prop_map(|request| Do::Refused { request }),
        3 => (0..40i64).prop_map(|seconds| Do::Wait { seconds }),
    ]
}

fn rows() -> impl Strategy<Value = Vec<(i64, i64, Option<i64>)>> {
    prop::collection::vec((0..8i64, 0..90i64, prop::option::of(0..9i64)), 1..3)
}

fn taken(draws: &[(u8, i32, u8, i64)]) -> Vec<Take> {
    (draws.iter())
        .map(|(resource, index, pool, units)| {
            let mut draw = draw(RESOURCES[*resource as usize], *index, *units);
            draw.pool = pool_of(*pool);
            Take { draw, standing: STANDING }
        })
        .collect()
}

fn pool_of(pool: u8) -> Pool {
    match pool {
        0 => Pool::Common,
        1 => Pool::Channel("vip".into()),
        _ => Pool::Offer("sale".into()),
    }
}

/// Who asks: nobody, two channels, one of them for an offer, and the offer alone.
fn asked_by(by: u8) -> Arc<Ask> {
    let (channel, offer) = match by {
        0 => (None, None),
        1 => (Some("vip"), None),
        2 => (Some("web"), None),
        3 => (Some("vip"), Some("sale")),
        _ => (None, Some("sale")),
    };
    Arc::new(Ask { channel: channel.map(Arc::from), offer: offer.map(Arc::from), ..Ask::clone(&ask()) })
}

fn offer_name(id: u8) -> &'static str {
    ["sale", "spring", "a/b"][usize::from(id)]
}

/// Pools of a bucket, and what is set aside in them for a long time.
fn set_aside(pools: &[(u8, i64)]) -> Option<Box<Shares>> {
    let until = BEGIN.plus(Span::days(900));
    let pools =
        pools.iter().map(|(pool, set)| PoolLevel { pool: pool_of(*pool), set: *set, used: 0, release_at: until });
    Some(Box::new(Shares { pools: pools.collect(), channels: Vec::new() }))
}

fn command(state: &State, doing: &Do) -> Command {
    let version = state.network_version();
    match doing {
        Do::Hold { id, by, draws, seconds } => {
            // One id for one request, however often the dice name it.
            let id = format!("r{id}-{}", draws.len());
            let mut hold = hold_of(&id, taken(draws), Span::seconds(*seconds));
            hold.network_version = version;
            hold.ask = asked_by(*by);
            Command::Hold(Box::new(hold))
        }
        Do::Confirm { id, retake } => {
            let id = any_of(state, *id);
            let standing = state.reservation(&rid(&id)).map_or(0, |r| r.draws.len());
            let retake = retake.then(|| Retake { network_version: version, standing: vec![STANDING; standing] });
            Command::Confirm(Confirm { id: rid(&id), reference: Some("order".into()), retake })
        }
        Do::Release { id } => release(&any_of(state, *id)),
        Do::Extend { id, seconds } => extend(&any_of(state, *id), Span::seconds(*seconds)),
        Do::Amend { id, by, request, stale, draws } => {
            let id = any_of(state, *id);
            let present = state.reservation(&rid(&id)).map_or(1, |r| r.version);
            let Command::Amend(mut c) = amend(&id, &format!("a{request}"), present - i64::from(*stale), &[]) else {
                unreachable!("an amendment is one")
            };
            c.network_version = version;
            c.takes = taken(draws);
            c.ask = asked_by(*by);
            Command::Amend(c)
        }
        Do::Undo { id } => undo(&any_of(state, *id)),
        Do::SetSupply { resource, index, units } => {
            let Command::SetSupply(mut c) = supply(RESOURCES[*resource as usize], *index, units) else {
                unreachable!("a supply is one")
            };
            c.network_version = version;
            Command::SetSupply(c)
        }
        Do::Adjust { request, resource, index, delta } => {
            let standing = [STANDING, STANDING];
            let Command::AdjustSupply(mut c) =
                adjust(&format!("s{request}"), RESOURCES[*resource as usize], *index, &standing, *delta)
            else {
                unreachable!("an adjustment is one")
            };
            c.network_version = version;
            Command::AdjustSupply(c)
        }
        Do::Network { document, dropped, stale } => {
            let dropped: Vec<&str> = dropped.iter().map(|r| RESOURCES[*r as usize]).collect();
            network(version - i64::from(*stale), &format!("document {document}"), &dropped)
        }
        Do::Forget { resource, index } => {
            Command::Forget { before: vec![(res(RESOURCES[*resource as usize]), *index)] }
        }
        Do::Allocate { request, by, resource, index, rows } => {
            let rows: Vec<_> =
                rows.iter().map(|(units, until, most)| (*units, BEGIN.plus(Span::seconds(*until)), *most)).collect();
            let by = if *by == 1 { "vip" } else { "web" };
            let request = format!("q{request}");
            let mut command = allocate(&request, by, RESOURCES[usize::from(*resource)], *index, &rows);
            if let Command::SetAllocation(c) = &mut command {
                c.buckets.iter_mut().for_each(|b| b.standing = STANDING);
            }
            at_version(command, version)
        }
        Do::Approve { id, request, envelope, seconds } => {
            // Each bucket once.
            let once: BTreeMap<_, _> = envelope.iter().map(|(r, index, units)| ((*r, *index), *units)).collect();
            let envelope: Vec<_> =
                once.iter().map(|((r, index), units)| (RESOURCES[usize::from(*r)], *index, *units)).collect();
            let until = BEGIN.plus(Span::seconds(*seconds));
            let mut command = approve(offer_name(*id), &format!("o{request}"), &envelope, until);
            if let Command::ApproveOffer(c) = &mut command {
                c.standing.fill(STANDING);
            }
            at_version(command, version)
        }
        Do::Close { id } => close_offer(offer_name(*id)),
        Do::Mark { id, at_risk, stale } => {
            let id = any_of(state, *id);
            let present = state.reservation(&rid(&id)).map_or(1, |r| r.version);
            mark(&id, present - i64::from(*stale), *at_risk)
        }
        Do::Repromise { id, days, stale, draws } => {
            let id = any_of(state, *id);
            let present = state.reservation(&rid(&id)).map_or(1, |r| r.version);
            let Command::Repromise(mut c) = repromise(&id, present - i64::from(*stale), *days, &[]) else {
                unreachable!("it is one")
            };
            c.takes = taken(draws);
            at_version(Command::Repromise(c), version)
        }
        Do::Fix { id, fixed } => fix(&any_of(state, *id), *fixed),
        Do::Ship { id, seconds } => ship(&any_of(state, *id), BEGIN.plus(Span::seconds(*seconds))),
        Do::Deliver { id, days } => deliver(&any_of(state, *id), *days),
        Do::Count { by } => count(&[(COUNTED, *by), ("lost\tother", 1)]),
        Do::Refused { request } => count_once(*request, &[("refused", 1)]),
        Do::Wait { .. } => Command::Tick,
    }
}

/// One of the reservations that there are; a name that nobody has, if there is none.
fn any_of(state: &State, id: u8) -> String {
    let mut ids: Vec<&str> = state.reservations().map(|r| r.id.as_str()).collect();
    ids.sort_unstable();
    ids.get(usize::from(id) % ids.len().max(1)).map_or("nobody".to_owned(), |id| (*id).to_owned())
}

/// All buckets; those of which nothing is known are as those that were never touched.
fn levels(state: &State) -> BTreeMap<(ResourceId, i32), BucketLevel> {
    let mut levels = Seen::of(&state.snapshot()).buckets;
    levels.retain(|_, level| *level != BucketLevel::default());
    levels
}

fn reservations(state: &State) -> BTreeMap<String, Reservation> {
    state.reservations().map(|r| (r.id.to_string(), (**r).clone())).collect()
}

fn balances(state: &State, now: Moment) -> BTreeMap<(ResourceId, i32), i64> {
    levels(state).into_iter().map(|(at, level)| (at, level.balance(STANDING, now))).collect()
}

fn play(steps: Vec<Do>) -> Result<(), TestCaseError> {
    let mut state = State::new();
    for (i, resource) in RESOURCES.iter().enumerate() {
        let shares = set_aside(&[(1, 3), (2, 1 + i as i64)]);
        state.put_level(&res(resource), 0, BucketLevel { set: Some(20), shares, ..BucketLevel::default() });
    }
    let mut now = BEGIN;
    let mut counted: BTreeMap<String, i64> = BTreeMap::new();
    // None is forgotten: a sequence is shorter than they are remembered.
    let mut refused = BTreeSet::new();
    let mut forgotten = BTreeSet::new();
    for doing in steps {
        if let Do::Wait { seconds } = doing {
            now = now.plus(Span::seconds(seconds));
        }
        // Expiry is a part of every step; what the command does beside it is seen against a state without what is due.
        let mut before = state.clone();
        apply(&mut before, &Command::Tick, now);
        let command = command(&before, &doing);
        let mut told = Seen::of(&state.snapshot());
        let (old, old_reservations) = (balances(&before, now), reservations(&state));
        let applied = apply(&mut state, &command, now);

        forgotten.extend(forgotten_by(&command, &before, &state));
        let drifts = but_for(state.audit(), &forgotten);
        prop_assert!(drifts.is_empty(), "{doing:?}: {drifts:#?}");

        // Rule 19: nothing is drawn below zero; rule 24: only supply falls below what is drawn.
        let supply = matches!(doing, Do::SetSupply { .. } | Do::Adjust { .. } | Do::Forget { .. } | Do::Network { .. });
        for (at, balance) in balances(&state, now) {
            let was = old.get(&at).copied().unwrap_or(STANDING);
            prop_assert!(supply || balance >= 0 || balance >= was, "{doing:?} drew {at:?} from {was} to {balance}");
        }

        // Rule 17: a pool gives what is in it, and a channel draws what it may; only where less is set is more drawn already.
        let allocates = matches!(doing, Do::Allocate { .. });
        for ((resource, index), level) in levels(&state) {
            let was = before.level(&resource, index).cloned().unwrap_or_default();
            for c in level.channels() {
                let had = was.channels().iter().find(|w| w.channel == c.channel).map_or(0, |w| w.drawn);
                let within = c.most.is_none_or(|most| c.drawn <= most.max(had));
                prop_assert!(within, "{doing:?} drew more of {resource} {index} than {c:?} may, {had} before");
            }
            for p in level.pools().iter().filter(|p| now < p.release_at && !allocates) {
                let had = was.pool(&p.pool).map_or(0, |p| p.used);
                prop_assert!(p.used <= p.set.max(had), "{doing:?} drew more of {resource} {index} than {p:?} has");
            }
        }

        // Each thing is counted once, in the step in which it happens.
        if let Do::Count { by } = doing {
            *counted.entry(COUNTED.to_owned()).or_default() += by;
            *counted.entry("lost\tother".to_owned()).or_default() += 1;
        }
        if let Do::Refused { request } = doing
            && refused.insert(request)
        {
            *counted.entry("refused".to_owned()).or_default() += 1;
        }
        let mut sums = tallies_of(state.reservations().map(|r| &**r));
        sums.extend(counted.iter().filter(|(_, sum)| **sum != 0).map(|(name, sum)| (name.clone(), *sum)));
        prop_assert_eq!(summed(state.tallies()), sums, "{:?}", doing);
        for name in summed(before.tallies()).keys().filter(|name| state.tallied(name) != before.tallied(name)) {
            prop_assert!(applied.tallied.iter().any(|tallied| **tallied == **name), "{:?} tells of {}", doing, name);
        }

        if let Outcome::Refused(refusal) = &applied.outcome {
            prop_assert_eq!(levels(&state), levels(&before), "refused, yet changed: {:?}", doing);
            prop_assert_eq!(reservations(&state), reservations(&before));
            if let Refusal::Short(short) = refusal {
                prop_assert!(!short.is_empty());
                for (i, s) in short.iter().enumerate() {
                    let level = state.level(&s.resource, s.index).cloned().unwrap_or_default();
                    prop_assert_eq!(&s.level, &level, "a shortage tells what is really there");
                    prop_assert!(!short[..i].iter().any(|t| (&t.resource, t.index) == (&s.resource, s.index)));
                }
            }
        }

        // The feed tells everything, and reads back as it was told.
        let mut versions: BTreeMap<String, i64> =
            old_reservations.iter().map(|(id, r)| (id.clone(), r.version)).collect();
        if !applied.changes.is_empty() {
            let entry = Entry { seq: told.seq + 1, at: now, changes: applied.changes.clone() };
            told.follow(&entry).map_err(TestCaseError::fail)?;
            let stored = record::write_entry(&entry, |r| record::write_reservation(r));
            let without = |changes: Vec<Change>| -> Vec<Change> {
                changes.into_iter().filter(|c| !matches!(c, Change::Network { .. })).collect()
            };
            let read = record::read_entry(&stored).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(without(read.changes), without(entry.changes));
        }
        prop_assert_eq!(&told.buckets, &Seen::of(&state.snapshot()).buckets, "{:?}", doing);
        prop_assert_eq!(&told.offers, &Seen::of(&state.snapshot()).offers, "{:?}", doing);
        for change in &applied.changes {
            if let Change::Reservation(r) = change {
                let version = versions.entry(r.id.to_string()).or_default();
                prop_assert_eq!(r.version, *version + 1, "a version grows by one at every change");
                *version = r.version;
            }
        }

        // Rule 20: said again, it changes nothing and tells the same.
        if !matches!(doing, Do::Extend { .. } | Do::Count { .. }) {
            let mut again = state.clone();
            let repeated = apply(&mut again, &command, now);
            if !matches!(applied.outcome, Outcome::Refused(_)) {
                prop_assert!(repeated.changes.is_empty(), "{:?} again: {:#?}", doing, repeated.changes);
                prop_assert_eq!(levels(&again), levels(&state));
                prop_assert_eq!(summed(again.tallies()), summed(state.tallies()), "counted once");
            }
            match (&applied.outcome, &repeated.outcome) {
                (
                    Outcome::Reservation { reservation: one, .. },
                    Outcome::Reservation { reservation: two, repeated: true },
                ) => prop_assert_eq!(one, two),
                (Outcome::Reservation { .. }, Outcome::Refused(Refusal::ReservationChanged))
                    if matches!(doing, Do::Repromise { .. }) => {}
                (Outcome::Offer { offer: one, .. }, Outcome::Offer { offer: two, repeated: true }) => {
                    prop_assert_eq!(one, two);
                }
                // What depends on a version that has moved on is refused for it.
                (Outcome::Reservation { .. }, other) => prop_assert!(false, "{:?} again: {:?}", doing, other),
                (one, two) => prop_assert_eq!(format!("{:?}", one), format!("{:?}", two)),
            }
        }

        // What a new hold or a retake took goes back exactly.
        let took = matches!(doing, Do::Hold { .. } | Do::Confirm { retake: true, .. });
        if took
            && let Outcome::Reservation { reservation, repeated: false } = &applied.outcome
            && !before.reservation(&reservation.id).is_some_and(|r| r.state.is_live())
        {
            let mut released = state.clone();
            apply(&mut released, &release(reservation.id.as_str()), now);
            prop_assert_eq!(levels(&released), levels(&before), "a release restores");
            if matches!(doing, Do::Hold { .. }) {
                let mut undone = state.clone();
                apply(&mut undone, &undo(reservation.id.as_str()), now);
                prop_assert_eq!(levels(&undone), levels(&before), "an undo restores");
                prop_assert_eq!(reservations(&undone), reservations(&before), "and leaves no trace");
                prop_assert_eq!(summed(undone.tallies()), summed(before.tallies()), "not in what is counted either");
            }
        }
    }
    Ok(())
}

#[test]
fn rules_19_to_24_hold_under_any_sequence_of_commands() {
    let seed = seed();
    let config = ProptestConfig {
        cases: setting("ROUNDS", 300) as u32,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let steps = prop::collection::vec(step(), 1..60);
    if let Err(e) = TestRunner::new(config).run(&steps, play) {
        panic!("SEED={seed}: {e}");
    }
}

#[test]
fn rule_17_pools_give_to_their_own_and_get_back_what_they_gave() {
    let mut state = State::new();
    let full = BucketLevel { set: Some(10), shares: set_aside(&[(1, 3)]), ..BucketLevel::default() };
    state.put_level(&res("a"), 0, full.clone());
    let hold = |id: &str, draws: &[(u8, i32, u8, i64)]| {
        let mut hold = hold_of(id, taken(draws), Span::minutes(1));
        hold.network_version = 0;
        Command::Hold(Box::new(hold))
    };
    let short = |outcome: &Outcome| matches!(outcome, Outcome::Refused(Refusal::Short(_)));
    assert!(short(&apply(&mut state, &hold("x", &[(0, 0, 0, 8)]), BEGIN).outcome), "3 of 10 are set aside");
    assert!(short(&apply(&mut state, &hold("x", &[(0, 0, 1, 4)]), BEGIN).outcome));
    assert!(short(&apply(&mut state, &hold("x", &[(0, 0, 2, 8)]), BEGIN).outcome), "nothing is set aside for it");
    assert!(short(&apply(&mut state, &hold("x", &[(0, 0, 0, 4), (0, 0, 2, 4)]), BEGIN).outcome), "so it is common");
    assert!(!short(&apply(&mut state, &hold("x", &[(0, 0, 0, 7), (0, 0, 1, 3)]), BEGIN).outcome));
    let level = state.level(&res("a"), 0).expect("it is known").clone();
    assert_eq!((level.held, level.set_aside(BEGIN), level.balance(0, BEGIN)), (10, 0, 0));
    apply(&mut state, &confirm("x"), BEGIN);
    apply(&mut state, &release("x"), BEGIN);
    assert_eq!(state.level(&res("a"), 0), Some(&full));

    // A pool that is no more gives its units to all.
    apply(&mut state, &hold("y", &[(0, 0, 1, 3)]), BEGIN);
    let mut without = state.level(&res("a"), 0).expect("it is known").clone();
    let own = without.pool_mut(&pool_of(1));
    own.set = 0;
    state.put_level(&res("a"), 0, without);
    apply(&mut state, &release("y"), BEGIN);
    assert_eq!(state.level(&res("a"), 0).map(|l| l.balance(0, BEGIN)), Some(10));
}

#[test]
fn rule_17_units_of_one_ask_are_added_up_without_overflow() {
    let mut state = State::new();
    state.put_level(&res("a"), 0, BucketLevel { set: Some(i64::MAX), ..BucketLevel::default() });
    let most = surety::domain::limits::MAX_UNITS;
    let draws: Vec<_> = (0..4_000).map(|_| ("a", 0, most)).collect();
    let mut hold = hold_of("x", takes(&draws), Span::minutes(1));
    hold.network_version = 0;
    // 4,000 times the most units are more than a number holds; they are short, not wrapped around.
    state.put_level(&res("a"), 0, BucketLevel { set: Some(most), ..BucketLevel::default() });
    let outcome = apply(&mut state, &Command::Hold(Box::new(hold)), BEGIN).outcome;
    assert!(matches!(outcome, Outcome::Refused(Refusal::Short(_))));
}

#[test]
fn amendments_are_limited_as_each_is_remembered() {
    let mut state = State::new();
    apply(&mut state, &network(0, "one", &[]), BEGIN);
    apply(&mut state, &hold("x", &[]), BEGIN);
    for i in 0..surety::domain::limits::MAX_AMENDMENTS {
        let outcome = apply(&mut state, &amend("x", &format!("a{i}"), i as i64 + 1, &[]), BEGIN).outcome;
        assert!(matches!(outcome, Outcome::Amended { .. }), "{outcome:?}");
    }
    let one_more = amend("x", "one more", surety::domain::limits::MAX_AMENDMENTS as i64 + 1, &[]);
    assert_eq!(refusal(apply(&mut state, &one_more, BEGIN).outcome), Refusal::TooManyAmendments);
    let again = apply(&mut state, &amend("x", "a7", 1, &[]), BEGIN);
    assert!(matches!(again.outcome, Outcome::Amended { .. }) && again.changes.is_empty());
}

#[test]
fn rule_24_supply_that_comes_and_goes_leaves_the_first_mark_and_the_latest() {
    let mut state = State::new();
    apply(&mut state, &network(0, "one", &[]), BEGIN);
    apply(&mut state, &hold("x", &[]), BEGIN);
    let mut now = BEGIN;
    for i in 0..800 {
        now = now.plus(Span::seconds(1));
        let outcome = apply(&mut state, &mark("x", i + 1, i % 2 == 0), now).outcome;
        assert!(matches!(outcome, Outcome::Reservation { repeated: false, .. }), "{outcome:?}");
    }
    let r = state.reservation(&rid("x")).expect("it is held");
    let told: Vec<(&str, i64)> = r.history.iter().map(|change| (&*change.what, change.version)).collect();
    assert_eq!(told, [("held", 1), ("at risk", 2), ("safe again", 801)]);
    assert_eq!((r.version, r.at_risk), (801, false));
}

#[test]
fn offers_are_limited_as_each_is_remembered() {
    let mut state = State::new();
    apply(&mut state, &network(0, "one", &[]), BEGIN);
    for i in 0..surety::domain::limits::MAX_OFFERS {
        let id = format!("o{i}");
        let outcome = apply(&mut state, &approve(&id, &id, &[], BEGIN), BEGIN).outcome;
        assert!(matches!(outcome, Outcome::Offer { repeated: false, .. }), "{outcome:?}");
    }
    apply(&mut state, &close_offer("o7"), BEGIN);
    let one_more = apply(&mut state, &approve("more", "more", &[], BEGIN), BEGIN);
    assert_eq!(refusal(one_more.outcome), Refusal::TooManyOffers);
    let again = apply(&mut state, &approve("o7", "o7", &[], BEGIN), BEGIN);
    assert!(matches!(again.outcome, Outcome::Offer { repeated: true, .. }) && again.changes.is_empty());
}

#[test]
fn rule_17_several_draws_on_one_bucket_are_out_of_the_way_while_others_are_tested() {
    let mut state = State::new();
    apply(&mut state, &network(0, "one", &[]), BEGIN);
    apply(&mut state, &supply("a", 0, &[9, 1]), BEGIN);
    apply(&mut state, &allocate("q", "vip", "a", 0, &[(4, BEGIN.plus(Span::days(1)), Some(7))]), BEGIN);
    let by_vip = |mut hold: surety::ledger::command::Hold, pools: &[u8]| {
        for (take, pool) in hold.takes.iter_mut().zip(pools) {
            take.draw.pool = pool_of(*pool);
        }
        hold.ask = asked_by(1);
        hold
    };
    let draws = [("a", 0, 1), ("a", 0, 2), ("a", 0, 2), ("a", 0, 1)];
    let hold = by_vip(hold_of("x", takes(&draws), Span::minutes(1)), &[0, 1, 0, 1]);
    apply(&mut state, &Command::Hold(Box::new(hold)), BEGIN);
    let held = state.level(&res("a"), 0).expect("it is known").clone();
    assert_eq!((held.held, held.pools()[0].used, held.channels()[0].drawn), (6, 3, 6));
    // One more than there is in the other bucket; and one more than the channel may draw.
    for (draws, short) in [
        (vec![("a", 0, 3), ("a", 1, 1), ("a", 0, 4), ("a", 1, 1)], vec![1]),
        (vec![("a", 0, 3), ("a", 0, 1), ("a", 0, 4)], vec![0]),
        (vec![("a", 0, 8), ("a", 1, 2)], vec![0, 1]),
    ] {
        let amendment = |draws: &[(&str, i32, i64)]| {
            let takes = by_vip(hold_of("x", takes(draws), Span::minutes(1)), &[1]).takes;
            let Command::Amend(mut c) = amend("x", "a", 1, &[]) else { unreachable!("it is one") };
            (c.ask, c.takes) = (asked_by(1), takes);
            Command::Amend(c)
        };
        let Refusal::Short(told) = refusal(apply(&mut state, &amendment(&draws), BEGIN).outcome) else { panic!() };
        assert_eq!(told.iter().map(|s| s.index).collect::<Vec<_>>(), short, "{draws:?}");
        assert_eq!(state.level(&res("a"), 0), Some(&held), "as it was");
        assert_eq!(told.iter().find(|s| s.index == 0).map_or(&held, |s| &s.level), &held, "its own draws included");
    }
    assert_eq!(state.audit(), []);
}
