//! `surety suggest` and `scorecard`: what could be sold and kept, and the figures that marketing and operations share.

use clap::Args;

use super::ask::date;
use super::client::{ClientArgs, Patience};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::{render, values};
use crate::domain::faults::Faults;
use crate::proto::v1;

/// Options of `surety suggest`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct SuggestArgs {
    /// Where the orders would go
    #[arg(long, env = "SURETY_ZONE", value_name = "ZONE")]
    pub zone: Option<String>,
    /// The first day of the offer
    #[arg(long, env = "SURETY_FROM", value_name = "DATE")]
    pub from: Option<String>,
    /// Its last day
    #[arg(long, env = "SURETY_TO", value_name = "DATE")]
    pub to: Option<String>,
    /// What would be advertised: delivered within so many days of the order
    #[arg(long, env = "SURETY_WITHIN", value_name = "DAYS")]
    pub within: Option<String>,
    /// How many products to show at most: 1 to 1,000
    #[arg(long, env = "SURETY_LIMIT", value_name = "N", default_value = "20")]
    pub limit: String,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety scorecard`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ScorecardArgs {
    /// The first day: what was promised for it
    #[arg(long, env = "SURETY_FROM", value_name = "DATE")]
    pub from: Option<String>,
    /// The last day
    #[arg(long, env = "SURETY_TO", value_name = "DATE")]
    pub to: Option<String>,
    /// Of this channel only
    #[arg(long, env = "SURETY_CHANNEL", value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Of this offer only
    #[arg(long, env = "SURETY_OFFER", value_name = "OFFER")]
    pub offer: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// A first and a last day, both needed.
fn period(from: Option<&str>, to: Option<&str>, faults: &mut Faults) -> (String, String) {
    let day = |name: &str, text: Option<&str>, faults: &mut Faults| match text.filter(|text| !text.is_empty()) {
        Some(text) => date(name, text, faults).unwrap_or_default(),
        None => {
            faults.add(name, "is missing; write a date, 2026-12-24");
            String::new()
        }
    };
    let (from, to) = (day("--from", from, faults), day("--to", to, faults));
    // Dates of this form compare as texts.
    if !to.is_empty() && to < from {
        faults.add("--to", "comes before --from; a period ends after it begins");
    }
    (from, to)
}

/// Shows what could be offered. The answer is no where there is nothing.
///
/// # Errors
/// Whatever kept the answer away.
pub async fn suggest(args: &SuggestArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let (starts, ends) = period(args.from.as_deref(), args.to.as_deref(), &mut faults);
    let number = |name: &str, text: &str, from: u64, to: u64, faults: &mut Faults| {
        let number = values::number(text, from, to).unwrap_or_else(|fault| {
            faults.add(name, fault);
            from
        });
        i32::try_from(number).unwrap_or(i32::MAX)
    };
    let within_days = match &args.within {
        Some(text) => number("--within", text, 0, 400, &mut faults),
        None => {
            faults.add("--within", "is missing; say within how many days of the order it would be delivered");
            0
        }
    };
    let limit = number("--limit", &args.limit, 1, 1_000, &mut faults);
    let zone = args.zone.clone().unwrap_or_default();
    if zone.is_empty() {
        faults.add("--zone", "is missing; say where the orders would go");
    }
    let request = v1::SuggestOffersRequest { starts, ends, zone, within_days, limit };
    let caller = checked(faults, caller)?;
    let mut client = caller.offers().await?;
    let answer = client.suggest_offers(caller.request(request.clone())).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    console.answer(caller.json, &answer, |_| render::scorecard::suggestions(&request, &answer, &caller.times))?;
    Ok(if answer.suggestions.is_empty() { Exit::No } else { Exit::Done })
}

/// Shows the figures of a period.
///
/// # Errors
/// Whatever kept the answer away.
pub async fn scorecard(args: &ScorecardArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let (from, to) = period(args.from.as_deref(), args.to.as_deref(), &mut faults);
    let request = v1::GetScorecardRequest {
        from,
        to,
        channel: args.channel.clone().unwrap_or_default(),
        offer: args.offer.clone().unwrap_or_default(),
    };
    let caller = checked(faults, caller)?;
    let mut client = caller.offers().await?;
    let answer = client.get_scorecard(caller.request(request.clone())).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    console.answer(caller.json, &answer, |_| render::scorecard::scorecard(&request, &answer, &caller.times))?;
    Ok(Exit::Done)
}
