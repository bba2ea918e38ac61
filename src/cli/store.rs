//! `--store`: where what has been taken is kept.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::domain::faults::Faults;
use crate::ledger::redis::Address;
use crate::server::RedisStore;

/// Where what has been taken is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// In a folder of this machine, durable.
    Embedded(PathBuf),
    /// In memory: gone when the service ends.
    Memory,
    /// In Redis or Valkey, shared by any number of servers.
    Redis(Box<RedisStore>),
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreChoice::Embedded(folder) => write!(f, "embedded:{}", folder.display()),
            StoreChoice::Memory => f.write_str("memory:"),
            StoreChoice::Redis(redis) => redis.address.fmt(f),
        }
    }
}

impl StoreChoice {
    /// Reads `embedded:DIR`, `embedded:` (the user's data directory), `memory:`, or the address of a Redis store.
    ///
    /// # Errors
    /// One sentence that says what would be right; it shows no password.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(StoreChoice::Memory),
            Some(("memory", rest)) => Err(format!("'memory:' takes nothing after it, was 'memory:{rest}'")),
            Some(("embedded", "")) => default_folder().map(StoreChoice::Embedded),
            Some(("embedded", folder)) => Ok(StoreChoice::Embedded(PathBuf::from(folder))),
            Some((scheme, rest)) if is_redis(scheme) && rest.starts_with("//") => match Address::parse(text) {
                Ok(address) => Ok(StoreChoice::Redis(Box::new(RedisStore::new(address)))),
                Err(fault) => Err(format!("'{}' {fault}", without_secrets(text))),
            },
            _ => Err(format!(
                "'{}' is not a store; write embedded:DIR, embedded:, memory: or redis://HOST:PORT",
                without_secrets(text)
            )),
        }
    }

    /// Notes what is plainly wrong with it before anything is opened or made.
    pub fn check(&self, faults: &mut Faults) {
        let StoreChoice::Embedded(folder) = self else { return };
        if folder.exists() {
            if !folder.is_dir() {
                faults.add("--store", format!("{} is a file; a folder is needed", folder.display()));
            }
            return;
        }
        // The folder will be made: what is above it has to be a folder.
        let above = folder.ancestors().skip(1).find(|above| above.exists() || *above == Path::new(""));
        if let Some(above) = above
            && above != Path::new("")
            && !above.is_dir()
        {
            let (folder, above) = (folder.display(), above.display());
            faults.add("--store", format!("{folder} can't be made, because {above} is a file"));
        }
    }
}

fn is_redis(scheme: &str) -> bool {
    matches!(scheme.split('+').next(), Some("redis" | "rediss" | "valkey" | "valkeys"))
}

/// The folder of the user's data directory.
fn default_folder() -> Result<PathBuf, String> {
    directories::ProjectDirs::from("", "", "surety").map(|dirs| dirs.data_dir().to_path_buf()).ok_or_else(|| {
        "has no default here, because this user has no home folder; write embedded:DIR or memory:".to_owned()
    })
}

/// An address without the name and password that it may carry.
pub fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://...@{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_embedded_or_in_memory() {
        assert_eq!(StoreChoice::parse("memory:"), Ok(StoreChoice::Memory));
        assert_eq!(StoreChoice::parse("embedded:/data/s"), Ok(StoreChoice::Embedded(PathBuf::from("/data/s"))));
        assert_eq!(StoreChoice::parse("embedded:C:\\s"), Ok(StoreChoice::Embedded(PathBuf::from("C:\\s"))));
        for wrong in ["", "memory", "memory:x", "embedded", "disk:/data", "/data", "redis:", "redis://", "unix:/x"] {
            assert!(StoreChoice::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn faults_show_no_password() {
        let fault = StoreChoice::parse("redis://me:hunter2@db:6379/x").unwrap_err();
        assert_eq!(
            fault,
            "'redis://...@db:6379/x' 'x' is not the number of a database; write 0 or another whole number"
        );
        let store = StoreChoice::parse("rediss+cluster://me:hunter2@a:1,b:2").unwrap();
        assert_eq!(store.to_string(), "rediss+cluster://a:1,b:2");
        assert!(!format!("{store:?}").contains("hunter2"));
        assert_eq!(without_secrets("http://u:p@ss@h:4317/x@y"), "http://...@h:4317/x@y");
        assert_eq!(without_secrets("http://h:4317"), "http://h:4317");
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let faults_of = |path: PathBuf| {
            let mut faults = Faults::new();
            StoreChoice::Embedded(path).check(&mut faults);
            faults.into_vec().len()
        };
        assert_eq!(faults_of(folder.path().join("new/deeper")), 0);
        assert_eq!(faults_of(PathBuf::from("relative-and-new")), 0);
        assert_eq!(faults_of(file.clone()), 1);
        assert_eq!(faults_of(file.join("below")), 1);
    }
}
