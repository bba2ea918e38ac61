//! The scripts, and how a server comes to know them. They are files of their own, each with its contract at the top.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError};

/// What a script does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Makes a batch of steps.
    Commit,
    /// Applies a network, forgets buckets.
    Reshape,
    /// Mends what an audit found.
    Repair,
}

/// Puts a loaded network in its place: so rare that it is sent with each call.
pub const SETTLE: &str = include_str!("lua/settle.lua");
/// Reads what was counted, and as of which place in the feed: only exports do, so it is sent with each call too.
pub const TALLIES: &str = include_str!("lua/tallies.lua");
/// Makes a batch of steps.
pub const COMMIT: &str = concat!(include_str!("lua/open.lua"), include_str!("lua/commit.lua"));
const RESHAPE: &str = concat!(include_str!("lua/open.lua"), include_str!("lua/reshape.lua"));
const REPAIR: &str = concat!(include_str!("lua/open.lua"), include_str!("lua/repair.lua"));

/// The names that a server gave the scripts: their digests.
#[derive(Clone, Debug)]
pub struct Shas {
    commit: String,
    reshape: String,
    repair: String,
}

impl Shas {
    fn of(&self, script: Script) -> &str {
        match script {
            Script::Commit => &self.commit,
            Script::Reshape => &self.reshape,
            Script::Repair => &self.repair,
        }
    }

    /// The beginning of a call: to be followed by keys and arguments.
    pub fn call(&self, script: Script, keys: usize) -> Cmd {
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(self.of(script)).arg(keys);
        cmd
    }
}

/// Has the server take up all scripts.
pub async fn load(connection: &mut MultiplexedConnection) -> Result<Shas, RedisError> {
    let mut pipeline = redis::pipe();
    for text in [COMMIT, RESHAPE, REPAIR] {
        pipeline.cmd("SCRIPT").arg("LOAD").arg(text);
    }
    let (commit, reshape, repair) = pipeline.query_async(connection).await?;
    Ok(Shas { commit, reshape, repair })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::{MAX_OFFERS, MAX_UNITS};
    use crate::ledger::redis::keys;

    #[test]
    fn scripts_have_the_limits_of_the_rules() {
        for line in [
            format!("local OFFERS = {MAX_OFFERS} "),
            format!("math.min({MAX_UNITS}, "),
            format!("local LAYOUT = '{}' ", keys::LAYOUT),
        ] {
            assert!(COMMIT.contains(&line), "{line}");
        }
    }
}
