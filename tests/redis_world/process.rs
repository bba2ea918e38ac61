//! Processes that do not outlive the test, however it ends.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};

type Order = (Command, Sender<std::io::Result<Child>>);

/// The thread that starts all processes. The kernel ends a process when the *thread* that started it does, and the threads
/// of tests end with their tests, before the servers that tests share.
static STARTER: LazyLock<Sender<Order>> = LazyLock::new(|| {
    let (orders, received) = channel::<Order>();
    std::thread::Builder::new()
        .name("starter".into())
        .spawn(move || {
            while let Ok((mut command, answer)) = received.recv() {
                let _gone = answer.send(command.spawn());
            }
        })
        .expect("a thread");
    orders
});

/// A process that was started here. Dropping it ends it (SIGKILL, paused or not) and reaps it; the death of the test process,
/// by SIGKILL even, ends it too.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    pub fn start(mut command: Command) -> Process {
        end_with_this_process(&mut command);
        let told = format!("{command:?}");
        let (answer, answered) = channel();
        STARTER.send((command, answer)).expect("the starter lives as long as the process");
        Process(answered.recv().expect("an answer").unwrap_or_else(|e| panic!("{told}: {e}")))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("the state of a child")
    }

    /// SIGKILL; it is gone when this returns.
    pub fn kill(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&mut self, signal: libc::c_int) {
        if self.ended().is_some() {
            return;
        }
        let pid = libc::pid_t::try_from(self.pid()).expect("a pid");
        // SAFETY: no memory is touched; the child has not been reaped, so the pid is its and nobody else's.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0, "signal {signal} to {pid}: {}", std::io::Error::last_os_error());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("the state of a child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(target_os = "linux")]
fn end_with_this_process(command: &mut Command) {
    let parent = std::process::id();
    // SAFETY: between fork and exec only system calls that are safe there are made, and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            // The parent may have died before the line above: then nobody would send the signal.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

/// Elsewhere the kernel has no such order; there, what a killed test leaves behind has to be ended by hand.
#[cfg(not(target_os = "linux"))]
fn end_with_this_process(_command: &mut Command) {}
