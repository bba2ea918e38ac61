//! GetScorecard: the figures add up to what was played, each thing once.

use std::collections::BTreeMap;

use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tonic::Code;

use crate::dice::{Dice, seed};
use crate::outcome::*;
use crate::redis_world::{Flavour, Options, Server};
use crate::support::*;

const DAY: &str = "2026-11-24";

async fn shop_of_channels() -> TestServer {
    TestServer::with(|config| config.network = Some(shop_with_channels())).await
}

#[tokio::test]
async fn quotes_are_counted_by_verdict_and_once() {
    let server = TestServer::shop().await;
    for _ in 0..3 {
        server.quote(read(by(DAY, ask("card", 1)))).await.unwrap();
    }
    server.quote(read(by(DAY, ask("mug", 6)))).await.unwrap();
    server.supply("lej.stock.mug", "2026-11-26", &[100]).await;
    server.quote(read(by(DAY, ask("mug", 7)))).await.unwrap();
    // A hold, sent twice; one that is refused, sent twice.
    server.held("r0", by(DAY, ask("card", 1))).await;
    server.held("r0", by(DAY, ask("card", 1))).await;
    for _ in 0..2 {
        let refused = server.quote(hold("r1", by(DAY, ask("mug", 8)), 900)).await.unwrap();
        assert_eq!(refused.verdict(), Verdict::Later);
    }
    let later = QuoteRequest { accept_later: true, ..hold("r2", by(DAY, ask("mug", 9)), 900) };
    server.quote(later).await.unwrap();
    // These are not quotes.
    let dates = ListPromiseDatesRequest { ask: Some(ask("card", 1)), ..Default::default() };
    server.promises.clone().list_promise_dates(dates).await.unwrap();
    let watch = WatchQuoteRequest { ask: Some(ask("card", 1)) };
    let mut watched = server.promises.clone().watch_quote(watch).await.unwrap().into_inner();
    watched.message().await.unwrap();
    server.quote(read(ask("nonsense", 1))).await.unwrap_err();

    let card = server.card("", "").await;
    assert_eq!((card.quotes, card.quotes_promised, card.quotes_later, card.quotes_unavailable), (8, 4, 3, 1));
    assert_eq!((card.held, card.confirmed, card.conversion), (2, 0, 0.0));
    assert_eq!(server.card("", "").await, card, "asking changes nothing");
}

#[tokio::test]
async fn a_refused_hold_that_is_sent_to_another_server_is_counted_once() {
    let Some(flavour) = Flavour::Redis.or_skip() else { return };
    let redis = Server::start(flavour, Options::default());
    let (one, other) = (TestServer::shop_on(&redis).await, TestServer::shop_on(&redis).await);
    one.supply("lej.stock.mug", "2026-11-23", &[5]).await;
    for server in [&one, &other, &one, &other] {
        let refused = server.quote(hold("r1", by(DAY, ask("mug", 8)), 900)).await.unwrap();
        assert_eq!(refused.verdict(), Verdict::Unavailable);
        server.card("", "").await;
    }
    one.quote(hold("r2", by(DAY, ask("mug", 8)), 900)).await.unwrap();
    one.card("", "").await;
    other.quote(read(by(DAY, ask("card", 1)))).await.unwrap();
    let card = other.card("", "").await;
    assert_eq!((card.quotes, card.quotes_promised, card.quotes_unavailable), (3, 1, 2));
    assert_eq!(card.lost.iter().map(|l| (l.quotes, l.units)).collect::<Vec<_>>(), [(2, 6)]);
}

#[tokio::test]
async fn a_quote_counts_for_the_day_that_it_is_about() {
    let server = TestServer::shop().await;
    server.quote(read(by("2026-11-30", ask("card", 1)))).await.unwrap();
    server.quote(read(by("2026-11-28", ask("mug", 6)))).await.unwrap();
    server.quote(read(ask("mug", 6))).await.unwrap();
    let of = async |day: &str| {
        let request = GetScorecardRequest { from: day.into(), to: day.into(), ..Default::default() };
        let card = server.try_card(request).await.unwrap();
        (card.quotes_promised, card.quotes_unavailable)
    };
    assert_eq!(of(DAY).await, (1, 0), "the promised day");
    assert_eq!(of("2026-11-28").await, (0, 1), "the day that was asked for");
    assert_eq!(of("2026-11-23").await, (0, 1), "today, where there is none");
    assert_eq!(of("2026-11-30").await, (0, 0));
}

