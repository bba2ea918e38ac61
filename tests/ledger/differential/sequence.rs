//! Random sequences of commands and turns of the clock. All of one is thrown before anything is run, on the model alone, so that it can be
//! run again with parts of it left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use surety::domain::answer::{Alternative, AlternativeKind, Answer, Bottleneck, Promise, Shipment, Verdict};
use surety::domain::ask::{Ask, Destination, Line, Shipments, When};
use surety::domain::draw::{Pool, Take};
use surety::domain::id::{NetworkId, ReservationId, ResourceId};
use surety::domain::limits::MAX_UNITS;
use surety::domain::offer::Envelope;
use surety::domain::reservation::Fingerprint;
use surety::domain::time::{Day, Moment, SECOND, Span};
use surety::ledger::command::{
    AdjustSupply, Allocation, Amend, ApplyNetwork, ApproveOffer, Command, Confirm, Fulfil, Hold, Repromise, Retake,
    SetAllocation, SetSupply, SupplyRun,
};

use super::model::{KEEP, Model};
use crate::dice::Dice;
use crate::support::*;

/// Names that are like each other, and one that is not ASCII: bucket 1 of `a` is `a:1`, as is a resource here.
const RESOURCES: [&str; 3] = ["a", "a:1", "ü 2"];
const IDS: [&str; 4] = ["r0", "R", "r 2:é", "{r3}"];
/// The first of a bucket's numbers; few follow, so that commands meet.
const FIRST: i32 = -1;
const BUCKETS: i64 = 4;

/// A sequence, and where it begins.
#[derive(Clone)]
pub struct Plan {
    pub network: NetworkId,
    /// One, or two that take turns.
    pub servers: usize,
    pub steps: Vec<Step>,
}

#[derive(Clone)]
pub enum Step {
    /// One of the servers makes a command.
    Run { server: usize, command: Command },
    /// The clock is turned, mostly forward.
    Turn { to: Moment },
    /// Everything is compared.
    Check,
}

impl Plan {
    pub fn is_default(&self) -> bool {
        self.network == NetworkId::default_network()
    }

    pub fn model(&self) -> Model {
        Model::new(self.is_default(), BEGIN)
    }

    /// These commands, by one server on `default`.
    pub fn of(commands: Vec<Command>) -> Plan {
        let steps = commands.into_iter().map(|command| Step::Run { server: 0, command }).collect();
        Plan { network: NetworkId::default_network(), servers: 1, steps }
    }

    /// Throws a sequence of so many steps.
    pub fn thrown(seed: u64, length: u64) -> Plan {
        let mut d = Dice::seeded(seed);
        let network = if d.once_in(2) { "default".to_owned() } else { format!("n{seed}") };
        let servers = if d.once_in(2) { 1 } else { 2 };
        let network = NetworkId::new(&network).expect("a name");
        let mut plan = Plan { network, servers, steps: Vec::new() };
        // With two servers a poll of one may be on its way with the clock as it was, while the other goes on.
        let backwards = servers == 1 && d.once_in(4);
        let mut model = plan.model();
        if !d.once_in(8) {
            plan.run(&mut d, &mut model, first_network());
        }
        for _ in 0..length {
            match d.below(100) {
                0..=11 => {
                    let to = turn(&mut d, &model, backwards);
                    model.turn(to);
                    plan.steps.push(Step::Turn { to });
                }
                12..=15 => plan.steps.push(Step::Check),
                _ => {
                    let command = command(&mut d, &model);
                    plan.run(&mut d, &mut model, command);
                }
            }
        }
        plan
    }

    fn run(&mut self, d: &mut Dice, model: &mut Model, command: Command) {
        let _outcome = model.apply(&command);
        let server = d.below(self.servers as u64) as usize;
        self.steps.push(Step::Run { server, command });
    }
}

