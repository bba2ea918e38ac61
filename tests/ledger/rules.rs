//! The rules under random sequences of commands.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
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
const RESOURCES: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Do {
    Hold { id: u8, draws: Vec<(u8, i32, u8, i64)>, seconds: i64 },
    Confirm { id: u8, retake: bool },
    Release { id: u8 },
    Extend { id: u8, seconds: i64 },
    Amend { id: u8, request: u8, stale: bool, draws: Vec<(u8, i32, u8, i64)> },
    Undo { id: u8 },
    SetSupply { resource: u8, index: i32, units: Vec<i64> },
    Adjust { request: u8, resource: u8, index: i32, delta: i64 },
    Network { document: u8, dropped: Vec<u8>, stale: bool },
    Forget { resource: u8, index: i32 },
    Wait { seconds: i64 },
}

fn draws() -> impl Strategy<Value = Vec<(u8, i32, u8, i64)>> {
    prop::collection::vec((0..3u8, 0..3i32, 0..3u8, 1..6i64), 0..5)
}

fn step() -> impl Strategy<Value = Do> {
    prop_oneof![
        6 => (0..8u8, draws(), 1..60i64).prop_map(|(id, draws, seconds)| Do::Hold { id, draws, seconds }),
        3 => (0..8u8, any::<bool>()).prop_map(|(id, retake)| Do::Confirm { id, retake }),
        3 => (0..8u8).prop_map(|id| Do::Release { id }),
        1 => (0..8u8, 1..60i64).prop_map(|(id, seconds)| Do::Extend { id, seconds }),
        3 => (0..8u8, 0..4u8, prop::bool::weighted(0.1), draws())
            .prop_map(|(id, request, stale, draws)| Do::Amend { id, request, stale, draws }),
        1 => (0..8u8).prop_map(|id| Do::Undo { id }),
        2 => (0..3u8, 0..3i32, prop::collection::vec(0..20i64, 1..3))
            .prop_map(|(resource, index, units)| Do::SetSupply { resource, index, units }),
        1 => (0..4u8, 0..3u8, 0..3i32, -9..9i64)
            .prop_map(|(request, resource, index, delta)| Do::Adjust { request, resource, index, delta }),
        1 => (0..3u8, prop::collection::vec(0..3u8, 0..2), prop::bool::weighted(0.2))
            .prop_map(|(document, dropped, stale)| Do::Network { document, dropped, stale }),
        1 => (0..3u8, 0..4i32).prop_map(|(resource, index)| Do::Forget { resource, index }),
        3 => (0..40i64).prop_map(|seconds| Do::Wait { seconds }),
    ]
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
        Do::Hold { id, draws, seconds } => {
            // One id for one request, however often the dice name it.
            let id = format!("r{id}-{}", draws.len());
            let mut hold = hold_of(&id, taken(draws), Span::seconds(*seconds));
            hold.network_version = version;
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
        Do::Amend { id, request, stale, draws } => {
            let id = any_of(state, *id);
            let present = state.reservation(&rid(&id)).map_or(1, |r| r.version);
            let Command::Amend(mut c) = amend(&id, &format!("a{request}"), present - i64::from(*stale), &[]) else {
                unreachable!("an amendment is one")
            };
            c.network_version = version;
            c.takes = taken(draws);
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

        let drifts = state.audit();
        prop_assert!(drifts.is_empty(), "{doing:?}: {drifts:#?}");

        // Rule 19: nothing is drawn below zero; rule 24: only supply falls below what is drawn.
        let supply = matches!(doing, Do::SetSupply { .. } | Do::Adjust { .. } | Do::Forget { .. } | Do::Network { .. });
        for (at, balance) in balances(&state, now) {
            let was = old.get(&at).copied().unwrap_or(STANDING);
            prop_assert!(supply || balance >= 0 || balance >= was, "{doing:?} drew {at:?} from {was} to {balance}");
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
        for change in &applied.changes {
            if let Change::Reservation(r) = change {
                let version = versions.entry(r.id.to_string()).or_default();
                prop_assert_eq!(r.version, *version + 1, "a version grows by one at every change");
                *version = r.version;
            }
        }

        // Rule 20: said again, it changes nothing and tells the same.
        if !matches!(doing, Do::Extend { .. }) {
            let mut again = state.clone();
            let repeated = apply(&mut again, &command, now);
            if !matches!(applied.outcome, Outcome::Refused(_)) {
                prop_assert!(repeated.changes.is_empty(), "{:?} again: {:#?}", doing, repeated.changes);
                prop_assert_eq!(levels(&again), levels(&state));
            }
            match (&applied.outcome, &repeated.outcome) {
                (
                    Outcome::Reservation { reservation: one, .. },
                    Outcome::Reservation { reservation: two, repeated: true },
                ) => prop_assert_eq!(one, two),
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
            }
        }
    }
    Ok(())
}

#[test]
fn rules_19_to_24_hold_under_any_sequence_of_commands() {
    let seed = seed();
    let config = ProptestConfig {
        cases: setting("ROUNDS", 400) as u32,
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
    assert!(short(&apply(&mut state, &hold("x", &[(0, 0, 2, 1)]), BEGIN).outcome), "nothing is set aside for it");
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
