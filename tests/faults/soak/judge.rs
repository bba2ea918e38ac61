//! What must be true of the samples, and why: memory that is flat, tasks, threads and files that go back to those of an idle server,
//! and a store that holds what is live and what it was told to remember.

use super::samples::{Held, Samples, keys, kinds, median, third_of};
use super::season::Season;
use super::settings::Settings;
use super::world::{Idle, World};
use crate::book::Book;
use crate::scenario::Scenario;
use crate::shop::DAYS;
use surety::domain::limits::MAX_REFUSED;

/// How much more a server may have in the last third than in the second. An allocator keeps what it once had, so single bursts
/// (a Redis that was away, after which everybody comes at once) raise the level for good, by a few MB; a record of 100 bytes that is
/// leaked with each of 300 calls a second would be 36 MB after 20 minutes.
const RSS_SHARE: f64 = 1.1;
const RSS_KB: f64 = 16.0 * 1024.0;
/// The same of one with an embedded store, whose tables in memory grow until the journals have 64 MB and are then written out: a third may
/// catch more of that than another.
const EMBEDDED_RSS_KB: f64 = 32.0 * 1024.0;
/// Calls after which a server is warm by the end of the first third: on Redis it remembers the last 16,384 reservations of each network, of
/// which each hundred calls make some twelve; an embedded store has written out its journals twice.
const WARM: u64 = 500_000;
/// The same of what the store holds, which goes up and down with what is live: a hold of 90 seconds counts for as long.
const STORE_SHARE: f64 = 1.25;
const STORE_ITEMS: f64 = 300.0;
const STORE_KB: f64 = 16.0 * 1024.0;
/// The same of a folder: tables are merged now and then, and journals are dropped once all in them is in tables.
const FOLDER_SHARE: f64 = 1.5;
const FOLDER_KB: f64 = 64.0 * 1024.0;
/// What a server may have above what it had when it was idle at first: a connection that is about to be closed, a thread for blocking
/// work that lives on for ten seconds.
const IDLE_TASKS: f64 = 3.0;
const IDLE_THREADS: f64 = 2.0;
const IDLE_FILES: f64 = 3.0;
/// Elements beyond what is kept: Redis trims whole nodes of 100.
const NODE: f64 = 100.0;
/// Fields of a network's head beside the slots of servers: layout, seq, last, now, version, digest, document, applied.
const HEAD: f64 = 8.0;

pub struct Judge<'a> {
    pub scenario: &'a Scenario,
    pub settings: &'a Settings,
    pub samples: &'a Samples,
    pub world: &'a World,
}

