//! Rules 17 and 26: what is set aside for channels and offers, and what a channel may draw.

use super::*;

fn hour(n: i64) -> Moment {
    BEGIN.plus(Span::hours(n))
}

/// Taken for good, so that the clock can be turned.
async fn kept(s: &Subject, command: Command) {
    let id = command.reservation_id().expect("it names one").to_string();
    reservation(s.run(command).await);
    assert_eq!(reservation(s.run(confirm(&id)).await).state, State::Confirmed);
}

async fn short_of(s: &Subject, command: Command) -> Vec<(String, i32)> {
    let Refusal::Short(short) = s.refused(command.clone()).await else { panic!("{command:?} is short") };
    let mut buckets = Vec::new();
    for shortage in &short {
        let level = s.level(shortage.resource.as_str(), shortage.index).await;
        assert_eq!(shortage.level, level, "a shortage tells what is really there");
        buckets.push((shortage.resource.to_string(), shortage.index));
    }
    buckets.sort();
    buckets
}

pub async fn rule_17_a_guaranteed_minimum_is_its_channels_until_its_instant(s: &Subject) {
    s.run(supply("slot", 0, &[10])).await;
    let Outcome::SupplyAdjusted { first: 0, levels } =
        s.run(allocate("q", "vip", "slot", 0, &[(3, hour(1), None)])).await
    else {
        panic!("an allocation's answer")
    };
    assert_eq!((levels[0].set_aside(BEGIN), levels[0].balance(0, BEGIN)), (3, 7));
    assert_eq!(s.level("slot", 0).await, levels[0]);
    short_of(s, hold("x", &[("slot", 0, 8)])).await;
    kept(s, hold("x", &[("slot", 0, 7)])).await;
    // Its own draw from it; others, who name its pool, are the planner's to keep away.
    short_of(s, hold_from("v", &channel("vip"), Some("vip"), &[("slot", 0, 4)])).await;
    kept(s, hold_from("v", &channel("vip"), Some("vip"), &[("slot", 0, 1)])).await;
    let level = s.level("slot", 0).await;
    assert_eq!((level.set_aside(BEGIN), level.balance(0, BEGIN)), (2, 0));
    assert_eq!((level.pools()[0].used, level.channels()[0].drawn), (1, 1));
    // What is left goes back at its very instant, and needs nobody for it.
    s.clock.set(Moment(hour(1).0 - 1));
    short_of(s, hold("y", &[("slot", 0, 1)])).await;
    s.clock.set(hour(1));
    short_of(s, hold("y", &[("slot", 0, 3)])).await;
    kept(s, hold("y", &[("slot", 0, 2)])).await;
    assert_eq!(s.level("slot", 0).await.balance(0, hour(1)), 0);
}

pub async fn rule_17_who_planned_on_a_pool_that_was_just_released_is_served_from_common(s: &Subject) {
    s.run(supply("slot", 0, &[5])).await;
    s.run(allocate("q", "vip", "slot", 0, &[(3, hour(1), None)])).await;
    s.clock.set(hour(1));
    kept(s, hold("x", &[("slot", 0, 3)])).await;
    let vip = channel("vip");
    short_of(s, hold_from("v", &vip, Some("vip"), &[("slot", 0, 3)])).await;
    let mut both = hold_of("v", takes(&[("slot", 0, 2), ("slot", 0, 1)]), Span::minutes(1));
    both.takes[1].draw.pool = vip.clone();
    short_of(s, Command::Hold(Box::new(both))).await;
    kept(s, hold_from("v", &vip, Some("vip"), &[("slot", 0, 2)])).await;
    s.run(release("v")).await;
    let level = s.level("slot", 0).await;
    assert_eq!((level.balance(0, hour(1)), level.pools()[0].used), (2, 0), "given back, it is everyone's");
    // The same where nothing was ever set aside.
    short_of(s, hold_from("w", &of_offer("none"), None, &[("slot", 0, 3)])).await;
    kept(s, hold_from("w", &of_offer("none"), None, &[("slot", 0, 2)])).await;
}

