//! A bad network: a proxy before a server that delays, loses and repeats what passes, or lets nothing pass.

mod connection;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::dice::{Dice, seed};
use super::port::Port;
use super::wait::until;

/// What can happen to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never gets to the server, and the connection is closed.
    DropRequest,
    /// It runs; its answer is lost, and the connection is closed.
    DropReply,
    /// It runs twice, one run right after the other. The client gets the answer of the first.
    Duplicate,
    /// It runs twice, one run right after the other. The client gets the answer of the second, as it does from a library
    /// that sends again by itself.
    Replay,
    /// It runs, and again after a while, between later requests of the same connection. The client gets the first answer.
    Echo,
}

const FAULTS: [Fault; 5] = [Fault::DropRequest, Fault::DropReply, Fault::Duplicate, Fault::Replay, Fault::Echo];

/// What passed, and what was done to it, since the proxy began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub connections: u64,
    pub requests: u64,
    pub requests_dropped: u64,
    pub replies_dropped: u64,
    pub duplicated: u64,
    pub replayed: u64,
    pub echoed: u64,
}

impl Counts {
    /// All faults together, so that a test can see that there were any.
    pub fn faults(&self) -> u64 {
        self.requests_dropped + self.replies_dropped + self.duplicated + self.replayed + self.echoed
    }
}

/// A proxy on 127.0.0.1 before one address. It begins as a good network; every fault lasts until it is set anew or
/// [`Proxy::heal`] is called. It runs on a thread of its own, by the system's clock, whatever the test's runtime does.
///
/// Faults of single requests need to see them: on connections with TLS, or after SUBSCRIBE, MONITOR or PSYNC, only delays,
/// [`Proxy::cut`], [`Proxy::refuse`] and [`Proxy::hang_up`] have an effect. Nothing between MULTI and EXEC is run twice.
/// CLIENT REPLY is not understood.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    world: Arc<World>,
    thread: Option<JoinHandle<()>>,
}

/// What the handle and the connections share.
#[derive(Debug)]
struct World {
    target: SocketAddr,
    seed: u64,
    weather: watch::Sender<Weather>,
    /// Faults for the next request of a command, before any dice are thrown.
    ordered: Mutex<VecDeque<(Fault, String)>>,
    counts: Mutex<Counts>,
    /// Connections that are open now.
    open: AtomicUsize,
    /// The `turn` of the weather that the listener has seen.
    seen: AtomicU64,
}

#[derive(Clone, Debug)]
struct Weather {
    gate: Gate,
    /// How long each request and each answer is under way.
    delay: (Duration, Duration),
    /// The probability of each of `FAULTS`, in their order.
    odds: [f64; FAULTS.len()],
    /// The commands that probabilities apply to; empty for all.
    only: Vec<String>,
    /// How much later an echo comes.
    echo_after: Duration,
    /// Raised to close all connections of before.
    epoch: u64,
    /// Raised with every change.
    turn: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// Connections are accepted and stay open; nothing passes.
    Cut,
    /// Nobody listens.
    Refuse,
    /// The proxy is being dropped.
    End,
}

impl Proxy {
    /// A proxy before an address, with dice by `SEED` or new ones; their seed is printed.
    #[track_caller]
    pub fn start(target: SocketAddr) -> Proxy {
        Proxy::start_at(Port::reserve(), target)
    }

    /// The same on a port that was known before.
    #[track_caller]
    pub fn start_at(port: Port, target: SocketAddr) -> Proxy {
        Proxy::seeded(port, target, seed())
    }

    /// The same with these dice. Every connection throws its own, so the same connections with the same requests suffer
    /// the same faults.
    #[track_caller]
    pub fn seeded(port: Port, target: SocketAddr, seed: u64) -> Proxy {
        let weather = Weather {
            gate: Gate::Open,
            delay: (Duration::ZERO, Duration::ZERO),
            odds: [0.0; FAULTS.len()],
            only: Vec::new(),
            echo_after: Duration::ZERO,
            epoch: 0,
            turn: 1,
        };
        let world = Arc::new(World {
            target,
            seed,
            weather: watch::Sender::new(weather),
            ordered: Mutex::default(),
            counts: Mutex::default(),
            open: AtomicUsize::new(0),
            seen: AtomicU64::new(0),
        });
        let address = port.address();
        let shared = Arc::clone(&world);
        let thread = std::thread::Builder::new().name("proxy".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(listen(address, shared));
        });
        let proxy = Proxy { port, world, thread: Some(thread.expect("a thread")) };
        proxy.wait_until_seen();
        proxy
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Every request takes so long to get to the server, and every answer to get back: a round trip takes twice as long.
    #[track_caller]
    pub fn delay(&self, min: Duration, max: Duration) {
        assert!(min <= max, "{min:?} to {max:?} is no range");
        self.change(|weather| weather.delay = (min, max));
    }

