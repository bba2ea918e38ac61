//! `surety apply`: the network, from a file.

use std::path::PathBuf;

use clap::Args;

use super::client::{ClientArgs, Patience};
use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::{input, render, values};
use crate::domain::faults::Faults;
use crate::proto::v1;

/// Options of `surety apply`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ApplyArgs {
    /// The network: YAML or JSON; '-' is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Have the server check the network against what is reserved, and change nothing
    #[arg(long, visible_alias = "validate-only", env = "SURETY_DRY_RUN", value_parser = values::flag)]
    pub dry_run: bool,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Applies a network.
///
/// # Errors
/// Everything that is wrong with the file, as far as this side sees; else all that the server found, by line.
pub async fn apply(args: &ApplyArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let caller = args.client.check(Patience::Unlimited, &mut faults);
    let caller = checked(faults, caller)?;
    let file = input::network(&args.file)?;

    let mut client = caller.operations().await?;
    let request = v1::ApplyNetworkRequest { network: Some(file.network.clone()), validate_only: args.dry_run };
    let answer = client.apply_network(caller.request(request)).await;
    let answer = answer.map_err(|status| caller.failure(&status).with_places(|paths| file.places(paths)))?.into_inner();
    console.answer(caller.json, &answer, |_| render::plan::applied(&file.network, answer.version, args.dry_run))?;
    Ok(Exit::Done)
}
