//! SetAllocation: a guaranteed minimum for a channel, and the most that it may draw (rule 17).

use surety::domain::limits::MAX_UNITS;
use surety::proto::v1::*;
use tonic::{Code, Status};

use crate::support::*;

const DAY: &str = "2026-11-24";

fn allot(id: &str, resource: &str, start: &str, units: &[i64]) -> SetAllocationRequest {
    SetAllocationRequest {
        request_id: id.into(),
        channel: "web".into(),
        resource: resource.into(),
        start: start.into(),
        units: units.to_vec(),
        ..Default::default()
    }
}

async fn set(server: &TestServer, request: SetAllocationRequest) -> Result<Vec<Bucket>, Status> {
    server.operations.clone().set_allocation(request).await.map(|r| r.into_inner().buckets)
}

fn web(ask: Ask) -> Ask {
    Ask { channel: "web".into(), ..ask }
}

/// What is set aside of a day's bucket, and what is everyone's.
async fn aside(server: &TestServer, resource: &str, day: &str) -> (i64, i64) {
    let bucket = server.bucket(resource, day).await;
    (bucket.allocated, bucket.available)
}

/// How many of so many asks for a parcel on a day are held.
async fn held(server: &TestServer, name: &str, asks: usize, ask: Ask) -> usize {
    let mut held = 0;
    for i in 0..asks {
        let answer = server.quote(hold(&format!("{name}{i}"), by(DAY, ask.clone()), 900)).await.expect("a verdict");
        held += usize::from(answer.reservation.is_some());
    }
    held
}

#[tokio::test]
async fn rule_17_what_is_set_aside_is_the_channels_and_it_draws_from_it_first() {
    let server = TestServer::shop().await;
    let buckets = set(&server, allot("a1", "lej.van", DAY, &[6, 2])).await.unwrap();
    let told: Vec<_> = buckets.iter().map(|b| (b.supply, b.allocated, b.available)).collect();
    assert_eq!(told, [(10, 6, 4), (10, 2, 8)]);
    assert_eq!((&*buckets[0].pools[0].pool, buckets[0].pools[0].left), ("channel/web", 6));
    assert_eq!(buckets[0], server.bucket("lej.van", DAY).await);

    assert_eq!(held(&server, "other", 6, ask("card", 1)).await, 4, "what is common");
    assert_eq!(held(&server, "web", 8, web(ask("card", 1))).await, 6, "what is its own");
    let draws = server.evidence("web0").await.unwrap().draws;
    let pool = |resource: &str| draws.iter().find(|d| d.resource == resource).map(|d| d.pool.clone());
    assert_eq!((pool("lej.van").as_deref(), pool("lej.pack").as_deref()), (Some("channel/web"), Some("")));
    let van = server.bucket("lej.van", DAY).await;
    assert_eq!((van.held, van.allocated, van.available), (10, 0, 0));
    assert_eq!((&*van.channels[0].channel, van.channels[0].drawn), ("web", 6));
    // What comes back is the channel's again.
    server.release("web0", "").await.unwrap();
    assert_eq!(aside(&server, "lej.van", DAY).await, (1, 0));
}

#[tokio::test]
async fn common_capacity_must_have_it_everywhere_or_nothing_is_set_aside() {
    let server = TestServer::shop().await;
    assert_eq!(held(&server, "other", 4, ask("card", 1)).await, 4);
    server.supply("lej.van", "2026-11-26", &[3]).await;
    let refused = set(&server, allot("a1", "lej.van", DAY, &[7, 10, 5, 11])).await.unwrap_err();
    assert_eq!(subjects(&refused), ["lej.van 2026-11-24", "lej.van 2026-11-26", "lej.van 2026-11-27"]);
    let details = refusal(&refused, Code::FailedPrecondition);
    let info = details.error_info().unwrap();
    assert_eq!(
        (&*info.reason, &*info.metadata["resource"], &*info.metadata["buckets"]),
        ("CAPACITY_TAKEN", "lej.van", "3")
    );
    let lacks = &details.precondition_failure().unwrap().violations[0].description;
    assert_eq!(lacks, "6 units are free, 7 more are to be set aside");
    assert!(refused.message().contains("2026-11-26: 3 free, 5 more wanted"), "{}", refused.message());
    for day in 24..=27 {
        assert_eq!(aside(&server, "lej.van", &format!("2026-11-{day}")).await.0, 0);
    }
    // A refusal leaves no trace: the same id may ask for what there is.
    set(&server, allot("a1", "lej.van", DAY, &[6])).await.unwrap();
    assert_eq!(aside(&server, "lej.van", DAY).await, (6, 0));
    // Hours are named by their beginning.
    let refused = set(&server, allot("a2", "lej.slot", "2026-11-24T08:00", &[2, 3])).await.unwrap_err();
    assert_eq!(subjects(&refused), ["lej.slot 2026-11-24T09:00"]);
}

