//! Views driven by hand, as a ledger drives them.

use std::sync::Arc;

use super::{NoReading, Views};
use crate::domain::bucket::{Availability, BucketLevel, Bucketing};
use crate::domain::faults::Fault;
use crate::domain::id::{NetworkId, ResourceId};
use crate::domain::levels::Levels;
use crate::domain::network::{Kind, Network, NetworkSpec, ResourceIdx, ResourceSpec, SiteSpec, WeeklySpec};
use crate::domain::time::{Moment, SECOND, Span};
use crate::ledger::feed::{Change, Entry, Snapshot, Subscriber};

fn network(resources: &[&str]) -> Network {
    let spec = NetworkSpec {
        sites: vec![SiteSpec { id: "s".into(), time_zone: "UTC".into(), ..SiteSpec::default() }],
        resources: resources
            .iter()
            .map(|id| ResourceSpec {
                id: (*id).into(),
                site: "s".into(),
                display_name: String::new(),
                kind: Some(Kind::Stock),
                unit: String::new(),
                bucket: Ok(Bucketing::DAYS),
                weekly: Vec::new(),
                closed: Vec::new(),
                horizon_days: 0,
            })
            .collect(),
        ..NetworkSpec::default()
    };
    Network::build(spec, Moment(0)).expect("a network without faults")
}

fn bucket(resource: &str, held: i64) -> Change {
    let level = BucketLevel { set: Some(10), held, ..BucketLevel::default() };
    Change::Bucket { resource: ResourceId::new(resource).expect("a name"), index: 7, level }
}

#[test]
fn a_view_shows_what_the_feed_told_and_keeps_it_under_another_document() {
    let views = Views::new(|_, _| unreachable!("every network here is prepared"));
    let id = NetworkId::default_network();
    let (first, second): (Arc<[u8]>, Arc<[u8]>) = (Arc::from(*b"1"), Arc::from(*b"2"));
    views.prepare(Arc::clone(&first), Arc::new(network(&["a", "b"])));
    views.reset(&id, Snapshot { seq: 4, network_version: 1, document: first, ..Snapshot::default() });
    views.fresh(None, Moment(0));
    assert!(views.are_current());
    let mut changes = views.changes(&id).expect("there is a view");
    views.changed(
        &id,
        &[Arc::new(Entry { seq: 5, at: Moment(0), changes: vec![bucket("a", 1), bucket("a", 2), bucket("b", 3)] })],
    );
    assert!(changes.has_changed().expect("the view lives"));
    assert_eq!(*changes.borrow_and_update(), 5);

    views.prepare(Arc::clone(&second), Arc::new(network(&["b", "c"])));
    let change = Change::Network { version: 2, document: second, applied_at: Moment(0) };
    views.changed(&id, &[Arc::new(Entry { seq: 6, at: Moment(0), changes: vec![change, bucket("c", 4)] })]);
    let view = views.get(&id).expect("there is a view");
    assert_eq!(view.version, 2);
    let held = |name: &str| {
        let at = view.network.find_resource(name).expect("a resource");
        view.levels(at).get(7).map(|level| level.held)
    };
    assert_eq!((held("b"), held("c")), (Some(3), Some(4)));
}

/// How old what is read may be here.
const STALE: Span = Span::seconds(30);

fn at(seconds: i64) -> Moment {
    Moment(seconds * SECOND)
}

fn named(name: &str) -> NetworkId {
    NetworkId::new(name).expect("a name")
}

/// What is held of `a` on day 7.
fn snapshot(seq: u64, held: i64) -> Snapshot {
    let level = BucketLevel { set: Some(10), held, ..BucketLevel::default() };
    let buckets = vec![(ResourceId::new("a").expect("a name"), Levels::new(vec![(7, level)]))];
    Snapshot { seq, network_version: 1, document: Arc::from(*b"a"), applied_at: Moment(0), buckets, offers: Vec::new() }
}

/// The views of `default` and `other`, followed at second 100.
fn two() -> Arc<Views> {
    let views = Views::new(|_, _| Ok(network(&["a"])));
    for id in ["default", "other"] {
        views.reset(&named(id), snapshot(4, 1));
    }
    views.fresh(None, at(100));
    views
}

/// What is read at that second: what is held of `a`, and the second as of which it is.
fn read(views: &Views, id: &str, second: i64, stale: Span) -> Result<(i64, i64), NoReading> {
    let reading = views.read(&named(id), at(second), stale)?;
    let a = reading.view.network.find_resource("a").expect("a resource");
    let held = reading.view.levels(a).get(7).map_or(0, |level| level.held);
    Ok((held, reading.as_of.0 / SECOND))
}