pub async fn rule_17_a_channel_draws_no_more_than_it_may_from_whatever_pool(s: &Subject) {
    s.run(supply("slot", 0, &[50])).await;
    // What it drew before counts.
    kept(s, hold_from("before", &channel("web"), Some("web"), &[("slot", 0, 2)])).await;
    s.run(allocate("q", "web", "slot", 0, &[(3, hour(9), Some(6))])).await;
    s.run(approve("sale", "o", &[("slot", 0, 5)], hour(9))).await;
    let common = surety::domain::draw::Pool::Common;
    kept(s, hold_from("pool", &channel("web"), Some("web"), &[("slot", 0, 1)])).await;
    short_of(s, hold_from("x", &common, Some("web"), &[("slot", 0, 4)])).await;
    kept(s, hold_from("common", &common, Some("web"), &[("slot", 0, 2)])).await;
    short_of(s, hold_from("x", &of_offer("sale"), Some("web"), &[("slot", 0, 2)])).await;
    kept(s, hold_from("offer", &of_offer("sale"), Some("web"), &[("slot", 0, 1)])).await;
    short_of(s, hold_from("x", &common, Some("web"), &[("slot", 0, 1)])).await;
    // Others are not concerned.
    kept(s, hold_from("vip", &common, Some("vip"), &[("slot", 0, 9)])).await;
    kept(s, hold("nobody", &[("slot", 0, 9)])).await;
    // What it gives back it may draw again.
    s.run(release("common")).await;
    kept(s, hold_from("again", &common, Some("web"), &[("slot", 0, 2)])).await;
    // Less than it drew: it draws no more, and keeps what it has.
    s.run(allocate("less", "web", "slot", 0, &[(3, hour(9), Some(1))])).await;
    short_of(s, hold_from("x", &common, Some("web"), &[("slot", 0, 1)])).await;
    let level = s.level("slot", 0).await;
    let web = level.channels().iter().find(|c| *c.channel == *"web").expect("it drew");
    assert_eq!((web.drawn, web.most, level.room_of("web")), (6, Some(1), Some(0)));
    s.run(allocate("any", "web", "slot", 0, &[(0, hour(9), None)])).await;
    kept(s, hold_from("x", &common, Some("web"), &[("slot", 0, 7)])).await;
}

pub async fn what_is_set_aside_may_be_less_than_what_is_drawn_of_it(s: &Subject) {
    s.run(supply("slot", 0, &[10])).await;
    s.run(allocate("five", "vip", "slot", 0, &[(5, hour(9), None)])).await;
    kept(s, hold_from("v", &channel("vip"), Some("vip"), &[("slot", 0, 4)])).await;
    s.run(allocate("two", "vip", "slot", 0, &[(2, hour(9), None)])).await;
    let level = s.level("slot", 0).await;
    assert_eq!((level.set_aside(BEGIN), level.balance(0, BEGIN)), (0, 6), "the fifth is everyone's again");
    short_of(s, hold_from("w", &channel("vip"), Some("vip"), &[("slot", 0, 1)])).await;
    // What was drawn counts as a part of what is set aside now.
    assert_eq!(short_of(s, allocate("most", "vip", "slot", 0, &[(11, hour(9), None)])).await.len(), 1);
    s.run(allocate("all", "vip", "slot", 0, &[(10, hour(9), None)])).await;
    assert_eq!(s.level("slot", 0).await.balance(0, BEGIN), 0);
    s.run(allocate("two again", "vip", "slot", 0, &[(2, hour(9), None)])).await;
    s.run(release("v")).await;
    let level = s.level("slot", 0).await;
    assert_eq!((level.set_aside(BEGIN), level.balance(0, BEGIN)), (2, 8), "two of the four go back to it");
    s.run(allocate("none", "vip", "slot", 0, &[(0, hour(9), None)])).await;
    assert_eq!(s.level("slot", 0).await, BucketLevel { set: Some(10), ..BucketLevel::default() });
    // Nothing to set aside is there where more is drawn than there is; less is always possible.
    kept(s, hold_from("w", &channel("vip"), Some("vip"), &[("slot", 0, 8)])).await;
    s.run(supply("slot", 0, &[7])).await;
    assert_eq!(short_of(s, allocate("more", "vip", "slot", 0, &[(9, hour(9), None)])).await.len(), 1);
    assert!(matches!(
        s.run(allocate("as drawn", "vip", "slot", 0, &[(8, hour(9), None)])).await,
        Outcome::SupplyAdjusted { .. }
    ));
}

