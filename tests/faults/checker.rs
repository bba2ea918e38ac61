//! What must be true at the end, of one network: nothing oversold, nothing lost of what was acknowledged, nothing leaked, and a
//! feed that tells all of it without a gap.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use surety::proto::v1::reservation::State;
use surety::proto::v1::*;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::book::{Book, Holding, Told};
use crate::clients::request;
use crate::dice::Dice;
use crate::follower::{Followed, follow};
use crate::service::{Service, run};
use crate::shop::{self, DAYS, MUGS, SLOTS, SPARE, VANS, day, instant, now};

/// How long the end may take to be as it must be.
const PATIENCE: Duration = Duration::from_secs(60);
/// In microseconds; all is in UTC.
const A_DAY: i64 = 86_400_000_000;
/// Around its end a hold may be seen either way: reads may be this much behind on a busy machine. How late they are is for
/// `expiry` to see.
const AROUND_ITS_END: i64 = 3_000_000;

/// A bucket's supply, what is held of it and what is confirmed.
type Levels = BTreeMap<(String, i64), (i64, i64, i64)>;

pub struct Checker<'a> {
    pub book: &'a Arc<Book>,
    pub services: &'a [Service],
    pub network: &'a str,
    /// The store's address without any proxy.
    pub store: &'a str,
}