impl Judge<'_> {
    fn book(&self) -> &Book {
        &self.scenario.book
    }

    /// Says what was found, and notes what must not be.
    fn says(&self, right: bool, what: &str) {
        println!("{}: {} {what}", self.scenario.name, if right { "ok   " } else { "WRONG" });
        if !right {
            self.book().violation(what.to_owned());
        }
    }

    /// The last third against the second; the first is for warming up.
    pub fn is_flat(&self, season: &Season) {
        if !self.settings.is_long() {
            println!("{}: too short to say what is flat", self.scenario.name);
            return;
        }
        let longest = self.world.longest().name.clone();
        // Half of all calls are the season's.
        let calls = 2 * season.calls();
        let is_warm = calls >= WARM;
        if is_warm {
            let more = if self.world.redis.is_some() { RSS_KB } else { EMBEDDED_RSS_KB };
            self.flat(&longest, "rss_kb", RSS_SHARE, more);
        } else {
            println!("{}: {calls} calls are too few to say whether memory is flat: {WARM}", self.scenario.name);
        }
        if self.world.redis.is_some() {
            self.flat("redis", "memory_kb", STORE_SHARE, STORE_KB);
            for measure in self.samples.measures("redis") {
                // Those are bounded otherwise: by offers, by starts, by what is kept.
                let other = ["tallies", "offers", "refused", "head", "document", "feed", "kb", "keys"];
                if !other.iter().any(|other| measure.contains(other)) {
                    self.flat("redis", &measure, STORE_SHARE, STORE_ITEMS);
                }
            }
        } else {
            if is_warm {
                self.flat("store", "kb", FOLDER_SHARE, FOLDER_KB);
            }
            self.flat("store", "files", FOLDER_SHARE, 30.0);
            self.flat(&longest, "store_files", FOLDER_SHARE, 30.0);
        }
    }

    fn flat(&self, subject: &str, measure: &str, share: f64, more: f64) {
        let of = |number| median(&third_of(self.samples.of(subject, measure), self.settings.length, number));
        let (second, third) = (of(1), of(2));
        let most = second * share + more;
        let told =
            format!("{subject} {measure}: {second:.0} in the second third, {third:.0} in the last, at most {most:.0}");
        self.says(third <= most, &told);
    }

    /// Events are trimmed while it runs, not at its end only.
    pub fn feed_is_trimmed(&self) {
        for network in ["default", "season"] {
            let lengths = self.samples.of("redis", &format!("{network}.feed"));
            let longest = lengths.iter().map(|(_, length)| *length).fold(0.0, f64::max);
            let most = self.settings.events as f64 + NODE;
            self.says(longest <= most, &format!("{network}: the feed had {longest:.0} elements at most, of {most:.0}"));
        }
    }

    /// Servers are as they were before anybody came.
    pub fn is_idle(&self, at: usize, idle: Idle, now: Idle) {
        let name = &self.world.services[at].name;
        for (what, idle, now, more) in [
            ("tasks", idle.tasks, now.tasks, IDLE_TASKS),
            ("threads", idle.threads, now.threads, IDLE_THREADS),
            ("files", idle.files, now.files, IDLE_FILES),
        ] {
            self.says(
                now <= idle + more,
                &format!("{name} {what}: {now:.0} once all have gone, {idle:.0} before they came"),
            );
        }
    }

    pub fn is_as_idle(idle: Idle, now: Idle) -> bool {
        now.tasks <= idle.tasks + IDLE_TASKS
            && now.threads <= idle.threads + IDLE_THREADS
            && now.files <= idle.files + IDLE_FILES
    }

    /// All is over and what is to be forgotten is: the keys that there are, with what each holds.
    pub fn keys_are_bounded(&self, season: &Season) {
        let Some(redis) = &self.world.redis else { return };
        let mut client = redis.client().expect("Redis answers");
        let keys = keys(&mut client);
        let kinds = kinds(&mut client, &keys);
        let offers = season.offers() as f64;
        let comings = self.world.comings() as f64;
        // Of each day, channel and offer: eleven numbers of the scorecard, and of each resource two of lost demand. Days go by.
        let tallies =
            |offers: f64| (DAYS as f64 + 3.0) * 2.0 * (offers + 1.0) * (11.0 + 2.0 * 5.0) + 5.0 * offers + 100.0;
        for (kind, Held { count, .. }) in &kinds {
            let (network, name) = kind.split_once('.').unwrap_or(("", kind));
            let of_season = network == super::season::NETWORK;
            let (most, why) = match name {
                "networks" => (2.0, "the networks"),
                "head" => (HEAD + comings, "where the network stands, and a slot for whoever came in the last day"),
                "buckets" => {
                    (6.0 * 400.0, "buckets that were once drawn on or planned, until 35 days after they are over")
                }
                "feed" => (self.settings.events as f64 + NODE, "events that are kept"),
                "offers" => (offers, "offers, which are remembered for ever, up to 10,000"),
                "tallies" => {
                    (tallies(if of_season { offers } else { 0.0 }), "numbers by day, channel and offer, for ever")
                }
                "refused" => (MAX_REFUSED as f64, "holds that were refused and counted in the last ten minutes"),
                "document" => (1.0 + self.unapplied(&mut client_of(redis), &keys, network), "the network's document"),
                _ => (0.0, "nothing: all is over, and long enough ago to be forgotten"),
            };
            self.says(*count <= most, &format!("{kind} holds {count:.0}, at most {most:.0}: {why}"));
        }
    }

    /// Documents that were sent and not applied, as another was faster; they go by themselves.
    fn unapplied(&self, client: &mut crate::redis_world::Client, keys: &[String], network: &str) -> f64 {
        let of = format!("{{surety:{network}}}:document:");
        let goes = |key: &&String| client.call(&["TTL", key]).is_ok_and(|left| left.int() > 0);
        keys.iter().filter(|key| key.starts_with(&of)).filter(goes).count() as f64
    }

    /// The same of a store that is asked by its export.
    pub fn export_is_bounded(&self, network: &str) {
        let told = self.world.exported(network, &self.scenario.dir.path().join(format!("{network}.export")));
        let number = |name: &str| told[name].as_f64().unwrap_or(-1.0);
        // One step's change may be several elements' worth; Redis trims by whole nodes.
        let events = self.settings.events as f64 + if self.world.redis.is_some() { NODE } else { 1.0 };
        for (name, most, why) in [
            ("reservations", 0.0, "all are over, and long enough ago to be forgotten"),
            ("adjustments", 0.0, "all were made long enough ago to be forgotten"),
            ("entries", events, "events that are kept"),
            ("drifts", 0.0, "no number is wrong"),
        ] {
            let has = number(name);
            let right = (0.0..=most).contains(&has);
            self.says(right, &format!("{network} has {has:.0} {name}, at most {most:.0}: {why}"));
        }
    }
}

fn client_of(redis: &crate::redis_world::Server) -> crate::redis_world::Client {
    redis.client().expect("Redis answers")
}
