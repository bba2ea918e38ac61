//! One server: started, killed, paused and started again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Result;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use super::certificates::Certificates;
use super::client::Client;
use super::flavour::Flavour;
use super::port::Port;
use super::process::Process;
use super::resp::Value;
use super::wait::until;

/// The administrator of a server that keeps a user apart for the service under test.
const ADMIN: (&str, &str) = ("tests-admin", "tests-admin-password");

/// What a server is started with. The default: nothing on disk, no password, no TLS, alone.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub aof: Aof,
    pub access: Access,
    pub tls: Tls,
    /// The primary that it follows; with the same access and TLS as its own.
    pub replica_of: Option<SocketAddr>,
    /// A node of a cluster, whose bus has a port of its own.
    pub cluster: bool,
    /// The port that it tells others to find it by, where that is a proxy's.
    pub announced_port: Option<u16>,
    /// More lines of its configuration, after all others.
    pub lines: Vec<String>,
}

/// The append-only file: how much of what was answered is there after [`Server::kill9`] and [`Server::restart`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aof {
    /// Nothing is.
    #[default]
    Off,
    /// All of it when the process dies; all but the last second or two when the machine does.
    EverySecond,
    /// All of it.
    Always,
}

/// Who may do what.
#[derive(Clone, Debug, Default)]
pub enum Access {
    #[default]
    Open,
    /// The default user's password.
    Password(String),
    /// A user of this name and password with these rules (`["~*", "+@all"]`), and no default user. The tests' own commands
    /// come from an administrator, who is there beside it.
    User { name: String, password: String, rules: Vec<String> },
}

/// With TLS there is no port without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    #[default]
    Off,
    /// The server shows a certificate.
    Server,
    /// The client has to show one as well.
    Mutual,
}

/// A server on 127.0.0.1 with a folder of its own, which are gone when it is dropped. Everything but its end can be done to
/// it while others use it.
#[derive(Debug)]
pub struct Server {
    flavour: Flavour,
    options: Options,
    sentinel: bool,
    port: Port,
    _bus: Option<Port>,
    process: Mutex<Process>,
    certificates: Option<Certificates>,
    dir: TempDir,
}

impl Server {
    /// Starts one and waits until it answers.
    #[track_caller]
    pub fn start(flavour: Flavour, options: Options) -> Server {
        Server::start_as(flavour, options, false)
    }

