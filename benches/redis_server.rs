//! A Redis for the benchmark, gone with it.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct Server {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Server {
    /// With an append-only file that is synced before each answer, or without any. None: there is no redis-server, which is said.
    pub fn start(synced: bool) -> Option<Server> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let dir = tempfile::tempdir().expect("a folder");
        let (appends, syncs) = if synced { ("yes", "always") } else { ("no", "no") };
        // Debian's tools hold the server under another name; it is what it is called.
        let program = std::env::var("SURETY_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned());
        let child = Command::new(&program)
            .arg0("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", appends])
            .args(["--appendfsync", syncs, "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(e) => {
                eprintln!("{program} does not start ({e}): nothing is measured on Redis");
                return None;
            }
        };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(Server { child, port, _dir: dir });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("redis-server does not listen");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
