//! Rules 22 and 24: what becomes of promises when the world changes, and when they are kept; and what is counted of it.

use super::*;

async fn kept(s: &Subject, id: &str, draws: &[(&str, i32, i64)]) {
    reservation(s.run(hold(id, draws)).await);
    s.run(confirm(id)).await;
}

pub async fn rule_24_marks_come_and_go_and_are_listed(s: &Subject) {
    s.run(supply("slot", 0, &[50])).await;
    for id in ["a", "b", "c", "d", "e", "f"] {
        s.run(hold(id, &[("slot", 0, 1)])).await;
    }
    for id in ["a", "b", "c", "d", "e"] {
        let marked = reservation(s.run(mark(id, 1, true)).await);
        assert_eq!((marked.at_risk, marked.version), (true, 2));
        assert_eq!(&*marked.history.last().expect("it has one").what, "at risk");
    }
    let cursor = s.ledger.newest(&s.network).await.expect("it answers");
    let again = s.run(mark("a", 1, true)).await;
    assert!(matches!(again, Outcome::Reservation { repeated: true, .. }), "it is so already");
    assert_eq!(s.ledger.newest(&s.network).await, Ok(cursor));
    assert_eq!(s.refused(mark("a", 1, false)).await, Refusal::ReservationChanged, "it was worked out for another");
    assert_eq!(s.refused(mark("nobody", 1, true)).await, Refusal::NotFound);
    assert_eq!(s.at_risk().await, ["a", "b", "c", "d", "e"]);

    // Confirming keeps it; safety, release, another plan and the end of the hold take it away.
    s.run(confirm("a")).await;
    let safe = reservation(s.run(mark("b", 2, false)).await);
    assert_eq!((safe.at_risk, &*safe.history.last().expect("it has one").what), (false, "safe again"));
    s.run(release("c")).await;
    s.run(amend("d", "amendment", 2, &[("slot", 0, 2)])).await;
    assert_eq!(s.at_risk().await, ["a", "e"]);
    s.clock.advance(Span::minutes(15));
    assert_eq!(s.at_risk().await, ["a"], "at once, for readers too");
    s.run(Command::Tick).await;
    assert_eq!(s.at_risk().await, ["a"]);
    assert_eq!(s.refused(mark("e", 3, true)).await, Refusal::WrongState { state: State::Expired });
    // A late payment takes what is free, so it comes back without the mark.
    assert!(!reservation(s.run(retake("e", &[0])).await).at_risk);
    assert_eq!(s.at_risk().await, ["a"]);
}

pub async fn rule_24_a_promise_is_moved_in_one_step_or_not(s: &Subject) {
    s.run(supply("slot", 0, &[5, 1, 5])).await;
    kept(s, "x", &[("slot", 0, 3), ("slot", 1, 1)]).await;
    s.run(supply("slot", 0, &[2])).await;
    let at_risk = reservation(s.run(mark("x", 2, true)).await);
    assert_eq!(s.refused(repromise("x", 2, 3, &[("slot", 2, 3)])).await, Refusal::ReservationChanged);
    let Refusal::Short(short) = s.refused(repromise("x", 3, 3, &[("slot", 1, 2), ("slot", 2, 3)])).await else {
        panic!("it is short")
    };
    let level = s.level("slot", 1).await;
    assert_eq!((short.len(), short[0].index, &short[0].level), (1, 1, &level), "its own draws included");
    assert_eq!((level.confirmed, s.level("slot", 2).await.confirmed), (1, 0));
    let stale = at_version(repromise("x", 3, 3, &[("slot", 2, 3)]), 4);
    assert_eq!(s.refused(stale).await, Refusal::NetworkChanged { version: VERSION });

    // What it has itself is free for it.
    let moved = reservation(s.run(repromise("x", 3, 3, &[("slot", 1, 1), ("slot", 2, 3)])).await);
    assert_eq!((moved.version, moved.at_risk, moved.state), (4, false, State::Confirmed));
    assert_eq!((moved.promise.date, moved.first_date), (at_risk.first_date + 3, at_risk.first_date));
    assert_eq!(moved.judged_by(), at_risk.first_date, "its customer agreed to the first date only");
    assert_eq!(&*moved.history.last().expect("it has one").what, "re-promised");
    let confirmed = [s.level("slot", 0).await, s.level("slot", 1).await, s.level("slot", 2).await].map(|l| l.confirmed);
    assert_eq!(confirmed, [0, 1, 3]);
    assert_eq!(s.at_risk().await, Vec::<String>::new());
    assert_eq!(s.tallies().await, s.counted().await);

    // Other draws for the date that is promised are no other promise.
    let replanned = reservation(s.run(repromise("x", 4, 3, &[("slot", 2, 4)])).await);
    assert_eq!(&*replanned.history.last().expect("it has one").what, "re-planned");
    assert_eq!(s.tallies().await, s.counted().await);
    s.run(hold("held", &[("slot", 0, 1)])).await;
    let moved = reservation(s.run(repromise("held", 1, 1, &[("slot", 2, 1)])).await);
    assert_eq!((moved.state, s.level("slot", 2).await.held), (State::Held, 1), "a hold stays one");
    s.run(release("held")).await;
    let ended = s.refused(repromise("held", 3, 1, &[("slot", 2, 1)])).await;
    assert_eq!(ended, Refusal::WrongState { state: State::Released });
    assert_eq!(s.refused(repromise("nobody", 1, 1, &[])).await, Refusal::NotFound);
}