    /// See [`Fault::DropReply`].
    pub fn drop_replies(&self, probability: f64) {
        self.odds(Fault::DropReply, probability);
    }

    /// See [`Fault::DropRequest`].
    pub fn drop_requests(&self, probability: f64) {
        self.odds(Fault::DropRequest, probability);
    }

    /// See [`Fault::Duplicate`].
    pub fn duplicate(&self, probability: f64) {
        self.odds(Fault::Duplicate, probability);
    }

    /// See [`Fault::Replay`].
    pub fn replay(&self, probability: f64) {
        self.odds(Fault::Replay, probability);
    }

    /// See [`Fault::Echo`]; the second run comes this much later.
    pub fn echo(&self, probability: f64, after: Duration) {
        self.change(|weather| weather.echo_after = after);
        self.odds(Fault::Echo, probability);
    }

    /// Has probabilities apply to these commands only (`["EVALSHA", "FCALL"]`), or to all if there are none.
    pub fn only(&self, commands: &[&str]) {
        let commands = commands.iter().map(|command| command.to_uppercase()).collect();
        self.change(|weather| weather.only = commands);
    }

    /// Does this to the next request of a command, on whatever connection it comes, whatever the probabilities are. Several
    /// may be ordered, one for each request.
    pub fn next(&self, command: &str, fault: Fault) {
        let mut ordered = self.world.ordered.lock().unwrap_or_else(PoisonError::into_inner);
        ordered.push_back((fault, command.to_uppercase()));
    }

    /// A black hole: connections can be made and stay open, and nothing passes either way. What is under way then arrives
    /// after [`Proxy::heal`], as it would in a network.
    pub fn cut(&self) {
        self.change(|weather| weather.gate = Gate::Cut);
    }

    /// All connections are closed and new ones refused, when this returns.
    #[track_caller]
    pub fn refuse(&self) {
        self.change(|weather| weather.gate = Gate::Refuse);
        until("the proxy's connections are closed", || (self.world.open.load(Ordering::Acquire) == 0).then_some(()));
    }

    /// All connections are closed; new ones are welcome.
    pub fn hang_up(&self) {
        self.change(|weather| weather.epoch += 1);
    }

    /// A good network again, with no fault at all.
    pub fn heal(&self) {
        self.world.ordered.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.change(|weather| {
            weather.gate = Gate::Open;
            weather.delay = (Duration::ZERO, Duration::ZERO);
            weather.odds = [0.0; FAULTS.len()];
            weather.only.clear();
        });
    }

    pub fn counts(&self) -> Counts {
        *self.world.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn odds(&self, fault: Fault, probability: f64) {
        assert!((0.0..=1.0).contains(&probability), "{probability} is no probability: it is from 0 to 1");
        self.change(|weather| weather.odds[fault as usize] = probability);
    }

    fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.world.weather.send_modify(|weather| {
            change(weather);
            weather.turn += 1;
        });
        self.wait_until_seen();
    }

    /// Returns when the listener does as the weather says.
    fn wait_until_seen(&self) {
        let turn = self.world.weather.borrow().turn;
        until("the proxy follows", || (self.world.seen.load(Ordering::Acquire) >= turn).then_some(()));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.world.weather.send_modify(|weather| weather.gate = Gate::End);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

impl World {
    fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What happens to a request.
    fn fault(&self, command: &str, dice: &mut Dice) -> Option<Fault> {
        {
            let mut ordered = self.ordered.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = ordered.iter().position(|(_, of)| of == command) {
                return ordered.remove(place).map(|(fault, _)| fault);
            }
        }
        let weather = self.weather.borrow();
        if !weather.only.is_empty() && !weather.only.iter().any(|only| only == command) {
            return None;
        }
        FAULTS.into_iter().find(|&fault| dice.comes_up(weather.odds[fault as usize]))
    }
}

/// Accepts connections as long as the weather allows.
async fn listen(address: SocketAddr, world: Arc<World>) {
    let mut weather = world.weather.subscribe();
    let mut listener = None;
    let mut number = 0u64;
    loop {
        let (gate, turn) = {
            let now = weather.borrow_and_update();
            (now.gate, now.turn)
        };
        match gate {
            Gate::End => return,
            Gate::Refuse => listener = None,
            Gate::Open | Gate::Cut => {
                if listener.is_none() {
                    listener = Some(TcpListener::bind(address).await.unwrap_or_else(|e| panic!("{address}: {e}")));
                }
            }
        }
        world.seen.store(turn, Ordering::Release);
        let changed = match &listener {
            None => weather.changed().await,
            Some(listener) => tokio::select! {
                changed = weather.changed() => changed,
                accepted = listener.accept() => {
                    if let Ok((client, _)) = accepted {
                        number += 1;
                        let dice = Dice::seeded(world.seed.wrapping_add(number));
                        tokio::spawn(connection::serve(client, Arc::clone(&world), dice));
                    }
                    Ok(())
                }
            },
        };
        if changed.is_err() {
            return;
        }
    }
}
