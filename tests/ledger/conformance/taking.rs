//! Rules 19 to 22: what is taken, held, confirmed, given back.

use super::*;

pub async fn rule_19_the_last_unit_is_taken_by_exactly_one(s: &Subject) {
    s.run(supply("slot", 5, &[1])).await;
    let outcomes = s.execute_all((0..200).map(|i| hold(&format!("r{i}"), &[("slot", 5, 1)]))).await;
    let won = outcomes.iter().filter(|o| matches!(o, Outcome::Reservation { repeated: false, .. })).count();
    assert_eq!(won, 1);
    for outcome in outcomes {
        if let Outcome::Refused(refusal) = outcome {
            let Refusal::Short(short) = refusal else { panic!("{refusal:?}") };
            assert_eq!(short.len(), 1);
            assert_eq!(short[0].level, BucketLevel { set: Some(1), held: 1, ..BucketLevel::default() });
        }
    }
}

pub async fn rule_19_sums_hold_however_many_ask_at_once(s: &Subject) {
    s.run(supply("a", 0, &[50, 70])).await;
    s.run(supply("b", 0, &[60])).await;
    let follower = s.follower().await;
    let outcomes = s
        .execute_all((0..300).map(|i| match i % 3 {
            0 => hold(&format!("r{i}"), &[("a", 0, 1), ("b", 0, 1)]),
            1 => hold(&format!("r{i}"), &[("a", 1, 2), ("a", 0, 1)]),
            _ => hold(&format!("r{i}"), &[("b", 0, 1), ("a", 1, 1), ("b", 0, 1)]),
        }))
        .await;
    let mut sums = [0i64; 3];
    for outcome in outcomes {
        if let Outcome::Reservation { reservation, .. } = outcome {
            for d in reservation.draws.iter() {
                sums[if d.resource == res("b") { 2 } else { d.index as usize }] += d.units;
            }
        }
    }
    let seen = follower.of(&s.network);
    let mut left = Vec::new();
    for (at, (resource, index, supply)) in [("a", 0, 50), ("a", 1, 70), ("b", 0, 60)].into_iter().enumerate() {
        let level = seen.level(resource, index);
        assert_eq!(level.held, sums[at], "{resource} {index}");
        left.push(supply - level.held);
    }
    assert!(left.iter().all(|left| *left >= 0), "{left:?}");
    assert!(left.iter().any(|left| *left <= 1), "somebody was refused for no reason: {left:?}");
    follower.assert_nothing_wrong();
}

pub async fn rule_19_all_or_nothing_and_every_shortage_is_told(s: &Subject) {
    s.run(supply("a", 0, &[5, 0])).await;
    s.run(supply("b", 0, &[1])).await;
    let Refusal::Short(mut short) = s.refused(hold("x", &[("a", 0, 5), ("a", 1, 1), ("b", 0, 1), ("b", 0, 1)])).await
    else {
        panic!("it is short");
    };
    short.sort_by(|a, b| (&a.resource, a.index).cmp(&(&b.resource, b.index)));
    let told: Vec<_> = short.iter().map(|s| (s.resource.as_str(), s.index, s.level.set)).collect();
    assert_eq!(told, [("a", 1, Some(0)), ("b", 0, Some(1))]);
    assert_eq!(s.level("a", 0).await.held, 0);
    assert_eq!(s.state("x").await, None, "a request that took nothing leaves no trace (rule 20)");
    // Asked anew once there is enough.
    s.run(supply("a", 1, &[1])).await;
    s.run(supply("b", 0, &[2])).await;
    reservation(s.run(hold("x", &[("a", 0, 5), ("a", 1, 1), ("b", 0, 1), ("b", 0, 1)])).await);
    assert_eq!(s.level("b", 0).await.held, 2, "units of one ask are added up (rule 17)");
}

