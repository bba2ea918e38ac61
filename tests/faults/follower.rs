//! Who follows the feed while everything fails: it goes from server to server with its cursor, and is told everything, in order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use surety::proto::v1::operations_service_client::OperationsServiceClient;
use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tonic::Code;
use tonic::transport::Channel;

use crate::book::Book;
use crate::dice::Dice;

/// How long a stream may be silent before another server is asked: one that is paused says nothing.
const SILENCE: Duration = Duration::from_secs(2);
/// How often it is looked meanwhile whether the end is known.
const LOOK: Duration = Duration::from_millis(100);
/// Visits to servers that are well in which the end has to be reached.
const LAST_VISITS: usize = 100;

/// What it was told last of each reservation, and how often it came to a server anew.
#[derive(Debug, Default)]
pub struct Followed {
    pub reservations: HashMap<String, (i64, State)>,
    pub cursor: u64,
    pub visits: usize,
}

/// Follows a network until it is told where the feed ends, and to there. `end`: its cursor, or 0 as long as it is not known.
pub async fn follow(
    book: Arc<Book>,
    servers: Vec<OperationsServiceClient<Channel>>,
    network: String,
    mut dice: Dice,
    end: Arc<AtomicU64>,
) -> Followed {
    let mut followed = Followed::default();
    let mut last_visits = 0;
    while !is_at(&end, followed.cursor) {
        let mut server = servers[dice.below(servers.len() as u64) as usize].clone();
        let mut asked = tonic::Request::new(WatchEventsRequest { cursor: followed.cursor.to_string() });
        asked.metadata_mut().insert("surety-network", network.parse().expect("ASCII"));
        let from = followed.cursor;
        let failed = match tokio::time::timeout(SILENCE, server.watch_events(asked)).await {
            Ok(Ok(events)) => {
                followed.visits += 1;
                read(&book, &network, events.into_inner(), &mut followed, &end).await
            }
            Ok(Err(status)) => Some(status),
            Err(_) => None,
        };
        last_visits += usize::from(end.load(Ordering::SeqCst) > 0);
        let expected = [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::DeadlineExceeded];
        let other = failed.as_ref().is_some_and(|failed| !expected.contains(&failed.code()));
        if other || last_visits > LAST_VISITS {
            book.violation(format!("{network}: nobody can follow from {from}: {failed:?}"));
            return followed;
        }
        tokio::time::sleep(Duration::from_millis(dice.below(100) + 20)).await;
    }
    followed
}

fn is_at(end: &AtomicU64, cursor: u64) -> bool {
    let end = end.load(Ordering::SeqCst);
    end > 0 && cursor >= end
}

/// Reads until the stream fails, is silent, or is at its end.
async fn read(
    book: &Book,
    network: &str,
    mut events: tonic::Streaming<WatchEventsResponse>,
    followed: &mut Followed,
    end: &AtomicU64,
) -> Option<tonic::Status> {
    let mut heard = Instant::now();
    loop {
        let event = match tokio::time::timeout(LOOK, events.message()).await {
            Ok(Ok(Some(event))) => event,
            Ok(Ok(None)) => return Some(tonic::Status::unavailable("the stream ended")),
            Ok(Err(status)) => return Some(status),
            // All events of the last entry were told by the time that nothing more comes.
            Err(_) if heard.elapsed() > SILENCE || is_at(end, followed.cursor) => return None,
            Err(_) => continue,
        };
        heard = Instant::now();
        let cursor: u64 = event.cursor.parse().expect("a number");
        if cursor != followed.cursor && cursor != followed.cursor + 1 {
            book.violation(format!("{network}: the feed goes from {} to {cursor}", followed.cursor));
        }
        followed.cursor = cursor;
        use watch_events_response::Event::*;
        match event.event {
            Some(ReservationChanged(r)) => {
                let (version, state) = (r.version, r.state());
                let before = followed.reservations.insert(r.id.clone(), (version, state));
                // Who comes again is told the entry again that he had not heard to its end.
                let again = before == Some((version, state));
                let next = before.map_or(version == 1, |(before, _)| version == before + 1);
                // What was undone can be made anew; the undoing is told as a release.
                let anew = version == 1 && before.is_some_and(|(_, state)| state == State::Released);
                if !again && !next && !anew {
                    book.violation(format!("{network}: the feed has {before:?} of {}, then version {version}", r.id));
                }
            }
            Some(BucketChanged(bucket)) if bucket.available < 0 => {
                book.violation(format!("{network}: OVERSOLD: the feed has {bucket:?}"));
            }
            Some(BucketChanged(_) | NetworkVersion(_) | OfferChanged(_)) | None => {}
        }
    }
}