    /// A server, or a sentinel.
    #[track_caller]
    pub(super) fn start_as(flavour: Flavour, options: Options, sentinel: bool) -> Server {
        // A port can be lost to a program that does not know of our locks: then another is tried.
        for _ in 0..5 {
            let dir = tempfile::Builder::new().prefix("surety-redis-").tempdir().expect("a folder");
            let port = Port::reserve();
            let bus = options.cluster.then(Port::reserve);
            let certificates = (options.tls != Tls::Off).then(|| Certificates::write(dir.path()));
            let text = configuration(&options, &port, bus.as_ref(), certificates.as_ref(), dir.path(), sentinel);
            std::fs::write(dir.path().join("conf"), text).expect("the configuration is written");
            let process = Mutex::new(run(flavour, dir.path(), sentinel));
            let server =
                Server { flavour, options: options.clone(), sentinel, port, _bus: bus, process, certificates, dir };
            match server.wait_until_ready() {
                Ok(()) => return server,
                Err(log) if log.contains("Address already in use") => {}
                Err(log) => panic!("{flavour:?} does not start:\n{log}"),
            }
        }
        panic!("{flavour:?} got no port in five tries");
    }

    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The files of a server that speaks TLS. Panics for one that does not.
    #[track_caller]
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("Options::tls is Off")
    }

    /// Its address for `--store`, with the user and the password that the service is to use.
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The same at another address: that of a proxy before it.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let scheme = if self.options.tls == Tls::Off { "redis" } else { "rediss" };
        format!("{scheme}://{}{address}", self.options.access.in_url())
    }

    /// A connection of the administrator's. An error where the server can't be reached, or does not answer in 10 seconds.
    pub fn client(&self) -> Result<Client> {
        let mut client = if self.options.tls == Tls::Off {
            Client::connect(self.address())?
        } else {
            Client::connect_tls(self.address())?
        };
        if !self.sentinel
            && let Some((user, password)) = self.options.access.admin()
            && let Value::Error(refusal) = client.call(&["AUTH", &user, &password])?
        {
            return Err(std::io::Error::other(refusal));
        }
        Ok(client)
    }

    /// What the server says to a command. Panics where it refuses it or can't be reached.
    #[track_caller]
    pub fn cli(&self, words: &[&str]) -> Value {
        match self.try_cli(words) {
            Ok(Value::Error(refusal)) => panic!("{words:?}: {refusal}"),
            Ok(answer) => answer,
            Err(e) => panic!("{words:?}: {e}\n{}", self.log_end()),
        }
    }

    /// The same without the panic: a refusal is [`Value::Error`], and it is an error where there was no answer.
    pub fn try_cli(&self, words: &[&str]) -> Result<Value> {
        self.client()?.call(words)
    }

    /// A section of INFO, or all with "everything".
    #[track_caller]
    pub fn info(&self, section: &str) -> BTreeMap<String, String> {
        pairs(&self.cli(&["INFO", section]).text())
    }

    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// Whether the process is there, paused or not.
    pub fn is_running(&self) -> bool {
        self.process().ended().is_none()
    }

    /// SIGKILL, as a crash would; it is gone when this returns.
    pub fn kill9(&self) {
        self.process().kill();
    }

    /// SIGSTOP: its connections stay open, and it does nothing.
    pub fn stop(&self) {
        self.process().signal(libc::SIGSTOP);
    }

    /// SIGCONT, after [`Server::stop`].
    pub fn cont(&self) {
        self.process().signal(libc::SIGCONT);
    }

    /// SIGTERM, and waits for its end.
    pub fn terminate(&self) {
        let mut process = self.process();
        process.signal(libc::SIGTERM);
        process.wait();
    }

    /// Starts it again on the same port, with the same folder and what is left of its data; killed first if it still runs.
    /// Waits until it answers.
    #[track_caller]
    pub fn restart(&self) {
        {
            let mut process = self.process();
            process.kill();
            *process = run(self.flavour, self.dir.path(), self.sentinel);
        }
        if let Err(log) = self.wait_until_ready() {
            panic!("{:?} does not start again:\n{log}", self.flavour);
        }
    }

    /// Waits until a replica has all that its primary had.
    #[track_caller]
    pub fn wait_until_in_sync(&self) {
        until("the link to the primary is up", || {
            let about = pairs(&self.try_cli(&["INFO", "replication"]).ok()?.text());
            (about.get("master_link_status").is_some_and(|status| status == "up")).then_some(())
        });
    }

    /// Where its files are: `conf`, `log` and its data.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// All that it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Ends it and removes its folder, for one in a static, which is never dropped.
    pub(super) fn end(&self) {
        self.kill9();
        let _removed = std::fs::remove_dir_all(self.dir.path());
    }

    /// Waits for a PONG of this very process. An error is its log, when it ended instead.
    fn wait_until_ready(&self) -> std::result::Result<(), String> {
        until("the server answers", || {
            if !self.is_running() {
                return Some(Err(self.log_end()));
            }
            let mut client = self.client().ok()?;
            (client.call(&["PING"]).ok()? == Value::Simple("PONG".into())).then_some(())?;
            let about = pairs(&client.call(&["INFO", "server"]).ok()?.text());
            // Another on this port would mean that ours is about to end for want of it.
            (about.get("process_id")? == &self.pid().to_string()).then_some(Ok(()))
        })
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("-- log of {:?} on {}:\n{}", self.flavour, self.address(), self.log_end());
        }
        self.kill9();
    }
}