pub async fn rule_24_promises_moved_at_once_never_draw_the_same_unit(s: &Subject) {
    s.run(supply("slot", 0, &[40, 15])).await;
    for i in 0..40 {
        s.run(hold(&format!("r{i}"), &[("slot", 0, 1)])).await;
    }
    let moves = (0..40).flat_map(|i| (0..2).map(move |_| repromise(&format!("r{i}"), 1, 2, &[("slot", 1, 1)])));
    let outcomes = s.execute_all(moves).await;
    let won = outcomes.iter().filter(|o| matches!(o, Outcome::Reservation { repeated: false, .. })).count();
    assert_eq!(won, 15);
    assert_eq!((s.level("slot", 0).await.held, s.level("slot", 1).await.held), (25, 15));
    assert_eq!(s.tallies().await, s.counted().await);
}

pub async fn a_promise_is_fixed_until_it_is_not(s: &Subject) {
    s.run(supply("slot", 0, &[5])).await;
    s.run(hold("x", &[("slot", 0, 1)])).await;
    let fixed = reservation(s.run(fix("x", true)).await);
    assert_eq!((fixed.fixed, fixed.version), (true, 2));
    let last = fixed.history.last().expect("it has one");
    assert_eq!((&*last.what, &*last.reason), ("fixed", "a wedding"));
    assert!(matches!(s.run(fix("x", true)).await, Outcome::Reservation { repeated: true, .. }));
    s.run(confirm("x")).await;
    assert!(s.ledger.reservation(&s.network, &rid("x")).await.expect("it answers").expect("it is there").fixed);
    assert!(!reservation(s.run(fix("x", false)).await).fixed);
    s.run(release("x")).await;
    assert_eq!(s.refused(fix("x", true)).await, Refusal::WrongState { state: State::Released });
    assert_eq!(s.refused(fix("nobody", true)).await, Refusal::NotFound);
}