impl Checker<'_> {
    /// All of it. The load has ended and every fault is healed. The cursor at which the feed ends.
    pub async fn check(&self) -> u64 {
        let told: Vec<Told> = {
            let pages = self.book.pages();
            pages.told.iter().filter(|told| told.network == self.network).cloned().collect()
        };
        let begun = Instant::now();
        let there = self.list(State::Unspecified).await;
        let known: BTreeSet<&str> = told.iter().map(|told| told.id.as_str()).collect();
        for id in there.iter().filter(|id| !known.contains(id.as_str())) {
            self.violation(format!("there is a reservation {id} that nobody asked for"));
        }
        let found = self.read_all(there).await;
        let read = begun.elapsed();
        for told in &told {
            if let Some(fault) = judged(told, found.get(&told.id), now()) {
                let found = found.get(&told.id).map(|(found, at)| format!("{:?} at {at}", found.reservation));
                let story = told.story.join("; ");
                self.violation(format!("{}: {fault}; told {story}; found {found:?}", told.id));
            }
        }
        self.sums_are_right().await;
        let summed = begun.elapsed();
        self.adjustments_are_made_once().await;
        self.audited();
        self.all_goes_back().await;
        self.audited();
        let audited = begun.elapsed();
        let end = self.feed_is_whole().await;
        println!(
            "{}: read by {read:?}, summed {summed:?}, audited {audited:?}, fed {:?}",
            self.network,
            begun.elapsed()
        );
        end
    }

    /// Who followed all the while was told how everything ended.
    pub async fn was_followed(&self, followed: &Followed) {
        let there = self.read_all(self.list(State::Unspecified).await).await;
        for (id, (found, _)) in there {
            let stored = found.reservation.map(|found| (found.version, found.state()));
            let told = followed.reservations.get(&id).copied();
            if stored != told {
                self.violation(format!("{id} is {stored:?}, and who followed was told {told:?} at last"));
            }
        }
    }

    pub fn violation(&self, what: String) {
        self.book.violation(format!("{}: {what}", self.network));
    }

    fn service(&self) -> &Service {
        &self.services[0]
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        request(self.network, PATIENCE, message)
    }

    /// Each reservation with the instant before which it was read.
    pub async fn read_all(&self, ids: Vec<String>) -> HashMap<String, (GetReservationResponse, i64)> {
        let mut tasks = JoinSet::new();
        for part in ids.chunks(ids.len() / 8 + 1) {
            let promises = self.service().promises();
            let part = part.to_vec();
            let network = self.network.to_owned();
            tasks.spawn(async move {
                let mut found = Vec::new();
                for id in part {
                    let at = now();
                    let answer = patiently(|| {
                        let message = request(&network, PATIENCE, GetReservationRequest { id: id.clone() });
                        let mut promises = promises.clone();
                        async move { promises.get_reservation(message).await }
                    });
                    match answer.await {
                        Ok(answer) => found.push((id, (answer, at))),
                        Err(status) if status.code() == Code::NotFound => {}
                        Err(status) => panic!("{id} can't be read: {status:?}"),
                    }
                }
                found
            });
        }
        tasks.join_all().await.into_iter().flatten().collect()
    }

    pub async fn list(&self, state: State) -> Vec<String> {
        let (mut ids, mut token) = (Vec::new(), String::new());
        loop {
            let mut message = ListReservationsRequest { page_size: 1_000, page_token: token, ..Default::default() };
            message.set_state(state);
            let page = patiently(|| {
                let (mut operations, message) = (self.service().operations(), self.request(message.clone()));
                async move { operations.list_reservations(message).await }
            });
            let page = page.await.expect("a page");
            ids.extend(page.reservations.into_iter().map(|reservation| reservation.id));
            if page.next_page_token.is_empty() {
                return ids;
            }
            token = page.next_page_token;
        }
    }

    /// Buckets as a server shows them.
    async fn buckets(&self, service: &Service) -> Levels {
        let message =
            ListBucketsRequest { site: "lej".into(), from: day(0), days: DAYS as i32 + 2, ..Default::default() };
        let answer = patiently(|| {
            let (mut operations, message) = (service.operations(), self.request(message.clone()));
            async move { operations.list_buckets(message).await }
        });
        let answer = answer.await.expect("buckets");
        let level = |bucket: Bucket| {
            let from = instant(&bucket.from).expect("a beginning");
            ((bucket.resource, from), (bucket.supply, bucket.held, bucket.confirmed))
        };
        answer.buckets.into_iter().map(level).collect()
    }

    /// No bucket gives more than it has, and what is drawn is what live reservations draw: no more, no less. Every server says so.
    pub async fn sums_are_right(&self) {
        let begun = Instant::now();
        let mut why = String::new();
        while begun.elapsed() < PATIENCE {
            match self.sums().await {
                Ok(()) => return,
                Err(fault) => why = fault,
            }
            // Holds end meanwhile, and a server learns of it a moment later than another.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.violation(why);
    }

    async fn sums(&self) -> Result<(), String> {
        let before = self.buckets(self.service()).await;
        let mut drawn: BTreeMap<(String, i64), (i64, i64)> = BTreeMap::new();
        let live = [self.list(State::Held).await, self.list(State::Confirmed).await].concat();
        for (_, (found, _)) in self.read_all(live).await {
            let state = found.reservation.as_ref().map(Reservation::state);
            for draw in found.draws {
                let from = instant(&draw.from).expect("a beginning");
                let sums = drawn.entry((draw.resource, from)).or_default();
                match state {
                    Some(State::Held) => sums.0 += draw.units,
                    Some(State::Confirmed) => sums.1 += draw.units,
                    _ => {}
                }
            }
        }
        for service in self.services {
            let levels = self.buckets(service).await;
            for (bucket, (supply, held, confirmed)) in &levels {
                if held + confirmed > *supply {
                    let fault = format!("OVERSOLD: {bucket:?} has {supply}; {held} held, {confirmed} confirmed");
                    self.violation(fault);
                }
                let sums = drawn.get(bucket).copied().unwrap_or_default();
                if sums != (*held, *confirmed) {
                    let name = &service.name;
                    return Err(format!("{bucket:?} at {name} has {held}, {confirmed}; reservations draw {sums:?}"));
                }
            }
            // Those of a day that was over by now are not listed: midnight may have passed since they were drawn on.
            let today = now() / A_DAY * A_DAY;
            if let Some(bucket) = drawn.keys().find(|bucket| bucket.1 >= today && !levels.contains_key(*bucket)) {
                return Err(format!("{bucket:?} is drawn on and not there"));
            }
            if levels != before {
                return Err(format!("{} and {} do not show the same buckets", self.service().name, service.name));
            }
        }
        Ok(())
    }

    pub async fn adjustments_are_made_once(&self) {
        let mut expected: BTreeMap<String, i64> = (1..=DAYS).map(|ahead| (day(ahead), SPARE)).collect();
        for adjusted in self.book.pages().adjusted.iter().filter(|a| a.network == self.network) {
            *expected.entry(adjusted.start.clone()).or_insert(SPARE) += adjusted.delta;
        }
        for ((resource, from), (supply, _, _)) in self.buckets(self.service()).await {
            let start = jiff::Timestamp::from_microsecond(from).expect("an instant").to_string()[..10].to_owned();
            let right = match resource.as_str() {
                "slot" => SLOTS,
                "van" => VANS,
                "mugs" => MUGS,
                "spare" => expected.get(&start).copied().unwrap_or(SPARE),
                _ => continue,
            };
            if supply != right {
                self.violation(format!("{resource} of {start} has a supply of {supply}, and should have {right}"));
            }
        }
    }

    fn audited(&self) {
        let output = run(&["audit", "--store", self.store, "--in-network", self.network]);
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stdout);
            let failed = String::from_utf8_lossy(&output.stderr);
            self.violation(format!("the audit found something: {told}{failed}"));
        }
    }

    /// Once all is released, every bucket is full.
    pub async fn all_goes_back(&self) {
        self.release_all().await;
        for service in self.services {
            let begun = Instant::now();
            loop {
                let levels = self.buckets(service).await;
                let taken = levels.iter().find(|(_, (_, held, confirmed))| held + confirmed != 0);
                let Some(taken) = taken else { break };
                if begun.elapsed() > PATIENCE {
                    self.violation(format!("LEAKED: {taken:?} at {}, and all is released", service.name));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Releases all that is live.
    pub async fn release_all(&self) {
        let live = [self.list(State::Held).await, self.list(State::Confirmed).await].concat();
        let mut tasks = JoinSet::new();
        for id in live {
            let message = ReleaseReservationRequest { id: id.clone(), ..Default::default() };
            let (promises, network) = (self.service().promises(), self.network.to_owned());
            tasks.spawn(async move {
                let answer = patiently(|| {
                    let (mut promises, message) = (promises.clone(), request(&network, PATIENCE, message.clone()));
                    async move { promises.release_reservation(message).await }
                });
                answer.await.map_err(|status| (id, status))
            });
        }
        for failed in tasks.join_all().await.into_iter().filter_map(Result::err) {
            self.violation(format!("it can't be released: {failed:?}"));
        }
    }

    /// The feed from its beginning: no place is missing, no version of a reservation is, no bucket was ever below zero, and it
    /// ends with what there is.
    async fn feed_is_whole(&self) -> u64 {
        let begun = Instant::now();
        let end = loop {
            if let Some(end) = self.newest().await {
                break end;
            }
            assert!(begun.elapsed() < PATIENCE, "{}: the feed has no end", self.network);
        };
        let known = Arc::new(AtomicU64::new(end));
        let servers = vec![self.service().operations()];
        let followed = follow(Arc::clone(self.book), servers, self.network.to_owned(), Dice::seeded(end), known).await;
        self.was_followed(&followed).await;
        let there: BTreeSet<String> = self.list(State::Unspecified).await.into_iter().collect();
        for (id, (version, state)) in &followed.reservations {
            // What was undone is told as released, and is not there.
            if !there.contains(id) && *state != State::Released {
                self.violation(format!("{id} is not there; the feed ends with version {version}, {state:?}"));
            }
        }
        println!("{}: the feed has {end} entries", self.network);
        end
    }

    /// The cursor of the newest entry, which is made for this. Nobody else changes anything any more. None: the stream broke.
    async fn newest(&self) -> Option<u64> {
        // It has no deadline, and ends when it is dropped.
        let mut message = tonic::Request::new(WatchEventsRequest::default());
        message.metadata_mut().insert("surety-network", self.network.parse().expect("ASCII"));
        let mut events = self.service().operations().watch_events(message).await.ok()?.into_inner();
        let long = Duration::from_secs(3_600);
        let hold = shop::hold(&uuid::Uuid::new_v4().to_string(), shop::roomy(), long);
        self.service().promises().quote(self.request(hold)).await.ok()?;
        loop {
            let event = tokio::time::timeout(PATIENCE, events.message()).await.ok()?.ok()??;
            // The bucket is told last.
            if let Some(watch_events_response::Event::BucketChanged(bucket)) = event.event
                && bucket.resource == "room"
                && bucket.held > 0
            {
                return event.cursor.parse().ok();
            }
        }
    }
}

/// Asks again for as long as the machine is too busy for an answer.
pub async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<tonic::Response<T>, Status>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if begun.elapsed() > PATIENCE => return Err(status),
            Err(status) => match status.code() {
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {}
                _ => return Err(status),
            },
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What is wrong with how a reservation ended, if anything is.
pub fn judged(told: &Told, found: Option<&(GetReservationResponse, i64)>, read_until: i64) -> Option<String> {
    let Some((found, read_at)) = found else {
        return match told.holding {
            Holding::Yes => Some("LOST: it was acknowledged, and is not there".into()),
            Holding::No | Holding::Unknown => None,
        };
    };
    let reservation = found.reservation.as_ref()?;
    let (state, version) = (reservation.state(), reservation.version);
    let Some(last) = told.last() else {
        if told.holding == Holding::No && !told.hold_in_doubt {
            return Some("it was not held, by the answer, and is there".into());
        }
        // It arrived late. It is nobody's, and ends by itself.
        let right = matches!((state, version), (State::Held, 1) | (State::Expired, 2));
        return (!right).then(|| "nobody was told of it, and it has a history".into());
    };
    // Each state that was acknowledged was there: the history has no other at its version.
    for seen in &told.seen {
        let then = found.history.iter().rev().find(|change| change.version <= seen.version);
        if version < seen.version || then.is_none_or(|then| then.state() != seen.state) {
            // The end is noticed by a refusal before it has a version.
            if seen.state != State::Expired {
                return Some(format!("LOST: {seen:?} was acknowledged; the history has {then:?}"));
            }
        }
    }
    // Each kind of change happened no more often than it was asked for.
    let mut happened: BTreeMap<&str, usize> = BTreeMap::new();
    for change in &found.history {
        *happened.entry(change.what.as_str()).or_default() += 1;
    }
    for (what, many) in happened {
        let most = if what == "expired" { 1 } else { told.sent.get(what).copied().unwrap_or_default() };
        let once = ["held", "amended", "confirmed", "released"].contains(&what);
        if many > most || once && many > 1 {
            return Some(format!("it was {what} {many} times"));
        }
    }
    let amended = usize::from(told.amendment_in_doubt) as i64;
    let changed = version - last.version;
    let right = match last.state {
        State::Held => {
            let end = last.expires_at.unwrap_or_default();
            let may_be_held =
                *read_at < end + AROUND_ITS_END && state == State::Held && (0..=amended).contains(&changed);
            let may_be_expired = read_until > end && state == State::Expired && (1..=1 + amended).contains(&changed);
            may_be_held || may_be_expired
        }
        State::Expired => state == State::Expired && (0..=1 + amended).contains(&changed),
        other => state == other && changed == 0,
    };
    (!right).then(|| format!("it is {state:?} of version {version} after {last:?}"))
}
