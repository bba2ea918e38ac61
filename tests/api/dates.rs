//! ListPromiseDates: what a date picker may offer, and that it can really be had.

use surety::proto::v1::ask::When;
use surety::proto::v1::*;
use tonic::Code;

use crate::support::*;

async fn dates(server: &TestServer, ask: Ask, from: &str, days: i32) -> Vec<PromiseDate> {
    let request = ListPromiseDatesRequest { ask: Some(ask), from: from.into(), days };
    server.promises.clone().list_promise_dates(request).await.unwrap().into_inner().dates
}

/// Holds the same ask again and again until there is no yes, gives all back, and says how many there were.
async fn takes(server: &TestServer, ask: Ask) -> i64 {
    let mut held = 0;
    while server.quote(hold(&format!("h{held}"), ask.clone(), 600)).await.unwrap().verdict() == Verdict::Promised {
        held += 1;
    }
    for i in 0..held {
        server.release(&format!("h{i}"), "").await.unwrap();
    }
    // Their ids are used; the next round needs a server of its own.
    held
}

#[tokio::test]
async fn what_remains_of_a_day_is_what_can_be_held_one_after_the_other() {
    for (sku, quantity) in [("card", 60), ("card", 30), ("mug", 2), ("mug", 5), ("cup", 3)] {
        let server = TestServer::shop().await;
        let listed = dates(&server, ask(sku, quantity), "", 9).await;
        assert!(!listed.is_empty(), "{sku}");
        for date in &listed {
            assert_eq!(date.service, "standard");
            let server = TestServer::shop().await;
            let asked = on(&date.date, ask(sku, quantity));
            let quoted = server.quote(read(asked.clone())).await.unwrap().promise.unwrap();
            assert_eq!((quoted.arrives_from, quoted.arrives_by), (date.arrives_from, date.arrives_by));
            assert_eq!(quoted.order_by, date.order_by, "{sku} {}", date.date);
            assert_eq!(takes(&server, asked).await, date.remaining, "{quantity} {sku} on {}", date.date);
        }
    }
}

#[tokio::test]
async fn what_remains_of_a_slot_is_what_can_be_held_one_after_the_other() {
    let server = TestServer::shop().await;
    let asked = Ask { destination: zone("city"), service: "slot".into(), ..ask("gift", 1) };
    let listed = dates(&server, asked.clone(), "2026-11-24", 2).await;
    assert_eq!(listed.len(), 20, "ten slots a day: {listed:?}");
    assert!(listed.windows(2).all(|w| w[0].arrives_from.map(|t| t.seconds) < w[1].arrives_from.map(|t| t.seconds)));
    for date in [&listed[0], &listed[11]] {
        let server = TestServer::shop().await;
        let window = Window { from: date.arrives_from, to: date.arrives_by };
        let asked = Ask { when: Some(When::InWindow(window)), ..asked.clone() };
        assert_eq!(takes(&server, asked).await, date.remaining);
        assert_eq!(date.remaining, 2);
    }
}

#[tokio::test]
async fn dates_come_in_order_for_all_services_and_within_what_was_asked() {
    let server = TestServer::shop().await;
    let any = Ask { service: String::new(), ..ask("card", 1) };
    let listed = dates(&server, any, "", 0).await;
    let keys: Vec<(String, String)> = listed.iter().map(|d| (d.date.clone(), d.service.clone())).collect();
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!(keys, sorted);
    assert_eq!(keys[0], ("2026-11-24".into(), "express".into()));
    assert_eq!(keys[1], ("2026-11-24".into(), "standard".into()));
    assert!(keys.iter().all(|(date, _)| date.as_str() < "2026-12-07"), "14 days when unset: {keys:?}");
    assert!(keys.iter().any(|(date, _)| date == "2026-12-05"));
    assert!(!keys.contains(&("2026-12-06".into(), "standard".into())), "the van is closed");

    // `when` is not read, whatever it says.
    let nonsense = Ask { when: Some(When::ByDate("tomorrow".into())), ..ask("card", 1) };
    assert_eq!(dates(&server, nonsense, "", 3).await, dates(&server, ask("card", 1), "", 3).await);
    let later = dates(&server, ask("card", 1), "2026-11-27", 1).await;
    assert_eq!(later.iter().map(|d| d.date.as_str()).collect::<Vec<_>>(), ["2026-11-27"]);
    assert!(dates(&server, ask("card", 1), "2026-10-01", 30).await.is_empty(), "days before today have none");
    // Rule 18: beyond the plan nothing can be promised.
    assert!(dates(&server, ask("card", 1), "2027-03-01", 92).await.is_empty());
}

#[tokio::test]
async fn only_dates_that_are_sure_enough_are_listed() {
    let server = TestServer::shop().await;
    let sure = |share, ask: Ask| Ask { min_confidence: Some(share), ..ask };
    assert!(dates(&server, sure(0.01, ask("card", 1)), "", 14).await.is_empty(), "nothing is on record");
    // 34 of 40 by standard come on their day.
    crate::fulfilment::deliver(&server, &[(4, 1), (2, 3)]).await;
    let any = dates(&server, ask("card", 1), "", 14).await;
    assert!(!any.is_empty());
    assert_eq!(dates(&server, sure(0.85, ask("card", 1)), "", 14).await, any);
    assert!(dates(&server, sure(0.86, ask("card", 1)), "", 14).await.is_empty());
    let all = Ask { service: String::new(), ..ask("card", 1) };
    assert_eq!(dates(&server, sure(0.85, all.clone()), "", 14).await, any, "express is not on record");
    for date in &any {
        for (share, expected) in [(0.85, Verdict::Promised), (0.86, Verdict::Unavailable)] {
            let quoted = server.quote(read(on(&date.date, sure(share, all.clone())))).await.unwrap();
            assert_eq!(quoted.verdict(), expected, "{share} on {}", date.date);
        }
    }
}

#[tokio::test]
async fn bad_questions_name_their_faults() {
    let server = TestServer::shop().await;
    let mut promises = server.promises.clone();
    for (from, days, expected) in
        [("2026-13-01", 93, vec!["from", "days"]), ("2026-11-5", 1, vec!["from"]), ("", -1, vec!["days"])]
    {
        let request = ListPromiseDatesRequest { ask: Some(ask("card", 1)), from: from.into(), days };
        assert_eq!(faults(&promises.list_promise_dates(request).await.unwrap_err()), expected);
    }
    let request = ListPromiseDatesRequest { ask: None, from: String::new(), days: 1 };
    assert_eq!(faults(&promises.list_promise_dates(request).await.unwrap_err()), ["ask"]);
    let request = ListPromiseDatesRequest { ask: Some(ask("nothing", 1)), from: String::new(), days: 1 };
    refusal(&promises.list_promise_dates(request).await.unwrap_err(), Code::NotFound);
}
