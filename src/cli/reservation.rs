//! `surety confirm`, `release`, `extend`, `show` and `reservations`.

use clap::{Args, ValueEnum};

use super::client::{ClientArgs, Patience};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::quote::hold;
use super::{render, values};
use crate::domain::faults::Faults;
use crate::domain::limits::MAX_PAGE_SIZE;
use crate::proto::v1;

/// Options of `surety confirm`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ConfirmArgs {
    /// The reservation: the request id that made it
    #[arg(value_name = "ID")]
    pub id: String,
    /// Replaces the reservation's reference: the order number, now that there is one
    #[arg(long, env = "SURETY_REFERENCE", value_name = "TEXT")]
    pub reference: Option<String>,
    /// If the hold has expired: take the same capacity again if all of it is still free, and confirm
    #[arg(long, env = "SURETY_RETAKE", value_parser = values::flag)]
    pub retake: bool,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety release`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ReleaseArgs {
    /// The reservation: the request id that made it
    #[arg(value_name = "ID")]
    pub id: String,
    /// Why, for the reservation's history
    #[arg(long, env = "SURETY_REASON", value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety extend`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ExtendArgs {
    /// The reservation: the request id that made it
    #[arg(value_name = "ID")]
    pub id: String,
    /// How long to keep the capacity from now on: 15m, 2h, 7d
    #[arg(long, env = "SURETY_HOLD", value_name = "DURATION")]
    pub hold: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety show`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ShowArgs {
    /// The reservation: the request id that made it
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Options of `surety reservations`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ReservationsArgs {
    /// Only those in this state
    #[arg(long, env = "SURETY_STATE", value_name = "STATE", value_enum)]
    pub state: Option<StateArg>,
    /// Only those that draw on this resource
    #[arg(long, env = "SURETY_RESOURCE", value_name = "RESOURCE")]
    pub resource: Option<String>,
    /// Only those whose capacity was lost after it was promised
    #[arg(long, env = "SURETY_AT_RISK", value_parser = values::flag)]
    pub at_risk: bool,
    /// Only confirmed work whose time has passed and that was not reported as shipped or delivered
    #[arg(long, env = "SURETY_BACKLOG", value_parser = values::flag)]
    pub backlog: bool,
    /// How many to show at most
    #[arg(long, env = "SURETY_LIMIT", value_name = "N", default_value = "100")]
    pub limit: String,
    /// Where to go on, as an earlier list said
    #[arg(long, env = "SURETY_PAGE_TOKEN", value_name = "TOKEN")]
    pub page_token: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// The states of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum StateArg {
    Held,
    Confirmed,
    Released,
    Expired,
    Fulfilled,
}

impl From<StateArg> for v1::reservation::State {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Held => Self::Held,
            StateArg::Confirmed => Self::Confirmed,
            StateArg::Released => Self::Released,
            StateArg::Expired => Self::Expired,
            StateArg::Fulfilled => Self::Fulfilled,
        }
    }
}

/// The id on the command line, of a reservation or of an offer.
pub(super) fn id(text: &str, faults: &mut Faults) -> String {
    if let Err(fault) = crate::domain::id::check(text) {
        faults.add("ID", fault);
    }
    text.to_owned()
}

/// Confirms a reservation.
///
/// # Errors
/// Whatever kept it from being confirmed.
pub async fn confirm(args: &ConfirmArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let request = v1::ConfirmReservationRequest {
        id: id(&args.id, &mut faults),
        reference: args.reference.clone().unwrap_or_default(),
        retake: args.retake,
    };
    let caller = checked(faults, caller)?;
    let mut client = caller.promises().await?;
    let answer = client.confirm_reservation(caller.request(request)).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    console.answer(caller.json, &answer, |now| {
        let reservation = answer.reservation.clone().unwrap_or_default();
        render::reservation::changed(&reservation, &caller.times, now)
    })?;
    Ok(Exit::Done)
}

/// Releases a reservation.
///
/// # Errors
/// Whatever kept it from being released.
pub async fn release(args: &ReleaseArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let request = v1::ReleaseReservationRequest {
        id: id(&args.id, &mut faults),
        reason: args.reason.clone().unwrap_or_default(),
    };
    let caller = checked(faults, caller)?;
    let mut client = caller.promises().await?;
    let answer = client.release_reservation(caller.request(request)).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    console.answer(caller.json, &answer, |now| {
        let reservation = answer.reservation.clone().unwrap_or_default();
        render::reservation::changed(&reservation, &caller.times, now)
    })?;
    Ok(Exit::Done)
}

/// Gives a hold more time.
///
/// # Errors
/// Whatever kept it from being extended.
pub async fn extend(args: &ExtendArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let hold = match &args.hold {
        Some(text) => hold(text, &mut faults),
        None => {
            faults.add("--hold", "is missing; say how long from now on, 15m");
            None
        }
    };
    let request = v1::ExtendReservationRequest { id: id(&args.id, &mut faults), hold };
    let caller = checked(faults, caller)?;
    let mut client = caller.promises().await?;
    let answer = client.extend_reservation(caller.request(request)).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    console.answer(caller.json, &answer, |now| {
        let reservation = answer.reservation.clone().unwrap_or_default();
        render::reservation::changed(&reservation, &caller.times, now)
    })?;
    Ok(Exit::Done)
}

/// Shows a reservation with its evidence.
///
/// # Errors
/// Whatever kept the answer away.
pub async fn show(args: &ShowArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let request = v1::GetReservationRequest { id: id(&args.id, &mut faults) };
    let caller = checked(faults, caller)?;
    let mut client = caller.promises().await?;
    let answer = client.get_reservation(caller.request(request)).await;
    let answer = answer.map_err(|status| caller.failure(&status))?.into_inner();
    console.answer(caller.json, &answer, |now| render::reservation::evidence(&answer, &caller.times, now))?;
    Ok(Exit::Done)
}

/// Lists reservations, as many pages as the limit needs.
///
/// # Errors
/// Whatever kept the answer away.
pub async fn list(args: &ReservationsArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Question, &mut faults);
    let limit = values::number(&args.limit, 1, 1_000_000).unwrap_or_else(|fault| {
        faults.add("--limit", fault);
        1
    });
    let caller = checked(faults, caller)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);

    let mut client = caller.operations().await?;
    let mut list = v1::ListReservationsResponse {
        reservations: Vec::new(),
        next_page_token: args.page_token.clone().unwrap_or_default(),
    };
    loop {
        let wanted = i32::try_from(limit - list.reservations.len()).unwrap_or(i32::MAX).min(MAX_PAGE_SIZE);
        let request = v1::ListReservationsRequest {
            page_size: wanted,
            page_token: std::mem::take(&mut list.next_page_token),
            at_risk: args.at_risk,
            resource: args.resource.clone().unwrap_or_default(),
            backlog: args.backlog,
            state: args.state.map_or(v1::reservation::State::Unspecified, Into::into).into(),
        };
        let page = client.list_reservations(caller.request(request)).await;
        let page = page.map_err(|status| caller.failure(&status))?.into_inner();
        list.reservations.extend(page.reservations);
        list.next_page_token = page.next_page_token;
        if list.next_page_token.is_empty() || list.reservations.len() >= limit {
            break;
        }
    }
    console.answer(caller.json, &list, |now| render::reservation::list(&list, &caller.times, now))?;
    Ok(Exit::Done)
}
