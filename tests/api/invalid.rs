//! Malformed requests: INVALID_ARGUMENT with every fault at once, and nothing done.

use surety::proto::v1::ask::When;
use surety::proto::v1::*;
use tonic::Code;

use crate::raw;
use crate::support::*;

/// A question in which everything is wrong that can be.
fn all_wrong() -> QuoteRequest {
    let line = |sku: &str, quantity| Line { sku: sku.into(), quantity };
    QuoteRequest {
        request_id: String::new(),
        ask: Some(Ask {
            lines: vec![line("", 0), line("mug", -1), line("mug", 1_000_001), line("mug", i32::MIN), line("mug", 1)],
            destination: Some(Destination { to: None }),
            service: "x".repeat(1_000),
            channel: "y".repeat(1_000),
            offer: "z".repeat(1_000),
            shipments: 7,
            min_confidence: Some(1.5),
            when: Some(When::ByDate("2026-02-30".into())),
        }),
        hold: Some(duration(8 * 86_400)),
        accept_later: true,
        reference: "r".repeat(10_000),
    }
}

#[tokio::test]
async fn every_fault_of_a_question_is_named() {
    let server = TestServer::shop().await;
    let named = faults(&server.quote(all_wrong()).await.unwrap_err());
    assert_eq!(
        named,
        [
            "request_id",
            "ask.lines[0].sku",
            "ask.lines[0].quantity",
            "ask.lines[1].quantity",
            "ask.lines[2].quantity",
            "ask.lines[3].quantity",
            "ask.destination",
            "ask.by_date",
            "ask.service",
            "ask.channel",
            "ask.offer",
            "ask.shipments",
            "ask.min_confidence",
            "hold",
            "reference",
        ]
    );
    assert_eq!(faults(&server.quote(QuoteRequest::default()).await.unwrap_err()), ["ask"]);
}

#[tokio::test]
async fn one_to_a_hundred_lines() {
    let server = TestServer::shop().await;
    let lines = |n| Ask { lines: vec![Line { sku: "card".into(), quantity: 1 }; n], ..ask("card", 1) };
    assert_eq!(faults(&server.quote(read(lines(0))).await.unwrap_err()), ["ask.lines"]);
    assert_eq!(faults(&server.quote(read(lines(101))).await.unwrap_err()), ["ask.lines"]);
    let answer = server.quote(hold("r1", lines(100), 60)).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Promised, "{:?}", answer.bottlenecks);
    assert_eq!(server.taken("lej.pack", "2026-11-23").await, (100, 0));
    assert_eq!(server.taken("lej.van", "2026-11-24").await, (1, 0), "rule 10: one shipment");
}