#[tokio::test]
async fn demand_that_was_lost_is_told_by_what_was_missing() {
    let server = shop_of_channels().await;
    server.supply("lej.stock.mug", "2026-11-23", &[5]).await;
    server.quote(read(by(DAY, through("web", ask("mug", 8))))).await.unwrap();
    server.quote(hold("r0", by(DAY, through("vip", ask("mug", 7))), 900)).await.unwrap();
    server.supply("lej.van", DAY, &[0]).await;
    server.quote(read(by(DAY, through("web", ask("card", 1))))).await.unwrap();
    let lost = |card: GetScorecardResponse| -> Vec<(String, i64, i64)> {
        card.lost.into_iter().map(|l| (l.resource, l.quotes, l.units)).collect()
    };
    let mug = |quotes, units| ("lej.stock.mug".to_owned(), quotes, units);
    let van = |quotes, units| ("lej.van".to_owned(), quotes, units);
    assert_eq!(lost(server.card("", "").await), [mug(2, 5), van(1, 1)]);
    assert_eq!(lost(server.card("vip", "").await), [mug(1, 2)]);
    assert_eq!(lost(server.card("web", "").await), [mug(1, 3), van(1, 1)]);
}

#[tokio::test]
async fn resources_are_told_by_how_much_of_them_is_used() {
    let server = TestServer::shop().await;
    server.supply("lej.stock.mug", "2026-11-25", &[20]).await;
    server.confirmed("r0", by(DAY, ask("mug", 4))).await;
    server.held("r1", by(DAY, ask("card", 2))).await;
    let request = |from: &str, to: &str| GetScorecardRequest { from: from.into(), to: to.into(), ..Default::default() };
    let of = async |from: &str, to: &str, resource: &str| {
        let card = server.try_card(request(from, to)).await.unwrap();
        let used = card.resources.into_iter().find(|r| r.resource == resource).unwrap();
        (used.supply, used.committed, used.utilisation)
    };
    assert_eq!(of("2026-11-23", "2026-11-24", "lej.pack").await, (200, 6, 0.03));
    assert_eq!(of("2026-11-24", "2026-11-24", "lej.pack").await, (100, 0, 0.0));
    assert_eq!(of("2026-11-28", "2026-11-29", "lej.pack").await, (0, 0, 0.0), "a weekend");
    assert_eq!(of("2026-11-23", "2026-11-24", "lej.stock.mug").await, (5, 4, 0.8));
    assert_eq!(of("2026-11-24", "2026-11-25", "lej.stock.mug").await, (25, 4, 0.16), "what has arrived by then");
    assert_eq!(of("2026-11-24", "2026-11-24", "lej.slot").await, (20, 0, 0.0));
    let card = server.try_card(request("2026-11-23", "2026-11-24")).await.unwrap();
    let order: Vec<_> = card.resources.iter().map(|r| &*r.resource).collect();
    assert_eq!(order, ["lej.stock.mug", "lej.van", "lej.pack", "lej.slot", "lej.stock.cup"]);
}

#[tokio::test]
async fn wrong_questions_for_a_scorecard() {
    let server = TestServer::shop().await;
    let request = |from: &str, to: &str, channel: &str, offer: &str| GetScorecardRequest {
        from: from.into(),
        to: to.into(),
        channel: channel.into(),
        offer: offer.into(),
    };
    let refused = server.try_card(request("", "x", " ", "")).await.unwrap_err();
    assert_eq!(faults(&refused), ["from", "to", "channel"]);
    assert_eq!(faults(&server.try_card(request(DAY, "2026-11-23", "", "")).await.unwrap_err()), ["to"]);
    assert_eq!(faults(&server.try_card(request("2000-01-01", DAY, "", "")).await.unwrap_err()), ["to"]);
    let refused = server.try_card(request(DAY, DAY, "nobody", "nothing")).await.unwrap_err();
    let details = refusal(&refused, Code::NotFound);
    let fields: Vec<_> = details.bad_request().unwrap().field_violations.iter().map(|v| v.field.clone()).collect();
    assert_eq!(fields, ["channel", "offer"]);
}

#[tokio::test]
async fn what_was_counted_survives_the_end_of_a_server_that_is_told_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let on_disk = |config: &mut surety::server::Config| {
        config.store = surety::server::Store::Embedded(path.clone());
        config.network = Some(shop());
    };
    let server = TestServer::with(on_disk).await;
    for _ in 0..5 {
        server.quote(read(by(DAY, ask("card", 1)))).await.unwrap();
    }
    server.stopped().await;
    let server = TestServer::with(on_disk).await;
    assert_eq!(server.card("", "").await.quotes_promised, 5);
    server.stopped().await;
}