impl Access {
    /// Who has all rights, if anybody must say who he is.
    pub(super) fn admin(&self) -> Option<(String, String)> {
        match self {
            Access::Open => None,
            Access::Password(password) => Some(("default".into(), password.clone())),
            Access::User { .. } => Some((ADMIN.0.into(), ADMIN.1.into())),
        }
    }

    /// `USER:PASSWORD@` of the service, or nothing.
    pub(super) fn in_url(&self) -> String {
        match self {
            Access::Open => String::new(),
            Access::Password(password) => format!(":{password}@"),
            Access::User { name, password, .. } => format!("{name}:{password}@"),
        }
    }
}

fn run(flavour: Flavour, dir: &Path, sentinel: bool) -> Process {
    let mut command = flavour.command();
    command.arg(dir.join("conf")).current_dir(dir).stdin(Stdio::null());
    if sentinel {
        command.arg("--sentinel");
    }
    // What is wrong with a configuration is said before there is a log.
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).expect("a log");
    command.stdout(log.try_clone().expect("the log")).stderr(log);
    Process::start(command)
}

fn configuration(
    options: &Options,
    port: &Port,
    bus: Option<&Port>,
    certificates: Option<&Certificates>,
    dir: &Path,
    sentinel: bool,
) -> String {
    let mut text = String::new();
    let mut line = |words: &str| writeln!(text, "{words}").expect("memory");
    line("bind 127.0.0.1");
    line("daemonize no");
    line(&format!("dir {}", dir.display()));
    line(&format!("logfile {}", dir.join("log").display()));
    if let Some(files) = certificates {
        let file = |path: &PathBuf| path.display().to_string();
        line("port 0");
        line(&format!("tls-port {}", port.number()));
        line(&format!("tls-ca-cert-file {}", file(&files.ca)));
        line(&format!("tls-cert-file {}", file(&files.server_cert)));
        line(&format!("tls-key-file {}", file(&files.server_key)));
        line(if options.tls == Tls::Mutual { "tls-auth-clients yes" } else { "tls-auth-clients no" });
        line("tls-replication yes");
        line(if options.cluster { "tls-cluster yes" } else { "tls-cluster no" });
    } else {
        line(&format!("port {}", port.number()));
    }
    if !sentinel {
        data_lines(options, bus, &mut line);
    }
    options.lines.iter().for_each(|more| line(more));
    text
}

/// What only a server that holds data understands.
fn data_lines(options: &Options, bus: Option<&Port>, line: &mut impl FnMut(&str)) {
    line("save \"\"");
    line("enable-debug-command local");
    // Replicas are there at once, and a dead primary is noticed soon.
    line("repl-diskless-sync yes");
    line("repl-diskless-sync-delay 0");
    line("repl-ping-replica-period 1");
    match options.aof {
        Aof::Off => line("appendonly no"),
        Aof::EverySecond => line("appendonly yes\nappendfsync everysec"),
        Aof::Always => line("appendonly yes\nappendfsync always"),
    }
    match &options.access {
        Access::Open => {}
        Access::Password(password) => line(&format!("requirepass {password}")),
        Access::User { name, password, rules } => {
            line("user default off");
            line(&format!("user {} on >{} ~* &* +@all", ADMIN.0, ADMIN.1));
            line(&format!("user {name} on >{password} {}", rules.join(" ")));
        }
    }
    if let Some((user, password)) = options.access.admin() {
        line(&format!("masteruser {user}\nmasterauth {password}"));
    }
    if let Some(primary) = options.replica_of {
        line(&format!("replicaof {} {}", primary.ip(), primary.port()));
    }
    if let Some(bus) = bus {
        line("cluster-enabled yes");
        line(&format!("cluster-port {}", bus.number()));
    }
    if let Some(announced) = options.announced_port {
        let tls = if options.tls == Tls::Off { "" } else { "tls-" };
        line(&match options.cluster {
            true => format!("cluster-announce-{tls}port {announced}"),
            false => format!("replica-announce-port {announced}"),
        });
    }
}

/// The `name:value` lines of INFO and its like.
pub(super) fn pairs(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
