//! `surety allocate`, `repromise` and `fix`: what is set aside for channels, and what becomes of promises that are at risk.

use std::collections::HashSet;

use clap::Args;

use super::client::{Caller, ClientArgs, Patience};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::offer::{release_hours, request_id};
use super::{render, values};
use crate::app::request::Start;
use crate::domain::faults::Faults;
use crate::domain::limits::{MAX_ADJUSTED_BUCKETS, MAX_PAGE_SIZE, MAX_REPROMISED, MAX_UNITS};
use crate::proto::v1;

/// Options of `surety allocate`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct AllocateArgs {
    /// How much to set aside in each bucket, in place of what was set aside before: one number a bucket, or one for all
    /// --buckets. 0 takes it back
    #[arg(value_name = "UNITS")]
    pub units: Vec<String>,
    /// Of this resource
    #[arg(long, env = "SURETY_RESOURCE", value_name = "RESOURCE")]
    pub resource: Option<String>,
    /// For this channel
    #[arg(long, env = "SURETY_CHANNEL", value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// The first bucket: a date, or 2026-12-24T08:00 at the resource's site for buckets shorter than a day
    #[arg(long, env = "SURETY_START", value_name = "START")]
    pub start: Option<String>,
    /// How many buckets in a row; as many as there are UNITS if not given
    #[arg(long, env = "SURETY_BUCKETS", value_name = "N")]
    pub buckets: Option<String>,
    /// How many hours before a bucket begins what is left goes back to everyone
    #[arg(long, env = "SURETY_RELEASE_HOURS", value_name = "N", default_value = "24")]
    pub release_hours: String,
    /// The most that the channel may draw in a bucket, set aside or not: one for all buckets, or given again for each; no
    /// maximum if not given
    #[arg(long, env = "SURETY_MAX", value_name = "UNITS", value_delimiter = ',')]
    pub max: Vec<String>,
    /// Makes it safe to repeat: the same request with the same name is done once. Made if not given
    #[arg(long, env = "SURETY_REQUEST_ID", value_name = "UUID")]
    pub request_id: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety repromise`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct RepromiseArgs {
    /// Only these reservations, fixed ones too; all at risk that are not fixed if none is given
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Say what would be done, and do nothing
    #[arg(long, visible_alias = "validate-only", env = "SURETY_DRY_RUN", value_parser = values::flag)]
    pub dry_run: bool,
    /// How many reservations at most: 1 to 1,000
    #[arg(long, env = "SURETY_LIMIT", value_name = "N", default_value = "1000")]
    pub limit: String,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety fix`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct FixArgs {
    /// The reservation: the request id that made it
    #[arg(value_name = "ID")]
    pub id: String,
    /// Take the mark away: its date may be moved again
    #[arg(long, env = "SURETY_UNDO", value_parser = values::flag)]
    pub undo: bool,
    /// Why, for the reservation's history
    #[arg(long, env = "SURETY_REASON", value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

fn units(name: &str, texts: &[String], faults: &mut Faults) -> Vec<i64> {
    let most = u64::try_from(MAX_UNITS).unwrap_or(0);
    let number = |text: &String| match values::number(text, 0, most) {
        Ok(number) => i64::try_from(number).unwrap_or(MAX_UNITS),
        Err(fault) => {
            faults.add(name, fault);
            0
        }
    };
    texts.iter().filter(|text| !text.is_empty()).map(number).collect()
}

impl AllocateArgs {
    /// The request that these words mean; all faults are noted.
    fn request(&self, faults: &mut Faults) -> v1::SetAllocationRequest {
        let mut needed = |name: &str, value: &Option<String>, what: &str| {
            let value = value.clone().unwrap_or_default();
            if value.is_empty() {
                faults.add(name, format!("is missing; {what}"));
            }
            value
        };
        let resource = needed("--resource", &self.resource, "say of which resource");
        let channel = needed("--channel", &self.channel, "say for which channel");
        let start = needed("--start", &self.start, "say from which bucket on, 2026-12-24");
        if let Err(fault) = Start::parse(&start)
            && !start.is_empty()
        {
            faults.add("--start", fault);
        }
        let (mut set, mut most) = (units("UNITS", &self.units, faults), units("--max", &self.max, faults));
        let buckets = self.buckets.as_deref().filter(|text| !text.is_empty()).map(|text| {
            let number = values::number(text, 1, MAX_ADJUSTED_BUCKETS as u64).unwrap_or_else(|fault| {
                faults.add("--buckets", fault);
                1
            });
            usize::try_from(number).unwrap_or(1)
        });
        if set.is_empty() && most.is_empty() {
            faults.add("UNITS", "is missing; say how much to set aside in each bucket, or a --max");
        }
        let buckets = buckets.unwrap_or(set.len().max(most.len()));
        // Where only a maximum is wanted, nothing is set aside.
        if set.is_empty() {
            set.push(0);
        }
        for (name, numbers) in [("UNITS", &mut set), ("--max", &mut most)] {
            match numbers.as_slice() {
                [one] => *numbers = vec![*one; buckets],
                [] => {}
                several if several.len() != buckets => {
                    let seen = several.len();
                    faults.add(
                        name,
                        format!("has {seen} numbers for {buckets} buckets; give one for each, or one for all"),
                    );
                }
                _ => {}
            }
        }
        v1::SetAllocationRequest {
            request_id: request_id(self.request_id.as_deref(), faults),
            channel,
            resource,
            start,
            units: set,
            release_hours: release_hours(&self.release_hours, faults),
            max_units: most,
        }
    }
}

/// Sets part of a resource aside for a channel.
///
/// # Errors
/// Whatever kept it from being set aside.
pub async fn allocate(args: &AllocateArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let request = args.request(&mut faults);
    let caller = checked(faults, caller)?;
    let mut client = caller.operations().await?;
    let answer = client.set_allocation(caller.request(request.clone())).await;
    let failed = |failure: Failure| failure.with_request_id(&request.request_id);
    let answer = answer.map_err(|status| failed(caller.failure(&status)))?.into_inner();
    console.answer(caller.json, &answer, |_| render::operations::allocated(&request, &answer, &caller.times))?;
    Ok(Exit::Done)
}

/// Gives reservations at risk new dates. The answer is no where some stay at risk.
///
/// # Errors
/// Whatever kept it from being done.
pub async fn repromise(args: &RepromiseArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Unlimited, &mut faults);
    for id in &args.ids {
        if let Err(fault) = crate::domain::id::check(id) {
            faults.add("ID", fault);
        }
    }
    let limit = values::number(&args.limit, 1, MAX_REPROMISED.unsigned_abs().into()).unwrap_or_else(|fault| {
        faults.add("--limit", fault);
        1
    });
    let caller = checked(faults, caller)?;
    let request = v1::RepromiseRequest {
        validate_only: args.dry_run,
        limit: i32::try_from(limit).unwrap_or(MAX_REPROMISED),
        ids: args.ids.clone(),
    };
    let mut client = caller.operations().await?;
    let answer = client.repromise(caller.request(request)).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    let others = if args.ids.is_empty() { passed_over(&caller, &answer).await? } else { Vec::new() };
    console.answer(caller.json, &answer, |_| {
        render::operations::repromised(&answer, &others, args.dry_run, &caller.times)
    })?;
    Ok(if answer.still_at_risk > 0 || !others.is_empty() { Exit::No } else { Exit::Done })
}