/// What the test counts beside the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    promised: i64,
    later: i64,
    unavailable: i64,
    held: i64,
    confirmed: i64,
    expired: i64,
    released: i64,
    kept: i64,
    late: i64,
}

impl Model {
    fn of(card: &GetScorecardResponse) -> Model {
        assert_eq!(card.quotes, card.quotes_promised + card.quotes_later + card.quotes_unavailable);
        assert_eq!(card.fulfilled, card.kept + card.late);
        Model {
            promised: card.quotes_promised,
            later: card.quotes_later,
            unavailable: card.quotes_unavailable,
            held: card.held,
            confirmed: card.confirmed,
            expired: card.expired,
            released: card.released,
            kept: card.kept,
            late: card.late,
        }
    }

    fn answered(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Promised => self.promised += 1,
            Verdict::Later => self.later += 1,
            Verdict::Unavailable => self.unavailable += 1,
            Verdict::Unspecified => panic!("no verdict"),
        }
    }
}

#[tokio::test]
async fn whatever_is_played_and_repeated_the_scorecard_adds_up() {
    let mut dice = Dice::seeded(seed());
    let server = shop_of_channels().await;
    server.supply("lej.stock.mug", "2026-11-23", &[30, 0, 0, 30]).await;
    let mut models: BTreeMap<&str, Model> = BTreeMap::new();
    let mut live: Vec<(String, &str, QuoteRequest)> = vec![];
    for step in 0..250 {
        let channel = ["web", "vip", "plain", "last"][dice.below(4) as usize];
        let model = models.entry(channel).or_default();
        let sku = ["card", "mug"][dice.below(2) as usize];
        let day = format!("2026-11-{}", dice.range(24, 29));
        let asked = by(&day, through(channel, ask(sku, dice.range(1, 6) as i32)));
        match dice.below(8) {
            0..2 => model.answered(server.quote(read(asked)).await.unwrap().verdict()),
            2..5 => {
                let id = format!("r{step}");
                let request = QuoteRequest { accept_later: dice.once_in(2), ..hold(&id, asked, dice.range(60, 600)) };
                let answer = server.quote(request.clone()).await.unwrap();
                model.answered(answer.verdict());
                if answer.reservation.is_some() {
                    model.held += 1;
                    live.push((id, channel, request.clone()));
                }
                for _ in 0..dice.below(3) {
                    // The answer got lost, so it is sent again.
                    let again = server.quote(request.clone()).await.unwrap();
                    assert_eq!(again.verdict(), answer.verdict());
                }
            }
            5 => server.turn(dice.range(0, 200)),
            _ if live.is_empty() => {}
            action => {
                let (id, channel, request) = live[dice.below(live.len() as u64) as usize].clone();
                let model = models.entry(channel).or_default();
                let before = server.state(&id).await;
                let confirms = action == 6;
                for _ in 0..=dice.below(2) {
                    let _ = if confirms { server.confirm(&id, "", false).await } else { server.release(&id, "").await };
                }
                match (before, server.state(&id).await) {
                    (State::Held, State::Confirmed) => model.confirmed += 1,
                    (State::Held | State::Confirmed, State::Released) => model.released += 1,
                    _ => {}
                }
                server.quote(request).await.unwrap();
            }
        }
    }
    // All holds end; what was confirmed arrives, mostly in time.
    server.clock.set(at("2026-12-23T18:00:00Z"));
    let mut fulfilments = vec![];
    for (id, channel, _) in &live {
        let r = server.reservation(id).await;
        let model = models.entry(channel).or_default();
        match r.state() {
            State::Expired => model.expired += 1,
            State::Confirmed => {
                let late = dice.once_in(3);
                *(if late { &mut model.late } else { &mut model.kept }) += 1;
                let promised: jiff::civil::Date = r.first_date.parse().unwrap();
                let day = promised.checked_add(jiff::Span::new().days(i64::from(late))).unwrap();
                fulfilments.push(delivered(id, &format!("{day}T11:00:00Z")));
            }
            State::Held | State::Released | State::Fulfilled | State::Unspecified => {}
        }
    }
    for _ in 0..2 {
        server.report(fulfilments.clone()).await.unwrap();
    }
    let mut all = Model::default();
    for (channel, model) in &models {
        assert_eq!(Model::of(&server.card(channel, "").await), *model, "{channel}");
        all.promised += model.promised;
        all.later += model.later;
        all.unavailable += model.unavailable;
        all.held += model.held;
        all.confirmed += model.confirmed;
        all.expired += model.expired;
        all.released += model.released;
        all.kept += model.kept;
        all.late += model.late;
    }
    assert_eq!(Model::of(&server.card("", "").await), all);
}
