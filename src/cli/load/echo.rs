//! The echo that the service is compared with: this program once more, as a process of its own as the service is.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure, checked};
use crate::cli::serve::{announce, listen, listen_address};
use crate::cli::values;
use crate::domain::faults::Faults;
use crate::load::echo;

/// The largest answer of an echo.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Options of `surety load-echo`.
#[derive(Clone, Debug, Args)]
pub struct EchoArgs {
    /// Where to listen; port 0 takes a free port, which the first line of stdout tells
    #[arg(long, env = "SURETY_LISTEN", value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub listen: String,
    /// How many bytes to answer, whatever is sent
    #[arg(long, env = "SURETY_ANSWER_BYTES", value_name = "N", default_value = "100")]
    pub answer_bytes: String,
}

/// Serves until its input ends, that is, as long as whoever started it lives.
///
/// # Errors
/// What keeps it from listening.
pub fn serve(args: &EchoArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let address = listen_address(&args.listen).map_err(|fault| faults.add("--listen", fault)).ok();
    let bytes = values::number(&args.answer_bytes, 0, MAX_ANSWER_BYTES);
    let bytes = bytes.map_err(|fault| faults.add("--answer-bytes", fault)).ok();
    let (address, bytes) = checked(faults, address.zip(bytes))?;
    let cannot = |error: &dyn std::error::Error| Failure::wrong("the echo can't serve", error.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| cannot(&error))?;
    let stop = CancellationToken::new();
    let alone = stop.clone();
    std::thread::spawn(move || {
        // Nothing comes; what matters is that it ends, or can't be read.
        let _ended = std::io::stdin().read_to_end(&mut Vec::new());
        alone.cancel();
    });
    let listener = runtime.block_on(listen(address))?;
    announce(&listener, console)?;
    let bytes = usize::try_from(bytes).unwrap_or(0);
    runtime.block_on(echo::serve(listener, bytes, stop.cancelled_owned())).map_err(|error| cannot(&error))?;
    Ok(Exit::Done)
}

/// A running echo, which ends with this value.
#[derive(Debug)]
pub struct EchoProcess {
    child: Child,
    /// `http://HOST:PORT`
    pub address: String,
}

impl EchoProcess {
    /// Starts one that answers so many bytes.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn start(answer_bytes: usize) -> Result<Self, Failure> {
        let cannot = |error: String| Failure::wrong("the echo can't be started", error);
        let program = std::env::current_exe().map_err(|error| cannot(error.to_string()))?;
        let mut command = Command::new(program);
        command.args(["load-echo", "--listen", "127.0.0.1:0", "--answer-bytes", &answer_bytes.to_string()]);
        // Ctrl-C is for the run, which still needs the echo to end in good order.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| cannot(error.to_string()))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // An echo that says nothing is told below.
            let _read = BufReader::new(stdout).read_line(&mut line);
        }
        let echo = |address: &str| Self { child, address: format!("http://{address}") };
        match line.trim().strip_prefix("listening on ") {
            Some(address) => Ok(echo(address)),
            None => {
                // Dropping it ends what was started.
                drop(echo(""));
                Err(cannot(format!("it says {:?} in place of where it listens", line.trim())))
            }
        }
    }
}

impl EchoProcess {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for EchoProcess {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
