//! The service's own metrics, as plain methods: whoever counts something need not know who looks at it.
//!
//! Without an endpoint a [`Metrics`] is empty and every method costs a branch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};

use crate::telemetry::names::{self, MetricName};

/// What a quote answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuoteVerdict {
    /// Yes, by the date asked for.
    Promised,
    /// Not by then, but later.
    Later,
    /// Not within the planned horizon.
    Unavailable,
}

impl QuoteVerdict {
    const ALL: [Self; 3] = [Self::Promised, Self::Later, Self::Unavailable];

    fn label(self) -> &'static str {
        match self {
            Self::Promised => "promised",
            Self::Later => "later",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Whether a quote was to take what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuoteKind {
    /// It only looked.
    Read,
    /// It asked for a hold.
    Hold,
}

impl QuoteKind {
    const ALL: [Self; 2] = [Self::Read, Self::Hold];

    fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Hold => "hold",
        }
    }
}

/// What was refused because the server was at its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShedKind {
    /// A unary call.
    Request,
    /// A stream.
    Stream,
}

impl ShedKind {
    const ALL: [Self; 2] = [Self::Request, Self::Stream];

    fn label(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Stream => "stream",
        }
    }
}

/// The service's own metrics. Clones count together.
#[derive(Clone, Default)]
pub struct Metrics(Option<Arc<Instruments>>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Metrics(on)" } else { "Metrics(off)" })
    }
}

struct Instruments {
    meter: Meter,
    quotes: Counter<u64>,
    holds_taken: Counter<u64>,
    holds_expired: Counter<u64>,
    confirmations: Counter<u64>,
    releases: Counter<u64>,
    plan_attempts: Histogram<u64>,
    offers_approved: Counter<u64>,
    offers_closed: Counter<u64>,
    offer_check_duration: Histogram<f64>,
    commit_batch_size: Histogram<u64>,
    commit_duration: Histogram<f64>,
    open_watches: UpDownCounter<i64>,
    shed: Counter<u64>,
    // Attribute sets, by the discriminants of what they say.
    quote_attributes: [[[KeyValue; 2]; 2]; 3],
    shed_attributes: [[KeyValue; 1]; 2],
}

impl Metrics {
    /// Metrics that go nowhere.
    pub fn off() -> Self {
        Self(None)
    }

    pub(crate) fn on(meter: &Meter) -> Self {
        Self(Some(Arc::new(Instruments {
            meter: meter.clone(),
            quotes: counter(meter, names::QUOTES),
            holds_taken: counter(meter, names::HOLDS_TAKEN),
            holds_expired: counter(meter, names::HOLDS_EXPIRED),
            confirmations: counter(meter, names::CONFIRMATIONS),
            releases: counter(meter, names::RELEASES),
            plan_attempts: counts(meter, names::PLAN_ATTEMPTS, &names::ATTEMPT_BOUNDS),
            offers_approved: counter(meter, names::OFFERS_APPROVED),
            offers_closed: counter(meter, names::OFFERS_CLOSED),
            offer_check_duration: seconds(meter, names::OFFER_CHECK_DURATION),
            commit_batch_size: counts(meter, names::COMMIT_BATCH_SIZE, &names::BATCH_BOUNDS),
            commit_duration: seconds(meter, names::COMMIT_DURATION),
            open_watches: {
                let name = names::OPEN_WATCHES;
                let builder = meter.i64_up_down_counter(name.name);
                builder.with_unit(name.unit).with_description(name.description).build()
            },
            shed: counter(meter, names::SHED),
            quote_attributes: QuoteVerdict::ALL.map(|verdict| {
                QuoteKind::ALL.map(|kind| {
                    [KeyValue::new(names::QUOTE_KIND, kind.label()), KeyValue::new(names::VERDICT, verdict.label())]
                })
            }),
            shed_attributes: ShedKind::ALL.map(|kind| [KeyValue::new(names::SHED_KIND, kind.label())]),
        })))
    }

    /// A quote was answered.
    pub fn quote(&self, verdict: QuoteVerdict, kind: QuoteKind) {
        if let Some(on) = &self.0 {
            on.quotes.add(1, &on.quote_attributes[verdict as usize][kind as usize]);
        }
    }

    /// A hold was taken, for the first time: answers given again by `request_id` do not count.
    pub fn hold_taken(&self) {
        if let Some(on) = &self.0 {
            on.holds_taken.add(1, &[]);
        }
    }

    /// `count` holds ended at their expiry.
    pub fn holds_expired(&self, count: u64) {
        if let Some(on) = &self.0 {
            on.holds_expired.add(count, &[]);
        }
    }

    /// A reservation was confirmed; repeats do not count.
    pub fn confirmed(&self) {
        if let Some(on) = &self.0 {
            on.confirmations.add(1, &[]);
        }
    }

    /// A reservation was released; repeats do not count.
    pub fn released(&self) {
        if let Some(on) = &self.0 {
            on.releases.add(1, &[]);
        }
    }

    /// One ask for a hold was planned `attempts` times until it was answered: 1 when nobody was faster (rule 19).
    pub fn planned(&self, attempts: u32) {
        if let Some(on) = &self.0 {
            on.plan_attempts.record(u64::from(attempts), &[]);
        }
    }