pub async fn rule_22_what_was_shipped_stays_and_what_was_delivered_is_used_up(s: &Subject) {
    s.run(supply("slot", 0, &[5])).await;
    s.run(hold_from("x", &channel("vip"), Some("vip"), &[("slot", 0, 2)])).await;
    assert_eq!(s.refused(ship("x", BEGIN)).await, Refusal::WrongState { state: State::Held });
    s.run(confirm("x")).await;
    s.run(mark("x", 2, true)).await;
    let shipped = reservation(s.run(ship("x", BEGIN)).await);
    assert_eq!((shipped.state, shipped.shipped_at, shipped.version), (State::Confirmed, Some(BEGIN), 4));
    assert_eq!(s.at_risk().await, Vec::<String>::new(), "it has left");
    assert!(matches!(s.run(ship("x", BEGIN)).await, Outcome::Reservation { repeated: true, .. }), "reported twice");
    for command in [release("x"), amend("x", "a", 4, &[("slot", 0, 1)]), repromise("x", 4, 1, &[("slot", 0, 1)])] {
        assert_eq!(s.refused(command).await, Refusal::Shipped);
    }
    assert_eq!(s.level("slot", 0).await.confirmed, 2);

    let delivered = reservation(s.run(deliver("x", 0)).await);
    assert_eq!(
        (delivered.state, delivered.delivered_at, delivered.shipped_at),
        (State::Fulfilled, Some(BEGIN), Some(BEGIN))
    );
    assert!(delivered.ended_at.is_some());
    let level = s.level("slot", 0).await;
    assert_eq!((level.held, level.confirmed, level.fulfilled, level.channels()[0].drawn), (0, 0, 2, 2));
    assert!(matches!(s.refused(hold("y", &[("slot", 0, 4)])).await, Refusal::Short(_)), "its draws are used up");
    let tallies = s.tallies().await;
    assert_eq!(tallies, s.counted().await);
    for again in [deliver("x", 7), ship("x", BEGIN), confirm("x")] {
        let Outcome::Reservation { reservation, repeated: true } = s.run(again).await else { panic!("it is so") };
        assert_eq!(reservation, delivered);
    }
    assert_eq!(s.tallies().await, tallies, "counted once");
    for command in [release("x"), extend("x", Span::minutes(1)), mark("x", 5, true), fix("x", true)] {
        assert_eq!(s.refused(command).await, Refusal::WrongState { state: State::Fulfilled });
    }
    assert_eq!(s.refused(deliver("nobody", 0)).await, Refusal::NotFound);
}

pub async fn deliveries_are_judged_by_the_date_that_was_agreed(s: &Subject) {
    s.run(supply("slot", 0, &[50])).await;
    for (id, days) in [("early", -1), ("due", 0), ("late", 2), ("lost", 99)] {
        kept(s, id, &[("slot", 0, 1)]).await;
        s.run(deliver(id, days)).await;
    }
    // Another date that nobody agreed to is not what it is judged by.
    kept(s, "moved", &[("slot", 0, 1)]).await;
    s.run(repromise("moved", 2, 2, &[("slot", 0, 1)])).await;
    s.run(deliver("moved", 2)).await;
    // One that was reported as delivered at once was shipped, too, and one that never was confirmed is not delivered.
    s.run(hold("held", &[("slot", 0, 1)])).await;
    assert_eq!(s.refused(deliver("held", 0)).await, Refusal::WrongState { state: State::Held });
    let tallies = s.tallies().await;
    assert_eq!(tallies, s.counted().await);
    let sum = |counted: Counted| -> i64 {
        let end = format!("\t{}", counted.name());
        tallies.iter().filter(|(name, _)| name.starts_with("score\t") && name.ends_with(&end)).map(|(_, n)| n).sum()
    };
    assert_eq!((sum(Counted::Kept), sum(Counted::Late), sum(Counted::Repromised)), (2, 3, 1));
    let first = promise(BEGIN).date;
    for (days_late, want) in [(0, 2), (1, 0), (2, 2), (surety::domain::limits::MAX_DAYS_LATE, 1)] {
        let name = tally::record("halle", "north", "express", first, days_late);
        assert_eq!(tallies.get(&*name).copied().unwrap_or_default(), want, "{days_late} days late");
    }
}

pub async fn backlog_is_what_should_be_over_and_was_not_reported(s: &Subject) {
    // Draws of tests end long before they begin; their promises ship a day later.
    s.run(supply("slot", 0, &[50])).await;
    for id in ["open", "shipped", "delivered", "released"] {
        kept(s, id, &[("slot", 0, 1)]).await;
    }
    s.run(hold("held", &[("slot", 0, 1)])).await;
    s.run(ship("shipped", BEGIN)).await;
    s.run(deliver("delivered", 0)).await;
    s.run(release("released")).await;
    for (days, want) in [(0, vec![]), (1, vec!["open".to_owned()])] {
        let backlog = Some(BEGIN.plus(Span::days(days)));
        assert_eq!(s.listed(ReservationFilter { backlog, ..Default::default() }).await, want);
    }
    let live = s.listed(ReservationFilter { live: true, ..Default::default() }).await;
    assert_eq!(live, ["held", "open", "shipped"]);
}

