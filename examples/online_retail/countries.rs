//! The countries of the data as zones: their time zones are facts, the days on the road are assumptions.

/// A country as the data spell it.
pub struct Country {
    pub name: &'static str,
    pub zone: &'static str,
    pub time_zone: &'static str,
    pub distance: Distance,
}

/// How far a country is, which is all that the model says about carriers.
#[derive(Clone, Copy)]
pub enum Distance {
    Home,
    Near,
    Europe,
    World,
}

impl Distance {
    /// Working days from departure to delivery.
    pub fn transit_days(self) -> i32 {
        match self {
            Distance::Home => 1,
            Distance::Near => 3,
            Distance::Europe => 5,
            Distance::World => 7,
        }
    }

    /// "Delivered within so many days of the order", the deadline that the data do not have. Each is what an order needs
    /// that is placed on a Friday after the cutoff and meets no queue.
    pub fn within_days(self) -> i64 {
        match self {
            Distance::Home => 4,
            Distance::Near => 6,
            Distance::Europe => 10,
            Distance::World => 12,
        }
    }
}

const fn country(name: &'static str, zone: &'static str, time_zone: &'static str, distance: Distance) -> Country {
    Country { name, zone, time_zone, distance }
}

pub const COUNTRIES: [Country; 35] = [
    country("United Kingdom", "uk", "Europe/London", Distance::Home),
    country("EIRE", "ireland", "Europe/Dublin", Distance::Near),
    country("Channel Islands", "channel-islands", "Europe/Jersey", Distance::Near),
    country("France", "france", "Europe/Paris", Distance::Near),
    country("Belgium", "belgium", "Europe/Brussels", Distance::Near),
    country("Netherlands", "netherlands", "Europe/Amsterdam", Distance::Near),
    country("Germany", "germany", "Europe/Berlin", Distance::Near),
    country("Austria", "austria", "Europe/Vienna", Distance::Europe),
    country("Cyprus", "cyprus", "Asia/Nicosia", Distance::Europe),
    country("Denmark", "denmark", "Europe/Copenhagen", Distance::Europe),
    country("Finland", "finland", "Europe/Helsinki", Distance::Europe),
    country("Greece", "greece", "Europe/Athens", Distance::Europe),
    country("Italy", "italy", "Europe/Rome", Distance::Europe),
    country("Lithuania", "lithuania", "Europe/Vilnius", Distance::Europe),
    country("Malta", "malta", "Europe/Malta", Distance::Europe),
    country("Norway", "norway", "Europe/Oslo", Distance::Europe),
    country("Poland", "poland", "Europe/Warsaw", Distance::Europe),
    country("Portugal", "portugal", "Europe/Lisbon", Distance::Europe),
    country("Spain", "spain", "Europe/Madrid", Distance::Europe),
    country("Sweden", "sweden", "Europe/Stockholm", Distance::Europe),
    country("Switzerland", "switzerland", "Europe/Zurich", Distance::Europe),
    country("Australia", "australia", "Australia/Sydney", Distance::World),
    country("Bahrain", "bahrain", "Asia/Bahrain", Distance::World),
    country("Bermuda", "bermuda", "Atlantic/Bermuda", Distance::World),
    country("Hong Kong", "hong-kong", "Asia/Hong_Kong", Distance::World),
    country("Israel", "israel", "Asia/Jerusalem", Distance::World),
    country("Japan", "japan", "Asia/Tokyo", Distance::World),
    country("Nigeria", "nigeria", "Africa/Lagos", Distance::World),
    country("RSA", "south-africa", "Africa/Johannesburg", Distance::World),
    country("Singapore", "singapore", "Asia/Singapore", Distance::World),
    country("Thailand", "thailand", "Asia/Bangkok", Distance::World),
    country("USA", "usa", "America/New_York", Distance::World),
    country("United Arab Emirates", "united-arab-emirates", "Asia/Dubai", Distance::World),
    country("West Indies", "west-indies", "America/Port_of_Spain", Distance::World),
    // The data do not say where; the farthest is the only safe promise.
    country("Unspecified", "unspecified", "Europe/London", Distance::World),
];