#[test]
fn a_followed_view_is_read_whatever_the_clock_says() {
    let views = two();
    assert_eq!(read(&views, "default", 1_000, Span::ZERO), Ok((1, 100)));
    assert_eq!(read(&views, "default", 90, Span::ZERO), Ok((1, 90)), "never as of the future");
    assert_eq!(read(&views, "none", 100, STALE), Err(NoReading::Unknown));
}

#[test]
fn nothing_is_read_before_the_first_fresh() {
    let views = Views::new(|_, _| Ok(network(&["a"])));
    assert_eq!(read(&views, "default", 100, STALE), Err(NoReading::NotNow));
    views.reset(&named("default"), snapshot(4, 1));
    assert!(!views.are_current());
    assert_eq!(read(&views, "default", 100, Span(i64::MAX)), Err(NoReading::NotNow));
    views.fresh(None, at(100));
    assert!(views.are_current());
    assert_eq!(read(&views, "default", 100, STALE), Ok((1, 100)));
}

#[test]
fn a_view_that_is_no_longer_followed_is_read_for_so_long_and_says_how_old_it_is() {
    let views = two();
    views.lost(None);
    assert!(!views.are_current() && views.followed().is_empty());
    assert_eq!(read(&views, "default", 100, STALE), Ok((1, 100)));
    assert_eq!(read(&views, "default", 130, STALE), Ok((1, 100)));
    assert_eq!(read(&views, "default", 131, STALE), Err(NoReading::NotNow));
    assert_eq!(read(&views, "default", 100, Span::ZERO), Err(NoReading::NotNow), "zero is never");
    assert_eq!(read(&views, "none", 100, STALE), Err(NoReading::NotNow), "it may have been applied meanwhile");
}

#[test]
fn a_feed_that_goes_on_without_a_gap_makes_views_current_again() {
    let views = two();
    views.lost(None);
    views.lost(None);
    views.changed(&named("default"), &[Arc::new(Entry { seq: 5, at: at(110), changes: vec![bucket("a", 2)] })]);
    assert_eq!(read(&views, "default", 131, STALE), Err(NoReading::NotNow), "told, but not that it was all");
    views.fresh(None, at(131));
    assert!(views.are_current());
    assert_eq!(read(&views, "default", 131, Span::ZERO), Ok((2, 131)));
}

#[test]
fn a_reset_of_one_network_does_not_make_the_others_current() {
    let views = two();
    views.lost(None);
    views.reset(&named("default"), snapshot(9, 3));
    assert_eq!(read(&views, "other", 131, STALE), Err(NoReading::NotNow));
    views.fresh(None, at(131));
    assert_eq!(read(&views, "default", 131, STALE), Ok((3, 131)));
    assert_eq!(read(&views, "other", 131, STALE), Ok((1, 131)));
}

#[test]
fn a_void_network_is_not_read_until_its_reset_comes_and_the_others_are() {
    let views = two();
    let before = views.edition(&named("default"));
    let mut changes = views.changes(&named("default")).expect("there is a view");
    changes.mark_unchanged();
    views.void(&named("default"));
    assert!(changes.has_changed().expect("the view lives"), "who waits is told");
    views.void(&named("default"));
    views.fresh(None, at(101));
    assert!(!views.are_current(), "one network is void");
    assert_eq!(read(&views, "default", 101, STALE), Err(NoReading::NotNow));
    assert_eq!(views.edition(&named("default")), Err(NoReading::NotNow));
    assert_eq!(read(&views, "other", 101, STALE), Ok((1, 101)));
    let followed: Vec<_> = views.followed().into_iter().map(|(id, _)| id).collect();
    assert_eq!(followed, [named("other")]);

    views.reset(&named("default"), snapshot(2, 0));
    assert!(views.are_current());
    assert_eq!(read(&views, "default", 101, STALE), Ok((0, 101)));
    let after = views.edition(&named("default"));
    assert!(after.is_ok() && after != before, "who read on over it can tell");
}

#[test]
fn what_is_void_stays_so_while_the_feed_is_cut_and_after() {
    let views = two();
    views.lost(None);
    views.void(&named("default"));
    assert_eq!(read(&views, "default", 100, STALE), Err(NoReading::NotNow));
    assert_eq!(read(&views, "other", 100, STALE), Ok((1, 100)));
    views.fresh(None, at(101));
    assert_eq!(read(&views, "default", 101, STALE), Err(NoReading::NotNow));
    assert_eq!(read(&views, "other", 101, STALE), Ok((1, 101)));
    views.reset(&named("default"), snapshot(2, 0));
    assert!(views.are_current());
}

#[test]
fn a_network_that_is_void_before_it_was_heard_of_is_not_unknown() {
    let views = two();
    views.void(&named("new"));
    assert_eq!(read(&views, "new", 100, STALE), Err(NoReading::NotNow));
    views.reset(&named("new"), snapshot(1, 5));
    assert_eq!(read(&views, "new", 100, STALE), Ok((5, 100)));
}

