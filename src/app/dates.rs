//! The dates that a date picker may offer, each with what is left of it. Takes nothing.

use super::request::PromiseDatesRequest;
use super::{App, AppError};
use crate::domain::answer::PromiseDate;
use crate::domain::id::NetworkId;
use crate::planner;

impl App {
    /// The dates, by date, window and service.
    pub fn list_promise_dates(
        &self,
        network: &NetworkId,
        request: &PromiseDatesRequest,
    ) -> Result<Vec<PromiseDate>, AppError> {
        let now = self.clock.now();
        let view = self.view(network, now)?.view;
        let ask = planner::resolve(&view.network, &request.ask, |id| view.has_offer(id)).map_err(AppError::Unknown)?;
        Ok(self.records.with(network, |record| {
            planner::dates(&view.network, &*view, &ask, request.from, request.days, now, record)
        }))
    }
}