pub async fn an_allocation_is_made_whole_or_not_and_every_short_bucket_is_told(s: &Subject) {
    s.run(supply("slot", 0, &[5, 1, 0, 2])).await;
    let before = s.follower().await.of(&s.network);
    let rows = [(2, hour(9), Some(9)); 4];
    let want = [("slot".to_owned(), 1), ("slot".to_owned(), 2)];
    assert_eq!(short_of(s, allocate("q", "vip", "slot", 0, &rows)).await, want);
    assert_eq!(s.follower().await.of(&s.network), before, "nothing is set aside, no maximum is set");
    // Refused, it is asked anew.
    s.run(supply("slot", 1, &[2, 2])).await;
    assert!(matches!(s.run(allocate("q", "vip", "slot", 0, &rows)).await, Outcome::SupplyAdjusted { .. }));
    let other = at_version(allocate("v", "vip", "slot", 0, &rows), 7);
    assert_eq!(s.refused(other).await, Refusal::NetworkChanged { version: VERSION });
}

pub async fn rule_20_an_allocation_repeats_safely(s: &Subject) {
    s.run(supply("slot", 0, &[10])).await;
    let row = [(4, hour(9), None)];
    let Outcome::SupplyAdjusted { levels, .. } = s.run(allocate("q", "vip", "slot", 0, &row)).await else { panic!() };
    s.run(allocate("other", "vip", "slot", 0, &[(1, hour(9), None)])).await;
    let cursor = s.ledger.newest(&s.network).await.expect("it answers");
    let Outcome::SupplyAdjusted { levels: again, .. } = s.run(allocate("q", "vip", "slot", 0, &row)).await else {
        panic!()
    };
    assert_eq!(again, levels, "as they were then");
    assert_eq!(s.ledger.newest(&s.network).await, Ok(cursor), "and nothing is set twice");
    assert_eq!(s.refused(allocate("q", "vip", "slot", 0, &[(5, hour(9), None)])).await, Refusal::AlreadyExists);
    assert_eq!(s.refused(adjust("q", "slot", 0, &[0], 1)).await, Refusal::AlreadyExists, "ids are of one kind");
    assert_eq!(s.level("slot", 0).await.set_aside(BEGIN), 1);
}

pub async fn rule_26_nothing_is_set_aside_or_drawn_twice_however_many_ask_at_once(s: &Subject) {
    s.run(supply("slot", 0, &[100])).await;
    let commands = (0..40).flat_map(|i| {
        let (allocation, offer, taken) = (format!("c{i}"), format!("o{i}"), format!("r{i}"));
        [
            allocate(&allocation, &allocation, "slot", 0, &[(3, hour(9), None)]),
            approve(&offer, &offer, &[("slot", 0, 4)], hour(9)),
            hold(&taken, &[("slot", 0, 1)]),
        ]
    });
    let (mut aside, mut held, mut least_refused) = (0, 0, i64::MAX);
    let commands: Vec<Command> = commands.collect();
    let mut tasks = JoinSet::new();
    for command in commands {
        let (ledger, network) = (Arc::clone(&s.ledger), s.network.clone());
        tasks.spawn(async move {
            let units = match &command {
                Command::SetAllocation(_) => 3,
                Command::ApproveOffer(_) => 4,
                _ => 1,
            };
            (units, ledger.execute(&network, command, None).await.expect("the ledger answers"))
        });
    }
    for (units, outcome) in tasks.join_all().await {
        match outcome {
            Outcome::SupplyAdjusted { .. } | Outcome::Offer { repeated: false, .. } => aside += units,
            Outcome::Reservation { repeated: false, .. } => held += units,
            Outcome::Refused(Refusal::Short(_)) => least_refused = least_refused.min(units),
            other => panic!("{other:?}"),
        }
    }
    let level = s.level("slot", 0).await;
    assert_eq!((level.set_aside(BEGIN), level.held), (aside, held));
    let balance = level.balance(0, BEGIN);
    assert!((0..least_refused).contains(&balance), "{balance} is left, though {least_refused} were refused");

    // And what is set aside is drawn once.
    let pool = level.pools().iter().find(|p| p.set == 4).expect("an offer was approved").pool.clone();
    let draws = (0..30).map(|i| hold_from(&format!("d{i}"), &pool, Some("web"), &[("slot", 0, 1)]));
    let outcomes = s.execute_all(draws).await;
    let won = outcomes.iter().filter(|o| matches!(o, Outcome::Reservation { repeated: false, .. })).count();
    assert_eq!(won, 4);
    assert_eq!(s.level("slot", 0).await.balance(0, BEGIN), balance, "nobody else lost anything");
}

