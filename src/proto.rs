//! The generated contract: messages, services, their proto-JSON form, and the descriptor set for reflection.

pub mod codec;

#[allow(clippy::all, missing_docs, rustdoc::all)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/surety.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/surety.v1.serde.rs"));
}

/// The encoded `FileDescriptorSet` of the contract.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/surety.bin"));
