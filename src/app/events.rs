//! Everything that happened, in order, from a cursor on, at least once.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::request::Since;
use super::response::{BucketRow, Event, EventRow};
use super::supply::bucket_row;
use super::{App, AppError, unread};
use crate::domain::bucket::BucketLevel;
use crate::domain::id::{NetworkId, ResourceId};
use crate::domain::reservation::{Reservation, State};
use crate::domain::time::Moment;
use crate::ledger::feed::{Change, Cursor, Entry};
use crate::view::NetworkView;

/// Entries that are read at a time.
const PAGE: usize = 256;
/// Events that wait for a slow reader.
const BUFFER: usize = 64;

impl App {
    /// Follows the events after a cursor, or from now on, until the receiver is dropped or the service stops.
    pub async fn watch_events(
        self: &Arc<Self>,
        network: NetworkId,
        since: Since,
    ) -> Result<mpsc::Receiver<Result<EventRow, AppError>>, AppError> {
        let edition = self.views.edition(&network).map_err(|error| unread(error, &network))?;
        let mut changes = self.views.changes(&network).ok_or_else(|| AppError::UnknownNetwork(network.clone()))?;
        let failed = |error| AppError::from_ledger(error, &network);
        let newest = self.ledger.newest(&network).await.map_err(failed)?;
        let mut seen = match since {
            Since::Now => newest,
            // From the oldest kept, whatever it is.
            Since::Cursor(0) => 0,
            Since::Cursor(cursor) if cursor > newest => {
                let message =
                    format!("is {cursor}; the newest event is {newest}: it belongs to another store or network");
                return Err(AppError::invalid("cursor", message));
            }
            Since::Cursor(cursor) => {
                let next = self.ledger.entries(&network, cursor, 1).await.map_err(failed)?;
                match next.first() {
                    Some(oldest) if oldest.seq > cursor + 1 => {
                        return Err(AppError::EventsGone { cursor, oldest: oldest.seq });
                    }
                    _ => cursor,
                }
            }
        };
        let (events, stream) = mpsc::channel(BUFFER);
        let app = Arc::clone(self);
        tokio::spawn(async move {
            // The store may have lost what was told before, or tell what the view can't place.
            let is_void = || app.views.edition(&network) != Ok(edition);
            loop {
                changes.mark_unchanged();
                let page = app.ledger.entries(&network, seen, PAGE).await;
                let entries = match page {
                    Ok(entries) => entries,
                    Err(error) => {
                        // The stream ends with its reason; a reader that has gone does not care.
                        let _gone = events.send(Err(AppError::from_ledger(error, &network))).await;
                        return;
                    }
                };
                let full = entries.len() == PAGE;
                for entry in &entries {
                    let view = app.views.get(&network);
                    if is_void() {
                        break;
                    }
                    if seen > 0
                        && entry.seq > seen + 1
                        && let Err(error) = app.is_kept_after(&network, seen).await
                    {
                        let _gone = events.send(Err(error)).await;
                        return;
                    }
                    let told: Vec<Event> = told(view.as_deref(), entry);
                    let last = told.len().saturating_sub(1);
                    for (i, event) in told.into_iter().enumerate() {
                        // Who stops between two events of one entry is told the whole entry again.
                        let cursor = if i == last { entry.seq } else { entry.seq - 1 };
                        tokio::select! {
                            sent = events.send(Ok(EventRow { cursor, at: entry.at, event })) => if sent.is_err() { return },
                            () = app.stop.cancelled() => return,
                        }
                    }
                    seen = entry.seq;
                }
                if is_void() {
                    // Who follows comes again, and learns then whether the cursor still means something.
                    let _gone = events.send(Err(AppError::Unavailable)).await;
                    return;
                }
                if full {
                    continue;
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = events.closed() => return,
                    () = app.stop.cancelled() => return,
                }
            }
        });
        Ok(stream)
    }

    /// Whether all after a cursor is kept. Who reads so slowly that the feed was trimmed before it had better be told than be passed
    /// over; what a later version wrote is there, though nobody here can tell it.
    async fn is_kept_after(&self, network: &NetworkId, cursor: Cursor) -> Result<(), AppError> {
        let kept = self.ledger.entries(network, 0, 1).await.map_err(|error| AppError::from_ledger(error, network))?;
        match kept.first() {
            Some(oldest) if oldest.seq > cursor + 1 => Err(AppError::EventsGone { cursor, oldest: oldest.seq }),
            _ => Ok(()),
        }
    }
}

/// What an entry tells, in order; some changes are nobody's business.
fn told(view: Option<&NetworkView>, entry: &Entry) -> Vec<Event> {
    let row = |resource: &ResourceId, index: i32, level: &BucketLevel| -> Option<BucketRow> {
        let network = &view?.network;
        let resource = network.resource(network.find_resource(resource.as_str())?);
        Some(bucket_row(network, resource, index, level.clone(), entry.at))
    };
    entry
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::Bucket { resource, index, level } => row(resource, *index, level).map(Event::Bucket),
            Change::Reservation(reservation) => Some(Event::Reservation(Arc::clone(reservation))),
            Change::Undone(reservation) => Some(Event::Reservation(Arc::new(undone(reservation, entry.at)))),
            Change::Network { version, .. } => Some(Event::Network(*version)),
            Change::Offer(offer) => Some(Event::Offer(Arc::clone(&offer.offer.id))),
            Change::Forgotten { .. } => None,
        })
        .collect()
}

/// To those who follow, an undone reservation was given back.
fn undone(reservation: &Reservation, at: Moment) -> Reservation {
    let mut given_back = reservation.clone();
    given_back.state = State::Released;
    given_back.version += 1;
    given_back.ended_at = Some(at);
    given_back
}