pub async fn rule_20_twins_of_one_request_make_one_reservation(s: &Subject) {
    s.run(supply("slot", 0, &[1000])).await;
    let outcomes = s.execute_all((0..100).map(|_| hold("same", &[("slot", 0, 7)]))).await;
    let first = outcomes.iter().filter(|o| matches!(o, Outcome::Reservation { repeated: false, .. })).count();
    assert_eq!(first, 1);
    let ids: BTreeSet<_> = outcomes.into_iter().map(|o| reservation(o).version).collect();
    assert_eq!(ids, BTreeSet::from([1]));
    assert_eq!(s.level("slot", 0).await.held, 7);

    let mut other = hold_of("same", takes(&[("slot", 0, 7)]), Span::minutes(15));
    other.fingerprint = digest("another request");
    assert_eq!(s.refused(Command::Hold(Box::new(other))).await, Refusal::AlreadyExists);

    // A repeat gets the present state, also long after, also when the network has changed since.
    s.run(confirm("same")).await;
    s.run(crate::support::network(1, "two", &[])).await;
    let Outcome::Reservation { reservation, repeated } = s.run(hold("same", &[("slot", 0, 7)])).await else { panic!() };
    assert!(repeated);
    assert_eq!(reservation.state, State::Confirmed);
    let newcomer = s.refused(hold("new", &[("slot", 0, 7)])).await;
    assert_eq!(newcomer, Refusal::NetworkChanged { version: 2 });
}

pub async fn rule_21_a_hold_ends_at_its_very_instant(s: &Subject) {
    s.run(supply("slot", 0, &[1])).await;
    let held = reservation(s.run(hold("first", &[("slot", 0, 1)])).await);
    assert_eq!(held.expires_at, BEGIN.plus(Span::minutes(15)));
    s.clock.set(Moment(held.expires_at.0 - 1));
    assert!(matches!(s.refused(hold("second", &[("slot", 0, 1)])).await, Refusal::Short(_)), "a microsecond early");
    assert_eq!(s.state("first").await, Some(State::Held));
    s.clock.set(held.expires_at);
    assert_eq!(s.state("first").await, Some(State::Expired), "for readers too");
    reservation(s.run(hold("second", &[("slot", 0, 1)])).await);
    assert_eq!(s.refused(confirm("first")).await, Refusal::WrongState { state: State::Expired });
    let expired = reservation(s.run(release("first")).await);
    assert_eq!((expired.state, expired.ended_at), (State::Expired, Some(held.expires_at)));
    assert_eq!(s.level("slot", 0).await.held, 1);
}

