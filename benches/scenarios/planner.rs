//! Plans, with the resolving of names.

use std::hint::black_box;

use surety::domain::ask::When;
use surety::domain::kept::KeptRecord;
use surety::planner::{Detail, dates, quote, resolve};

use super::Turn;
use super::workshop::{NOW, ask, day, levels, network};

fn quoted(full: i32, when: When) -> Turn {
    let network = network();
    let levels = levels(&network, full);
    let ask = ask(when);
    Box::new(move |_| {
        let resolved = resolve(&network, black_box(&ask), |_| false).expect("all names known");
        drop(black_box(quote(&network, &levels[..], &resolved, NOW, NOW, Detail::Full)));
    })
}

pub fn quote_free(_: usize) -> Turn {
    quoted(0, When::Any)
}

pub fn quote_60_days_full(_: usize) -> Turn {
    quoted(60, When::Any)
}

pub fn quote_later(_: usize) -> Turn {
    quoted(10, When::ByDate(day(5)))
}

pub fn quote_unavailable(_: usize) -> Turn {
    quoted(90, When::ByDate(day(5)))
}

pub fn dates_30_days(_: usize) -> Turn {
    let network = network();
    let levels = levels(&network, 0);
    let ask = ask(When::Any);
    Box::new(move |_| {
        let resolved = resolve(&network, black_box(&ask), |_| false).expect("all names known");
        drop(black_box(dates(&network, &levels[..], &resolved, None, 30, NOW, &KeptRecord::default())));
    })
}