pub async fn rule_26_an_approval_sets_its_envelope_aside_whole_or_not(s: &Subject) {
    s.run(supply("a", 0, &[5])).await;
    s.run(supply("b", 0, &[1])).await;
    let follower = s.follower().await;
    let envelope = [("a", 0, 3), ("b", 0, 2)];
    let sale = || approve("sale", "request", &envelope, hour(9));
    assert_eq!(short_of(s, sale()).await, [("b".to_owned(), 0)]);
    assert_eq!(s.level("a", 0).await.set_aside(BEGIN), 0);
    assert_eq!(s.refused(close_offer("sale")).await, Refusal::NotFound, "a refusal leaves no trace");
    s.run(supply("b", 0, &[2])).await;
    let wrong = at_version(sale(), 3);
    assert_eq!(s.refused(wrong).await, Refusal::NetworkChanged { version: VERSION });
    let cursor = s.ledger.newest(&s.network).await.expect("it answers");
    let Outcome::Offer { offer, repeated: false } = s.run(sale()).await else { panic!("it is approved") };
    assert_eq!((offer.version, offer.stage, offer.approved_at), (1, OfferStage::Approved, BEGIN));
    assert_eq!(offer.envelope, offer_of("sale", "request", &envelope).envelope);
    for (resource, units) in [("a", 3), ("b", 2)] {
        assert_eq!(s.level(resource, 0).await.available(0, &of_offer("sale"), BEGIN), units);
    }
    // The same request gets the first answer, another does not, whatever has changed since (rule 20).
    s.run(crate::support::network(1, "two", &[])).await;
    let Outcome::Offer { offer: again, repeated: true } = s.run(sale()).await else { panic!("it is known") };
    assert_eq!(again, offer);
    assert_eq!(s.refused(approve("sale", "another", &envelope, hour(9))).await, Refusal::AlreadyExists);
    // All of it is in the feed, and who comes late is told.
    let entries = s.ledger.entries(&s.network, cursor, 1).await.expect("it answers");
    assert!(
        matches!(&entries[0].changes[..], [Change::Offer(o), Change::Bucket { .. }, Change::Bucket { .. }] if *o == offer)
    );
    let late = s.follower().await.of(&s.network);
    assert_eq!(late.offers.get("sale"), Some(&offer));
    follower.assert_nothing_wrong();
}

pub async fn rule_26_two_approvals_at_once_never_set_aside_the_same_units(s: &Subject) {
    s.run(supply("slot", 0, &[10, 100])).await;
    let approvals =
        (0..30).map(|i| format!("o{i}")).map(|id| approve(&id, &id, &[("slot", 0, 4), ("slot", 1, 1)], hour(9)));
    let outcomes = s.execute_all(approvals).await;
    let won = outcomes.iter().filter(|o| matches!(o, Outcome::Offer { repeated: false, .. })).count();
    assert_eq!(won, 2);
    assert_eq!(s.level("slot", 0).await.balance(0, BEGIN), 2);
    assert_eq!(s.level("slot", 1).await.balance(0, BEGIN), 98, "who was refused has nothing of the other bucket");
    let twins = s.execute_all((0..30).map(|_| approve("twin", "twin", &[("slot", 1, 5)], hour(9)))).await;
    let first = twins.iter().filter(|o| matches!(o, Outcome::Offer { repeated: false, .. })).count();
    assert_eq!(first, 1);
    assert!(twins.iter().all(|o| matches!(o, Outcome::Offer { offer, .. } if offer.version == 1)));
    assert_eq!(s.level("slot", 1).await.balance(0, BEGIN), 93);
    let closings = s.execute_all((0..30).map(|_| close_offer("twin"))).await;
    let first = closings.iter().filter(|o| matches!(o, Outcome::Offer { repeated: false, .. })).count();
    assert_eq!(first, 1);
    assert_eq!(s.level("slot", 1).await.balance(0, BEGIN), 98);
}

