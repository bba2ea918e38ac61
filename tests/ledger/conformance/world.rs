//! Supply, networks, what is forgotten, the feed, lists.

use super::*;

pub async fn rule_24_supply_may_fall_below_what_is_drawn(s: &Subject) {
    s.run(supply("slot", 0, &[5])).await;
    s.run(hold("x", &[("slot", 0, 4)])).await;
    let Outcome::SupplySet { buckets: 3 } = s.run(supply("slot", 0, &[1, 2, 3])).await else { panic!() };
    assert_eq!(s.level("slot", 0).await.balance(0, BEGIN), -3);
    assert!(matches!(s.refused(hold("y", &[("slot", 0, 1)])).await, Refusal::Short(_)));
    // What is drawn stays so, and goes back as ever.
    s.run(confirm("x")).await;
    s.run(release("x")).await;
    assert_eq!(s.level("slot", 0).await.balance(0, BEGIN), 1);
}

pub async fn adjusting_supply_starts_from_the_standing_plan_and_repeats_safely(s: &Subject) {
    s.run(supply("slot", 1, &[10])).await;
    let Outcome::SupplyAdjusted { first: 0, levels } = s.run(adjust("d", "slot", 0, &[4, 7, 0], -6)).await else {
        panic!()
    };
    assert_eq!(levels.iter().map(|l| l.set).collect::<Vec<_>>(), [Some(0), Some(4), Some(0)]);
    s.run(supply("slot", 0, &[100])).await;
    let Outcome::SupplyAdjusted { levels: again, .. } = s.run(adjust("d", "slot", 0, &[4, 7, 0], -6)).await else {
        panic!()
    };
    assert_eq!(levels, again, "as they were then");
    assert_eq!(s.level("slot", 0).await.set, Some(100), "and nothing is adjusted twice");
    assert_eq!(s.refused(adjust("d", "slot", 0, &[4], 6)).await, Refusal::AlreadyExists);
    let Outcome::SupplyAdjusted { levels, .. } = s.run(adjust("e", "slot", 0, &[0], i64::MAX)).await else { panic!() };
    assert_eq!(levels[0].set, Some(surety::domain::limits::MAX_UNITS));
}

pub async fn networks_are_replaced_whole_and_kept_apart(s: &Subject) {
    let Outcome::NetworkApplied { version: 1 } = s.run(crate::support::network(0, "one", &[])).await else {
        panic!("the same document is no change")
    };
    s.run(supply("old", 0, &[5, 5])).await;
    s.run(hold("x", &[("old", 0, 1)])).await;
    let refused = s.refused(crate::support::network(1, "two", &["old", "gone"])).await;
    assert_eq!(refused, Refusal::StillCarries(vec![res("old")]));
    s.run(release("x")).await;
    assert_eq!(s.refused(crate::support::network(0, "two", &[])).await, Refusal::NetworkChanged { version: 1 });
    let follower = s.follower().await;
    let Outcome::NetworkApplied { version: 2 } = s.run(crate::support::network(1, "two", &["old"])).await else {
        panic!()
    };
    let seen = follower.of(&s.network);
    assert_eq!((seen.network_version, seen.buckets.len()), (2, 0));

    let other = NetworkId::new(&unique("elsewhere")).expect("a name");
    let nothing = s.ledger.execute(&other, hold("x", &[]), None).await;
    assert!(matches!(nothing, Err(LedgerError::UnknownNetwork)));
    s.ledger.execute(&other, crate::support::network(0, "one", &[]), None).await.expect("it is made");
    s.ledger.execute(&other, supply("old", 0, &[9]), None).await.expect("it is known");
    assert_eq!(s.level("old", 0).await, BucketLevel::default());
    let names = s.ledger.networks().await.expect("it answers");
    assert!(names.contains(&other) && names.contains(&NetworkId::default_network()));
    // `default` needs no document to be asked.
    let default = NetworkId::default_network();
    let mut unversioned = hold_of("x", takes(&[("any", 0, 1)]), Span::minutes(1));
    unversioned.network_version = 0;
    let outcome = s.ledger.execute(&default, Command::Hold(Box::new(unversioned)), None).await.expect("it answers");
    assert!(matches!(refusal(outcome), Refusal::Short(_)));
}

