//! How a command reaches a server: address, network, deadline, and what its failures mean.

use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::exit::{Failure, innermost};
use super::render::times::Times;
use super::values;
use crate::domain::faults::Faults;
use crate::domain::id::NetworkId;
use crate::proto::v1::offer_service_client::OfferServiceClient;
use crate::proto::v1::operations_service_client::OperationsServiceClient;
use crate::proto::v1::promise_service_client::PromiseServiceClient;

/// Where a server is looked for when none is named: where `surety serve` listens by default.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7070";
/// How long to wait for a connection: long enough for one lost packet on any network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for an answer to a question; loads and watches take as long as they take.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections are tested this often, so that a server that vanished is noticed during long loads and watches.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The largest answer that is read: ListBuckets and GetNetwork can be much above tonic's 4 MiB.
const MAX_ANSWER_BYTES: usize = 512 << 20;
/// The request metadata key that names a network (rule 28).
const NETWORK_KEY: &str = "surety-network";

/// Options of every command that calls a server.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Server and output")]
pub struct ClientArgs {
    /// The server to call
    #[arg(long, env = "SURETY_SERVER", value_name = "URL", default_value = DEFAULT_SERVER)]
    pub server: String,
    /// The network that is meant, of a server that holds several; 'default' if none is named
    #[arg(long, env = "SURETY_IN_NETWORK", value_name = "NAME")]
    pub in_network: Option<String>,
    /// How long to wait for the answer, as 500ms, 10s or 2m; 10s for questions, without end for loads and watches
    #[arg(long, env = "SURETY_TIMEOUT", value_name = "DURATION")]
    pub timeout: Option<String>,
    /// The time zone in which instants are shown and local times are read, an IANA name; this machine's if none is named
    #[arg(long, env = "SURETY_TIME_ZONE", value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// Print the answer as JSON, the proto-JSON form of the message; streams print one message a line
    #[arg(long, env = "SURETY_JSON", value_parser = values::flag)]
    pub json: bool,
}

/// The checked options: what a call needs.
#[derive(Clone, Debug)]
pub struct Caller {
    endpoint: Endpoint,
    server: String,
    network: Option<MetadataValue<Ascii>>,
    timeout: Option<Duration>,
    /// How instants are shown.
    pub times: Times,
    /// Whether JSON is wanted.
    pub json: bool,
}

/// What kind of call is made: how long it may take when the user does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// A question: it is answered in milliseconds, or something is wrong.
    Question,
    /// A load or a watch: nobody knows how long it takes.
    Unlimited,
}

impl ClientArgs {
    /// The time zone that is meant, with or without a fault.
    pub fn times(&self, faults: &mut Faults) -> Times {
        match self.time_zone.as_deref().filter(|name| !name.is_empty()) {
            None => Times::of_this_machine(),
            Some(name) => match values::time_zone(name) {
                Ok(zone) => Times::new(zone, name),
                Err(fault) => {
                    faults.add("--time-zone", fault);
                    Times::new(TimeZone::UTC, "UTC")
                }
            },
        }
    }

    /// Checks the options; all faults are noted.
    pub fn check(&self, patience: Patience, faults: &mut Faults) -> Option<Caller> {
        let times = self.times(faults);
        let timeout = match (&self.timeout, patience) {
            (None, Patience::Question) => Some(DEFAULT_TIMEOUT),
            (None, Patience::Unlimited) => None,
            (Some(text), _) => match values::duration(text) {
                Ok(timeout) if !timeout.is_zero() => Some(timeout),
                Ok(_) => {
                    faults.add("--timeout", "is no time at all; write 500ms, 10s or 2m");
                    None
                }
                Err(fault) => {
                    faults.add("--timeout", fault);
                    None
                }
            },
        };
        let network = self.in_network.as_deref().and_then(|name| match network_value(name) {
            Ok(value) => Some(value),
            Err(fault) => {
                faults.add("--in-network", fault);
                None
            }
        });
        match endpoint(&self.server) {
            Ok(endpoint) => {
                let server = self.server.clone();
                Some(Caller { endpoint, server, network, timeout, times, json: self.json })
            }
            Err(fault) => {
                faults.add("--server", fault);
                None
            }
        }
    }
}

fn network_value(name: &str) -> Result<MetadataValue<Ascii>, String> {
    NetworkId::new(name)?;
    match MetadataValue::try_from(name) {
        // Other bytes could be sent, but are no text to the server.
        Ok(value) if name.is_ascii() => Ok(value),
        _ => Err(format!("{name:?} can't be sent; use ASCII characters only")),
    }
}

/// A server's address, checked.
pub(super) fn endpoint(url: &str) -> Result<Endpoint, String> {
    let wrong = || format!("'{url}' is not the address of a server; write http://HOST:PORT");
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(format!("'{url}' asks for TLS, which this version does not speak; write http://")),
        _ => return Err(wrong()),
    }
    if uri.host().is_none_or(str::is_empty) || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong());
    }
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| wrong())?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE))
}

impl Caller {
    async fn connect(&self) -> Result<Channel, Failure> {
        self.endpoint.connect().await.map_err(|error| Failure::Unreachable {
            message: format!("can't reach {}: {}", self.server, innermost(&error)),
            code: "UNAVAILABLE",
            nothing_applied: true,
            request_id: None,
        })
    }

    /// A connection for checkouts' calls.
    ///
    /// # Errors
    /// [`Failure::Unreachable`].
    pub async fn promises(&self) -> Result<PromiseServiceClient<Channel>, Failure> {
        Ok(PromiseServiceClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    /// A connection for operations' calls.
    ///
    /// # Errors
    /// [`Failure::Unreachable`].
    pub async fn operations(&self) -> Result<OperationsServiceClient<Channel>, Failure> {
        Ok(OperationsServiceClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    /// A connection for marketing's calls.
    ///
    /// # Errors
    /// [`Failure::Unreachable`].
    pub async fn offers(&self) -> Result<OfferServiceClient<Channel>, Failure> {
        Ok(OfferServiceClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    /// A request with its deadline and the network that is meant.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        if let Some(network) = &self.network {
            request.metadata_mut().insert(NETWORK_KEY, network.clone());
        }
        request
    }

    /// What a failed call means.
    pub fn failure(&self, status: &Status) -> Failure {
        Failure::from_status(status, &self.server)
    }

    /// A request that opens a stream: it has no deadline of its own, [`Caller::within_timeout`] ends it.
    pub fn watch_request<T>(&self, message: T) -> Request<T> {
        let mut request = self.request(message);
        request.metadata_mut().remove("grpc-timeout");
        request
    }

    /// Lets something go on until it ends, or until the user's timeout does: then None.
    pub async fn within_timeout<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self.timeout {
            Some(timeout) => tokio::time::timeout(timeout, work).await.ok(),
            None => Some(work.await),
        }
    }
}