fn turn(d: &mut Dice, model: &Model, backwards: bool) -> Moment {
    let now = model.now();
    let due = model.state.next_due().unwrap_or(now);
    let ended = model.reservations().values().filter_map(|r| r.ended_at).min();
    let to = match d.below(24) {
        0..=3 => due,
        4 => Moment(due.0 - 1),
        5..=7 => now.plus(Span::minutes(d.range(1, 20))),
        8 => match (ended, d.below(4)) {
            (Some(ended), 0) => ended.plus(Span::days(30)),
            (Some(ended), 1) => Moment(ended.0 + KEEP.0 - 1),
            (Some(ended), 2) => ended.plus(KEEP),
            _ => now.plus(Span::days(KEEP.0 / Span::days(1).0 + 1)),
        },
        9 if backwards => Moment(model.clock().0 - d.range(0, 5 * SECOND)),
        _ => now.plus(Span(d.range(0, 3 * SECOND))),
    };
    if backwards { to } else { to.max(model.clock()) }
}

fn command(d: &mut Dice, model: &Model) -> Command {
    let present = model.state.network_version();
    if !model.known && d.once_in(4) {
        return first_network();
    }
    let version = if d.once_in(12) { present + d.range(-1, 2) } else { present };
    match d.below(154) {
        0..=27 => hold(d, model, version),
        28..=40 => confirm(d, model, version),
        41..=50 => {
            let reason = if d.once_in(3) { "changed his mind ✗" } else { "" };
            Command::Release { id: id(d, model), reason: reason.into() }
        }
        51..=56 => Command::Extend { id: id(d, model), hold: span(d) },
        57..=69 => amend(d, model, version),
        70..=74 => Command::Undo { id: id(d, model) },
        75..=79 => {
            let id = id(d, model);
            Command::Recall { fingerprint: fingerprint(d, &id), id }
        }
        80..=86 => {
            let runs = d.some(3, |d| SupplyRun {
                resource: resource(d),
                first: index(d),
                units: d.some(3, |d| if d.once_in(12) { large(d) } else { d.range(0, 25) }),
            });
            Command::SetSupply(SetSupply { network_version: version, runs, only_unset: d.once_in(2) })
        }
        87..=92 => adjust(d, version),
        93..=95 if model.known => network_of(Change::Any { d, version }),
        96..=98 => {
            let before = some_resources(d);
            let before = before.into_iter().map(|r| (r, if d.once_in(8) { i32::MAX } else { index(d) + 1 }));
            Command::Forget { before: before.collect() }
        }
        100..=111 => allocate(d, model, version),
        112..=117 => approve(d, model, version),
        118..=120 => Command::CloseOffer { id: offer_name(d) },
        121..=127 => {
            let id = id(d, model);
            let known = model.state.reservation(&id);
            let (present, marked) = known.map_or((1, false), |r| (r.version, r.at_risk));
            let version = if d.once_in(8) { present + d.range(-1, 2) } else { present };
            Command::Mark { id, version, at_risk: if d.once_in(4) { marked } else { !marked } }
        }
        128..=135 => repromise(d, model, version),
        136..=138 => Command::Fix { id: id(d, model), fixed: !d.once_in(3), reason: "a wedding ⚭".into() },
        139..=143 => fulfil(d, model),
        144..=147 => {
            let names = ["lost\t20900\t\t\tquotes\tü 2", "score\t20900\tvip\ta/b ß\tpromised", "x"];
            Command::Count(d.some(3, |d| (names[d.below(3) as usize].into(), d.range(-3, 9))))
        }
        148..=151 => {
            let names = ["score\t20900\tvip\ta/b ß\tunavailable", "x"];
            Command::CountOnce {
                request: d.below(4) * 0x0101_0000_0a09_00ff,
                tallies: d.some(2, |d| (names[d.below(2) as usize].into(), d.range(-3, 9))),
            }
        }
        _ => Command::Tick,
    }
}

fn hold(d: &mut Dice, model: &Model, network_version: i64) -> Command {
    let id = id(d, model);
    let promise = promise(d, model);
    let verdict = if d.once_in(3) { Verdict::Later } else { Verdict::Promised };
    let alternatives = d.some(1, |d| Alternative {
        kind: AlternativeKind::Fewer,
        lines: lines(d),
        service: "express".into(),
        promise: Promise::clone(&promise),
    });
    Command::Hold(Box::new(Hold {
        fingerprint: fingerprint(d, &id),
        id,
        network_version,
        ask: ask(d),
        answer: Arc::new(Answer {
            verdict,
            promise: Some(Arc::clone(&promise)),
            bottlenecks: bottlenecks(d),
            alternatives,
            as_of: model.now(),
        }),
        promise,
        takes: takes(d, model),
        hold: span(d),
        reference: if d.once_in(2) { "order 7".into() } else { "".into() },
    }))
}

