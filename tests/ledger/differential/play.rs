//! Plays a sequence to Redis ledgers and to the model, and compares after each step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use surety::clock::ManualClock;
use surety::domain::id::ReservationId;
use surety::domain::reservation::{Reservation, State};
use surety::ledger::command::{Command, Outcome};
use surety::ledger::feed::Change;
use surety::ledger::redis::{Address, Durability, RedisConfig, RedisLedger, StoreClock};
use surety::ledger::{Ledger, LedgerError, ReservationFilter, tally};

use super::compare::{same, same_answer, same_entries, same_levels, same_store};
use super::model::Model;
use super::sequence::{Plan, Step};
use super::witness::Witness;
use crate::redis_world::{Client, Value};
use crate::support::*;

/// Far more than anything takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where sequences are played.
pub struct Stage {
    /// The way that the ledgers take to the store.
    pub url: String,
    /// A way of the test's own, with the same database.
    pub client: Box<dyn Fn() -> Client + Send + Sync>,
    pub weather: Weather,
}

/// What stands between the ledgers and the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing that a ledger could notice: all is as the rules say.
    Calm,
    /// Scripts are thrown away before every few commands. Where that hits a call twice, commands may be turned away.
    Forgetful,
    /// Calls are answered by their second run. All outcomes are as ever, but for what has no id by which it could be found out (an adjustment or an
    /// allocation without one, what is counted): it may be unknown, though it was made.
    Repeating,
    /// Answers are lost, with the connection, and calls sent again: as above, and commands may be turned away.
    Leaky,
    /// Answers are lost and calls are not sent again: what was made may be known to nobody, and who comes after is turned away for a
    /// while.
    Lossy,
}

impl Weather {
    fn may_turn_away(self) -> bool {
        matches!(self, Weather::Forgetful | Weather::Leaky | Weather::Lossy)
    }

    fn may_keep_secret(self, command: &Command) -> bool {
        match self {
            Weather::Calm | Weather::Forgetful => false,
            Weather::Repeating | Weather::Leaky => match command {
                Command::AdjustSupply(c) => c.request_id.is_none(),
                Command::SetAllocation(c) => c.request_id.is_none(),
                Command::Count(_) | Command::CountOnce { .. } => true,
                _ => false,
            },
            // It is answers that are lost, so calls are made.
            Weather::Lossy => true,
        }
    }
}

/// What a sequence came to, so that a run can tell that something happened in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub commands: u64,
    pub refused: u64,
    pub unknown: u64,
    pub entries: u64,
}

struct Server {
    ledger: Arc<RedisLedger>,
    witness: Arc<Witness>,
}

struct Play<'a> {
    stage: &'a Stage,
    plan: &'a Plan,
    clock: Arc<ManualClock>,
    servers: Vec<Server>,
    model: Model,
    /// Entries that were read back and compared.
    read: usize,
    tally: Tally,
}

/// Plays the sequence on an empty database. An error says where the two first differed.
pub async fn play(stage: &Stage, plan: &Plan) -> Result<Tally, String> {
    empty(stage).await;
    let clock = Arc::new(ManualClock::at(BEGIN));
    let mut servers = Vec::new();
    for _ in 0..plan.servers {
        let witness = Witness::of(&plan.network);
        servers.push(Server { ledger: open(stage, &clock, &witness).await?, witness });
    }
    let mut play = Play { stage, plan, clock, servers, model: plan.model(), read: 0, tally: Tally::default() };
    for (number, step) in plan.steps.iter().chain([&Step::Check]).enumerate() {
        play.step(step).await.map_err(|why| format!("step {number}: {why}"))?;
    }
    play.check_store()?;
    Ok(play.tally)
}