pub async fn forgetting_spares_what_carries_reservations(s: &Subject) {
    s.run(supply("slot", 0, &[5, 5, 5, 5])).await;
    s.run(hold("x", &[("slot", 1, 1)])).await;
    let follower = s.follower().await;
    s.run(Command::Forget { before: vec![(res("slot"), 3), (res("nobody"), 3)] }).await;
    let known = |seen: Seen| seen.buckets.keys().map(|(_, i)| *i).collect::<Vec<_>>();
    assert_eq!(known(follower.of(&s.network)), [1, 3]);
    assert_eq!(follower.of(&s.network), s.follower().await.of(&s.network));
    s.run(release("x")).await;
    s.run(Command::Forget { before: vec![(res("slot"), 3)] }).await;
    let cursor = s.ledger.newest(&s.network).await.expect("it answers");
    s.run(Command::Forget { before: vec![(res("slot"), 3)] }).await;
    assert_eq!(s.ledger.newest(&s.network).await, Ok(cursor), "nothing to forget is no change");
    assert_eq!(known(s.follower().await.of(&s.network)), [3]);
}

pub async fn the_feed_tells_everything_in_order(s: &Subject) {
    let follower = s.follower().await;
    s.run(supply("slot", 0, &[40, 40])).await;
    s.execute_all((0..60).map(|i| hold(&format!("r{i:02}"), &[("slot", i % 2, 1), ("slot", 0, 1)]))).await;
    s.execute_all((0..30).flat_map(|i| [confirm(&format!("r{i:02}")), release(&format!("r{:02}", i + 15))])).await;
    s.run(undo("r59")).await;
    s.clock.advance(Span::minutes(15));
    s.run(Command::Tick).await;

    follower.assert_nothing_wrong();
    let told = follower.of(&s.network);
    let late = s.follower().await.of(&s.network);
    assert_eq!(told, late, "who followed knows what who comes new is given");
    assert_eq!(follower.fresh_of(&s.network), Some(BEGIN.plus(Span::minutes(15))));

    // And once more from what is kept, in pages.
    let (mut seen, mut cursor) = (Seen::default(), 0);
    loop {
        let page = s.ledger.entries(&s.network, cursor, 7).await.expect("it answers");
        assert!(page.len() <= 7);
        for entry in &page {
            seen.follow(entry).expect("no gap");
        }
        match page.last() {
            Some(last) => cursor = last.seq,
            None => break,
        }
    }
    assert_eq!(seen, late);
    assert_eq!(s.ledger.newest(&s.network).await, Ok(cursor));
    assert_eq!(s.ledger.entries(&s.network, cursor + 100, 7).await, Ok(vec![]));
    let first = &s.ledger.entries(&s.network, 0, 1).await.expect("it answers")[0];
    assert!(matches!(&first.changes[..], [Change::Network { version: 1, document, .. }] if document.is_empty()));
}

pub async fn reservations_are_listed_in_pages(s: &Subject) {
    s.run(supply("a", 0, &[100])).await;
    s.run(supply("b", 0, &[100])).await;
    for i in 0..25 {
        s.run(hold(&format!("r{i:02}"), &[(if i % 2 == 0 { "a" } else { "b" }, 0, 1)])).await;
        if i % 5 == 0 {
            s.run(confirm(&format!("r{i:02}"))).await;
        }
    }
    for (filter, expected) in [
        (ReservationFilter::default(), 25),
        (ReservationFilter { resources: vec![res("a")], ..Default::default() }, 13),
        (ReservationFilter { state: Some(State::Confirmed), ..Default::default() }, 5),
        (ReservationFilter { resources: vec![res("b")], state: Some(State::Confirmed), ..Default::default() }, 2),
        (ReservationFilter { at_risk: true, ..Default::default() }, 0),
    ] {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = s.ledger.reservations(&s.network, &filter, after.as_ref(), 4).await.expect("a page");
            assert!(page.len() <= 4);
            ids.extend(page.iter().map(|r| r.id.clone()));
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(ids.len(), expected, "{filter:?}");
        assert!(ids.is_sorted());
    }
}

pub async fn a_closed_ledger_is_unavailable(s: &Subject) {
    s.run(supply("slot", 0, &[1])).await;
    s.ledger.close().await;
    let after = s.ledger.execute(&s.network, hold("x", &[("slot", 0, 1)]), None).await;
    assert!(matches!(after, Err(LedgerError::Unavailable(_))));
    assert!(matches!(s.ledger.newest(&s.network).await, Err(LedgerError::Unavailable(_))));
    s.ledger.close().await;
}
