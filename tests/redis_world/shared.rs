//! One server for all tests of a process, with a database for each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::client::Client;
use super::flavour::Flavour;
use super::resp::Value;
use super::server::{Options, Server};

/// How many tests of one process can have a database of their own.
const DATABASES: u32 = 1_024;

static REDIS: OnceLock<Server> = OnceLock::new();
static VALKEY: OnceLock<Server> = OnceLock::new();

/// A database of one test's own on a server that it shares: nothing is on disk, and nothing may be done to the server as a
/// whole (FLUSHALL, SCRIPT FLUSH, CONFIG SET, killing it). A test that needs those starts a [`Server`].
#[derive(Debug)]
pub struct Database {
    server: &'static Server,
    number: u32,
}

/// A database that is empty and that no other test gets. The server is started by the first that asks, and ends with the
/// process.
#[track_caller]
pub fn own_database(flavour: Flavour) -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < DATABASES, "{DATABASES} databases are taken: raise DATABASES");
    Database { server: server(flavour), number }
}

impl Database {
    pub fn server(&self) -> &'static Server {
        self.server
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its address for `--store`.
    pub fn url(&self) -> String {
        format!("{}/{}", self.server.url(), self.number)
    }

    /// A connection that has selected it.
    pub fn client(&self) -> Client {
        let mut client = self.server.client().expect("the shared server runs");
        let selected = client.call(&["SELECT", &self.number.to_string()]).expect("it answers");
        assert_eq!(selected, Value::Simple("OK".into()));
        client
    }

    /// What the server says to a command in this database. Panics where it refuses it.
    #[track_caller]
    pub fn cli(&self, words: &[&str]) -> Value {
        match self.client().call(words) {
            Ok(Value::Error(refusal)) => panic!("{words:?}: {refusal}"),
            Ok(answer) => answer,
            Err(e) => panic!("{words:?}: {e}"),
        }
    }
}

fn server(flavour: Flavour) -> &'static Server {
    let kept = match flavour {
        Flavour::Redis => &REDIS,
        Flavour::Valkey => &VALKEY,
    };
    kept.get_or_init(|| {
        let lines = vec![format!("databases {DATABASES}")];
        let server = Server::start(flavour, Options { lines, ..Options::default() });
        // SAFETY: the function takes and returns nothing. Statics are not dropped; a process that ends in another way than
        // by `exit` still takes the server with it, and leaves only the folder.
        unsafe { libc::atexit(end) };
        server
    })
}

extern "C" fn end() {
    for server in [REDIS.get(), VALKEY.get()].into_iter().flatten() {
        server.end();
    }
}
