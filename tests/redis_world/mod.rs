//! Redis and Valkey for tests: real servers, each started by the test that needs it, on ports of its own, and gone when the
//! test is. A crate of tests takes it in by
//!
//! ```ignore
//! #[path = "../redis_world/mod.rs"]
//! mod redis_world;
//! ```
//!
//! and a test begins with what it needs:
//!
//! ```ignore
//! let Some(flavour) = Flavour::Redis.or_skip() else { return };
//! let database = own_database(flavour);                       // a database of this test's own on a shared server
//! let server = Server::start(flavour, Options::default());    // a server to kill, pause and start again
//! let sentinels = Sentinels::start(flavour, 2, Options::default());
//! let cluster = Cluster::start(flavour, Shape::default());
//! let proxy = Proxy::start(server.address());                 // a bad network before any of them
//! ```
//!
//! All of it blocks and none of it needs a runtime, so it can be called from a plain test. In an async test on one thread a
//! wait (for a failover, say) stops the test's own tasks too: use a runtime of several threads there. The proxy has a
//! thread of its own either way.
#![allow(dead_code, unused_imports, reason = "each crate of tests uses its part")]

mod certificates;
mod client;
mod cluster;
mod dice;
mod flavour;
mod port;
mod process;
mod proxy;
pub mod resp;
mod sentinels;
mod server;
mod shared;
mod wait;

pub use certificates::Certificates;
pub use client::Client;
pub use cluster::{Cluster, Shape};
pub use flavour::Flavour;
pub use port::Port;
pub use process::Process;
pub use proxy::{Counts, Fault, Proxy};
pub use resp::Value;
pub use sentinels::Sentinels;
pub use server::{Access, Aof, Options, Server, Tls};
pub use shared::{Database, own_database};
pub use wait::until;
