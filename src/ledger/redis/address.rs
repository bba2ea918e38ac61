//! Where Redis is, and what it takes to get in: read from one address and a few settings, shown without its secrets.

use std::fmt;

use percent_encoding::percent_decode_str;

/// The port where none is said.
const PORT: u16 = 6379;
/// The port of Sentinels where none is said.
const SENTINEL_PORT: u16 = 26379;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// A name or a number.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How the servers of a store hang together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Single(Node),
    /// A primary that Sentinels know under this name.
    Sentinel {
        /// The Sentinels.
        nodes: Vec<Node>,
        /// What they call the primary.
        master: String,
    },
    /// A Cluster, known by some of its nodes.
    Cluster(Vec<Node>),
}

/// A password: nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

/// The address of a store in Redis or Valkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Where it is.
    pub topology: Topology,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// The ACL user; none: the default one.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The database; 0 in a Cluster.
    pub database: i64,
}

impl Address {
    /// Reads `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]`, `redis+sentinel://[...@]HOST:PORT,.../MASTER[/DATABASE]` or
    /// `redis+cluster://[...@]HOST:PORT,...`; `rediss` in place of `redis` encrypts, `valkey` and `valkeys` mean the same.
    ///
    /// # Errors
    /// One sentence that says what would be right; it shows no password.
    pub fn parse(text: &str) -> Result<Address, String> {
        let (scheme, rest) = text.split_once("://").ok_or("has no '://'; write redis://HOST:PORT")?;
        let (kind, form) = scheme.split_once('+').map_or((scheme, ""), |(kind, form)| (kind, form));
        let tls = match kind {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(format!("'{scheme}' is not a kind of Redis store; write redis:// or rediss://")),
        };
        if rest.contains(['?', '#']) {
            return Err("takes no '?' or '#'; settings beside the address are options of their own".to_owned());
        }
        let (credentials, rest) = rest.rsplit_once('@').map_or((None, rest), |(c, rest)| (Some(c), rest));
        let (user, password) = match credentials.map(|c| c.split_once(':').unwrap_or((c, ""))) {
            None => (None, None),
            Some((user, password)) => {
                let read = |text: &str| {
                    percent_decode_str(text)
                        .decode_utf8()
                        .map(|t| t.into_owned())
                        .map_err(|_| "has a user or password that is not UTF-8 once %XX are read".to_owned())
                };
                let some = |text: String| (!text.is_empty()).then_some(text);
                (some(read(user)?), some(read(password)?).map(Secret))
            }
        };
        let mut parts = rest.split('/');
        let hosts = parts.next().unwrap_or_default();
        let path: Vec<&str> = parts.collect();
        let database = |text: Option<&&str>| match text.copied().unwrap_or_default() {
            "" => Ok(0),
            n => n
                .parse()
                .ok()
                .filter(|n| (0..=1_000_000).contains(n))
                .ok_or_else(|| format!("'{n}' is not the number of a database; write 0 or another whole number")),
        };
        let (topology, database) = match form {
            "" => {
                if path.len() > 1 {
                    return Err("has too many '/'; write redis://HOST:PORT/DATABASE".to_owned());
                }
                let [node] = nodes(hosts, PORT)?.try_into().map_err(|_| {
                    "names several servers; write redis+sentinel:// or redis+cluster:// for those".to_owned()
                })?;
                (Topology::Single(node), database(path.first())?)
            }
            "sentinel" => {
                let master = path.first().copied().unwrap_or_default();
                if master.is_empty() || path.len() > 2 {
                    return Err(
                        "does not name the primary; write redis+sentinel://HOST:PORT,HOST:PORT/MASTER".to_owned()
                    );
                }
                let nodes = nodes(hosts, SENTINEL_PORT)?;
                (Topology::Sentinel { nodes, master: master.to_owned() }, database(path.get(1))?)
            }
            "cluster" => {
                if path.iter().any(|part| !part.is_empty()) {
                    return Err("names a database; a Cluster has only one".to_owned());
                }
                (Topology::Cluster(nodes(hosts, PORT)?), 0)
            }
            other => return Err(format!("'+{other}' is not known; write +sentinel, +cluster or nothing")),
        };
        Ok(Address { topology, tls, user, password, database })
    }
}

fn nodes(text: &str, port: u16) -> Result<Vec<Node>, String> {
    text.split(',').map(|one| node(one, port)).collect()
}

/// One `HOST[:PORT]`, with brackets around an IPv6 address.
pub fn node(text: &str, port: u16) -> Result<Node, String> {
    let wrong = || format!("'{text}' is not a server; write HOST:PORT");
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => inner.split_once(']').ok_or_else(wrong)?,
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => port,
        Some(digits) => digits.parse().ok().filter(|p| *p > 0).ok_or_else(wrong)?,
        None => return Err(wrong()),
    };
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(wrong());
    }
    Ok(Node { host: host.to_owned(), port })
}

impl fmt::Display for Address {
    /// As it is written, without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss" } else { "redis" })?;
        let list = |nodes: &[Node]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        match &self.topology {
            Topology::Single(node) => write!(f, "://{node}")?,
            Topology::Sentinel { nodes, master } => write!(f, "+sentinel://{}/{master}", list(nodes))?,
            Topology::Cluster(nodes) => write!(f, "+cluster://{}", list(nodes))?,
        }
        if self.database != 0 { write!(f, "/{}", self.database) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_their_secrets() {
        for (text, shown) in [
            ("redis://localhost", "redis://localhost:6379"),
            ("rediss://me:hunter2@db:7000/3", "rediss://db:7000/3"),
            ("valkey://[::1]:7/", "redis://[::1]:7"),
            ("redis+sentinel://u:p%40@a,b:1/main/2", "redis+sentinel://a:26379,b:1/main/2"),
            ("rediss+cluster://a:1,b:2,c:3", "rediss+cluster://a:1,b:2,c:3"),
        ] {
            let address = Address::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?}").contains("hunter2"));
        }
        let address = Address::parse("redis://u:p%40:x@h").unwrap();
        assert_eq!(
            (address.user.as_deref(), address.password.as_ref().map(|s| s.0.as_str())),
            (Some("u"), Some("p@:x"))
        );
        assert_eq!(Address::parse("redis://:p@h").unwrap().user, None);
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        for wrong in [
            "redis:",
            "redis://",
            "http://h",
            "redis://h:0",
            "redis://h:x",
            "redis://a,b",
            "redis://h/x",
            "redis://h/1/2",
            "redis+sentinel://h:1",
            "redis+cluster://h/1",
            "redis+x://h",
            "redis://h?x=1",
            "redis://:hunter2@h:99999",
        ] {
            let fault = Address::parse(wrong).expect_err(wrong);
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}
