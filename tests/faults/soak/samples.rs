//! What is measured while it runs: of each server's process, of what it tells its collector, and of the store. Every sample is a line
//! of a file of comma-separated values, and remembered for the judgement.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::collector::Collector;
use crate::redis_world::{Client, Server};
use crate::service::Service;

/// Values of one measure, each with the seconds since the load began.
pub type Series = Vec<(f64, f64)>;

/// All of them.
pub struct Samples {
    begun: Instant,
    file: BufWriter<File>,
    pub path: PathBuf,
    /// By subject (a server, the store) and measure.
    series: BTreeMap<(String, String), Series>,
}

impl Samples {
    pub fn begin(path: PathBuf) -> Samples {
        let mut file = BufWriter::new(File::create(&path).unwrap_or_else(|e| panic!("{path:?}: {e}")));
        writeln!(file, "seconds,subject,measure,value").expect("the file takes it");
        Samples { begun: Instant::now(), file, path, series: BTreeMap::new() }
    }

    pub fn put(&mut self, subject: &str, measure: &str, value: f64) {
        let at = self.begun.elapsed().as_secs_f64();
        writeln!(self.file, "{at:.1},{subject},{measure},{value}").expect("the file takes it");
        self.series.entry((subject.to_owned(), measure.to_owned())).or_default().push((at, value));
    }

    pub fn flush(&mut self) {
        self.file.flush().expect("the file takes it");
    }

    pub fn of(&self, subject: &str, measure: &str) -> &[(f64, f64)] {
        self.series.get(&(subject.to_owned(), measure.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// All measures of the store that end so.
    pub fn measures(&self, subject: &str) -> Vec<String> {
        self.series.keys().filter(|(of, _)| of == subject).map(|(_, measure)| measure.clone()).collect()
    }

    /// A server: its process, and what it tells.
    pub fn server(&mut self, service: &Service, collector: &Collector, data: Option<&Path>) {
        let process = Process::of(service.pid(), data);
        let name = &service.name;
        self.put(name, "rss_kb", process.rss_kb);
        self.put(name, "rss_anon_kb", process.anonymous_kb);
        self.put(name, "threads", process.threads);
        self.put(name, "files", process.files);
        if data.is_some() {
            self.put(name, "store_files", process.store_files);
        }
        for (measure, metric) in [
            ("tasks", "surety.runtime.tasks"),
            ("streams", "surety.streams.open"),
            ("watches", "surety.watches.open"),
            ("in_flight", "surety.requests.in_flight"),
            ("queue", "surety.ledger.queue_depth"),
            ("at_risk", "surety.reservations.at_risk"),
        ] {
            if let Some(value) = collector.value(metric) {
                self.put(name, measure, value);
            }
        }
    }

    /// A store in Redis: its memory, and of each key what is in it.
    pub fn redis(&mut self, server: &Server) {
        let Ok(mut client) = server.client() else { return };
        let about = server.info("memory");
        let number = |name: &str| about.get(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        self.put("redis", "memory_kb", number("used_memory") / 1024.0);
        self.put("redis", "rss_kb", number("used_memory_rss") / 1024.0);
        let keys = keys(&mut client);
        self.put("redis", "keys", keys.len() as f64);
        let mut kinds = kinds(&mut client, &keys);
        // What was there and is gone has nothing in it.
        for measure in self.measures("redis").into_iter().filter(|name| name.contains('.') && !name.ends_with(".kb")) {
            kinds.entry(measure).or_default();
        }
        for (measure, Held { count, bytes }) in kinds {
            self.put("redis", &measure, count);
            self.put("redis", &format!("{measure}.kb"), bytes / 1024.0);
        }
    }

    /// A store in a folder.
    pub fn folder(&mut self, dir: &Path) {
        let (files, bytes) = size_of(dir);
        self.put("store", "files", files as f64);
        self.put("store", "kb", bytes as f64 / 1024.0);
    }

    /// A line for each measure: the median of each third, the largest and the last value.
    pub fn table(&self, length: Duration) -> String {
        let mut table = format!(
            "{:<12} {:<28} {:>10} {:>10} {:>10} {:>10} {:>10}\n",
            "subject", "measure", "first 1/3", "second", "third", "largest", "last"
        );
        for ((subject, measure), series) in &self.series {
            let [first, second, third] = [0, 1, 2].map(|n| median(&third_of(series, length, n)));
            let largest = series.iter().map(|(_, value)| *value).fold(0.0, f64::max);
            let last = series.last().map_or(0.0, |(_, value)| *value);
            let cells = [first, second, third, largest, last].map(|n| format!("{n:>10.0}")).join(" ");
            table.push_str(&format!("{subject:<12} {measure:<28} {cells}\n"));
        }
        table
    }
}

/// The values of the first, second or last third of the run.
pub fn third_of(series: &[(f64, f64)], length: Duration, number: u32) -> Vec<f64> {
    let part = length.as_secs_f64() / 3.0;
    let (from, to) = (part * f64::from(number), part * f64::from(number + 1));
    series.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, value)| *value).collect()
}

pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A process as the kernel sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    pub rss_kb: f64,
    /// Without what is mapped from files.
    pub anonymous_kb: f64,
    pub threads: f64,
    /// Open files and sockets without those of the store's folder.
    pub files: f64,
    pub store_files: f64,
}

impl Process {
    pub fn of(pid: u32, data: Option<&Path>) -> Process {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let number = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        let (mut files, mut store_files) = (0.0, 0.0);
        for file in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let of_store =
                std::fs::read_link(file.path()).is_ok_and(|at| data.is_some_and(|data| at.starts_with(data)));
            if of_store { store_files += 1.0 } else { files += 1.0 }
        }
        Process {
            rss_kb: number("VmRSS"),
            anonymous_kb: number("RssAnon"),
            threads: number("Threads"),
            files,
            store_files,
        }
    }
}

