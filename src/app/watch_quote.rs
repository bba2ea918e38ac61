//! The answer now, and again each time it changes, and not otherwise. Takes nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{App, AppError};
use crate::domain::answer::{Answer, Promise};
use crate::domain::ask::Ask;
use crate::domain::id::NetworkId;
use crate::domain::time::{Moment, SECOND};
use crate::planner::{self, Detail};
use crate::view::Reading;

/// Changes that come within this time of each other are answered once.
const GATHER: Duration = Duration::from_millis(20);
/// How often the answer is looked at when nothing changes but the time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Answers that wait for a slow reader; it then gets the newest when it comes back.
const BUFFER: usize = 1;

impl App {
    /// Follows the answer until the receiver is dropped, the service stops, or the ask can no longer be answered (its last
    /// message then says why).
    pub fn watch_quote(
        self: &Arc<Self>,
        network: NetworkId,
        ask: Ask,
    ) -> Result<mpsc::Receiver<Result<Answer, AppError>>, AppError> {
        // What is wrong with the ask is said at once, not in the stream.
        let first = self.look(&network, &ask)?;
        let mut changes = self.views.changes(&network).ok_or_else(|| AppError::UnknownNetwork(network.clone()))?;
        changes.mark_unchanged();
        let (answers, stream) = mpsc::channel(BUFFER);
        let app = Arc::clone(self);
        tokio::spawn(async move {
            let _open = app.metrics.watch_opened();
            let mut last = first.clone();
            let mut next = Some(first);
            loop {
                if let Some(answer) = next.take() {
                    tokio::select! {
                        sent = answers.send(Ok(answer.1)) => if sent.is_err() { return },
                        () = app.stop.cancelled() => return,
                    }
                }
                let now = app.clock.now();
                let until_order_by = last.1.promise.as_ref().map_or(LOOK_AGAIN, |p| {
                    Duration::from_micros(p.order_by.0.saturating_sub(now.0).clamp(1_000, SECOND) as u64)
                });
                tokio::select! {
                    () = tokio::time::sleep(until_order_by.min(LOOK_AGAIN)) => {}
                    changed = changes.changed() => {
                        if changed.is_err() { return }
                        tokio::time::sleep(GATHER).await;
                        changes.mark_unchanged();
                    }
                    () = answers.closed() => return,
                    () = app.stop.cancelled() => return,
                }
                match app.look(&network, &ask) {
                    Ok(seen) => {
                        if !is_same(&last, &seen) {
                            last = seen.clone();
                            next = Some(seen);
                        }
                    }
                    Err(error) => {
                        // The stream ends with its reason; a reader that has gone does not care.
                        let _gone = answers.send(Err(error)).await;
                        return;
                    }
                }
            }
        });
        Ok(stream)
    }

    fn look(&self, network: &NetworkId, ask: &Ask) -> Result<(Moment, Answer), AppError> {
        let now = self.clock.now();
        let Reading { view, as_of } = self.view(network, now)?;
        let resolved = planner::resolve(&view.network, ask, |id| view.has_offer(id)).map_err(AppError::Unknown)?;
        let planned = self.records.with(network, |record| {
            planner::quote_kept(&view.network, &*view, &resolved, now, as_of, Detail::Full, record)
        });
        Ok((now, planned.answer))
    }
}

/// Whether two answers say the same. The age of what was read does not count; nor does it where a promise moves along
/// with the time, "three hours from now", and says so both times.
fn is_same((then, old): &(Moment, Answer), (now, new): &(Moment, Answer)) -> bool {
    let moved = now.0 - then.0;
    old.verdict == new.verdict
        && old.bottlenecks == new.bottlenecks
        && match (&old.promise, &new.promise) {
            (Some(a), Some(b)) => is_same_promise(a, b, moved),
            (None, None) => true,
            _ => false,
        }
        && old.alternatives.len() == new.alternatives.len()
        && old.alternatives.iter().zip(&new.alternatives).all(|(a, b)| {
            a.kind == b.kind
                && a.lines == b.lines
                && a.service == b.service
                && is_same_promise(&a.promise, &b.promise, moved)
        })
}

fn is_same_promise(a: &Promise, b: &Promise, moved: i64) -> bool {
    let same = |x: Moment, y: Moment| x == y || y.0 - x.0 == moved;
    a.date == b.date
        && same(a.arrives_from, b.arrives_from)
        && same(a.arrives_by, b.arrives_by)
        && same(a.ships_at, b.ships_at)
        && same(a.order_by, b.order_by)
        && a.shipments.len() == b.shipments.len()
        && a.shipments.iter().zip(&b.shipments).all(|(x, y)| {
            x.lines == y.lines
                && x.site == y.site
                && x.lane == y.lane
                && x.date == y.date
                && same(x.ships_at, y.ships_at)
                && same(x.arrives_by, y.arrives_by)
        })
}
