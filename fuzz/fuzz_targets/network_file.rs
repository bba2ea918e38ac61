//! Network files, both formats: reading never panics, and every later fault finds a place in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use surety::domain::time::Moment;
use surety::edge::from_proto;
use surety::files::network;

fuzz_target!(|bytes: &[u8]| {
    for file in ["network.yaml", "network.json"] {
        if let Ok((message, source)) = network::read(file, bytes)
            && let Err(faults) = from_proto::network(message, Moment(1_800_000_000_000_000))
        {
            let located = source.locate(&faults);
            assert_eq!(located.faults.len() + located.left_out, faults.len());
        }
    }
});
