//! The edge: gRPC messages to words of the domain and back.

pub mod from_proto;
pub mod to_proto;
