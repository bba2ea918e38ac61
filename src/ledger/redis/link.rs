//! Connections: finds the primary that has a key, keeps one connection to each server for commands and one for long reads, and
//! opens them again when they break. Nothing here sends a command twice.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline,
    ProtocolVersion, RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, Value,
};
use rustc_hash::FxHashMap;
use tokio::sync::Mutex;

use super::address::{Address, Node, Topology};
use super::keys::LAYOUT;
use super::reply;
use super::scripts::{self, Shas};

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// Commands that wait to be sent on one connection: more than all networks' batches at once.
const PIPELINE: usize = 4_096;
/// How long the map of a Cluster is believed without another look, while connections are opened.
const MAP_KEPT: Duration = Duration::from_millis(500);

/// What the encryption of connections needs beside the system's own trust.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM of the authorities that are trusted; none: the public ones.
    pub authorities: Option<Vec<u8>>,
    /// PEM of this client's certificate and of its key.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsFiles {{ authorities: {}, client: {} }}", self.authorities.is_some(), self.client.is_some())
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Short commands whose answers somebody waits for.
    Commands,
    /// Reads of many records, which must not hold up the commands.
    Reads,
}

/// Why something could not be done at Redis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It was not done.
    #[error("{0}")]
    Refused(String),
    /// It may have been done.
    #[error("{0}")]
    Unknown(String),
    /// It was not done, as the server does not know the script (any more).
    #[error("the script is not in the server's cache")]
    NoScript,
}

impl LinkError {
    /// What an error of the client library means for the command that met it.
    pub fn of(e: &RedisError) -> LinkError {
        let why = describe(e);
        match e.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) => LinkError::NoScript,
            ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::ExecAbort) => LinkError::Unknown(why),
            // Redis looks at these before a script begins, or at its first write, and this project's scripts read first.
            ErrorKind::Server(_) | ErrorKind::Extension => LinkError::Refused(why),
            ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => LinkError::Refused(why),
            _ if e.is_connection_refusal() => LinkError::Refused(why),
            _ => LinkError::Unknown(why),
        }
    }
}

/// What `lua/open.lua` refuses a network with that it may not touch.
const OTHER_LAYOUT: &str = "SURETYLAYOUT";

/// What is wrong with a network that an earlier or a later version wrote, and what to do.
pub fn other_layout(layout: &str) -> String {
    let number = |text: &str| text.parse::<u64>().ok();
    if let (Some(layout), Some(own)) = (number(layout), number(LAYOUT))
        && layout < own
    {
        return format!(
            "it has layout {layout}, which an earlier version wrote, and this version reads layout {LAYOUT} only; export it with the version \
             that wrote it (surety export), and import that with this one into an empty store (surety import)"
        );
    }
    format!(
        "it has layout {layout}, this version knows layouts up to {LAYOUT}; start the version that wrote it, or a newer one"
    )
}

/// An error in words; the library's own may hold what was sent.
fn describe(e: &RedisError) -> String {
    match (e.code(), e.detail()) {
        (Some(OTHER_LAYOUT), Some(layout)) => other_layout(layout),
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => e.to_string(),
    }
}

/// A connection that is up, as far as is known.
#[derive(Clone)]
pub struct Link {
    connection: MultiplexedConnection,
    broken: Arc<AtomicBool>,
    /// The names under which the server knows the scripts.
    pub shas: Arc<Shas>,
}

impl Link {
    /// Sends one command and gives its answer.
    pub async fn send(&mut self, cmd: &Cmd) -> Result<Value, LinkError> {
        let answer = self.connection.send_packed_command(cmd).await.and_then(Value::extract_error);
        self.judged(answer)
    }

    /// Sends commands in one go and gives the answers of all.
    pub async fn send_all(&mut self, pipeline: &Pipeline, count: usize) -> Result<Vec<Value>, LinkError> {
        let answers = self.connection.send_packed_commands(pipeline, 0, count).await;
        self.judged(answers)
    }

    fn judged<T>(&self, answer: Result<T, RedisError>) -> Result<T, LinkError> {
        answer.map_err(|e| {
            let told = LinkError::of(&e);
            if told != LinkError::NoScript {
                self.give_up();
            }
            told
        })
    }

    /// It does not answer as it should: whoever asks for a connection next gets another one.
    pub fn give_up(&self) {
        self.broken.store(true, Ordering::Release);
    }
}

/// What connections are made from.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Where the store is.
    pub address: Address,
    /// For encrypted connections.
    pub tls: TlsFiles,
    /// How long an answer may take.
    pub response: Duration,
}

type Slot = Arc<Mutex<Place>>;

/// A server's connection, or what came of the last try to open it.
#[derive(Default)]
struct Place {
    link: Option<Link>,
    failed: Option<(Instant, LinkError)>,
}

