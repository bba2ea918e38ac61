//! What runs by itself: buckets that are long over are forgotten, so that a year of days costs no memory.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::App;
use crate::domain::bucket::Availability;
use crate::domain::network::{Kind, ResourceIdx};
use crate::ledger::command::Command;
use crate::view::NetworkView;

/// How often it is done.
const EVERY: Duration = Duration::from_secs(3_600);
/// Days that buckets are kept after they are over: what people still look back on.
const KEPT_DAYS: i32 = 35;

impl App {
    /// Runs until the service stops.
    pub async fn keep_house(self: Arc<Self>) {
        loop {
            for (network, view) in self.views.followed() {
                let before = self.over(&view);
                if before.is_empty() {
                    continue;
                }
                if let Err(error) = self.ledger.execute(&network, Command::Forget { before }, None).await {
                    warn!(%network, %error, "buckets that are over could not be forgotten; the next round tries again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Resources with buckets that are long over, each with the first that is kept. Receipts of stock are never over.
    fn over(&self, view: &NetworkView) -> Vec<(crate::domain::id::ResourceId, i32)> {
        let now = self.clock.now();
        let network = &view.network;
        (0..network.resources().len())
            .map(ResourceIdx::new)
            .filter_map(|at| {
                let resource = network.resource(at);
                let first_kept = resource.bucketing.first_of(network.calendar_of(resource).day_of(now) - KEPT_DAYS);
                let is_over = |index: &i32, carries: bool| *index < first_kept && !carries;
                (resource.kind == Kind::Capacity
                    && view.levels(at).all().any(|(index, level)| is_over(index, level.carries_reservations())))
                .then(|| (resource.id.clone(), first_kept))
            })
            .collect()
    }
}
