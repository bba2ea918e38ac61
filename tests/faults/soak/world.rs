//! What runs: the store, its servers, and the collector of each; and what is done to them.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::collector::Collector;
use super::samples::Process;
use super::settings::Settings;
use crate::dice::Dice;
use crate::redis_world::{Aof, Flavour, Options, Server};
use crate::scenario::Scenario;
use crate::service::{Service, run};

/// Servers on one Redis: all but the last are restarted in turn, the last one lives as long as the run.
const SERVERS: usize = 3;

pub struct World {
    pub services: Vec<Service>,
    pub collectors: Vec<Collector>,
    pub redis: Option<Server>,
    /// The folder of an embedded store.
    pub folder: Option<PathBuf>,
    pub store: String,
    remember: String,
    /// How often anybody came to the store anew: servers, the first ones too, and audits and exports.
    comings: Cell<usize>,
    turn: usize,
}

/// What an idle server has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idle {
    pub tasks: f64,
    pub threads: f64,
    pub files: f64,
}

impl World {
    pub fn start(scenario: &Scenario, settings: &Settings, flavour: Option<Flavour>) -> World {
        let remember = format!("{}s", settings.remember.as_secs());
        let redis =
            flavour.map(|flavour| Server::start(flavour, Options { aof: Aof::EverySecond, ..Options::default() }));
        let folder = redis.is_none().then(|| scenario.dir.path().join("store"));
        let store = match (&redis, &folder) {
            (Some(redis), _) => redis.url(),
            (None, folder) => format!("embedded:{}", folder.as_deref().unwrap_or(Path::new("")).display()),
        };
        let many = if redis.is_some() { SERVERS } else { 1 };
        let (mut services, mut collectors) = (Vec::new(), Vec::new());
        let events = settings.events.to_string();
        for number in 0..many {
            let collector = scenario.runtime.block_on(Collector::start());
            let url = collector.url();
            let mut more = vec!["--keep-events", &events, "--remember-for", &remember];
            more.extend(["--otlp-endpoint", &url, "--metric-interval", "1s", "--trace-sample-ratio", "0"]);
            if redis.is_some() {
                more.extend(["--durability", "every-second"]);
            }
            services.push(scenario.service(&format!("server-{number}"), &store, &more));
            collectors.push(collector);
        }
        World { services, collectors, redis, folder, store, remember, comings: Cell::new(many), turn: 0 }
    }

    /// The last one of all servers on Redis lives as long as the run; the one of an embedded store from its last restart on.
    pub fn longest(&self) -> &Service {
        self.services.last().expect("there is one")
    }

    /// One server, or now and then Redis, ends and comes back. What it was.
    #[track_caller]
    pub fn restart(&mut self, dice: &mut Dice) -> String {
        self.turn += 1;
        if let Some(redis) = self.redis.as_ref().filter(|_| self.turn.is_multiple_of(5)) {
            // Told to end it writes all that it has answered, whatever is synced each second.
            redis.terminate();
            std::thread::sleep(Duration::from_millis(dice.below(500)));
            redis.restart();
            return "Redis was restarted".to_owned();
        }
        let at = if self.services.len() > 1 { self.turn % (self.services.len() - 1) } else { 0 };
        let is_killed = dice.once_in(3);
        if is_killed {
            self.services[at].kill9();
        } else {
            self.end(at);
        }
        std::thread::sleep(Duration::from_millis(dice.below(500)));
        self.begin(at);
        format!("{} was {}", self.services[at].name, if is_killed { "killed" } else { "restarted" })
    }

    /// A server is told to end, and does.
    #[track_caller]
    pub fn end(&self, at: usize) {
        let status = self.services[at].terminate();
        assert!(status.success(), "{} ended with {status}", self.services[at].name);
    }

    #[track_caller]
    pub fn begin(&mut self, at: usize) {
        self.collectors[at].forget();
        self.services[at].restart();
        self.comes();
    }

    fn comes(&self) {
        self.comings.set(self.comings.get() + 1);
    }

    pub fn comings(&self) -> usize {
        self.comings.get()
    }

    /// What an audit finds wrong. An embedded store has to be audited while its server is away.
    pub fn audit(&self, network: &str) -> Result<(), String> {
        self.comes();
        let mut args = vec!["audit", "--store", &self.store, "--in-network", network];
        // Who opens the store gives back what is due, and says how long that is remembered.
        args.extend(["--remember-for", &self.remember]);
        let output = run(&args);
        if output.status.success() {
            return Ok(());
        }
        let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Err(format!("{network}: the audit found something: {told}{failed}"))
    }

    /// What is in a network by its export, under the names of `surety export --json`.
    pub fn exported(&self, network: &str, file: &Path) -> serde_json::Value {
        self.comes();
        let file = file.display().to_string();
        let output = run(&["export", "--store", &self.store, "--in-network", network, "--json", &file]);
        let failed = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {failed}"))
    }

    /// What a server has at this moment; none: it has told nothing yet.
    pub fn level(&self, at: usize) -> Option<Idle> {
        let tasks = self.collectors[at].value("surety.runtime.tasks")?;
        let process = Process::of(self.services[at].pid(), self.folder.as_deref());
        Some(Idle { tasks, threads: process.threads, files: process.files })
    }
}
