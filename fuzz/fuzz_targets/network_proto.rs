//! Networks from the wire, built.
#![no_main]

use libfuzzer_sys::fuzz_target;
use surety::domain::time::Moment;
use surety::edge::from_proto;

fuzz_target!(|bytes: &[u8]| {
    if let Err(faults) = from_proto::network_document(bytes, Moment(1_800_000_000_000_000)) {
        assert!(!faults.is_empty());
    }
});