/// A range of a Cluster's slots and its primary.
type Range = (u16, u16, Node);

/// All connections of a ledger.
pub struct Links {
    config: LinkConfig,
    links: Mutex<FxHashMap<(Node, Role), Slot>>,
    map: Mutex<Option<(Instant, Vec<Range>)>>,
}

impl Links {
    /// No connection yet.
    pub fn new(config: LinkConfig) -> Links {
        Links { config, links: Mutex::default(), map: Mutex::default() }
    }

    /// A connection to the primary that has the key.
    pub async fn to(&self, key: &str, role: Role) -> Result<Link, LinkError> {
        let node = self.locate(key).await?;
        self.to_node(node, role).await
    }

    async fn to_node(&self, node: Node, role: Role) -> Result<Link, LinkError> {
        let slot = Arc::clone(self.links.lock().await.entry((node.clone(), role)).or_default());
        // One opens it, the others wait for what comes of it: no stampede, and nobody waits for more than one try after the one
        // that is under way.
        let asked = Instant::now();
        let mut slot = slot.lock().await;
        if let Some(link) = slot.link.as_ref().filter(|link| !link.broken.load(Ordering::Acquire)) {
            return Ok(link.clone());
        }
        if let Some((begun, why)) = &slot.failed
            && *begun >= asked
        {
            return Err(why.clone());
        }
        *slot = Place::default();
        let begun = Instant::now();
        match self.make(&node).await {
            Ok(link) => {
                slot.link = Some(link.clone());
                Ok(link)
            }
            Err(why) => {
                slot.failed = Some((begun, why.clone()));
                Err(why)
            }
        }
    }

    /// Opens a connection to a primary and has it take up the scripts.
    async fn make(&self, node: &Node) -> Result<Link, LinkError> {
        let mut connection = self.open(node, true).await?;
        let answer = connection.send_packed_command(&redis::cmd("ROLE")).await.map_err(|e| not_done(&e, node))?;
        let role_of = reply::list(answer).ok().and_then(|parts| parts.into_iter().next()).and_then(reply::some_bytes);
        if role_of.as_deref() != Some(b"master") {
            return Err(LinkError::Refused(format!("{node} is no primary but a replica")));
        }
        let shas = scripts::load(&mut connection).await.map_err(|e| not_done(&e, node))?;
        Ok(Link { connection, broken: Arc::default(), shas: Arc::new(shas) })
    }

