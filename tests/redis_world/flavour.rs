//! Which program is started, and where it is.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The two programs that Surety is tested with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavour {
    Redis,
    Valkey,
}

impl Flavour {
    /// Both, for tests that run on each.
    pub const ALL: [Flavour; 2] = [Flavour::Redis, Flavour::Valkey];

    /// Itself where its program is installed. Where it is not, a loud line and `None`, upon which the test returns; but no
    /// test is skipped where skips are not allowed (`CI` or `SURETY_TEST_NO_SKIPS` is set): that panics.
    pub fn or_skip(self) -> Option<Flavour> {
        if self.find().is_some() {
            return Some(self);
        }
        let missing = self.missing();
        assert!(!set("CI") && !set("SURETY_TEST_NO_SKIPS"), "{missing}");
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        // Not `eprintln!`, which the test runner swallows when a test passes.
        let _told = writeln!(std::io::stderr(), "\n*** SKIPPED {test}: {missing} ***\n");
        None
    }

    /// A command that starts the server's program. Panics where it is not installed.
    pub(super) fn command(self) -> Command {
        let program = self.find().unwrap_or_else(|| panic!("{}", self.missing()));
        let mut command = Command::new(program);
        // Server, sentinel and checker are one program that goes by the name it is called by.
        command.arg0(self.server());
        command
    }

    fn server(self) -> &'static str {
        match self {
            Flavour::Redis => "redis-server",
            Flavour::Valkey => "valkey-server",
        }
    }

    /// The same program as Debian's packages of tools hold it, which start no service when they are installed.
    fn in_tools(self) -> &'static str {
        match self {
            Flavour::Redis => "redis-check-rdb",
            Flavour::Valkey => "valkey-check-rdb",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Flavour::Redis => "SURETY_TEST_REDIS",
            Flavour::Valkey => "SURETY_TEST_VALKEY",
        }
    }

    fn missing(self) -> String {
        format!(
            "{} is not installed: `tests/all` installs it, or let {} be the path of the program",
            self.server(),
            self.variable()
        )
    }

    fn find(self) -> Option<PathBuf> {
        if let Some(path) = std::env::var_os(self.variable()) {
            let path = PathBuf::from(path);
            assert!(path.is_file(), "{} is {path:?}, which is no file", self.variable());
            return Some(path);
        }
        let path = std::env::var_os("PATH")?;
        let on_path = |name: &str| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_program(file));
        on_path(self.server()).or_else(|| on_path(self.in_tools()))
    }
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

fn set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()))
}