fn confirm(d: &mut Dice, model: &Model, network_version: i64) -> Command {
    let id = id(d, model);
    let retake = d.maybe(|d| {
        let draws = model.state.reservation(&id).map_or(1, |r| r.draws.len());
        let draws = if d.once_in(10) { draws + 1 } else { draws };
        Retake { network_version, standing: (0..draws).map(|_| standing(d)).collect() }
    });
    let reference = if d.once_in(3) { Some("order 8".into()) } else { None };
    Command::Confirm(Confirm { id, reference, retake })
}

fn amend(d: &mut Dice, model: &Model, network_version: i64) -> Command {
    let id = id(d, model);
    let present = model.state.reservation(&id).map_or(1, |r| r.version);
    let request_id = if d.once_in(4) { None } else { Some(rid(["a0", "a1", "r0"][d.below(3) as usize])) };
    Command::Amend(Box::new(Amend {
        id,
        fingerprint: Fingerprint(if d.once_in(6) { u128::MAX } else { 8 }),
        request_id,
        version: if d.once_in(8) { present + d.range(-1, 2) } else { present },
        network_version,
        ask: ask(d),
        promise: promise(d, model),
        takes: takes(d, model),
        verdict: if d.once_in(2) { Verdict::Later } else { Verdict::Promised },
        bottlenecks: bottlenecks(d),
    }))
}

fn adjust(d: &mut Dice, network_version: i64) -> Command {
    let request_id = if d.once_in(3) { None } else { Some(rid(["s0", "s1", "r0"][d.below(3) as usize])) };
    Command::AdjustSupply(Box::new(AdjustSupply {
        request_id,
        fingerprint: Fingerprint(u128::from(d.below(6) / 5)),
        network_version,
        resource: resource(d),
        first: index(d),
        standing: d.some(3, standing),
        delta: match d.below(12) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => MAX_UNITS,
            3 => -MAX_UNITS,
            _ => d.range(-9, 10),
        },
        reason: "counted".into(),
    }))
}

/// The command that makes the network be there.
pub fn first_network() -> Command {
    network_of(Change::First)
}

/// What is done to the network's document.
enum Change<'a> {
    First,
    Any { d: &'a mut Dice, version: i64 },
}

fn network_of(change: Change<'_>) -> Command {
    let (base_version, document, dropped) = match change {
        Change::First => (0, "document 0".to_owned(), Vec::new()),
        Change::Any { d, version } => {
            let document = match d.below(5) {
                0 => String::new(),
                n => format!("document {n}"),
            };
            (version, document, some_resources(d))
        }
    };
    let applied_at = Moment(BEGIN.0 + base_version);
    Command::ApplyNetwork(ApplyNetwork { base_version, document: document.as_bytes().into(), applied_at, dropped })
}

/// Each at most once, in any order. (Named twice, a resource is told of twice by the rules and once by Redis.)
fn some_resources(d: &mut Dice) -> Vec<ResourceId> {
    let begin = d.below(3) as usize;
    let names = (0..3).map(|i| RESOURCES[(begin + i) % 3]);
    names.filter(|_| d.once_in(2)).map(res).collect()
}

/// What is set aside in a bucket is mostly a few units, so that commands meet; and mostly for some seconds, so that it goes back.
fn allocate(d: &mut Dice, model: &Model, network_version: i64) -> Command {
    let request_id = if d.once_in(3) { None } else { Some(rid(["q0", "q1", "s0"][d.below(3) as usize])) };
    let channel = ["vip", "web ✆"][d.below(2) as usize];
    let buckets = (0..=d.below(3)).map(|_| Allocation {
        standing: standing(d),
        units: units(d),
        release_at: release_at(d, model),
        most: d.once_in(3).then(|| if d.once_in(12) { MAX_UNITS } else { d.range(0, 12) }),
    });
    let buckets = buckets.collect();
    Command::SetAllocation(Box::new(SetAllocation {
        request_id,
        fingerprint: Fingerprint(u128::from(d.below(6) / 5)),
        network_version,
        channel: channel.into(),
        resource: resource(d),
        first: index(d),
        buckets,
    }))
}