#[tokio::test]
async fn what_is_set_counts_in_place_of_what_was_and_what_was_drawn_counts() {
    let server = TestServer::shop().await;
    set(&server, allot("a1", "lej.van", DAY, &[6])).await.unwrap();
    assert_eq!(held(&server, "web", 2, web(ask("card", 1))).await, 2);
    assert_eq!(aside(&server, "lej.van", DAY).await, (4, 4));
    set(&server, allot("a2", "lej.van", DAY, &[8])).await.unwrap();
    assert_eq!(aside(&server, "lej.van", DAY).await, (6, 2), "two of the eight are drawn");
    set(&server, allot("a3", "lej.van", DAY, &[1])).await.unwrap();
    assert_eq!(aside(&server, "lej.van", DAY).await, (0, 8), "less than is drawn: nothing is left of it");
    let refused = set(&server, allot("a4", "lej.van", DAY, &[11])).await.unwrap_err();
    let details = refusal(&refused, Code::FailedPrecondition);
    let lacks = &details.precondition_failure().unwrap().violations[0].description;
    assert_eq!(lacks, "8 units are free, 9 more are to be set aside");
    set(&server, allot("a5", "lej.van", DAY, &[0])).await.unwrap();
    assert_eq!(aside(&server, "lej.van", DAY).await, (0, 8));

    // Rule 20: a repeat is told what came of it then, and changes nothing.
    let again = set(&server, allot("a2", "lej.van", DAY, &[8])).await.unwrap();
    assert_eq!((again[0].allocated, again[0].available), (6, 2));
    assert_eq!(aside(&server, "lej.van", DAY).await, (0, 8));
    let taken = set(&server, allot("a2", "lej.van", DAY, &[7])).await.unwrap_err();
    let details = refusal(&taken, Code::AlreadyExists);
    let request = details.resource_info().unwrap();
    assert_eq!((&*request.resource_type, &*request.resource_name), ("request", "a2"));
    // Without an id, each call counts.
    for _ in 0..2 {
        set(&server, allot("", "lej.van", DAY, &[5])).await.unwrap();
    }
    assert_eq!(aside(&server, "lej.van", DAY).await, (3, 5));
}

#[tokio::test]
async fn what_is_left_goes_back_so_many_hours_before_its_bucket_begins() {
    let server = TestServer::shop().await;
    let request = SetAllocationRequest { release_hours: 5, ..allot("a1", "lej.van", "2026-11-25", &[10]) };
    let buckets = set(&server, request).await.unwrap();
    assert_eq!(buckets[0].pools[0].release_at, stamp("2026-11-24T18:00:00Z"));
    server.turn(34 * 3600 - 1);
    assert_eq!(aside(&server, "lej.van", "2026-11-25").await, (10, 0));
    server.turn(1);
    assert_eq!(aside(&server, "lej.van", "2026-11-25").await, (0, 10));
    // Today's bucket has begun, and that of the 26th is nearer than so many hours: only the most is set.
    let near = SetAllocationRequest {
        release_hours: 48,
        max_units: vec![10, 10, 7],
        ..allot("a2", "lej.van", DAY, &[10, 10, 7])
    };
    let buckets = set(&server, near.clone()).await.unwrap();
    let told: Vec<_> = buckets.iter().map(|b| (b.allocated, b.available, b.channels[0].max_units)).collect();
    assert_eq!(told, [(0, 10, Some(10)), (0, 10, Some(10)), (0, 10, Some(7))]);
    assert!(buckets.iter().all(|b| b.pools.is_empty()), "nothing is shown that is not held: {buckets:?}");
    assert_eq!(set(&server, near).await.unwrap(), buckets);
}

#[tokio::test]
async fn rule_20_a_repeat_gets_its_first_answer_also_once_the_bucket_has_begun() {
    let server = TestServer::shop().await;
    let first = set(&server, allot("a1", "lej.van", "2026-11-25", &[10])).await.unwrap();
    assert_eq!((first[0].allocated, first[0].available), (10, 0));
    server.turn(40 * 3600);
    let again = set(&server, allot("a1", "lej.van", "2026-11-25", &[10])).await.unwrap();
    assert_eq!(again[0].pools[0].units, 10);
    assert_eq!(aside(&server, "lej.van", "2026-11-25").await, (0, 10));
}

#[tokio::test]
async fn rule_04_stock_to_come_stays_set_aside_when_it_arrives() {
    let server = TestServer::shop().await;
    // Seven cups come on the 30th.
    let request = SetAllocationRequest { release_hours: 48, ..allot("a1", "lej.stock.cup", "2026-11-30", &[6]) };
    let buckets = set(&server, request).await.unwrap();
    let [pool] = &buckets[0].pools[..] else { panic!("{buckets:?}") };
    assert_eq!((pool.left, pool.release_at), (6, None));
    for (days, today) in [(5, "the hour is over"), (3, "it has begun"), (30, "long after")] {
        server.turn(days * 86_400);
        assert_eq!(aside(&server, "lej.stock.cup", "2026-11-30").await, (6, 1), "{today}");
    }
}

