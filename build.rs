//! Compiles the contract in `proto/` without a system protoc: protox parses it, prost and tonic generate the messages
//! and services, pbjson the proto-JSON form (also the file format of networks and what `--json` prints).

use prost::Message;
use std::path::PathBuf;

const FILES: [&str; 4] =
    ["surety/v1/network.proto", "surety/v1/promise.proto", "surety/v1/offer.proto", "surety/v1/operations.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let set = protox::compile(FILES, ["proto"])?;
    let encoded = set.encode_to_vec();
    // For server reflection; compile_fds does not write it.
    std::fs::write(out.join("surety.bin"), &encoded)?;

    tonic_prost_build::configure()
        .extern_path(".google.protobuf", "::pbjson_types")
        .compile_well_known_types(true)
        .codec_path("crate::proto::codec::SteadyCodec")
        .compile_fds(set)?;
    pbjson_build::Builder::new().register_descriptors(&encoded)?.out_dir(&out).build(&[".surety.v1"])?;
    Ok(())
}