#[test]
fn a_document_that_cannot_be_read_is_known_for_its_network_alone_and_until_all_of_it_comes_again() {
    let views = Views::new(|document, _| match document {
        b"a" => Ok(network(&["a"])),
        _ => Err(vec![Fault { path: "network".into(), message: "is of a later version".into() }]),
    });
    for id in ["default", "other"] {
        views.reset(&named(id), snapshot(4, 1));
    }
    views.fresh(None, at(100));
    let apply = |version, document: &[u8]| {
        let change = Change::Network { version, document: Arc::from(document), applied_at: Moment(0) };
        views.changed(&named("other"), &[Arc::new(Entry { seq: 4, at: at(100), changes: vec![change] })]);
    };
    let is_unreadable = |id: &str| views.get(&named(id)).expect("there is a view").unreadable;
    apply(2, b"later");
    assert!(!views.are_current() && is_unreadable("other") && !is_unreadable("default"));
    // Its levels are gone: as though nothing were taken.
    apply(3, b"a");
    assert!(is_unreadable("other"));
    views.reset(&named("other"), snapshot(9, 3));
    assert!(views.are_current());
    assert_eq!(read(&views, "other", 100, STALE), Ok((3, 100)));
}

/// A network of one resource, of which so much stands on each of the next so many days.
fn standing(units: i64, horizon_days: i32) -> Network {
    let spec = NetworkSpec {
        sites: vec![SiteSpec { id: "s".into(), time_zone: "UTC".into(), ..SiteSpec::default() }],
        resources: vec![ResourceSpec {
            id: "a".into(),
            site: "s".into(),
            display_name: String::new(),
            kind: Some(Kind::Capacity),
            unit: String::new(),
            bucket: Ok(Bucketing::DAYS),
            weekly: vec![WeeklySpec { units, ..WeeklySpec::default() }],
            closed: Vec::new(),
            horizon_days,
        }],
        ..NetworkSpec::default()
    };
    Network::build(spec, Moment(0)).expect("a network without faults")
}

#[test]
fn rule_24_over_committed_buckets_are_known_as_they_come_and_go() {
    let views = Views::new(|document, _| {
        let [units, days] = document else { unreachable!("two numbers") };
        Ok(standing(i64::from(*units), i32::from(*days)))
    });
    let id = NetworkId::default_network();
    let of = |units, days| Snapshot { network_version: 1, document: Arc::from([units, days]), ..Snapshot::default() };
    views.reset(&id, of(5, 30));
    let mut coverage = views.coverage();
    let over = |now| views.get(&id).expect("a view").over_committed(now);
    let day = 24 * 3600;
    let mut seq = 0;
    let mut changed = |change: Change| {
        seq += 1;
        coverage.mark_unchanged();
        views.changed(&id, &[Arc::new(Entry { seq, at: at(0), changes: vec![change] })]);
        coverage.has_changed().expect("the views live")
    };
    let drawn = |index, set, held, fulfilled| {
        let level = BucketLevel { set, held, fulfilled, ..BucketLevel::default() };
        Change::Bucket { resource: ResourceId::new("a").expect("a name"), index, level }
    };
    let a = ResourceIdx::new(0);
    assert!(!changed(drawn(3, None, 5, 0)), "covered by what stands");
    assert!(!changed(drawn(4, Some(9), 5, 0)));
    assert_eq!(over(at(0)), []);
    assert!(changed(drawn(4, Some(1), 2, 3)));
    assert!(!changed(drawn(4, Some(1), 2, 2)), "still over-committed is no news");
    assert_eq!(over(at(0)), [((a, 4), 3)]);
    // A smaller standing plan, and one that does not reach as far.
    let network = |units, days| Change::Network { version: 2, document: Arc::from([units, days]), applied_at: at(0) };
    assert!(changed(network(4, 30)));
    assert_eq!(over(at(0)), [((a, 3), 1), ((a, 4), 3)]);
    changed(network(5, 2));
    assert_eq!(over(at(0)), [((a, 3), 5), ((a, 4), 3)]);
    assert_eq!(over(at(2 * day)), [((a, 4), 3)], "by then it reaches there");
    assert!(changed(drawn(4, Some(1), 0, 1)));
    assert_eq!(over(at(0)), []);
    // What comes in full is looked at in full.
    let level = BucketLevel { set: Some(1), confirmed: 2, ..BucketLevel::default() };
    let buckets = vec![(ResourceId::new("a").expect("a name"), Levels::new(vec![(9, level)]))];
    views.reset(&id, Snapshot { buckets, ..of(5, 30) });
    assert_eq!(over(at(0)), [((a, 9), 1)]);
    let forgotten = Change::Forgotten { resource: ResourceId::new("a").expect("a name"), index: 10 };
    views.changed(&id, &[Arc::new(Entry { seq: 99, at: at(0), changes: vec![forgotten] })]);
    assert_eq!(over(at(0)), []);
}
