//! Everything that happened, in order, from a cursor on, at least once.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::response::{BucketRow, Event, EventKind};
use super::supply::bucket_row;
use super::{App, AppError};
use crate::domain::id::NetworkId;
use crate::domain::reservation::{Reservation, State};
use crate::domain::time::Moment;
use crate::ledger::feed::{Change, Entry};

/// Entries that are read at a time.
const PAGE: usize = 256;
/// Events that wait for a slow reader.
const BUFFER: usize = 64;

/// A place in the feed as callers hold it: after this change of this entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventCursor {
    /// The entry.
    pub entry: u64,
    /// How many of its changes were seen.
    pub changes: usize,
}

impl App {
    /// Follows the events after a cursor, or from now on, until the receiver is dropped or the service stops.
    pub async fn watch_events(
        self: &Arc<Self>,
        network: NetworkId,
        after: Option<EventCursor>,
    ) -> Result<mpsc::Receiver<Result<Event, AppError>>, AppError> {
        self.view(&network)?;
        let mut changes = self.views.changes(&network).ok_or_else(|| AppError::UnknownNetwork(network.clone()))?;
        let mut seen = match after {
            Some(cursor) => cursor,
            None => {
                let newest = self.ledger.newest(&network).await.map_err(|e| AppError::from_ledger(e, &network))?;
                EventCursor { entry: newest + 1, changes: 0 }
            }
        };
        let (events, stream) = mpsc::channel(BUFFER);
        let app = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                changes.mark_unchanged();
                // The entry of the cursor itself is read again: some of its changes may not have been seen.
                let page = app.ledger.entries(&network, seen.entry.saturating_sub(1), PAGE).await;
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
                    let skip = if entry.seq == seen.entry { seen.changes } else { 0 };
                    for (i, kind) in app.kinds(&network, entry).into_iter().enumerate().skip(skip) {
                        seen = EventCursor { entry: entry.seq, changes: i + 1 };
                        let Some(kind) = kind else { continue };
                        let event = Event { cursor: seen, at: entry.at, kind };
                        tokio::select! {
                            sent = events.send(Ok(event)) => if sent.is_err() { return },
                            () = app.stop.cancelled() => return,
                        }
                    }
                    seen = EventCursor { entry: entry.seq, changes: entry.changes.len().max(1) };
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

    /// One event a change, in order; none where a change is nobody's business.
    fn kinds(&self, network: &NetworkId, entry: &Entry) -> Vec<Option<EventKind>> {
        let view = self.views.get(network);
        let row = |resource: &str, index: i32, level: &crate::domain::bucket::BucketLevel, at: Moment| -> Option<BucketRow> {
            let view = view.as_ref()?;
            let resource = view.network.resource(view.network.find_resource(resource)?);
            Some(bucket_row(&view.network, resource, index, level.clone(), at))
        };
        entry
            .changes
            .iter()
            .map(|change| match change {
                Change::Bucket { resource, index, level } => {
                    row(resource.as_str(), *index, level, entry.at).map(EventKind::Bucket)
                }
                Change::Reservation(reservation) => Some(EventKind::Reservation(Arc::clone(reservation))),
                Change::Undone(reservation) => Some(EventKind::Reservation(Arc::new(undone(reservation, entry.at)))),
                Change::Network { version, .. } => Some(EventKind::Network { version: *version }),
                Change::Forgotten { .. } => None,
            })
            .collect()
    }
}

/// To those who follow, an undone reservation was given back.
fn undone(reservation: &Reservation, at: Moment) -> Reservation {
    let mut given_back = reservation.clone();
    given_back.state = State::Released;
    given_back.version += 1;
    given_back.ended_at = Some(at);
    given_back
}