#[tokio::test]
async fn rule_04_stock_on_hand_stays_set_aside_until_it_is_set_otherwise() {
    let server = TestServer::shop().await;
    let buckets = set(&server, allot("a1", "lej.stock.mug", "2026-11-23", &[4])).await.unwrap();
    let [pool] = &buckets[0].pools[..] else { panic!("{buckets:?}") };
    assert_eq!((pool.left, pool.release_at), (4, None));
    server.turn(20 * 86_400);
    assert_eq!(server.quote(read(ask("mug", 2))).await.unwrap().verdict(), Verdict::Unavailable);
    assert_eq!(server.quote(read(web(ask("mug", 5)))).await.unwrap().verdict(), Verdict::Promised);
    set(&server, allot("a2", "lej.stock.mug", "2026-11-23", &[0])).await.unwrap();
    assert_eq!(server.quote(read(ask("mug", 5))).await.unwrap().verdict(), Verdict::Promised);
}

#[tokio::test]
async fn a_channel_may_draw_so_much_and_no_more_set_aside_or_common() {
    let server = TestServer::shop().await;
    let most = |id: &str, units: &[i64], most: &[i64]| SetAllocationRequest {
        max_units: most.to_vec(),
        ..allot(id, "lej.van", DAY, units)
    };
    assert_eq!(held(&server, "early", 1, web(ask("card", 1))).await, 1);
    let buckets = set(&server, most("a1", &[2], &[4])).await.unwrap();
    assert_eq!((buckets[0].channels[0].drawn, buckets[0].channels[0].max_units), (1, Some(4)));
    assert_eq!(held(&server, "web", 6, web(ask("card", 1))).await, 3, "what it drew before counts");
    assert_eq!(held(&server, "other", 10, ask("card", 1)).await, 6);
    // Without one, there is no maximum any more.
    set(&server, most("a2", &[0], &[])).await.unwrap();
    server.release("other0", "").await.unwrap();
    assert_eq!(held(&server, "again", 2, web(ask("card", 1))).await, 1);
}

#[tokio::test]
async fn every_fault_of_an_allocation_is_named() {
    let server = TestServer::shop().await;
    let wrong = SetAllocationRequest {
        request_id: "r".repeat(129),
        channel: String::new(),
        resource: " lej.van".into(),
        start: "tomorrow".into(),
        units: vec![1, -1, MAX_UNITS + 1],
        release_hours: -1,
        max_units: vec![-5, 3],
    };
    assert_eq!(
        faults(&set(&server, wrong).await.unwrap_err()),
        [
            "request_id",
            "channel",
            "resource",
            "start",
            "units[1]",
            "units[2]",
            "release_hours",
            "max_units",
            "max_units[0]"
        ]
    );
    let none = faults(&set(&server, SetAllocationRequest::default()).await.unwrap_err());
    assert_eq!(none, ["channel", "resource", "start", "units"]);
    let good = || allot("a1", "lej.van", DAY, &[1]);
    type Spoil = fn(&mut SetAllocationRequest);
    let table: &[(&[&str], Spoil)] = &[
        (&["units"], |r| r.units = vec![0; 10_001]),
        (&["release_hours"], |r| r.release_hours = 8_785),
        (&["max_units[0]"], |r| r.max_units = vec![0]),
        (&["channel", "resource"], |r| (r.channel, r.resource) = ("fax".into(), "lej.train".into())),
        (&["start"], |r| r.start = "2026-11-22".into()),
        (&["start"], |r| r.start = "2026-11-24T08:00".into()),
        (&["start"], |r| r.start = "2189-01-01".into()),
    ];
    for (i, (paths, spoil)) in table.iter().enumerate() {
        let mut request = good();
        spoil(&mut request);
        assert_eq!(faults(&set(&server, request).await.unwrap_err()), *paths, "row {i}");
    }
    // A channel that nobody knows is not found, as it is in a quote.
    let refused = set(&server, SetAllocationRequest { channel: "fax".into(), ..good() }).await.unwrap_err();
    let quoted = server.quote(read(Ask { channel: "fax".into(), ..ask("card", 1) })).await.unwrap_err();
    let told = [refused, quoted].map(|status| {
        let details = refusal(&status, Code::NotFound);
        let unknown = details.resource_info().unwrap();
        (
            details.error_info().unwrap().reason.clone(),
            unknown.resource_type.clone(),
            unknown.resource_name.clone(),
            details.bad_request().unwrap().field_violations.len(),
        )
    });
    assert_eq!(told[0], ("UNKNOWN_NAME".into(), "channel".into(), "fax".into(), 1));
    assert_eq!(told[0], told[1]);
    assert_eq!(aside(&server, "lej.van", DAY).await, (0, 10));
    set(&server, good()).await.unwrap();
}
