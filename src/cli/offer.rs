//! `surety offer`: what marketing means to advertise, checked against what operations can deliver, and set aside for it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::client::{Caller, ClientArgs, Patience};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::reservation::id;
use super::{input, render, values};
use crate::app::request::Start;
use crate::domain::faults::Faults;
use crate::domain::limits::{MAX_PAGE_SIZE, MAX_RELEASE_HOURS};
use crate::files::offer::OfferFile;
use crate::proto::v1;

/// Options of `surety offer`.
#[derive(Clone, Debug, Args)]
pub struct OfferArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub action: OfferAction,
}

/// What can be done with an offer.
#[derive(Clone, Debug, Subcommand)]
pub enum OfferAction {
    /// Can operations deliver what the offer promises, and what would it take? Takes nothing
    Check(CheckArgs),
    /// Check, and set aside for the offer what its orders will need
    Approve(ApproveArgs),
    /// End an offer: what it has not sold goes back to everyone
    Close(CloseArgs),
    /// Show an offer and what became of it
    Show(ShowOfferArgs),
    /// List offers
    List(ListOffersArgs),
}

/// Options of `surety offer check`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct CheckArgs {
    /// The offer: YAML or JSON; '-' is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What if? A change of supply that is only supposed: RESOURCE,START,BUCKETS,DELTA; can be given again
    #[arg(long, env = "SURETY_SUPPOSE", value_name = "CHANGE", value_delimiter = ';', allow_hyphen_values = true)]
    pub suppose: Vec<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety offer approve`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ApproveArgs {
    /// The offer: YAML or JSON; '-' is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Approve it if at least this share of its orders can be kept, 0.9; all of them if not given
    #[arg(long, env = "SURETY_MIN_SHARE", value_name = "SHARE")]
    pub min_share: Option<String>,
    /// How many hours before work begins what is unsold of it goes back to everyone
    #[arg(long, env = "SURETY_RELEASE_HOURS", value_name = "N", default_value = "24")]
    pub release_hours: String,
    /// Makes the approval safe to repeat: the same request with the same name is done once. Made if not given
    #[arg(long, env = "SURETY_REQUEST_ID", value_name = "UUID")]
    pub request_id: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety offer close`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct CloseArgs {
    /// The offer
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety offer show`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ShowOfferArgs {
    /// The offer
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety offer list`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ListOffersArgs {
    /// How many to show at most
    #[arg(long, env = "SURETY_LIMIT", value_name = "N", default_value = "100")]
    pub limit: String,
    /// Where to go on, as an earlier list said
    #[arg(long, env = "SURETY_PAGE_TOKEN", value_name = "TOKEN")]
    pub page_token: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

impl OfferArgs {
    /// Whether faults are wanted as JSON.
    pub fn json(&self) -> bool {
        match &self.action {
            OfferAction::Check(args) => args.client.json,
            OfferAction::Approve(args) => args.client.json,
            OfferAction::Close(args) => args.client.json,
            OfferAction::Show(args) => args.client.json,
            OfferAction::List(args) => args.client.json,
        }
    }
}

/// Does what is to be done with an offer.
///
/// # Errors
/// Whatever kept it from being done.
pub async fn run(args: &OfferArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    match &args.action {
        OfferAction::Check(args) => check(args, console).await,
        OfferAction::Approve(args) => approve(args, console).await,
        OfferAction::Close(args) => close(args, console).await,
        OfferAction::Show(args) => show(args, console).await,
        OfferAction::List(args) => list(args, console).await,
    }
}

/// `lej.pack,2026-11-27,3,-500`
fn supposed(text: &str) -> Result<v1::SupposedSupply, String> {
    let wrong =
        || format!("'{text}' is no change of supply; write RESOURCE,START,BUCKETS,DELTA: lej.pack,2026-11-27,3,500");
    // Resources may have commas in them, the rest has none.
    let mut parts = text.rsplitn(4, ',').map(str::trim);
    let (delta, buckets, start, resource) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(delta), Some(buckets), Some(start), Some(resource)) = (delta, buckets, start, resource) else {
        return Err(wrong());
    };
    Start::parse(start).map_err(|why| format!("'{text}': {why}"))?;
    let buckets = buckets.parse::<i32>().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
    let delta = delta.strip_prefix('+').unwrap_or(delta).parse().map_err(|_| wrong())?;
    if resource.is_empty() {
        return Err(wrong());
    }
    Ok(v1::SupposedSupply { resource: resource.to_owned(), start: start.to_owned(), buckets, delta })
}

/// Places of the request's paths in the file it came from.
fn places(path: &Path, file: &OfferFile, paths: &[&str]) -> Vec<Option<String>> {
    let name = input::name(path);
    let place = |place: Option<(u32, u32)>| place.map(|(line, column)| format!("{name}:{line}:{column}"));
    file.places(paths).into_iter().map(place).collect()
}

/// Checks an offer. The answer is no unless all of it can be kept.
async fn check(args: &CheckArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let mut suppose = Vec::new();
    for text in args.suppose.iter().filter(|text| !text.is_empty()) {
        match supposed(text) {
            Ok(change) => suppose.push(change),
            Err(fault) => faults.add("--suppose", fault),
        }
    }
    let caller = checked(faults, caller)?;
    let file = input::offer(&args.file)?;
    let suppose: Vec<_> = file.suppose.iter().cloned().chain(suppose).collect();
    let request = v1::CheckOfferRequest { offer: Some(file.offer.clone()), suppose: suppose.clone() };
    let mut client = caller.offers().await?;
    let answer = client.check_offer(caller.request(request)).await;
    let with_places = |failure: Failure| failure.with_places(|paths| places(&args.file, &file, paths));
    let answer = answer.map_err(|status| with_places(caller.failure(&status)))?.into_inner();
    if caller.json {
        console.print_json(&answer)?;
    } else {
        let report = answer.report.clone().unwrap_or_default();
        console.print(&render::offer::report(&file.offer, &suppose, &report, &caller.times))?;
    }
    Ok(match answer.report.unwrap_or_default().verdict() {
        v1::Verdict::Promised => Exit::Done,
        v1::Verdict::Later | v1::Verdict::Unavailable | v1::Verdict::Unspecified => Exit::No,
    })
}

/// A request's name: what was given, or a new one.
pub(super) fn request_id(given: Option<&str>, faults: &mut Faults) -> String {
    match given.filter(|id| !id.is_empty()) {
        Some(id) if uuid::Uuid::try_parse(id).is_err() => {
            let right = "6f1c2a9e-3b54-4c0e-9d1f-0a7c52d0e8b1";
            faults.add("--request-id", format!("'{id}' is not a UUID; write one like {right}, or leave it out"));
            String::new()
        }
        Some(id) => id.to_owned(),
        None => uuid::Uuid::new_v4().to_string(),
    }
}

/// Hours before a bucket begins when what is set aside goes back.
pub(super) fn release_hours(text: &str, faults: &mut Faults) -> i32 {
    let most = u64::try_from(MAX_RELEASE_HOURS).unwrap_or(0);
    let hours = values::number(text, 0, most).unwrap_or_else(|fault| {
        faults.add("--release-hours", fault);
        0
    });
    i32::try_from(hours).unwrap_or(MAX_RELEASE_HOURS)
}

/// Approves an offer.
async fn approve(args: &ApproveArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let min_share = args.min_share.as_deref().filter(|text| !text.is_empty()).map_or(Ok(0.0), values::share);
    let min_share = min_share.unwrap_or_else(|fault| {
        faults.add("--min-share", fault);
        0.0
    });
    let release_hours = release_hours(&args.release_hours, &mut faults);
    let request_id = request_id(args.request_id.as_deref(), &mut faults);
    let caller = checked(faults, caller)?;
    let file = input::offer(&args.file)?;
    if !file.suppose.is_empty() {
        let fault = "suppose: what is only supposed can't be set aside; leave it out, or `surety offer check` the file";
        return Err(Failure::wrong(format!("{} is wrong", input::name(&args.file)), fault));
    }
    let request = v1::ApproveOfferRequest {
        request_id: request_id.clone(),
        offer: Some(file.offer.clone()),
        min_share,
        release_hours,
    };
    let mut client = caller.offers().await?;
    let answer = client.approve_offer(caller.request(request)).await;
    let failed =
        |failure: Failure| failure.with_request_id(&request_id).with_places(|paths| places(&args.file, &file, paths));
    let answer = answer.map_err(|status| failed(caller.failure(&status)))?.into_inner();
    console.answer(caller.json, &answer, |_| render::offer::approved(&answer, &caller.times))?;
    Ok(Exit::Done)
}

async fn close(args: &CloseArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let request = v1::CloseOfferRequest { id: id(&args.id, &mut faults) };
    let caller = checked(faults, caller)?;
    let mut client = caller.offers().await?;
    let answer = client.close_offer(caller.request(request)).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    console.answer(caller.json, &answer, |_| render::offer::closed(&answer.offer.clone().unwrap_or_default()))?;
    Ok(Exit::Done)
}

async fn show(args: &ShowOfferArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let request = v1::GetOfferRequest { id: id(&args.id, &mut faults) };
    let caller = checked(faults, caller)?;
    let mut client = caller.offers().await?;
    let answer = client.get_offer(caller.request(request)).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    console.answer(caller.json, &answer, |_| {
        render::offer::shown(&answer.offer.clone().unwrap_or_default(), &caller.times)
    })?;
    Ok(Exit::Done)
}

async fn list(args: &ListOffersArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let limit = values::number(&args.limit, 1, 1_000_000).unwrap_or_else(|fault| {
        faults.add("--limit", fault);
        1
    });
    let caller = checked(faults, caller)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let answer = pages(&caller, limit, args.page_token.clone().unwrap_or_default()).await?;
    console.answer(caller.json, &answer, |_| render::offer::list(&answer, &caller.times))?;
    Ok(Exit::Done)
}

async fn pages(caller: &Caller, limit: usize, page_token: String) -> Result<v1::ListOffersResponse, Failure> {
    let mut client = caller.offers().await?;
    let mut list = v1::ListOffersResponse { offers: Vec::new(), next_page_token: page_token };
    loop {
        let page_size = i32::try_from(limit - list.offers.len()).unwrap_or(i32::MAX).min(MAX_PAGE_SIZE);
        let request = v1::ListOffersRequest { page_size, page_token: std::mem::take(&mut list.next_page_token) };
        let page = client.list_offers(caller.request(request)).await;
        let page = page.map_err(|status| caller.failure(&status))?.into_inner();
        list.offers.extend(page.offers);
        list.next_page_token = page.next_page_token;
        if list.next_page_token.is_empty() || list.offers.len() >= limit {
            return Ok(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_supposed_in_one_word() {
        let change = |text: &str| supposed(text).map(|s| (s.resource, s.start, s.buckets, s.delta));
        let pack = || "lej.pack".to_owned();
        assert_eq!(change("lej.pack,2026-11-27,3,500"), Ok((pack(), "2026-11-27".to_owned(), 3, 500)));
        assert_eq!(change("lej.pack,2026-11-27T08:00,1,-5"), Ok((pack(), "2026-11-27T08:00".to_owned(), 1, -5)));
        assert_eq!(change("a,b,2026-11-27,1,+5"), Ok(("a,b".to_owned(), "2026-11-27".to_owned(), 1, 5)));
        for text in [
            "",
            "lej.pack",
            "lej.pack,2026-11-27,5",
            "a,soon,1,5",
            "a,2026-11-27,0,5",
            "a,2026-11-27,1,x",
            ",2026-11-27,1,1",
        ] {
            assert!(supposed(text).is_err(), "{text}");
        }
    }
}