/// Waits until no server of a sequence before is connected any more, whose clock would be another's, and clears the database.
pub async fn empty(stage: &Stage) {
    let mut client = (stage.client)();
    let begun = Instant::now();
    let answer = |value: std::io::Result<Value>| value.expect("the server answers").text();
    let own = answer(client.call(&["CLIENT", "INFO"]));
    let word = |line: &str, name: &str| {
        line.split_whitespace().find_map(|w| w.strip_prefix(name)).unwrap_or_default().to_owned()
    };
    let (id, db) = (word(&own, "id="), word(&own, "db="));
    loop {
        let all = answer(client.call(&["CLIENT", "LIST"]));
        let others = all.lines().filter(|line| word(line, "id=") != id && word(line, "db=") == db).count();
        if others == 0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the ledgers of the sequence before do not end:\n{all}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(answer(client.call(&["FLUSHDB"])), "OK");
}

/// A server of its own on the store, followed from its beginning.
pub async fn open(stage: &Stage, clock: &Arc<ManualClock>, witness: &Arc<Witness>) -> Result<Arc<RedisLedger>, String> {
    let address = Address::parse(&stage.url)?;
    let mut config = RedisConfig {
        clock: StoreClock::Given(clock.clone()),
        durability: Durability::Memory,
        // What fails here fails at once; a machine that is busy is not to be taken for it.
        response: Duration::from_secs(10),
        patience: PATIENCE,
        ..RedisConfig::new(address)
    };
    if stage.weather == Weather::Lossy {
        config.patience = Duration::ZERO;
    }
    let begun = Instant::now();
    loop {
        let opened = match RedisLedger::open(config.clone()).await {
            Ok(ledger) => ledger.subscribe(witness.clone()).await.map(|()| ledger).map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        };
        match opened {
            Ok(ledger) => return Ok(ledger),
            Err(e) if !stage.weather.may_turn_away() || begun.elapsed() > PATIENCE => return Err(e),
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

impl Play<'_> {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Run { server, command } => {
                if !self.model.known && matches!(command, Command::ApplyNetwork(c) if c.base_version != 0) {
                    // Where other steps are left out it may be the first; a test of its own has it refused.
                    return Ok(());
                }
                if self.stage.weather == Weather::Forgetful && self.tally.commands.is_multiple_of(8) {
                    let flushed = (self.stage.client)().call(&["SCRIPT", "FLUSH"]).map_err(|e| e.to_string())?;
                    same("SCRIPT FLUSH", &"OK".to_owned(), &flushed.text())?;
                }
                self.run(server % self.servers.len(), command).await
            }
            Step::Turn { to } => self.turn(*to).await,
            Step::Check => self.check().await,
        }
    }

    async fn turn(&mut self, to: surety::domain::time::Moment) -> Result<(), String> {
        let due = self.model.known && self.model.state.next_due().is_some_and(|due| due <= self.model.now().max(to));
        self.clock.set(to);
        // A single server has made all holds, so it knows when the next one ends, unless it gave it back already.
        if due && self.servers.len() == 1 && !self.servers[0].ledger.has_due(to) {
            let told = self.servers[0].witness.told();
            let mut after = self.model.clone();
            after.turn(to);
            same_levels("nothing is said to be due", &after, told.seen.as_ref())?;
        }
        self.model.turn(to);
        self.run(0, &Command::Tick).await
    }

    /// Makes a command on both sides and compares what is known after it.
    async fn run(&mut self, server: usize, command: &Command) -> Result<(), String> {
        let before = self.model.clone();
        let expected = self.model.apply(command);
        let mut changed = self.model.log.len() > before.log.len();
        self.tally.commands += 1;
        self.tally.refused += u64::from(matches!(expected, Ok(Outcome::Refused(_)) | Err(_)));
        let found = self.execute(server, command).await?;
        if self.was_made_unheard(command, &found) {
            self.tally.unknown += 1;
            let ledger = Arc::clone(&self.servers[server].ledger);
            let newest = self.certainly(async || ledger.newest(&self.plan.network).await).await?;
            if changed && newest == before.state.seq() {
                // Its call was made, but it was worked out on what the server knew before: it would have had to be made again.
                (self.model, changed) = (before, false);
            }
            let finds_out = match command {
                Command::Hold(_) => true,
                Command::Amend(c) => c.request_id.is_some(),
                Command::AdjustSupply(c) => c.request_id.is_some(),
                Command::SetAllocation(c) => c.request_id.is_some(),
                Command::ApproveOffer(_) => true,
                _ => false,
            };
            if finds_out {
                let expected = self.model.apply(command);
                let mut found = self.execute(server, command).await?;
                while self.was_made_unheard(command, &found) {
                    found = self.execute(server, command).await?;
                }
                same_answer(&expected, &found)?;
            }
        } else {
            same_answer(&expected, &found)?;
        }
        if self.model.is_due {
            let found = self.execute(server, &Command::Tick).await?;
            if !self.was_made_unheard(&Command::Tick, &found) {
                same_answer(&Ok(Outcome::Done), &found)?;
            }
        }
        let calm = !self.stage.weather.may_turn_away();
        if self.model.known && calm && (changed || self.servers.len() == 1 || looks_at_capacity(command)) {
            let told = self.servers[server].witness.told();
            same_levels("the server's follower after the command", &self.model, told.seen.as_ref())?;
        }
        if let Some(id) = command.reservation_id() {
            for server in 0..self.servers.len() {
                let found = self.reservation(server, id).await?;
                same("the reservation", &self.model.state.reservation(id).cloned(), &found)?;
            }
        }
        Ok(())
    }

    /// Whether the command was made, and its outcome lost.
    fn was_made_unheard(&self, command: &Command, found: &Result<Outcome, LedgerError>) -> bool {
        matches!(found, Err(LedgerError::OutcomeUnknown(_))) && self.stage.weather.may_keep_secret(command)
    }

    async fn execute(&self, server: usize, command: &Command) -> Result<Result<Outcome, LedgerError>, String> {
        let ledger = &self.servers[server].ledger;
        self.patiently(async || ledger.execute(&self.plan.network, command.clone(), None).await).await
    }

    async fn reservation(&self, server: usize, id: &ReservationId) -> Result<Option<Arc<Reservation>>, String> {
        let ledger = &self.servers[server].ledger;
        self.certainly(async || ledger.reservation(&self.plan.network, id).await).await
    }

    async fn certainly<T>(&self, ask: impl AsyncFn() -> Result<T, LedgerError>) -> Result<T, String> {
        self.patiently(ask).await?.map_err(|e| e.to_string())
    }

    /// Asks again while the store is away, where it may be.
    async fn patiently<T>(
        &self,
        ask: impl AsyncFn() -> Result<T, LedgerError>,
    ) -> Result<Result<T, LedgerError>, String> {
        let begun = Instant::now();
        loop {
            let answer = tokio::time::timeout(PATIENCE, ask()).await.map_err(|_| "there is no answer".to_owned())?;
            let away = self.stage.weather.may_turn_away() && matches!(answer, Err(LedgerError::Unavailable(_)));
            if !away || begun.elapsed() > PATIENCE {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Compares everything that can be read.
    async fn check(&mut self) -> Result<(), String> {
        let drifts = but_for(self.model.state.audit(), &self.model.forgotten);
        same("drifts of the model", &Vec::new(), &drifts)?;
        let ledger = Arc::clone(&self.servers[0].ledger);
        let networks = self.certainly(async || ledger.networks().await).await?;
        if !self.model.known {
            return Ok(());
        }
        same("there is such a network", &true, &networks.contains(&self.plan.network))?;
        for server in 0..self.servers.len() {
            self.run(server, &Command::Tick).await?;
            self.check_follower(server).await?;
        }
        // The last server's follower is replaced by one that is given the full state, and follows from there.
        let last = self.servers.len() - 1;
        let fresh = Witness::of(&self.plan.network);
        let ledger = Arc::clone(&self.servers[last].ledger);
        self.certainly(async || ledger.subscribe(fresh.clone()).await).await?;
        self.servers[last].witness = fresh;
        self.check_follower(last).await?;
        self.check_reservations().await?;
        self.check_tallies().await?;
        self.check_feed().await
    }

    async fn check_follower(&mut self, server: usize) -> Result<(), String> {
        let witness = Arc::clone(&self.servers[server].witness);
        let mut told = witness.told();
        if self.stage.weather.may_turn_away() {
            let newest = self.model.state.seq();
            let begun = Instant::now();
            while told.seen.as_ref().is_none_or(|seen| seen.seq < newest) && begun.elapsed() < PATIENCE {
                tokio::time::sleep(Duration::from_millis(2)).await;
                told = witness.told();
            }
        }
        let what = format!("the follower of server {server}");
        same_levels(&what, &self.model, told.seen.as_ref())?;
        same(&format!("{what}: its document"), self.model.state.document(), &told.document)?;
        same(&format!("{what}: applied at"), &self.model.state.applied_at(), &told.applied_at)?;
        same(&format!("{what}: what was wrong"), &Vec::<String>::new(), &told.wrong)?;
        same(&format!("{what}: how often it was void"), &0, &told.voids)?;
        if !self.stage.weather.may_turn_away() {
            same(&format!("{what}: how often the feed was cut"), &0, &told.lost)?;
            // One that finds the network made by another may read it when it finds it and when it is asked to; and one whose fellow
            // has replaced the document once more has nothing else to go by.
            let is_network = |change: &Change| matches!(change, Change::Network { .. });
            let networks = self.model.log.iter().filter(|entry| entry.changes.iter().any(is_network)).count();
            let more = if self.servers.len() == 1 { 0 } else { networks };
            if told.resets > 1 + more {
                return Err(format!("{what} was given the full state {} times, though nothing failed", told.resets));
            }
        }
        // What was told since the last full state.
        let begin = self.model.log.len() - told.entries.len().min(self.model.log.len());
        same_entries(&format!("{what}: what it was told"), &self.model.log[begin..], &told.entries)
    }

    async fn check_tallies(&self) -> Result<(), String> {
        let all = summed(self.model.state.tallies());
        for server in &self.servers {
            for prefix in ["", tally::SCORE, tally::OFFER] {
                let ask = async || server.ledger.tallies(&self.plan.network, prefix).await;
                let found = self.certainly(ask).await?;
                let expected: BTreeMap<String, i64> = all
                    .iter()
                    .filter(|(name, _)| name.starts_with(prefix))
                    .map(|(name, sum)| (name.clone(), *sum))
                    .collect();
                let found = summed(found.iter().map(|(name, sum)| (name, *sum)));
                same(&format!("tallies by '{prefix}'"), &expected, &found)?;
            }
        }
        Ok(())
    }

    async fn check_reservations(&self) -> Result<(), String> {
        let all: Vec<Arc<Reservation>> = self.model.reservations().into_values().collect();
        let filters = [
            ReservationFilter::default(),
            ReservationFilter { resources: vec![res("a")], ..ReservationFilter::default() },
            ReservationFilter { state: Some(State::Expired), ..ReservationFilter::default() },
            ReservationFilter { at_risk: true, ..ReservationFilter::default() },
            ReservationFilter { live: true, ..ReservationFilter::default() },
        ];
        for filter in filters {
            let expected: Vec<Arc<Reservation>> = all.iter().filter(|r| filter.matches(r)).cloned().collect();
            let ledger = &self.servers[0].ledger;
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = async || ledger.reservations(&self.plan.network, &filter, after.as_ref(), 3).await;
                let (page, next) = self.certainly(page).await?;
                same("a page keeps its limit", &true, &(page.len() <= 3))?;
                found.extend(page);
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            same(&format!("reservations by {filter:?}"), &expected, &found)?;
        }
        Ok(())
    }

    /// The feed in small pages, from where it was last read to; at the end also from its beginning.
    async fn check_feed(&mut self) -> Result<(), String> {
        let ledger = Arc::clone(&self.servers[0].ledger);
        let newest = self.certainly(async || ledger.newest(&self.plan.network).await).await?;
        same("the newest entry", &self.model.state.seq(), &newest)?;
        let limit = 1 + self.read % 7;
        let (mut found, mut after) = (Vec::new(), self.read as u64);
        loop {
            let page = self.certainly(async || ledger.entries(&self.plan.network, after, limit).await).await?;
            same("a page keeps its limit", &true, &(page.len() <= limit))?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            found.extend(page);
        }
        same_entries("the feed", &self.model.log[self.read..], &found)?;
        self.read = self.model.log.len();
        self.tally.entries = self.read as u64;
        Ok(())
    }

    fn check_store(&self) -> Result<(), String> {
        if self.model.known { same_store(&mut (self.stage.client)(), &self.plan.network, &self.model) } else { Ok(()) }
    }
}

/// Whether a server that makes the command has told what others did before, whatever it comes to. The other commands may be answered
/// by a look at their reservation, or at the network's version, alone.
fn looks_at_capacity(command: &Command) -> bool {
    match command {
        Command::Hold(_)
        | Command::Recall { .. }
        | Command::SetSupply(_)
        | Command::AdjustSupply(_)
        | Command::Forget { .. }
        | Command::Tick => true,
        Command::Confirm(_)
        | Command::Release { .. }
        | Command::Extend { .. }
        | Command::Amend(_)
        | Command::Undo { .. }
        | Command::SetAllocation(_)
        | Command::ApproveOffer(_)
        | Command::CloseOffer { .. }
        | Command::Mark { .. }
        | Command::Repromise(_)
        | Command::Fix { .. }
        | Command::Fulfil(_)
        | Command::Count(_)
        | Command::CountOnce { .. }
        | Command::ApplyNetwork(_) => false,
    }
}
