//! The record of kept promises, as every answer of this server is given its confidence from: read from the ledger's tallies, and read
//! again every half a minute and after each report of this server's own.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;
use tracing::debug;

use super::App;
use crate::domain::id::NetworkId;
use crate::domain::kept::KeptRecord;
use crate::domain::limits::RECORD_PERIODS;
use crate::domain::time::{DAY, Moment};
use crate::ledger::LedgerError;
use crate::ledger::tally::{PERIOD_DAYS, RECORD};

/// How often the record is read.
const EVERY: Duration = Duration::from_secs(30);

/// That of networks of which nothing is on record.
static NOTHING: LazyLock<KeptRecord> = LazyLock::new(KeptRecord::default);

/// The records of all networks that have one.
#[derive(Default)]
pub(super) struct Records(ArcSwap<FxHashMap<NetworkId, Arc<KeptRecord>>>);

impl Records {
    /// Reads a network's record; an empty one where nothing was delivered yet.
    pub fn with<T>(&self, network: &NetworkId, read: impl FnOnce(&KeptRecord) -> T) -> T {
        let records = self.0.load();
        // Mostly there are none, which is known without looking for the name.
        let known = if records.is_empty() { None } else { records.get(network) };
        match known {
            Some(record) => read(record),
            None => read(&NOTHING),
        }
    }

    fn put(&self, network: &NetworkId, record: KeptRecord) {
        if record.is_empty() && !self.0.load().contains_key(network) {
            return;
        }
        let record = Arc::new(record);
        self.0.rcu(|records| {
            let mut records = FxHashMap::clone(records);
            records.insert(network.clone(), Arc::clone(&record));
            records
        });
    }
}

impl App {
    /// Reads the records again and again until the service stops.
    pub async fn keep_records(self: Arc<Self>) {
        loop {
            for (network, _) in self.views.followed() {
                if let Err(error) = self.read_record(&network).await {
                    debug!(%network, %error, "the record of kept promises could not be read; the last one is used on");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Reads a network's record.
    pub(super) async fn read_record(&self, network: &NetworkId) -> Result<(), LedgerError> {
        let tallies = self.ledger.tallies(network, RECORD).await?;
        let names = tallies.iter().map(|(name, orders)| (&**name, *orders));
        self.records.put(network, record(names, self.clock.now()));
        Ok(())
    }
}

/// The record that the tallies of the last periods make.
fn record<'a>(tallies: impl Iterator<Item = (&'a str, i64)>, now: Moment) -> KeptRecord {
    let present = now.0.div_euclid(DAY).div_euclid(i64::from(PERIOD_DAYS));
    let mut record = KeptRecord::default();
    for (name, orders) in tallies {
        let mut fields = name.strip_prefix(RECORD).unwrap_or_default().split('\t');
        let mut next = || fields.next();
        let (Some(site), Some(zone), Some(service), Some(period), Some(late)) =
            (next(), next(), next(), next(), next())
        else {
            continue;
        };
        let (Ok(period), Ok(late)) = (period.parse::<i64>(), late.parse::<i32>()) else { continue };
        if orders > 0 && period > present - i64::from(RECORD_PERIODS) {
            record.add(&Arc::from(site), &Arc::from(zone), &Arc::from(service), late, orders);
        }
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Day;
    use crate::ledger::tally;

    #[test]
    fn the_last_six_periods_count() {
        let today = Day(20_800);
        let of = |day: i32, late, orders| (tally::record("lej", "de", "standard", Day(day), late), orders);
        let tallies = [of(20_800, 0, 40), of(20_790, 3, 2), of(20_800 - 7 * PERIOD_DAYS, 0, 100), of(20_800, 1, 0)];
        let now = Moment(i64::from(today.0) * DAY);
        let record = record(tallies.iter().map(|(name, n)| (&**name, *n)), now);
        let kept = record.of(&"lej".into(), &"de".into(), &"standard".into()).expect("a record");
        assert_eq!((kept.known(), kept.within(0), kept.within(3)), (42, 40, 42));
        assert!(record.of(&"lej".into(), &"de".into(), &"express".into()).is_none());
    }
}
