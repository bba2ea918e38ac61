//! A primary, its replicas, and three sentinels that watch over them.

use std::time::Duration;

use super::flavour::Flavour;
use super::server::{Options, Server, Tls};
use super::wait::until;

/// The name that sentinels know the primary by.
const MASTER: &str = "surety";
const SENTINELS: usize = 3;
const QUORUM: usize = 2;

/// Servers that stand in for each other. A dead or paused primary is replaced after some two seconds.
#[derive(Debug)]
pub struct Sentinels {
    /// The first of them was the primary in the beginning.
    pub servers: Vec<Server>,
    pub sentinels: Vec<Server>,
    access: super::server::Access,
}

impl Sentinels {
    /// Starts them and waits until the replicas are in sync and the sentinels know each other and them.
    #[track_caller]
    pub fn start(flavour: Flavour, replicas: usize, options: Options) -> Sentinels {
        Sentinels::start_with(flavour, replicas, options, Duration::from_secs(1))
    }

    /// The same, of sentinels who take a primary for dead only after a minute: for tests in which none dies, on a machine that
    /// is so busy that one may seem to.
    #[track_caller]
    pub fn start_patient(flavour: Flavour, replicas: usize, options: Options) -> Sentinels {
        Sentinels::start_with(flavour, replicas, options, Duration::from_secs(60))
    }

    #[track_caller]
    fn start_with(flavour: Flavour, replicas: usize, options: Options, patience: Duration) -> Sentinels {
        let primary = Server::start(flavour, options.clone());
        let replica_of = Some(primary.address());
        let mut servers = vec![primary];
        for _ in 0..replicas {
            servers.push(Server::start(flavour, Options { replica_of, ..options.clone() }));
        }
        servers[1..].iter().for_each(Server::wait_until_in_sync);
        let sentinels = (0..SENTINELS).map(|_| sentinel(flavour, &servers[0], &options, patience)).collect();
        let group = Sentinels { servers, sentinels, access: options.access };
        group.wait_until_agreed(0);
        group
    }

    /// Their address for `--store`.
    pub fn url(&self) -> String {
        let scheme = if self.servers[0].url().starts_with("rediss") { "rediss" } else { "redis" };
        let addresses: Vec<String> = self.sentinels.iter().map(|one| one.address().to_string()).collect();
        format!("{scheme}+sentinel://{}{}/{MASTER}", self.access.in_url(), addresses.join(","))
    }

    /// The name that sentinels know the primary by.
    pub fn master_name(&self) -> &'static str {
        MASTER
    }

    /// Which of the servers is the primary, as most of the sentinels see it.
    #[track_caller]
    pub fn primary_index(&self) -> usize {
        until("a majority of the sentinels name one primary", || {
            (0..self.servers.len()).find(|&one| self.votes(one) >= QUORUM)
        })
    }

    /// The primary, as most of the sentinels see it.
    #[track_caller]
    pub fn primary(&self) -> &Server {
        &self.servers[self.primary_index()]
    }

    /// Has a replica take over while the primary runs, and waits until it did. The new primary.
    #[track_caller]
    pub fn fail_over(&self) -> &Server {
        let old = self.primary_index();
        // Refused while an earlier failover is not quite over.
        until("the sentinels accept a failover", || {
            let answer = self.sentinels[0].try_cli(&["SENTINEL", "FAILOVER", MASTER]).ok()?;
            (answer == super::resp::Value::Simple("OK".into())).then_some(())
        });
        self.wait_for_another(old)
    }

    /// SIGKILL for the primary, and waits until another stands in. The new primary; the old one can be restarted, and becomes
    /// its replica.
    #[track_caller]
    pub fn kill_primary(&self) -> &Server {
        let old = self.primary_index();
        self.servers[old].kill9();
        self.wait_for_another(old)
    }

    /// Waits until another than this one is the primary in the eyes of all sentinels, and in its own.
    #[track_caller]
    pub fn wait_for_another(&self, old: usize) -> &Server {
        let new = until("another server is the primary", || {
            (0..self.servers.len()).find(|&one| one != old && self.votes(one) == SENTINELS && self.leads(one))
        });
        &self.servers[new]
    }

    fn leads(&self, one: usize) -> bool {
        let role = self.servers[one].try_cli(&["ROLE"]);
        role.is_ok_and(|role| role.list()[0].text() == "master")
    }

    /// How many sentinels take this server for the primary.
    fn votes(&self, one: usize) -> usize {
        let port = self.servers[one].port().to_string();
        let named = self.sentinels.iter().filter(|sentinel| {
            let answer =
                sentinel.is_running().then(|| sentinel.try_cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]));
            answer.is_some_and(|answer| answer.is_ok_and(|address| address.list()[1].text() == port))
        });
        named.count()
    }

    fn wait_until_agreed(&self, primary: usize) {
        let (replicas, others) = ((self.servers.len() - 1).to_string(), (SENTINELS - 1).to_string());
        for sentinel in &self.sentinels {
            until("the sentinels know each other and the replicas", || {
                let about = sentinel.try_cli(&["SENTINEL", "MASTER", MASTER]).ok()?;
                let known =
                    about.get("num-slaves").text() == replicas && about.get("num-other-sentinels").text() == others;
                known.then_some(())
            });
        }
        until("the sentinels see the primary", || (self.votes(primary) == SENTINELS).then_some(()));
    }
}

fn sentinel(flavour: Flavour, primary: &Server, options: &Options, patience: Duration) -> Server {
    let mut lines = vec![
        format!("sentinel monitor {MASTER} 127.0.0.1 {} {QUORUM}", primary.port()),
        format!("sentinel down-after-milliseconds {MASTER} {}", patience.as_millis()),
        format!("sentinel failover-timeout {MASTER} 3000"),
        format!("sentinel parallel-syncs {MASTER} 4"),
    ];
    if let Some((user, password)) = options.access.admin() {
        lines.push(format!("sentinel auth-user {MASTER} {user}"));
        lines.push(format!("sentinel auth-pass {MASTER} {password}"));
    }
    let options = Options { tls: options.tls, lines, ..Options::default() };
    let sentinel = Server::start_as(flavour, options, true);
    // Its periods are for networks across the world; here all is near. A busy machine must not make it sit out the half
    // minute that it takes for clocks to settle.
    let periods = [
        ("INFO-PERIOD", "300"),
        // A replica that has said nothing for five of these can't stand in, and it is asked once a second.
        ("PING-PERIOD", "400"),
        ("PUBLISH-PERIOD", "300"),
        ("ELECTION-TIMEOUT", "2000"),
        ("TILT-PERIOD", "1000"),
        ("SLAVE-RECONF-TIMEOUT", "2000"),
    ];
    for (name, milliseconds) in periods {
        sentinel.cli(&["SENTINEL", "DEBUG", name, milliseconds]);
    }
    sentinel
}