pub async fn rule_26_what_was_not_drawn_goes_back_when_an_offer_is_closed(s: &Subject) {
    s.run(supply("slot", 0, &[10])).await;
    s.run(approve("sale", "o", &[("slot", 0, 6)], hour(9))).await;
    let sale = of_offer("sale");
    for id in ["kept", "goes", "lapses"] {
        reservation(s.run(hold_from(id, &sale, Some("web"), &[("slot", 0, 1)])).await);
    }
    s.run(confirm("kept")).await;
    s.run(confirm("goes")).await;
    s.clock.advance(Span::minutes(1));
    let Outcome::Offer { offer, repeated: false } = s.run(close_offer("sale")).await else { panic!("it is closed") };
    assert_eq!((offer.version, offer.stage), (2, OfferStage::Closed));
    assert_eq!(offer.closed_at, Some(BEGIN.plus(Span::minutes(1))));
    let now = BEGIN.plus(Span::minutes(1));
    let level = s.level("slot", 0).await;
    assert_eq!((level.set_aside(now), level.balance(0, now), level.drawn()), (0, 7, 3));
    // What comes back later is everyone's.
    s.run(release("goes")).await;
    s.clock.advance(Span::minutes(15));
    s.run(Command::Tick).await;
    let now = BEGIN.plus(Span::minutes(16));
    assert_eq!(s.level("slot", 0).await.balance(0, now), 9);
    // A late payment for what was drawn from it takes common units, if there are any.
    reservation(s.run(retake("lapses", &[0])).await);
    kept(s, hold("rest", &[("slot", 0, 8)])).await;
    s.run(release("lapses")).await;
    for id in ["kept", "rest"] {
        s.run(release(id)).await;
    }
    assert_eq!(s.level("slot", 0).await, BucketLevel { set: Some(10), ..BucketLevel::default() });
    let Outcome::Offer { offer: again, repeated: true } = s.run(close_offer("sale")).await else {
        panic!("it is known")
    };
    assert_eq!(again, offer);
    let approval = s.run(approve("sale", "o", &[("slot", 0, 6)], hour(9))).await;
    assert!(matches!(approval, Outcome::Offer { offer: o, repeated: true } if o == offer), "its id is used");
    assert_eq!(s.level("slot", 0).await.set_aside(now), 0);
}

pub async fn rule_26_each_bucket_of_an_envelope_goes_back_in_its_own_time(s: &Subject) {
    s.run(supply("slot", 0, &[2, 2])).await;
    let Command::ApproveOffer(mut c) = approve("sale", "o", &[("slot", 0, 2), ("slot", 1, 2)], hour(1)) else {
        panic!()
    };
    c.release_at[1] = hour(2);
    s.run(Command::ApproveOffer(c)).await;
    let cursor = s.ledger.newest(&s.network).await.expect("it answers");
    for (now, want) in [(BEGIN, [0, 0]), (Moment(hour(1).0 - 1), [0, 0]), (hour(1), [2, 0]), (hour(2), [2, 2])] {
        s.clock.set(now);
        s.run(Command::Tick).await;
        for (index, want) in [0, 1].into_iter().zip(want) {
            let level = s.level("slot", index).await;
            assert_eq!(level.balance(0, now), want, "bucket {index} at {now}");
            if want == 0 {
                short_of(s, hold("x", &[("slot", index, 1)])).await;
            }
        }
    }
    assert_eq!(s.ledger.newest(&s.network).await, Ok(cursor), "it needs no entry: it is a matter of time");
    kept(s, hold("x", &[("slot", 0, 2), ("slot", 1, 2)])).await;
}

pub async fn amending_moves_what_is_counted_to_the_new_channel_and_pool(s: &Subject) {
    s.run(supply("slot", 0, &[10])).await;
    s.run(allocate("q", "vip", "slot", 0, &[(4, hour(9), Some(4))])).await;
    s.run(approve("sale", "o", &[("slot", 0, 3)], hour(9))).await;
    reservation(s.run(hold_from("x", &channel("vip"), Some("vip"), &[("slot", 0, 3)])).await);
    let moved = |to: Command| {
        let (Command::Amend(mut c), Command::Hold(to)) = (amend("x", "a", 1, &[]), to) else {
            unreachable!("they are")
        };
        (c.ask, c.takes) = (to.ask, to.takes);
        Command::Amend(c)
    };
    // Its own draws count as given back, for its pool and for what its channel may draw.
    short_of(s, moved(hold_from("x", &channel("vip"), Some("vip"), &[("slot", 0, 5)]))).await;
    let amended = reservation(s.run(moved(hold_from("x", &of_offer("sale"), Some("web"), &[("slot", 0, 2)]))).await);
    assert_eq!(amended.ask.offer.as_deref(), Some("sale"));
    let level = s.level("slot", 0).await;
    let used: Vec<i64> = level.pools().iter().map(|p| p.used).collect();
    let drawn: Vec<(&str, i64)> = level.channels().iter().map(|c| (&*c.channel, c.drawn)).collect();
    assert_eq!((used, drawn), (vec![0, 2], vec![("vip", 0), ("web", 2)]));
    assert_eq!(level.balance(0, BEGIN), 3);
    assert_eq!(s.tallies().await, s.counted().await);
}