pub async fn tallies_add_up_however_many_count_at_once(s: &Subject) {
    s.execute_all((0..100).map(|i| count(&[("lost\tthis", 1), ("lost\tthat", i), ("score\tother", -1)]))).await;
    let want = [("lost\tthat", 4_950), ("lost\tthis", 100), ("score\tother", -100)];
    assert_eq!(s.tallies().await, want.map(|(name, sum)| (name.to_owned(), sum)).into());
    let lost = s.ledger.tallies(&s.network, "lost\tthis").await.expect("it answers");
    assert_eq!(lost, [(Arc::from("lost\tthis"), 100)], "by the beginning of their names");
    assert_eq!(s.ledger.tallies(&s.network, "nothing").await, Ok(vec![]));
    let nowhere = NetworkId::new(&unique("nowhere")).expect("a name");
    let outcome = s.ledger.execute(&nowhere, count(&[("lost\tthis", 1)]), None).await;
    assert!(matches!(outcome, Err(LedgerError::UnknownNetwork)));
}

pub async fn each_thing_is_counted_once_whatever_is_repeated_undone_or_ends_by_itself(s: &Subject) {
    s.run(supply("slot", 0, &[60])).await;
    s.run(approve("sale", "o", &[("slot", 0, 30)], BEGIN.plus(Span::days(1)))).await;
    // Twins of each request, of which many find nothing left.
    let asked = (0..80).flat_map(|i| {
        let pool = if i % 2 == 0 { of_offer("sale") } else { surety::domain::draw::Pool::Common };
        let by = ["web", "vip"][i % 2];
        [0, 1].map(|_| hold_from(&format!("r{i:02}"), &pool, Some(by), &[("slot", 0, 1)]))
    });
    s.execute_all(asked).await;
    assert_eq!(s.tallies().await, s.counted().await);
    let held = tally::offer("sale", true);
    assert_eq!(s.tallies().await.get(&*held), Some(&30));
    s.run(hold("undone", &[("slot", 0, 0)].map(|_| ("slot", 1, 1)))).await;
    s.run(supply("slot", 1, &[1])).await;
    s.run(hold("undone", &[("slot", 1, 1)])).await;
    s.run(undo("undone")).await;
    assert_eq!(s.tallies().await, s.counted().await);
    // All at once, and each twice.
    let fates = (0..80).flat_map(|i| {
        let id = format!("r{i:02}");
        let fate = match i % 5 {
            0 | 1 => confirm(&id),
            2 => release(&id),
            _ => extend(&id, Span::minutes(20)),
        };
        [fate.clone(), fate]
    });
    s.execute_all(fates).await;
    assert_eq!(s.tallies().await, s.counted().await);
    s.clock.advance(Span::minutes(20));
    s.run(Command::Tick).await;
    let late = (0..80).filter(|i| i % 5 == 3).flat_map(|i| [0, 1].map(|_| retake(&format!("r{i:02}"), &[0])));
    s.execute_all(late).await;
    let done = (0..80).filter(|i| i % 5 == 0).flat_map(|i| [0, 1].map(|_| deliver(&format!("r{i:02}"), i % 3)));
    s.execute_all(done).await;
    let tallies = s.tallies().await;
    assert_eq!(tallies, s.counted().await);
    assert_eq!(tallies.get(&*held), None, "none is held any more");
    assert!(tallies[&*tally::offer("sale", false)] > 10);
}

pub async fn a_refused_request_is_counted_once_however_often_and_wherever_it_is_sent(s: &Subject) {
    let refused = |request| count_once(request, &[("score\tno", 1), ("lost\tvan", 3)]);
    let told = s.execute_all((0..8).map(|_| refused(7))).await;
    assert!(told.iter().all(|outcome| matches!(outcome, Outcome::Done)), "{told:?}");
    s.run(refused(u64::MAX)).await;
    let expected = |times: i64| BTreeMap::from([("lost\tvan".to_owned(), 3 * times), ("score\tno".to_owned(), times)]);
    assert_eq!(s.tallies().await, expected(2));
    // It is remembered for so long, and no longer.
    s.clock.advance(Span::minutes(REFUSED_MINUTES - 1));
    s.run(refused(7)).await;
    assert_eq!(s.tallies().await, expected(2));
    s.clock.advance(Span::minutes(1));
    s.run(refused(7)).await;
    s.run(refused(7)).await;
    assert_eq!(s.tallies().await, expected(3));
}
