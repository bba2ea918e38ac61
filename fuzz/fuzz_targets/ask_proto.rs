//! Asks from the wire: an ask that is taken says the same when it is sent back and taken again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use surety::domain::faults::Faults;
use surety::edge::from_proto::{WhenOf, ask};
use surety::edge::to_proto;
use surety::proto::v1;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = v1::Ask::decode(bytes) else { return };
    let mut faults = Faults::new();
    match ask(Some(message), "ask", WhenOf::Read, &mut faults) {
        Some(first) if faults.is_empty() => {
            let again = ask(Some(to_proto::ask(&first)), "ask", WhenOf::Read, &mut faults);
            assert_eq!(again, Some(first));
        }
        _ => assert!(!faults.is_empty()),
    }
});
