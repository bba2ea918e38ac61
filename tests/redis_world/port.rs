//! Ports that nobody else takes, neither while their server runs nor while it is dead and about to be started again.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below this are the ports that people start services on by hand.
const LOWEST: u32 = 10_000;
/// From here on the system gives ports to outgoing connections, if it does not say otherwise.
const OUTGOING: u32 = 32_768;

/// A TCP port of 127.0.0.1, kept for its owner until it is dropped or the process ends.
///
/// A port that the system chooses (port 0) lies among those of outgoing connections, and any connection could take it while
/// its server is dead. These lie below. Test processes keep out of each other's way by a lock on a file for each port.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _kept: File,
}

impl Port {
    /// A port that nobody listens on.
    pub fn reserve() -> Port {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let many = lowest_outgoing() - LOWEST;
        // Processes begin at different places, so that they seldom try the same port.
        let first = std::process::id().wrapping_mul(97);
        for _ in 0..many {
            let next = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let number = u16::try_from(LOWEST + next % many).expect("below the outgoing ports");
            if let Some(kept) = keep(number)
                && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
            {
                return Port { number, _kept: kept };
            }
        }
        panic!("no port from {LOWEST} to {} is free", LOWEST + many);
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// It on the loopback interface.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

/// The lock of a port, unless another has it. The system lets go of it when this process ends, however it does.
fn keep(number: u16) -> Option<File> {
    // SAFETY: it reads a number that every process has, and can't fail.
    let user = unsafe { libc::getuid() };
    let dir: PathBuf = std::env::temp_dir().join(format!("surety-test-ports-{user}"));
    std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{dir:?}: {e}"));
    let file = dir.join(number.to_string());
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&file).expect("the lock of a port");
    file.try_lock().ok().map(|()| file)
}

fn lowest_outgoing() -> u32 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let lowest = range.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(OUTGOING);
    // Where nearly all ports are for outgoing connections, those of the usual range have to do.
    if (LOWEST + 1_000..=u32::from(u16::MAX)).contains(&lowest) { lowest } else { OUTGOING }
}
