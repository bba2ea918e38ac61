//! An offer's orders by day and zone (rule 25).

use crate::domain::network::Network;
use crate::domain::network::ZoneIdx;
use crate::domain::offer::ZoneShare;
use crate::domain::time::{Day, Moment};

/// Orders of one day and zone: the same ask at the same instant, so many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub day: Day,
    /// The place of the zone in the offer.
    pub zone: usize,
    /// When its orders are asked.
    pub asked_at: Moment,
    pub orders: i64,
}

/// A day's orders shared over zones by largest remainder, ties to the earlier zone.
pub(super) fn shared(orders: i64, zones: &[ZoneShare]) -> Vec<i64> {
    let whole: i128 = zones.iter().map(|z| i128::from(z.billionths)).sum::<i128>().max(1);
    let exact = |zone: &ZoneShare| i128::from(orders) * i128::from(zone.billionths);
    let mut shares: Vec<i64> = zones.iter().map(|z| (exact(z) / whole) as i64).collect();
    let left = orders - shares.iter().sum::<i64>();
    let mut by_remainder: Vec<usize> = (0..zones.len()).collect();
    // A stable sort, so that of equal remainders the earlier zone comes first.
    by_remainder.sort_by_key(|&at| std::cmp::Reverse(exact(&zones[at]) % whole));
    for &at in by_remainder.iter().take(usize::try_from(left).unwrap_or(0)) {
        shares[at] += 1;
    }
    shares
}

/// So many percent of each day's orders, rounded up (rule 27).
pub(super) fn scaled(orders: i64, percent: i64) -> i64 {
    i64::try_from((i128::from(orders) * i128::from(percent) + 99) / 100).unwrap_or(i64::MAX)
}

/// All orders in the order in which they are asked; days that are over in a zone are passed over there.
pub(super) fn groups(
    network: &Network,
    zones: &[ZoneIdx],
    shares: &[ZoneShare],
    starts: Day,
    by_day: &[i64],
    now: Moment,
) -> Vec<Group> {
    let mut groups = Vec::with_capacity(by_day.len() * zones.len());
    let calendars: Vec<_> = zones.iter().map(|zone| &network.zone(*zone).calendar).collect();
    let todays: Vec<Day> = calendars.iter().map(|calendar| calendar.day_of(now)).collect();
    let mut day = starts;
    for &orders in by_day {
        if todays.iter().any(|today| day >= *today) {
            for (zone, orders) in shared(orders, shares).into_iter().enumerate() {
                if day >= todays[zone] && orders > 0 {
                    let asked_at = if day == todays[zone] { now } else { calendars[zone].start_of(day) };
                    groups.push(Group { day, zone, asked_at, orders });
                }
            }
        }
        day = day + 1;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(billionths: &[u32]) -> Vec<ZoneShare> {
        billionths.iter().map(|b| ZoneShare { zone: "z".into(), billionths: *b }).collect()
    }

    #[test]
    fn rule_25_a_days_orders_are_shared_by_largest_remainder_ties_to_the_earlier_zone() {
        let third = 333_333_333;
        for (orders, shares, expected) in [
            (10, &[third, third, third][..], &[4, 3, 3][..]),
            (11, &[third, third, third], &[4, 4, 3]),
            (1, &[500_000_000, 500_000_000], &[1, 0]),
            (3, &[200_000_000, 800_000_000], &[1, 2]),
            (2, &[200_000_000, 800_000_000], &[0, 2]),
            (0, &[1_000_000_000], &[0]),
            (1_000_000_000_000, &[1, 999_999_999], &[1_000, 999_999_999_000]),
        ] {
            assert_eq!(shared(orders, &zones(shares)), expected, "{orders} over {shares:?}");
        }
    }

    #[test]
    fn rule_27_each_days_orders_are_rounded_up() {
        for (orders, percent, expected) in
            [(10, 100, 10), (10, 101, 11), (10, 1, 1), (0, 500, 0), (3, 150, 5), (3, 0, 0)]
        {
            assert_eq!(scaled(orders, percent), expected, "{percent} % of {orders}");
        }
    }
}