fn approve(d: &mut Dice, model: &Model, network_version: i64) -> Command {
    // Each bucket once.
    let once: BTreeMap<(ResourceId, i32), i64> =
        d.some(4, |d| ((resource(d), index(d)), units(d))).into_iter().collect();
    let name = offer_name(d);
    let request = if d.once_in(6) { "another" } else { "request" };
    let mut offer = offer_of(&name, &format!("{request} of {name}"), &[]);
    offer.envelope =
        once.iter().map(|((r, index), units)| Envelope { resource: r.clone(), index: *index, units: *units }).collect();
    Command::ApproveOffer(Box::new(ApproveOffer {
        network_version,
        standing: once.iter().map(|_| standing(d)).collect(),
        release_at: once.iter().map(|_| release_at(d, model)).collect(),
        offer: Arc::new(offer),
    }))
}

fn units(d: &mut Dice) -> i64 {
    if d.once_in(20) { MAX_UNITS / 2 } else { d.range(0, 7) }
}

fn release_at(d: &mut Dice, model: &Model) -> Moment {
    match d.below(8) {
        0 => Moment(model.now().0 - d.range(0, 2)),
        1 | 2 => model.now().plus(Span(d.range(1, 9 * SECOND))),
        _ => model.now().plus(Span::days(d.range(1, 40))),
    }
}

/// Some are approved again and again, and closed: what is left of them are names.
fn offer_name(d: &mut Dice) -> Arc<str> {
    match d.below(4) {
        0 => "sale".into(),
        1 => "a/b ß".into(),
        _ => format!("o{}", d.below(20)).into(),
    }
}

fn repromise(d: &mut Dice, model: &Model, network_version: i64) -> Command {
    let id = id(d, model);
    let present = model.state.reservation(&id).map_or(1, |r| r.version);
    Command::Repromise(Box::new(Repromise {
        id,
        version: if d.once_in(8) { present + d.range(-1, 2) } else { present },
        network_version,
        promise: promise(d, model),
        takes: takes(d, model),
    }))
}

fn fulfil(d: &mut Dice, model: &Model) -> Command {
    let day = Day(20_898 + d.range(0, 30) as i32);
    Command::Fulfil(Box::new(Fulfil {
        id: id(d, model),
        shipped_at: d.maybe(|d| Moment(BEGIN.0 + d.range(0, 2))),
        delivered: d.maybe(|d| (Moment(BEGIN.0 + d.range(0, 2)), day)),
        ways: d.some(2, |d| (["site", "ü"][d.below(2) as usize].into(), "north".into(), "".into())),
    }))
}

fn takes(d: &mut Dice, model: &Model) -> Vec<Take> {
    d.some(4, |d| {
        let units = if d.once_in(40) { large(d) } else { d.range(1, 5) };
        let mut draw = draw(RESOURCES[d.below(3) as usize], index(d), units);
        // Mostly from pools that there are, and with what is in them.
        let level = model.state.level(&draw.resource, draw.index);
        match level.map(|l| l.pools()).unwrap_or_default() {
            [] if d.once_in(24) => draw.pool = Pool::Offer(offer_name(d)),
            pools @ [..] if !pools.is_empty() && d.once_in(2) => {
                let own = &pools[d.below(pools.len() as u64) as usize];
                draw.pool = own.pool.clone();
                draw.units = own.left(model.now()).clamp(1, units);
            }
            _ => {}
        }
        Take { draw, standing: standing(d) }
    })
}

fn standing(d: &mut Dice) -> i64 {
    match d.below(16) {
        0 => 0,
        1 => large(d),
        2 => 5,
        _ => 12,
    }
}

/// The largest that units can be, and their likes.
fn large(d: &mut Dice) -> i64 {
    [MAX_UNITS, MAX_UNITS - 1, MAX_UNITS / 2][d.below(3) as usize]
}

fn span(d: &mut Dice) -> Span {
    match d.below(8) {
        0 => Span(1),
        1 => Span::minutes(15),
        2 => Span::days(7),
        3 if d.once_in(4) => Span::ZERO,
        _ => Span::seconds(d.range(1, 6)),
    }
}

/// A few names at a time: what once ended is of little use.
fn id(d: &mut Dice, model: &Model) -> ReservationId {
    let time = (model.log.len() as u64 / 20).saturating_sub(d.below(2));
    rid(&format!("{}/{time}", IDS[d.below(IDS.len() as u64) as usize]))
}