/// What a kind of key holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    pub count: f64,
    pub bytes: f64,
}

/// All keys. There are some twenty of each network, however much is in them.
pub fn keys(client: &mut Client) -> Vec<String> {
    let Ok(answer) = client.call(&["KEYS", "*"]) else { return Vec::new() };
    let mut keys: Vec<String> = answer.list().iter().map(|key| key.text()).collect();
    keys.sort();
    keys
}

/// What the keys hold, by network and kind: `season.feed`. Names that are made by chance are one kind.
pub fn kinds(client: &mut Client, keys: &[String]) -> BTreeMap<String, Held> {
    let mut kinds: BTreeMap<String, Held> = BTreeMap::new();
    for key in keys {
        let kind = kind_of(key);
        let mut ask = |words: &[&str]| client.call(words).ok();
        let Some(of) = ask(&["TYPE", key]).map(|of| of.text()) else { continue };
        let count = match of.as_str() {
            "hash" => ask(&["HLEN", key]),
            "zset" => ask(&["ZCARD", key]),
            "set" => ask(&["SCARD", key]),
            "stream" => ask(&["XLEN", key]),
            _ => None,
        };
        let bytes = ask(&["MEMORY", "USAGE", key, "SAMPLES", "20"]);
        let held = kinds.entry(kind).or_default();
        // A key that is one value is counted itself.
        held.count += count.map_or(1.0, |count| count.int() as f64);
        held.bytes +=
            bytes.filter(|bytes| !matches!(bytes, crate::redis_world::Value::Nil)).map_or(0.0, |b| b.int() as f64);
    }
    kinds
}

/// `{surety:season}:document:4f...` is `season.document`.
fn kind_of(key: &str) -> String {
    let network = key.split(['{', '}']).nth(1).unwrap_or(key).replace("surety:", "");
    let kind = key.split('}').nth(1).unwrap_or_default().split(':').nth(1).unwrap_or_default();
    format!("{network}.{kind}")
}

/// Files below a folder, and their bytes.
pub fn size_of(dir: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        // A file may be gone by the time that it is looked at.
        let Ok(about) = entry.metadata() else { continue };
        if about.is_dir() {
            let (of_files, of_bytes) = size_of(&entry.path());
            files += of_files;
            bytes += of_bytes;
        } else {
            files += 1;
            bytes += about.len();
        }
    }
    (files, bytes)
}