pub async fn rule_21_expiry_needs_no_caller(s: &Subject) {
    s.run(supply("slot", 0, &[2])).await;
    let follower = s.follower().await;
    reservation(s.run(hold("x", &[("slot", 0, 2)])).await);
    assert_eq!(follower.of(&s.network).level("slot", 0).held, 2);
    s.clock.advance(Span::minutes(15));
    let patience = Instant::now() + Duration::from_secs(10);
    while follower.of(&s.network).level("slot", 0).held > 0 {
        assert!(Instant::now() < patience, "nobody gave it back");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    follower.assert_nothing_wrong();
}

pub async fn rule_21_confirming_and_releasing_twice_changes_nothing(s: &Subject) {
    s.run(supply("slot", 0, &[10])).await;
    s.run(hold("x", &[("slot", 0, 3)])).await;
    let once = reservation(s.run(confirm("x")).await);
    let cursor = s.ledger.newest(&s.network).await.expect("it answers");
    let twice = reservation(s.run(confirm("x")).await);
    assert_eq!(once, twice);
    assert_eq!(s.ledger.newest(&s.network).await, Ok(cursor));
    s.clock.advance(Span::days(3));
    assert_eq!(s.state("x").await, Some(State::Confirmed), "it does not expire any more (rule 22)");
    assert_eq!(s.level("slot", 0).await.confirmed, 3);
    let once = reservation(s.run(release("x")).await);
    assert_eq!(once, reservation(s.run(release("x")).await));
    assert_eq!(s.level("slot", 0).await, BucketLevel { set: Some(10), ..BucketLevel::default() });
    assert_eq!(s.refused(confirm("x")).await, Refusal::WrongState { state: State::Released });
    assert_eq!(s.refused(confirm("nobody")).await, Refusal::NotFound);
}

pub async fn rule_21_releases_at_once_give_back_once(s: &Subject) {
    s.run(supply("slot", 0, &[10])).await;
    s.run(hold("x", &[("slot", 0, 3)])).await;
    s.run(hold("y", &[("slot", 0, 4)])).await;
    s.execute_all((0..50).flat_map(|_| [release("x"), confirm("y")])).await;
    assert_eq!(s.level("slot", 0).await, BucketLevel { set: Some(10), confirmed: 4, ..BucketLevel::default() });
}

pub async fn late_payment_takes_the_same_capacity_again_if_it_is_free(s: &Subject) {
    s.run(supply("slot", 0, &[1])).await;
    s.run(hold("x", &[("slot", 0, 1)])).await;
    s.clock.advance(Span::minutes(20));
    s.run(hold("y", &[("slot", 0, 1)])).await;
    assert!(matches!(s.refused(retake("x", &[0])).await, Refusal::Short(_)));
    s.run(release("y")).await;
    assert_eq!(s.refused(retake("x", &[0, 0])).await, Refusal::ReservationChanged);
    let again = reservation(s.run(retake("x", &[0])).await);
    assert_eq!((again.state, again.ended_at), (State::Confirmed, None));
    assert_eq!(s.level("slot", 0).await.confirmed, 1);

    s.run(supply("slot", 0, &[2])).await;
    s.run(hold("late", &[("slot", 0, 1)])).await;
    s.clock.set(BEGIN.plus(Span(Span::days(1).0 + 1)));
    assert_eq!(s.refused(retake("late", &[0])).await, Refusal::OrderByPassed);
}

pub async fn extending_moves_the_end_and_keeps_the_history_short(s: &Subject) {
    s.run(supply("slot", 0, &[1])).await;
    s.run(hold("x", &[("slot", 0, 1)])).await;
    for _ in 0..5 {
        s.clock.advance(Span::minutes(10));
        s.run(extend("x", Span::minutes(15))).await;
    }
    let r = reservation(s.run(extend("x", Span::minutes(15))).await);
    assert_eq!((r.version, r.history.len()), (7, 2));
    assert_eq!(r.expires_at, BEGIN.plus(Span::minutes(65)));
    assert_eq!(s.state("x").await, Some(State::Held));
    s.run(confirm("x")).await;
    assert_eq!(s.refused(extend("x", Span::minutes(15))).await, Refusal::WrongState { state: State::Confirmed });
}

pub async fn amending_replaces_all_draws_or_none(s: &Subject) {
    s.run(supply("slot", 0, &[5, 5, 5])).await;
    s.run(hold("x", &[("slot", 0, 5), ("slot", 1, 2)])).await;
    s.run(hold("y", &[("slot", 1, 2)])).await;

    assert_eq!(s.refused(amend("x", "a0", 7, &[("slot", 0, 1)])).await, Refusal::ReservationChanged);
    let Refusal::Short(short) = s.refused(amend("x", "a1", 1, &[("slot", 1, 4), ("slot", 2, 1)])).await else {
        panic!("it is short");
    };
    assert_eq!((short.len(), short[0].index, short[0].level.held), (1, 1, 4), "the true level, its own draws included");
    assert_eq!(s.level("slot", 0).await.held, 5);
    assert_eq!(s.level("slot", 2).await.held, 0);

    // What it has itself counts as free for it.
    let amended = s.run(amend("x", "a2", 1, &[("slot", 1, 3), ("slot", 2, 5)])).await;
    let r = reservation(amended.clone());
    assert_eq!((r.version, r.draws.len(), r.amendments.len()), (2, 2, 1));
    assert_ne!(r.promise.order_by, BEGIN.plus(Span::days(1)));
    for (index, held) in [(0, 0), (1, 5), (2, 5)] {
        assert_eq!(s.level("slot", index).await.held, held);
    }
    // Again: the same answer, nothing more is taken.
    let Outcome::Amended { reservation: again, verdict, .. } =
        s.run(amend("x", "a2", 1, &[("slot", 1, 3), ("slot", 2, 5)])).await
    else {
        panic!("an amendment's answer");
    };
    assert_eq!((again, verdict), (r, surety::domain::answer::Verdict::Later));
    let Command::Amend(mut other) = amend("x", "a2", 2, &[]) else { unreachable!() };
    other.fingerprint = digest("something else");
    assert_eq!(s.refused(Command::Amend(other)).await, Refusal::AlreadyExists);

    s.run(confirm("x")).await;
    let r = reservation(s.run(amend("x", "a3", 3, &[("slot", 0, 1)])).await);
    assert_eq!(r.state, State::Confirmed);
    assert_eq!(s.level("slot", 0).await.confirmed, 1);
    assert_eq!(s.level("slot", 1).await, BucketLevel { set: Some(5), held: 2, ..BucketLevel::default() });
    s.run(release("x")).await;
    assert_eq!(s.refused(amend("x", "a4", 5, &[("slot", 0, 1)])).await, Refusal::WrongState { state: State::Released });
}

pub async fn undo_leaves_no_trace_unless_somebody_was_told(s: &Subject) {
    s.run(supply("slot", 0, &[5])).await;
    s.run(hold("x", &[("slot", 0, 5)])).await;
    assert!(matches!(s.run(undo("x")).await, Outcome::Done));
    assert_eq!(s.state("x").await, None);
    assert_eq!(s.level("slot", 0).await.held, 0);

    s.run(hold("x", &[("slot", 0, 5)])).await;
    s.run(hold("x", &[("slot", 0, 5)])).await;
    s.run(undo("x")).await;
    assert_eq!(s.state("x").await, Some(State::Held), "a repeat was told of it");

    s.run(supply("slot", 0, &[10])).await;
    s.run(hold("y", &[("slot", 0, 5)])).await;
    s.run(extend("y", Span::minutes(30))).await;
    s.run(undo("y")).await;
    assert_eq!(s.state("y").await, Some(State::Held), "it was changed since");
    s.run(undo("nobody")).await;
}

pub async fn a_hold_whose_caller_went_away_is_undone(s: &Subject) {
    s.run(supply("slot", 0, &[1_000])).await;
    let mut tasks = JoinSet::new();
    for i in 0..200 {
        let (ledger, network) = (Arc::clone(&s.ledger), s.network.clone());
        tasks.spawn(async move {
            let hold = hold(&format!("r{i}"), &[("slot", 0, 1)]);
            let patience = Duration::from_micros(i * 20);
            tokio::time::timeout(patience, ledger.execute(&network, hold, None)).await.is_ok()
        });
    }
    let told = tasks.join_all().await.into_iter().filter(|told| *told).count() as i64;
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        let held = s.level("slot", 0).await.held;
        if held == told {
            break;
        }
        assert!(held > told, "{held} are held, but {told} were told");
        assert!(Instant::now() < patience, "{held} are held, {told} were told");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (all, _) = s.ledger.reservations(&s.network, &ReservationFilter::default(), None, 1_000).await.expect("a page");
    assert_eq!(all.len() as i64, told, "no trace is left");
}

pub async fn a_deadline_that_passed_takes_nothing(s: &Subject) {
    s.run(supply("slot", 0, &[1])).await;
    let late = s.ledger.execute(&s.network, hold("x", &[("slot", 0, 1)]), Some(Instant::now())).await;
    assert!(matches!(late, Err(LedgerError::DeadlinePassed)));
    assert_eq!(s.state("x").await, None);
}
