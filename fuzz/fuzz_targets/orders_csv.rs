//! Orders: every order that is read has lines, and none of them is of nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use surety::files::orders;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(orders) = orders::read_all("orders.csv", bytes) {
        for order in orders {
            assert!(!order.lines.is_empty() && order.lines.iter().all(|line| line.quantity != 0));
        }
    }
});