    /// An offer was approved; repeats do not count.
    pub fn offer_approved(&self) {
        if let Some(on) = &self.0 {
            on.offers_approved.add(1, &[]);
        }
    }

    /// An offer was closed; repeats, and offers that came to their end, do not count.
    pub fn offer_closed(&self) {
        if let Some(on) = &self.0 {
            on.offers_closed.add(1, &[]);
        }
    }

    /// The orders of one offer were played in `took`, waiting for a turn not counted.
    pub fn offer_checked(&self, took: Duration) {
        if let Some(on) = &self.0 {
            on.offer_check_duration.record(took.as_secs_f64(), &[]);
        }
    }

    /// The ledger made a batch of `commands` durable in `took`.
    pub fn committed(&self, commands: usize, took: Duration) {
        if let Some(on) = &self.0 {
            on.commit_batch_size.record(commands as u64, &[]);
            on.commit_duration.record(took.as_secs_f64(), &[]);
        }
    }

    /// A call was refused because the server was at its limit.
    pub fn shed(&self, kind: ShedKind) {
        if let Some(on) = &self.0 {
            on.shed.add(1, &on.shed_attributes[kind as usize]);
        }
    }

    /// A watch stream is being fed, as long as the returned guard lives.
    pub fn watch_opened(&self) -> OpenWatch {
        if let Some(on) = &self.0 {
            on.open_watches.add(1, &[]);
        }
        OpenWatch(self.clone())
    }

    /// From now on, the view's age is what `age` says when metrics are collected; `None` while there is no view. To be
    /// called once, with the worst age of all networks. `age` must neither block nor take long.
    pub fn observe_view_age(&self, age: impl Fn() -> Option<Duration> + Send + Sync + 'static) {
        let Some(on) = &self.0 else { return };
        let name = names::VIEW_AGE;
        on.meter
            .f64_observable_gauge(name.name)
            .with_unit(name.unit)
            .with_description(name.description)
            .with_callback(move |gauge| {
                if let Some(age) = age() {
                    gauge.observe(age.as_secs_f64(), &[]);
                }
            })
            .build();
    }

    /// From now on, whether availability in memory follows the ledger is what `current` says. To be called once.
    pub fn observe_view_current(&self, current: impl Fn() -> bool + Send + Sync + 'static) {
        self.observe(names::VIEW_CURRENT, move || u64::from(current()));
    }

    /// From now on, the commands that wait for the ledger are what `depth` says. To be called once.
    pub fn observe_queue_depth(&self, depth: impl Fn() -> u64 + Send + Sync + 'static) {
        self.observe(names::LEDGER_QUEUE_DEPTH, depth);
    }

    /// From now on, the reservations at risk are what `reservations` says. To be called once.
    pub fn observe_at_risk(&self, reservations: impl Fn() -> u64 + Send + Sync + 'static) {
        self.observe(names::AT_RISK, reservations);
    }

    /// From now on, the unary calls in flight are what `requests` says. To be called once; the shedding layer does.
    pub fn observe_in_flight(&self, requests: impl Fn() -> u64 + Send + Sync + 'static) {
        self.observe(names::REQUESTS_IN_FLIGHT, requests);
    }

    /// From now on, the open streams are what `streams` says. To be called once; the shedding layer does.
    pub fn observe_open_streams(&self, streams: impl Fn() -> u64 + Send + Sync + 'static) {
        self.observe(names::OPEN_STREAMS, streams);
    }

    /// From now on, the tasks that are alive are what `tasks` says. To be called once.
    pub fn observe_tasks(&self, tasks: impl Fn() -> u64 + Send + Sync + 'static) {
        self.observe(names::RUNTIME_TASKS, tasks);
    }

    fn observe(&self, name: MetricName, value: impl Fn() -> u64 + Send + Sync + 'static) {
        let Some(on) = &self.0 else { return };
        on.meter
            .u64_observable_gauge(name.name)
            .with_unit(name.unit)
            .with_description(name.description)
            .with_callback(move |gauge| gauge.observe(value(), &[]))
            .build();
    }
}

/// A watch stream that is being fed; it counts as open until this is dropped.
#[derive(Debug)]
#[must_use = "the stream counts as open only as long as this lives"]
pub struct OpenWatch(Metrics);

impl Drop for OpenWatch {
    fn drop(&mut self) {
        if let Some(on) = &self.0.0 {
            on.open_watches.add(-1, &[]);
        }
    }
}

pub(crate) fn counter(meter: &Meter, name: MetricName) -> Counter<u64> {
    meter.u64_counter(name.name).with_unit(name.unit).with_description(name.description).build()
}

/// A histogram of durations in seconds.
pub(crate) fn seconds(meter: &Meter, name: MetricName) -> Histogram<f64> {
    let bounds = names::DURATION_BOUNDS.to_vec();
    let builder = meter.f64_histogram(name.name).with_boundaries(bounds);
    builder.with_unit(name.unit).with_description(name.description).build()
}

fn counts(meter: &Meter, name: MetricName, bounds: &[f64]) -> Histogram<u64> {
    let builder = meter.u64_histogram(name.name).with_boundaries(bounds.to_vec());
    builder.with_unit(name.unit).with_description(name.description).build()
}