/// One id is mostly for one request.
fn fingerprint(d: &mut Dice, id: &ReservationId) -> Fingerprint {
    if d.once_in(10) { Fingerprint(u128::MAX - 7) } else { digest(id.as_str()) }
}

fn resource(d: &mut Dice) -> ResourceId {
    res(RESOURCES[d.below(3) as usize])
}

fn index(d: &mut Dice) -> i32 {
    FIRST + d.below(BUCKETS as u64) as i32
}

fn lines(d: &mut Dice) -> Vec<Line> {
    vec![Line { sku: "cake ☕".into(), quantity: d.range(1, 9) as i32 }]
}

fn ask(d: &mut Dice) -> Arc<Ask> {
    let destination = if d.once_in(2) {
        Destination::Zone("north".into())
    } else {
        Destination::Address { country: "DE".into(), postal_code: "10115".into() }
    };
    let when = match d.below(5) {
        0 => When::Any,
        1 => When::ByDate(Day(20_900)),
        2 => When::ByTime(BEGIN),
        3 => When::OnDate(Day(20_901)),
        _ => When::InWindow { from: BEGIN, to: BEGIN.plus(Span::hours(1)) },
    };
    let shipments = if d.once_in(2) { Shipments::Together } else { Shipments::Split };
    let text = |d: &mut Dice, text: &str| d.maybe(|_| Arc::from(text));
    let (service, channel, offer) = (text(d, "express"), text(d, "vip"), d.maybe(offer_name));
    Arc::new(Ask { lines: lines(d), destination, when, service, channel, offer, shipments, min_confidence: None })
}

/// One whose `order_by` is near, so that late confirmations are sometimes too late.
fn promise(d: &mut Dice, model: &Model) -> Arc<Promise> {
    let order_by = Moment(model.now().0 + [0, SECOND, 10 * SECOND, Span::days(1).0][d.below(4) as usize]);
    let arrives_by = order_by.plus(Span::days(1));
    let date = Day(20_900 + d.below(3) as i32);
    let shipments = d.some(1, |d| Shipment {
        lines: lines(d),
        site: "site".into(),
        lane: "lane".into(),
        ships_at: order_by,
        arrives_by,
        date,
    });
    Arc::new(Promise {
        date,
        arrives_from: order_by,
        arrives_by,
        ships_at: order_by,
        order_by,
        shipments,
        confidence: None,
    })
}

fn bottlenecks(d: &mut Dice) -> Vec<Bottleneck> {
    d.some(1, |d| Bottleneck {
        resource: d.maybe(resource),
        site: "site".into(),
        from: BEGIN,
        to: BEGIN.plus(Span::days(1)),
        wanted: 9,
        available: 3,
        explanation: "the oven is full".to_owned(),
    })
}

/// A sequence in a few words a step.
pub fn show(plan: &Plan) -> String {
    let mut text = format!("network {}, {} servers\n", plan.network, plan.servers);
    for step in &plan.steps {
        let _written = match step {
            Step::Run { server, command } => writeln!(text, "  server {server}: {}", brief(command)),
            Step::Turn { to } => writeln!(text, "  clock: begin + {} µs", to.0 - BEGIN.0),
            Step::Check => writeln!(text, "  check"),
        };
    }
    text
}

fn brief(command: &Command) -> String {
    let drawn = |takes: &[Take]| {
        let one = |t: &Take| {
            let Take { draw, standing } = t;
            format!("{}x {}:{} '{}' of {standing}", draw.units, draw.resource, draw.index, draw.pool)
        };
        format!("[{}]", takes.iter().map(one).collect::<Vec<_>>().join(", "))
    };
    match command {
        Command::Hold(c) => format!(
            "Hold {:?} {:x} v{} {} for {} µs, order by begin + {} µs",
            c.id,
            c.fingerprint.0,
            c.network_version,
            drawn(&c.takes),
            c.hold.0,
            c.promise.order_by.0 - BEGIN.0
        ),
        Command::Amend(c) => format!(
            "Amend {:?} request {:?} {:x} version {} v{} {}",
            c.id,
            c.request_id,
            c.fingerprint.0,
            c.version,
            c.network_version,
            drawn(&c.takes)
        ),
        other => format!("{other:?}"),
    }
}