/// Reservations at risk that were not looked at: fixed ones, and those beyond the limit.
async fn passed_over(caller: &Caller, answer: &v1::RepromiseResponse) -> Result<Vec<v1::Reservation>, Failure> {
    let seen: HashSet<&str> = answer.repromised.iter().map(|one| one.id.as_str()).collect();
    let mut client = caller.operations().await?;
    let mut others = Vec::new();
    let mut page_token = String::new();
    loop {
        let request =
            v1::ListReservationsRequest { page_size: MAX_PAGE_SIZE, page_token, at_risk: true, ..Default::default() };
        let page = client.list_reservations(caller.request(request)).await;
        let page = page.map_err(|status| caller.failure(&status))?.into_inner();
        others.extend(page.reservations.into_iter().filter(|reservation| !seen.contains(reservation.id.as_str())));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(others);
        }
    }
}

/// Fixes a reservation's date, or no longer.
///
/// # Errors
/// Whatever kept it from being done.
pub async fn fix(args: &FixArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    if let Err(fault) = crate::domain::id::check(&args.id) {
        faults.add("ID", fault);
    }
    let caller = checked(faults, caller)?;
    let request = v1::FixReservationRequest {
        id: args.id.clone(),
        fixed: !args.undo,
        reason: args.reason.clone().unwrap_or_default(),
    };
    let mut client = caller.operations().await?;
    let answer = client.fix_reservation(caller.request(request)).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    console.answer(caller.json, &answer, |_| {
        let reservation = answer.reservation.clone().unwrap_or_default();
        render::operations::fixed(&reservation, &caller.times)
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, parse};

    fn request(words: &str) -> Result<v1::SetAllocationRequest, Vec<String>> {
        let words = format!("surety allocate --resource lej.pack --channel vip --start 2026-12-01 {words}");
        let Command::Allocate(args) = parse(words.split_whitespace()).unwrap().command else { panic!() };
        let mut faults = Faults::new();
        let request = args.request(&mut faults);
        let faults = faults.into_vec();
        if faults.is_empty() { Ok(request) } else { Err(faults.iter().map(ToString::to_string).collect()) }
    }

    #[test]
    fn one_number_may_stand_for_all_buckets() {
        let numbers = |words: &str| request(words).map(|r| (r.units, r.max_units));
        assert_eq!(numbers("10 20 30"), Ok((vec![10, 20, 30], vec![])));
        assert_eq!(numbers("10 --buckets 3"), Ok((vec![10; 3], vec![])));
        assert_eq!(numbers("10 20 --max 50"), Ok((vec![10, 20], vec![50; 2])));
        assert_eq!(numbers("--max 50 --buckets 2"), Ok((vec![0; 2], vec![50; 2])));
        assert_eq!(numbers("--max 50,60"), Ok((vec![0; 2], vec![50, 60])));
        assert_eq!(
            numbers("").unwrap_err(),
            ["UNITS: is missing; say how much to set aside in each bucket, or a --max"]
        );
        assert_eq!(
            numbers("10 20 --max 1,2,3 --release-hours x --request-id y").unwrap_err().len(),
            3,
            "all faults at once"
        );
    }
}
