//! What it takes to get into a Redis store beside its address: options that stand apart, so that no secret need be in an address.

use std::path::{Path, PathBuf};

use clap::Args;

use super::store::StoreChoice;
use crate::domain::faults::Faults;
use crate::ledger::redis::{Secret, TlsFiles};

/// The variable that holds the password. There is no option for it: command lines are for everybody to see.
pub const PASSWORD: &str = "SURETY_REDIS_PASSWORD";

/// Options of Redis stores.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Redis stores")]
pub struct RedisArgs {
    /// The ACL user; the one in the address, or the default user, if not given
    #[arg(long, env = "SURETY_REDIS_USER", value_name = "NAME")]
    pub redis_user: Option<String>,
    /// A file with the password; SURETY_REDIS_PASSWORD may hold it too
    #[arg(long, env = "SURETY_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub redis_password_file: Option<PathBuf>,
    /// The authorities to trust with rediss://, PEM; those that the public trusts if not given
    #[arg(long, env = "SURETY_REDIS_CA_FILE", value_name = "FILE")]
    pub redis_ca_file: Option<PathBuf>,
    /// This client's certificate with rediss://, PEM
    #[arg(long, env = "SURETY_REDIS_CERT_FILE", value_name = "FILE")]
    pub redis_cert_file: Option<PathBuf>,
    /// The key of this client's certificate, PEM
    #[arg(long, env = "SURETY_REDIS_KEY_FILE", value_name = "FILE")]
    pub redis_key_file: Option<PathBuf>,
}

impl RedisArgs {
    /// Completes a Redis store by these options; all faults are noted. Other stores take none of them. `environment` answers for a
    /// variable.
    pub fn complete(&self, store: &mut StoreChoice, environment: impl Fn(&str) -> Option<String>, faults: &mut Faults) {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let variable = some(environment(PASSWORD));
        let StoreChoice::Redis(redis) = store else {
            let given = [
                ("--redis-user", self.redis_user.is_some()),
                ("--redis-password-file", self.redis_password_file.is_some()),
                ("--redis-ca-file", self.redis_ca_file.is_some()),
                ("--redis-cert-file", self.redis_cert_file.is_some()),
                ("--redis-key-file", self.redis_key_file.is_some()),
            ];
            for (name, _) in given.into_iter().filter(|(_, given)| *given) {
                faults.add(name, format!("is for Redis stores; --store is {store}"));
            }
            return;
        };
        if let Some(user) = some(self.redis_user.clone()) {
            redis.address.user = Some(user);
        }
        let file = self.redis_password_file.as_deref().and_then(|path| {
            let text = read("--redis-password-file", path, faults)?;
            let text = String::from_utf8_lossy(&text).trim_end_matches(['\r', '\n']).to_owned();
            if text.is_empty() {
                faults.add("--redis-password-file", format!("{} is empty", path.display()));
            }
            some(Some(text))
        });
        if let Some(password) = file.or(variable) {
            redis.address.password = Some(Secret(password));
        }
        let pem = |name: &str, path: &Option<PathBuf>, faults: &mut Faults| {
            let path = path.as_deref()?;
            let text = read(name, path, faults)?;
            if !text.windows(10).any(|w| w == b"-----BEGIN") {
                faults.add(name, format!("{} is no PEM file", path.display()));
            }
            Some(text)
        };
        let authorities = pem("--redis-ca-file", &self.redis_ca_file, faults);
        let certificate = pem("--redis-cert-file", &self.redis_cert_file, faults);
        let key = pem("--redis-key-file", &self.redis_key_file, faults);
        if self.redis_cert_file.is_some() != self.redis_key_file.is_some() {
            let (is, lacks) = if self.redis_cert_file.is_some() {
                ("--redis-cert-file", "--redis-key-file")
            } else {
                ("--redis-key-file", "--redis-cert-file")
            };
            faults.add(is, format!("needs {lacks} beside it"));
        }
        let files =
            [("--redis-ca-file", self.redis_ca_file.is_some()), ("--redis-cert-file", self.redis_cert_file.is_some())];
        for (name, _) in files.into_iter().filter(|(_, given)| *given && !redis.address.tls) {
            faults.add(name, "is for encrypted connections; write --store rediss://...");
        }
        redis.tls = TlsFiles { authorities, client: certificate.zip(key) };
    }
}

fn read(name: &str, path: &Path, faults: &mut Faults) -> Option<Vec<u8>> {
    std::fs::read(path).map_err(|error| faults.add(name, format!("{}: {error}", path.display()))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(store: &str, args: &RedisArgs, password: Option<&str>) -> (StoreChoice, Vec<String>) {
        let mut faults = Faults::new();
        let mut store = StoreChoice::parse(store).expect("a store");
        args.complete(
            &mut store,
            |name| (name == PASSWORD).then(|| password.map(str::to_owned)).flatten(),
            &mut faults,
        );
        (store, faults.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn secrets_come_from_a_file_or_the_environment_and_are_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "from-file\n").unwrap();
        let mut args = RedisArgs { redis_user: Some("surety".into()), ..RedisArgs::default() };
        let (store, faults) = completed("redis://db", &args, Some("from-variable"));
        assert!(faults.is_empty(), "{faults:?}");
        let StoreChoice::Redis(redis) = &store else { panic!("{store}") };
        assert_eq!(redis.address.user.as_deref(), Some("surety"));
        assert_eq!(redis.address.password, Some(Secret("from-variable".into())));
        args.redis_password_file = Some(file);
        let (store, _) = completed("redis://db", &args, Some("from-variable"));
        let StoreChoice::Redis(redis) = &store else { panic!("{store}") };
        assert_eq!(redis.address.password, Some(Secret("from-file".into())));
        assert!(!format!("{store:?} {store}").contains("from-"));
    }

    #[test]
    fn options_that_do_not_fit_are_told_all_at_once() {
        let args = RedisArgs {
            redis_ca_file: Some("/nowhere/ca".into()),
            redis_cert_file: Some("/nowhere/cert".into()),
            ..RedisArgs::default()
        };
        let (_, faults) = completed("redis://db", &args, None);
        assert_eq!(faults.len(), 5, "{faults:#?}");
        let (_, faults) = completed("memory:", &args, Some("unused"));
        assert_eq!(faults.len(), 2, "{faults:#?}");
        assert!(faults[0].contains("is for Redis stores"), "{faults:?}");
    }
}
