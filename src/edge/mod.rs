//! The gRPC face of the service: the wire on one side, the use cases on the other.

pub mod grpc_error;
pub mod layers;
