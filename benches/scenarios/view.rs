//! The view of the workshop: read as a quote reads it, and told what a hold changed.

use std::hint::black_box;
use std::sync::Arc;

use surety::domain::bucket::Availability;
use surety::domain::id::NetworkId;
use surety::domain::levels::Levels;
use surety::domain::network::ResourceIdx;
use surety::domain::time::Span;
use surety::ledger::feed::{Entry, Snapshot, Subscriber};
use surety::ledger::rules::apply;
use surety::view::Views;

use super::Turn;
use super::workshop::{self, NOW, buckets, day, holds};

/// The views with the workshop alone in them, followed.
pub fn views() -> Arc<Views> {
    let network = Arc::new(workshop::network());
    let views = Views::new(|_, _| unreachable!("the workshop is prepared"));
    let document: Arc<[u8]> = Arc::from(*b"workshop");
    let levels = network.resources().iter().map(|r| (r.id.clone(), Levels::new(buckets(1 << 40, 0)))).collect();
    views.prepare(Arc::clone(&document), network);
    let snapshot = Snapshot { network_version: 1, document, applied_at: NOW, buckets: levels, ..Snapshot::default() };
    views.reset(&NetworkId::default_network(), snapshot);
    views.fresh(None, NOW);
    views
}

/// What so many holds tell the view.
pub fn entries(turns: usize) -> Vec<Arc<Entry>> {
    let mut state = workshop::state(1 << 40);
    let told = |(turn, command)| {
        let changes = apply(&mut state, command, NOW).changes;
        Arc::new(Entry { seq: turn as u64 + 1, at: NOW, changes })
    };
    holds(0..turns).iter().enumerate().map(told).collect()
}

pub fn read(_: usize) -> Turn {
    let (views, network) = (views(), NetworkId::default_network());
    Box::new(move |turn| {
        let reading = views.read(&network, NOW, Span::ZERO).expect("it is followed");
        for resource in 0..4 {
            let levels = reading.view.levels(ResourceIdx::new(resource));
            black_box(levels.get(day(turn as i32 % workshop::DAYS).0));
        }
    })
}

pub fn publish(turns: usize) -> Turn {
    let (views, network, entries) = (views(), NetworkId::default_network(), entries(turns));
    Box::new(move |turn| views.changed(&network, &entries[turn..=turn]))
}