#[tokio::test]
async fn dates_and_instants_are_exactly_what_they_should_be() {
    let server = TestServer::shop().await;
    for date in [
        "2026-2-3",
        "2026-02-29",
        "20260203",
        "2026-02-03T00:00",
        "0000-01-01",
        "9999-01-01",
        "",
        " 2026-11-24",
        "+2026-11-24",
    ] {
        assert_eq!(faults(&server.quote(read(by(date, ask("mug", 1)))).await.unwrap_err()), ["ask.by_date"], "{date}");
        assert_eq!(faults(&server.quote(read(on(date, ask("mug", 1)))).await.unwrap_err()), ["ask.on_date"], "{date}");
    }
    let by_time =
        |seconds, nanos| Ask { when: Some(When::ByTime(pbjson_types::Timestamp { seconds, nanos })), ..ask("mug", 1) };
    for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (0, -1), (1_800_000_000, 1_000_000_000)] {
        assert_eq!(faults(&server.quote(read(by_time(seconds, nanos))).await.unwrap_err()), ["ask.by_time"]);
    }
    let window = |from: Option<&str>, to: Option<&str>| Ask {
        when: Some(When::InWindow(Window { from: from.and_then(stamp), to: to.and_then(stamp) })),
        ..ask("mug", 1)
    };
    let (early, late) = (Some("2026-11-24T08:00:00Z"), Some("2026-11-24T09:00:00Z"));
    for (ask, expected) in [
        (window(None, None), vec!["ask.in_window.from", "ask.in_window.to"]),
        (window(late, early), vec!["ask.in_window"]),
        (window(early, early), vec!["ask.in_window"]),
    ] {
        assert_eq!(faults(&server.quote(read(ask)).await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn a_day_that_is_over_gets_an_answer_and_no_error() {
    let server = TestServer::shop().await;
    let answer = server.quote(read(by("2026-11-01", ask("card", 1)))).await.unwrap();
    assert_eq!((answer.verdict(), answer.promise.unwrap().date.as_str()), (Verdict::Later, "2026-11-24"));
    let answer = server.quote(read(on("2026-11-01", ask("card", 1)))).await.unwrap();
    assert_eq!((answer.verdict(), answer.promise.unwrap().date.as_str()), (Verdict::Later, "2026-11-24"));
}

#[tokio::test]
async fn ids_and_texts_are_checked() {
    let server = TestServer::shop().await;
    for id in ["x".repeat(129), "a b\n".into(), "\u{0}".into()] {
        let refused = server.quote(hold(&id, ask("card", 1), 60)).await.unwrap_err();
        assert_eq!(faults(&refused), ["request_id"], "{id:?}");
        assert_eq!(faults(&server.evidence(&id).await.unwrap_err()), ["id"]);
    }
    assert_eq!(faults(&server.evidence("").await.unwrap_err()), ["id"]);
    assert_eq!(faults(&server.confirm("", &"x".repeat(9_999), false).await.unwrap_err()), ["id", "reference"]);
    assert_eq!(faults(&server.release("", &"x".repeat(9_999)).await.unwrap_err()), ["id", "reason"]);
    assert_eq!(faults(&server.extend("", 0).await.unwrap_err()), ["id", "hold"]);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_with_details() {
    let server = TestServer::shop().await;
    let huge = QuoteRequest { reference: "x".repeat(2 << 20), ..read(ask("card", 1)) };
    let refused = server.quote(huge).await.unwrap_err();
    assert!(
        matches!(refused.code(), Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument),
        "{refused:?}"
    );
    refusal(&refused, refused.code());
    // The connection goes on.
    assert_eq!(server.quote(read(ask("card", 1))).await.unwrap().verdict(), Verdict::Promised);
    // A plan of 10,000 numbers is well below the limit of its service.
    let long = plan(&[("lej.stock.mug", "2026-11-23", &[1; 1_000]), ("lej.stock.cup", "2026-11-23", &[1; 1_000])]);
    server.try_supply(vec![long; 5]).await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused_with_details() {
    let server = TestServer::shop().await;
    let mut client = raw::Client::connect(server.address).await;
    let refused = client.send("/surety.v1.PromiseService/Quote", b"\xff\xff\xff\xff", None).await.unwrap_err();
    assert!(matches!(refused.code(), Code::Internal | Code::InvalidArgument), "{refused:?}");
    refusal(&refused, refused.code());
}

#[tokio::test]
async fn a_method_that_is_not_there_is_unimplemented() {
    let server = TestServer::shop().await;
    let mut client = raw::Client::connect(server.address).await;
    for path in ["/surety.v1.PromiseService/Buy", "/surety.v2.PromiseService/Quote", "/"] {
        let refused = client.send(path, b"", None).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{path}");
    }
    let refused = client.send("/surety.v1.PromiseService/Buy", b"", None).await.unwrap_err();
    refusal(&refused, Code::Unimplemented);
}

#[tokio::test]
async fn a_timeout_that_is_none_is_refused() {
    let server = TestServer::shop().await;
    let mut client = raw::Client::connect(server.address).await;
    for timeout in ["1", "soon", "-1S", "123456789S"] {
        let refused = client.send("/surety.v1.PromiseService/Quote", b"", Some(timeout)).await.unwrap_err();
        assert_eq!(faults(&refused), ["grpc-timeout"], "{timeout}");
    }
}
