//! Those who watch: they come with a connection of their own, read for a while, and leave without a word.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use surety::proto::v1::operations_service_client::OperationsServiceClient;
use surety::proto::v1::promise_service_client::PromiseServiceClient;
use surety::proto::v1::*;
use tonic_types::StatusExt;

use super::season::Season;
use crate::book::Book;
use crate::dice::Dice;
use crate::service::connection;
use crate::shop;

/// How long a visit lasts at most; servers are restarted meanwhile.
const LONGEST: i64 = 6_000;

/// Watches one network or the other until the season is over.
pub async fn watch(
    book: Arc<Book>,
    season: Arc<Season>,
    servers: Vec<SocketAddr>,
    networks: [&'static str; 2],
    mut dice: Dice,
) {
    // Where it stopped reading each network.
    let mut cursors = [String::new(), String::new()];
    while !season.has_stopped() {
        let address = servers[dice.below(servers.len() as u64) as usize];
        let until = Instant::now() + Duration::from_millis(dice.range(100, LONGEST) as u64);
        let at = dice.below(2) as usize;
        if dice.once_in(3) {
            quote(&season, address, networks[at], &mut dice, until).await;
        } else {
            let cursor = std::mem::take(&mut cursors[at]);
            cursors[at] = events(&book, &season, address, networks[at], cursor, until).await;
        }
        tokio::time::sleep(Duration::from_millis(dice.below(200))).await;
    }
}

/// A stream has no deadline; it ends when it is dropped.
fn of<T>(network: &str, message: T) -> tonic::Request<T> {
    let mut message = tonic::Request::new(message);
    message.metadata_mut().insert("surety-network", network.parse().expect("ASCII"));
    message
}

/// Whether to read on.
fn goes_on(season: &Season, until: Instant) -> bool {
    Instant::now() < until && !season.has_stopped()
}

const LOOK: Duration = Duration::from_millis(100);

async fn quote(season: &Season, address: SocketAddr, network: &str, dice: &mut Dice, until: Instant) {
    let mut promises = PromiseServiceClient::new(connection(address));
    let asked = WatchQuoteRequest { ask: Some(shop::scarce(dice)) };
    let opened = tokio::time::timeout(Duration::from_secs(4), promises.watch_quote(of(network, asked))).await;
    let Ok(opened) = opened else { return };
    let Some(mut answers) = season.note("WatchQuote", opened) else { return };
    while goes_on(season, until) {
        match tokio::time::timeout(LOOK, answers.message()).await {
            Ok(Ok(Some(_))) | Err(_) => {}
            Ok(Ok(None) | Err(_)) => return,
        }
    }
}

/// Follows from a cursor; none: from the oldest that is kept. Where it stopped.
async fn events(
    book: &Book,
    season: &Season,
    address: SocketAddr,
    network: &str,
    cursor: String,
    until: Instant,
) -> String {
    let mut operations = OperationsServiceClient::new(connection(address));
    let from = if cursor.is_empty() { "0".to_owned() } else { cursor.clone() };
    let asked = WatchEventsRequest { cursor: from };
    let opened = tokio::time::timeout(Duration::from_secs(4), operations.watch_events(of(network, asked))).await;
    let Ok(opened) = opened else { return cursor };
    // What was not kept was trimmed: it begins anew, as who follows has to.
    let is_gone =
        |status: &tonic::Status| status.get_error_details().error_info().is_some_and(|e| e.reason == "EVENTS_GONE");
    let gone = opened.as_ref().err().is_some_and(is_gone);
    let Some(mut stream) = season.note("WatchEvents", opened) else { return if gone { String::new() } else { cursor } };
    let mut seen: Option<u64> = cursor.parse().ok();
    while goes_on(season, until) {
        let event = match tokio::time::timeout(LOOK, stream.message()).await {
            Ok(Ok(Some(event))) => event,
            Ok(Ok(None) | Err(_)) => break,
            Err(_) => continue,
        };
        let next: u64 = event.cursor.parse().expect("a number");
        if seen.is_some_and(|seen| next != seen && next != seen + 1) {
            // Read slowly, it may be overtaken by trimming; by more than a hole of one entry, it must be said.
            book.violation(format!("{network}: the feed goes from {seen:?} to {next} for who watches"));
        }
        seen = Some(next);
        if network == "default"
            && let Some(watch_events_response::Event::BucketChanged(bucket)) = event.event
            && bucket.available < 0
        {
            book.violation(format!("{network}: OVERSOLD: the feed has {bucket:?}"));
        }
    }
    seen.map(|seen| seen.to_string()).unwrap_or_default()
}
