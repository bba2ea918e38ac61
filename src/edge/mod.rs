//! The gRPC face of the service: the wire on one side, the use cases on the other.

pub mod call;
pub mod connections;
pub mod from_proto;
pub mod gathering;
pub mod grpc_error;
pub mod layers;
pub mod offer_service;
pub mod operations_service;
pub mod promise_service;
pub mod scorecard;
pub mod status;
pub mod to_proto;
