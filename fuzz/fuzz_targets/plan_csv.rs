//! Plans, with and without knowledge of the buckets: what is read fits the messages that carry it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use surety::domain::bucket::Bucketing;
use surety::domain::limits::MAX_SUPPLY_NUMBERS;
use surety::files::plan;

fuzz_target!(|bytes: &[u8]| {
    for bucketing in [None, Some(Bucketing::DAYS), Bucketing::of_minutes(15).ok()] {
        if let Ok(lines) = plan::read("plan.csv", bytes, |_| Ok(bucketing)) {
            // A run that is longer could not be sent.
            assert!(lines.iter().all(|line| line.supply.units.len() <= MAX_SUPPLY_NUMBERS));
        }
    }
});
