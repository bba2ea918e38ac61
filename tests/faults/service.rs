//! The service's own program as processes that are killed, paused and started again, each on a port that it keeps.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use surety::proto::v1::offer_service_client::OfferServiceClient;
use surety::proto::v1::operations_service_client::OperationsServiceClient;
use surety::proto::v1::promise_service_client::PromiseServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::redis_world::{Port, Process};

/// How long a service may take to come up once its store is there, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `surety` that is run, with nothing of this machine's environment that means something to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    /// Options that it serves with, beside those of the instance.
    serves_with: Vec<String>,
}

impl Program {
    /// The program that was built with the tests, or the one that `SURETY_TEST_PROGRAM` names, such as that of a release.
    pub fn this() -> Program {
        Program::at(named("SURETY_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_surety").into()))
    }

    fn at(path: PathBuf) -> Program {
        Program { path, serves_with: Vec::new() }
    }

    /// The same, which serves with options that others may not have.
    pub fn serving_with(self, options: &[&str]) -> Program {
        Program { serves_with: options.iter().map(|option| (*option).to_owned()).collect(), ..self }
    }

    /// One of an earlier version. What came into the options since is not for it.
    #[track_caller]
    pub fn earlier() -> Program {
        let told = "SURETY_TEST_EARLIER_PROGRAM names no program of an earlier version: tests/two-versions builds one";
        Program::at(named("SURETY_TEST_EARLIER_PROGRAM").expect(told))
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("SURETY_") || text.starts_with("OTEL_") {
                command.env_remove(&name);
            }
        }
        command.args(args).stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap_or_else(|e| panic!("{:?} does not run: {e}", self.path))
    }
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

pub fn run(args: &[&str]) -> Output {
    Program::this().run(args)
}

/// One instance.
pub struct Service {
    pub name: String,
    program: Mutex<Program>,
    port: Port,
    args: Vec<String>,
    dir: PathBuf,
    process: Mutex<Process>,
    channel: Mutex<Channel>,
}

impl Service {
    /// Starts one on a store and waits until it listens. Needs a runtime, for its clients' channel.
    #[track_caller]
    pub fn start(program: Program, dir: &Path, name: &str, store: &str, more: &[&str]) -> Service {
        let port = Port::reserve();
        let listen = port.address().to_string();
        let args = ["serve", "--listen", &listen, "--store", store, "--threads", "2", "--stop-notice", "0s"];
        let args: Vec<String> = args.iter().chain(more).map(|arg| (*arg).to_owned()).collect();
        let channel = Mutex::new(connection(port.address()));
        let process = Mutex::new(begin(&program, &args, dir, name));
        let (name, program, dir) = (name.to_owned(), Mutex::new(program), dir.to_owned());
        let service = Service { name, program, port, args, dir, process, channel };
        service.wait_until_it_listens();
        service
    }

    /// SIGKILL, as a crash would.
    pub fn kill9(&self) {
        self.process().kill();
    }

    /// SIGTERM, and how it ended.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        let mut process = self.process();
        process.signal(libc::SIGTERM);
        let begun = Instant::now();
        loop {
            if let Some(status) = process.ended() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "{} does not end:\n{}", self.name, end_of(&self.log()));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again on the same port, and waits until it listens.
    #[track_caller]
    pub fn restart(&self) {
        {
            let mut process = self.process();
            process.kill();
            *process = begin(&self.program(), &self.args, &self.dir, &self.name);
        }
        self.wait_until_it_listens();
    }

    /// Ends it as an upgrade does, and has another program take its place.
    #[track_caller]
    pub fn replace(&self, program: &Program) {
        let status = self.terminate();
        assert!(status.success(), "{} ended with {status}:\n{}", self.name, end_of(&self.log()));
        program.clone_into(&mut self.program.lock().unwrap_or_else(PoisonError::into_inner));
        self.restart();
    }

    /// Which program it is now.
    pub fn program(&self) -> Program {
        self.program.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// SIGSTOP.
    pub fn stop(&self) {
        self.process().signal(libc::SIGSTOP);
    }

    /// SIGCONT.
    pub fn cont(&self) {
        self.process().signal(libc::SIGCONT);
    }

    pub fn promises(&self) -> PromiseServiceClient<Channel> {
        PromiseServiceClient::new(self.channel())
    }

    pub fn operations(&self) -> OperationsServiceClient<Channel> {
        OperationsServiceClient::new(self.channel())
    }

    pub fn offers(&self) -> OfferServiceClient<Channel> {
        OfferServiceClient::new(self.channel())
    }

    fn channel(&self) -> Channel {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Leaves the connection that all clients of this process share; once they are dropped it is closed. Needs a runtime.
    pub fn hang_up(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = connection(self.port.address());
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// All that it logged, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join(format!("{}.log", self.name))).unwrap_or_default()
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One whose store is away ends, and is started again, as whatever runs it would do.
    #[track_caller]
    fn wait_until_it_listens(&self) {
        let begun = Instant::now();
        let expected = format!("listening on {}", self.port.address());
        loop {
            let said = std::fs::read_to_string(self.dir.join(format!("{}.out", self.name))).unwrap_or_default();
            if said.contains(&expected) {
                return;
            }
            let mut process = self.process();
            if process.ended().is_some() {
                std::thread::sleep(Duration::from_millis(100));
                *process = begin(&self.program(), &self.args, &self.dir, &self.name);
            }
            drop(process);
            assert!(begun.elapsed() < PATIENCE, "{} does not start:\n{}", self.name, end_of(&self.log()));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A connection of its own, made once it is used.
pub fn connection(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    // A paused server accepts connections and says nothing, so the deadlines of calls are what ends them.
    endpoint.connect_timeout(Duration::from_secs(1)).connect_lazy()
}

fn begin(program: &Program, args: &[String], dir: &Path, name: &str) -> Process {
    let args: Vec<&str> = args.iter().chain(&program.serves_with).map(String::as_str).collect();
    let mut command = program.command(&args);
    let out = File::create(dir.join(format!("{name}.out"))).expect("a file");
    let log = dir.join(format!("{name}.log"));
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
    command.stdout(out).stderr(log);
    Process::start(command)
}

pub fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
