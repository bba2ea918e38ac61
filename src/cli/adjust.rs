//! `surety adjust`: something happened to the plan: a machine broke, a shift was added.

use clap::Args;
use uuid::Uuid;

use super::client::{ClientArgs, Patience};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::{render, values};
use crate::domain::faults::Faults;
use crate::domain::limits::MAX_ADJUSTED_BUCKETS;
use crate::proto::v1;

/// Options of `surety adjust`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct AdjustArgs {
    /// Of this resource
    #[arg(value_name = "RESOURCE")]
    pub resource: String,
    /// The first bucket: a date, or a local date and time of the site for buckets shorter than a day
    #[arg(value_name = "START")]
    pub start: String,
    /// Units more, or less with a minus: +480, -480. Supply never falls below 0
    #[arg(value_name = "UNITS", allow_hyphen_values = true)]
    pub delta: String,
    /// How many buckets in a row
    #[arg(long, env = "SURETY_BUCKETS", value_name = "N", default_value = "1")]
    pub buckets: String,
    /// Why, for those who look at it later
    #[arg(long, env = "SURETY_REASON", value_name = "TEXT")]
    pub reason: Option<String>,
    /// Names the adjustment, so that it can be sent again safely; made up if not given
    #[arg(long, env = "SURETY_REQUEST_ID", value_name = "ID")]
    pub request_id: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Changes the plan, and says what it put at risk.
///
/// # Errors
/// Whatever kept the answer away.
pub async fn run(args: &AdjustArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let delta = args.delta.trim_start_matches('+').parse::<i64>().unwrap_or_else(|_| {
        faults.add("UNITS", format!("'{}' is not a whole number with or without a sign, such as -480", args.delta));
        0
    });
    let most = u64::try_from(MAX_ADJUSTED_BUCKETS).unwrap_or(u64::MAX);
    let buckets = values::number(&args.buckets, 1, most).unwrap_or_else(|fault| {
        faults.add("--buckets", fault);
        1
    });
    let caller = checked(faults, caller)?;
    let request = v1::AdjustSupplyRequest {
        request_id: args.request_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string()),
        resource: args.resource.clone(),
        start: args.start.clone(),
        buckets: i32::try_from(buckets).unwrap_or(i32::MAX),
        delta,
        reason: args.reason.clone().unwrap_or_default(),
    };
    let mut client = caller.operations().await?;
    let answer = client.adjust_supply(caller.request(request.clone())).await;
    let answer = answer.map_err(|status| caller.failure(&status).with_request_id(&request.request_id))?.into_inner();
    console.answer(caller.json, &answer, |_| render::plan::adjusted(&request, &answer, &caller.times))?;
    Ok(Exit::Done)
}
