//! What every call brings along beside its message: which network it means, and until when its answer is of use.

use std::time::Instant;

use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::layers::deadline::Deadline;
use super::status::invalid;
use crate::domain::faults::Fault;
use crate::domain::id::NetworkId;

/// The metadata key that names a network (rule 28).
pub const NETWORK_KEY: &str = "surety-network";

/// The network that a call means; `default` where none is named (rule 28).
pub fn network(metadata: &MetadataMap) -> Result<NetworkId, Status> {
    let wrong = |message: String| invalid(vec![Fault { path: format!("metadata.{NETWORK_KEY}"), message }]);
    match metadata.get(NETWORK_KEY) {
        None => Ok(NetworkId::default_network()),
        Some(value) => {
            let text = value.to_str().map_err(|_| wrong("has other than ASCII characters".to_owned()))?;
            NetworkId::new(text).map_err(wrong)
        }
    }
}

/// From when on the answer is of no use to the caller any more.
pub fn give_up_at<T>(request: &Request<T>) -> Option<Instant> {
    request.extensions().get::<Deadline>().map(|deadline| deadline.instant().into_std())
}
