//! `surety audit`: every balance worked out anew, what differs, and what mends it.

use clap::Args;
use serde::Serialize;

use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::steward::{self, Absent, Chosen, StewardArgs, open_steward};
use super::{render, values};
use crate::domain::faults::Faults;
use crate::domain::id::ResourceId;
use crate::domain::network::Network;
use crate::edge::from_proto;
use crate::ledger::audit::{self, Audit, BelowZero, Drift};
use crate::ledger::stewardship::{Holdings, Steward};

/// Options of `surety audit`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct AuditArgs {
    /// Mend what is wrong, then look again
    #[arg(long, env = "SURETY_REPAIR", value_parser = values::flag)]
    pub repair: bool,
    #[command(flatten)]
    pub steward: StewardArgs,
}

/// What was found, and done about it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The network.
    pub network: String,
    /// Its store.
    pub store: String,
    /// The place in the feed that it is as of.
    pub cursor: String,
    /// The ledger's clock at the reading, RFC 3339.
    pub as_of: String,
    /// Buckets that were worked out.
    pub buckets: usize,
    /// Reservations that draw on them.
    pub reservations: usize,
    /// What is wrong; of a repair, what was.
    pub drifts: Vec<DriftRow>,
    /// What is short, but right.
    pub below_zero: Vec<BelowZeroRow>,
    /// Buckets that were mended; none: nothing was to be.
    pub mended: Option<usize>,
    /// Drifts that a second look found after the repair.
    pub left: usize,
}

/// A number that is wrong.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftRow {
    /// The resource.
    pub resource: String,
    /// When its bucket begins, as a plan has it; none if the network does not say.
    pub start: Option<String>,
    /// The bucket's number.
    pub index: i32,
    /// Which of its numbers.
    pub counter: String,
    /// What it says.
    pub has: i64,
    /// What it should.
    pub should: i64,
    /// What is added to mend it.
    pub mends_by: i64,
}

/// A bucket that is short.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BelowZeroRow {
    /// The resource.
    pub resource: String,
    /// When its bucket begins, as a plan has it; none if the network does not say.
    pub start: Option<String>,
    /// The bucket's number.
    pub index: i32,
    /// Its supply.
    pub supply: i64,
    /// What reservations draw.
    pub drawn: i64,
    /// What is set aside.
    pub set_aside: i64,
    /// What is left: below zero.
    pub balance: i64,
}

/// Audits a network and, if that is wanted, mends it.
///
/// # Errors
/// What kept the store away.
pub async fn run(args: &AuditArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let chosen = args.steward.check(&mut faults);
    let chosen = checked(faults, chosen)?;
    let steward = open_steward(&chosen, Absent::Refuse).await?;
    let report = examine(&*steward, &chosen, args.repair).await;
    steward.close().await;
    let report = report?;
    if args.steward.json {
        console.print_json(&report)?;
    } else {
        console.print(&render::audit::report(&report))?;
    }
    let well = if report.mended.is_some() { report.left == 0 } else { report.drifts.is_empty() };
    Ok(if well { Exit::Done } else { Exit::No })
}

async fn examine(steward: &dyn Steward, chosen: &Chosen, repair: bool) -> Result<Report, Failure> {
    let network = chosen.network();
    let holdings = steward::read(steward, &chosen.store, &network).await?;
    let plan = Plan::of(&holdings);
    let found = look(&holdings, &plan);
    let (mut mended, mut left) = (None, 0);
    if repair && !found.drifts.is_empty() {
        let changed = steward.repair(&network, &found.repairs()).await;
        mended = Some(changed.map_err(|e| steward::failed(&chosen.store, &e))?);
        let after = steward::read(steward, &chosen.store, &network).await?;
        left = look(&after, &Plan::of(&after)).drifts.len();
    }
    Ok(Report {
        network: network.to_string(),
        store: chosen.store.to_string(),
        cursor: holdings.snapshot.seq.to_string(),
        as_of: holdings.now.to_string(),
        buckets: found.buckets,
        reservations: found.reservations,
        drifts: found.drifts.iter().map(|drift| plan.drift(drift)).collect(),
        below_zero: found.below_zero.iter().map(|short| plan.below_zero(short)).collect(),
        mended,
        left,
    })
}

fn look(holdings: &Holdings, plan: &Plan) -> Audit {
    audit::audit(holdings, |resource, index| plan.standing(resource, index, holdings))
}

/// What the network's document says about buckets, if it can be read.
struct Plan(Option<Network>);

impl Plan {
    fn of(holdings: &Holdings) -> Plan {
        let snapshot = &holdings.snapshot;
        Plan(from_proto::network_document(&snapshot.document, snapshot.applied_at).ok())
    }

    fn standing(&self, resource: &ResourceId, index: i32, holdings: &Holdings) -> Option<i64> {
        let network = self.0.as_ref()?;
        let resource = network.resource(network.find_resource(resource.as_str())?);
        let today = network.calendar_of(resource).day_of(holdings.now);
        Some(resource.standing(index, today))
    }

    /// When a bucket begins, as a plan names it.
    fn start(&self, resource: &ResourceId, index: i32) -> Option<String> {
        let network = self.0.as_ref()?;
        let bucketing = network.resource(network.find_resource(resource.as_str())?).bucketing;
        let day = bucketing.day_of(index);
        Some(if bucketing.is_days() { day.to_string() } else { format!("{day}T{}", bucketing.time_of(index)) })
    }

    fn drift(&self, drift: &Drift) -> DriftRow {
        DriftRow {
            resource: drift.resource.to_string(),
            start: self.start(&drift.resource, drift.index),
            index: drift.index,
            counter: drift.counter.to_string(),
            has: drift.has,
            should: drift.should,
            mends_by: drift.repair().by,
        }
    }

    fn below_zero(&self, short: &BelowZero) -> BelowZeroRow {
        BelowZeroRow {
            resource: short.resource.to_string(),
            start: self.start(&short.resource, short.index),
            index: short.index,
            supply: short.supply,
            drawn: short.drawn,
            set_aside: short.set_aside,
            balance: short.balance(),
        }
    }
}