    /// `data`: it is a server of the store, and not a Sentinel, which has users of its own.
    async fn open(&self, node: &Node, data: bool) -> Result<MultiplexedConnection, LinkError> {
        let Address { tls, user, password, database, .. } = &self.config.address;
        let (host, port) = (node.host.clone(), node.port);
        let address = if *tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let mut settings = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
        if data {
            settings = settings.set_db(*database);
            if let Some(user) = user {
                settings = settings.set_username(user);
            }
            if let Some(password) = password {
                settings = settings.set_password(&password.0);
            }
        }
        let wrong = |e: RedisError| not_done(&e, node);
        let info = address.into_connection_info().map_err(wrong)?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true)).set_redis_settings(settings);
        let client = if *tls {
            let TlsFiles { authorities, client } = &self.config.tls;
            let client_tls =
                client.clone().map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
            Client::build_with_tls(info, TlsCertificates { client_tls, root_cert: authorities.clone() })
        } else {
            Client::open(info)
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(self.config.response))
            .set_pipeline_buffer_size(PIPELINE);
        client.map_err(wrong)?.get_multiplexed_async_connection_with_config(&config).await.map_err(wrong)
    }

    /// The connection that reads go through, for such as somebody waits for.
    pub async fn lookups(&self, key: &str) -> Result<Link, LinkError> {
        self.to(key, Role::Reads).await
    }

    /// The same, for long reads, whose answers may take longer.
    pub async fn reads(&self, key: &str) -> Result<Link, LinkError> {
        let mut link = self.to(key, Role::Reads).await?;
        link.connection.set_response_timeout(READ);
        Ok(link)
    }

    /// The primary that has the key.
    async fn locate(&self, key: &str) -> Result<Node, LinkError> {
        match &self.config.address.topology {
            Topology::Single(node) => Ok(node.clone()),
            Topology::Sentinel { nodes, master } => self.ask_sentinels(nodes, master).await,
            Topology::Cluster(nodes) => self.ask_cluster(nodes, slot_of(key)).await,
        }
    }

    /// Where the Sentinels say that the primary is; the first of them that answers is believed.
    async fn ask_sentinels(&self, nodes: &[Node], master: &str) -> Result<Node, LinkError> {
        let mut why = String::new();
        for node in nodes {
            let asked = async {
                let mut connection = self.open(node, false).await?;
                let mut cmd = redis::cmd("SENTINEL");
                cmd.arg("get-master-addr-by-name").arg(master);
                connection.send_packed_command(&cmd).await.map_err(|e| not_done(&e, node))
            };
            match asked.await {
                Ok(Value::Nil) => why = format!("the Sentinel {node} knows no primary '{master}'"),
                Ok(answer) => {
                    let mut parts = reply::list(answer).unwrap_or_default().into_iter();
                    let host = parts.next().and_then(reply::some_bytes).and_then(|b| String::from_utf8(b).ok());
                    let port = parts.next().and_then(|p| reply::number(p).ok());
                    if let (Some(host), Some(port)) = (host, port) {
                        return Ok(Node { host, port });
                    }
                    why = format!("the Sentinel {node} answers otherwise than Sentinels do");
                }
                Err(e) => why = e.to_string(),
            }
        }
        Err(LinkError::Refused(why))
    }

    async fn ask_cluster(&self, seeds: &[Node], slot: u16) -> Result<Node, LinkError> {
        let mut map = self.map.lock().await;
        if map.as_ref().is_none_or(|(read, _)| read.elapsed() > MAP_KEPT) {
            let known: Vec<Node> =
                map.iter().flat_map(|(_, ranges)| ranges.iter().map(|(_, _, node)| node.clone())).collect();
            let mut why = String::new();
            let mut ranges = None;
            for node in seeds.iter().chain(&known) {
                let asked = async {
                    let mut connection = self.open(node, true).await?;
                    let mut cmd = redis::cmd("CLUSTER");
                    cmd.arg("SLOTS");
                    connection.send_packed_command(&cmd).await.map_err(|e| not_done(&e, node))
                };
                match asked.await.map(|answer| ranges_of(answer, node)) {
                    Ok(Ok(read)) => {
                        ranges = Some(read);
                        break;
                    }
                    Ok(Err(e)) => why = e.to_string(),
                    Err(e) => why = e.to_string(),
                }
            }
            *map = Some((Instant::now(), ranges.ok_or(LinkError::Refused(why))?));
        }
        let found = map.iter().flat_map(|(_, ranges)| ranges).find(|(from, to, _)| (*from..=*to).contains(&slot));
        found.map(|(_, _, node)| node.clone()).ok_or_else(|| {
            LinkError::Refused(format!("no node of the Cluster serves slot {slot}; CLUSTER INFO there says more"))
        })
    }
}

/// How long one part of a long read may take.
const READ: Duration = Duration::from_secs(30);

/// While a connection is made, nothing of what it is for was done yet.
fn not_done(e: &RedisError, node: &Node) -> LinkError {
    LinkError::Refused(format!("{node}: {}", describe(e)))
}

fn ranges_of(answer: Value, asked: &Node) -> Result<Vec<Range>, super::super::record::Unreadable> {
    let one = |range: Value| {
        let mut parts = reply::list(range)?.into_iter();
        let from = reply::number(reply::next(&mut parts)?)?;
        let to = reply::number(reply::next(&mut parts)?)?;
        let mut primary = reply::list(reply::next(&mut parts)?)?.into_iter();
        let host = reply::next(&mut primary)?;
        let port = reply::number(reply::next(&mut primary)?)?;
        // A node that does not know its own address means the one that it was asked at.
        let host = match host {
            Value::Nil => String::new(),
            host => reply::text(host)?,
        };
        let host = if host.is_empty() { asked.host.clone() } else { host };
        Ok((from, to, Node { host, port }))
    };
    reply::list(answer)?.into_iter().map(one).collect()
}

/// The slot of a key, by the specification of Redis Cluster: CRC16 (XMODEM) of the hash tag, if there is one, modulo 16,384.
fn slot_of(key: &str) -> u16 {
    let tag = key.find('{').and_then(|open| {
        let rest = &key[open + 1..];
        rest.find('}').filter(|close| *close > 0).map(|close| &rest[..close])
    });
    let crc = tag.unwrap_or(key).bytes().fold(0u16, |crc, byte| {
        (0..8)
            .fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
    });
    crc % 16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_layout_is_told_with_what_to_do() {
        let earlier = other_layout("1");
        assert!(earlier.contains("layout 1") && earlier.contains("surety export"), "{earlier}");
        for later in ["3", "10", "not a number"] {
            let told = other_layout(later);
            assert!(told.contains(&format!("layout {later}")) && told.contains("newer"), "{told}");
        }
    }

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(slot_of("123456789"), 0x31C3);
        assert_eq!(slot_of("foo"), 12_182);
        assert_eq!(slot_of("{foo}:head"), slot_of("x{foo}y"));
        assert_eq!(slot_of("a{}b"), slot_of("a{}b"));
        assert_ne!(slot_of("{}foo"), slot_of("foo"));
    }
}
