//! Every limit, with its unit and its reason. Requests above one are refused with the number seen and the limit.

/// Units in one number: what a double holds exactly, as Redis scripts compute with doubles.
pub const MAX_UNITS: i64 = (1 << 53) - 1;
/// Characters (bytes) of an id, SKU, reference or reason: enough for any ERP's, small enough for a key.
pub const MAX_ID_BYTES: usize = 200;
/// Characters (bytes) of a name or a reason for people.
pub const MAX_TEXT_BYTES: usize = 1_000;
/// Lines of one ask (contract).
pub const MAX_LINES: usize = 100;
/// Items of one line (contract).
pub const MAX_QUANTITY: i32 = 1_000_000;
/// Draws of one promise: bounds one ledger command (100 lines of 40 draws).
pub const MAX_DRAWS: usize = 4_000;
/// Shortest hold, in seconds (contract).
pub const MIN_HOLD_SECONDS: i64 = 1;
/// Longest hold, in seconds: 7 days (contract).
pub const MAX_HOLD_SECONDS: i64 = 7 * 24 * 3600;
/// Amendments of one reservation: each is remembered so that it can be repeated safely.
pub const MAX_AMENDMENTS: usize = 100;
/// Days after Y that are looked at for an `on_date` or `in_window` answer (rule 15).
pub const MAX_DAYS_AHEAD: i32 = 400;
/// Plans of one line by one candidate that the search for a later day tries: some 50 ms. The 400 days are always looked at
/// for asks of up to some ten lines; one of 100 lines that fails at the last of them is given up earlier.
pub const MAX_LATER_TRIES: usize = 30_000;
/// Plans of one line by one candidate that one ListPromiseDates tries, some 100 ms: the answer ends with the day on which they
/// are used up, so that asks of many lines in short slots can't stall a server.
pub const MAX_DATE_TRIES: usize = 100_000;
/// Plans of one line by one candidate that are tried to count `remaining` of one date, where orders have to be played one by
/// one: what is counted by then is told. Once half of `MAX_DATE_TRIES` is used up, orders are not played on.
pub const MAX_PLAYED_TRIES: usize = 1_000;
/// Days of standing plan when a resource does not say (contract).
pub const DEFAULT_HORIZON_DAYS: i32 = 90;
/// Longest standing plan, in days: three years.
pub const MAX_HORIZON_DAYS: i32 = 1_100;
/// Longest lead time or transit time, in days: a year.
pub const MAX_LEAD_DAYS: i32 = 366;
/// Steps of one process.
pub const MAX_STEPS: usize = 50;
/// Sources of one product: each is a candidate of every plan.
pub const MAX_SOURCES: usize = 100;
/// Substitutes of one product: each costs a plan when the answer is no.
pub const MAX_SUBSTITUTES: usize = 20;
/// Resources, and products, of one network: what 4 GiB of memory carry.
pub const MAX_RESOURCES: usize = 2_000_000;
/// Sites, zones, processes, channels of one network.
pub const MAX_PLACES: usize = 100_000;
/// Lanes of one network.
pub const MAX_LANES: usize = 500_000;
/// Lanes from one site to one zone: each is a candidate of every plan.
pub const MAX_PARALLEL_LANES: usize = 50;
/// Numbers in one SetSupply message (contract).
pub const MAX_SUPPLY_NUMBERS: usize = 10_000;
/// Buckets one AdjustSupply call may change: a year of 15-minute buckets is 35,040.
pub const MAX_ADJUSTED_BUCKETS: usize = 10_000;
/// Days that ListPromiseDates looks at (contract), and its default.
pub const MAX_DATE_DAYS: i32 = 92;
/// Days ListPromiseDates looks at when the caller does not say (contract).
pub const DEFAULT_DATE_DAYS: i32 = 14;
/// Days ListBuckets shows (contract).
pub const MAX_BUCKET_DAYS: i32 = 400;
/// Days ListBuckets shows when the caller does not say (contract).
pub const DEFAULT_BUCKET_DAYS: i32 = 14;
/// Buckets in one ListBuckets answer: some 20 MB.
pub const MAX_LISTED_BUCKETS: usize = 200_000;
/// Reservations in one page (contract).
pub const MAX_PAGE_SIZE: i32 = 1_000;
/// Reservations in one page when the caller does not say (contract).
pub const DEFAULT_PAGE_SIZE: i32 = 100;
/// Orders that `remaining` counts up to: beyond it, the exact number serves no date picker.
pub const MAX_REMAINING: i64 = 1_000_000;
/// Parts that one line of a SPLIT ask may be cut into.
pub const MAX_PARTS: usize = 20;
/// Networks of one service: each holds a view and a partition.
pub const MAX_NETWORKS: usize = 1_000;
/// How often a hold is planned again when others were faster, before the caller is asked to come back.
pub const MAX_REPLANS: usize = 64;
/// Days a request id is remembered after its reservation ended (rule 20 asks for at least 30).
pub const REQUEST_ID_DAYS: i64 = 31;
/// First and last year of any date: outside it, time zone rules are fiction.
pub const MIN_YEAR: i16 = 1990;
/// See [`MIN_YEAR`].
pub const MAX_YEAR: i16 = 2190;
/// Characters (bytes) of a request id: a UUID has 36, a trace-like name some more; it becomes part of keys.
pub const MAX_REQUEST_ID_BYTES: usize = 128;
/// Bytes of a network file: a network of `MAX_RESOURCES` takes some 300 MB of JSON.
pub const MAX_NETWORK_FILE_BYTES: u64 = 1 << 30;
/// Bytes that the anchors of one YAML file may name in all: honest files name weekly patterns. What aliases repeat counts
/// against `MAX_NETWORK_FILE_BYTES`, as though it had been written out.
pub const MAX_ANCHORED_BYTES: usize = 64 << 20;
/// Containers within containers in a network file; the contract needs 7.
pub const MAX_FILE_DEPTH: usize = 64;
/// Bytes of a plan or a report of fulfilments, which are read as a whole: some 30 million rows.
pub const MAX_CSV_FILE_BYTES: u64 = 1 << 30;
/// Bytes of one line of a CSV file.
pub const MAX_CSV_LINE_BYTES: usize = 64 * 1024;
/// Faults of one file that are shown; the rest is counted.
pub const MAX_SHOWN_FAULTS: usize = 1_000;
/// Days of one offer: a season and its eve.
pub const MAX_OFFER_DAYS: i32 = 400;
/// Zones of one offer.
pub const MAX_OFFER_ZONES: usize = 1_000;
/// Expected orders of one offer: beyond it, a slip of the pen.
pub const MAX_OFFER_ORDERS: i64 = 1_000_000_000;
/// Buckets that one approval sets units aside in: bounds one step of the ledger.
pub const MAX_ENVELOPE: usize = 10_000;
/// Offers of one network that are remembered, closed ones included.
pub const MAX_OFFERS: usize = 10_000;
/// The largest scale that a check looks for, in hundredths of the orders asked: a thousand times as many.
pub const MAX_OFFER_PERCENT: i64 = 100_000;
/// Plans that one part of a check (the tightest promise, the shortfalls) may take, some seconds: beyond it, the tightest promise
/// is told as none, and the shortfalls as far as they were found.
pub const MAX_OFFER_PLANS: usize = 1_000_000;
/// Plans that one SuggestOffers may take, some seconds: products that are not reached by then are not suggested.
pub const MAX_SUGGESTING_PLANS: usize = 1_000_000;
/// How often shortfalls are played again with what was lent as supply, until all orders can be kept.
pub const MAX_LENT_ROUNDS: usize = 8;
/// Days after an order's day on which supply may be lent where there is none.
pub const MAX_LENT_DAYS: i32 = 60;
/// Changes of supply that one check supposes.
pub const MAX_SUPPOSED: usize = 1_000;
/// Buckets that one check supposes other supply of, in all: bounds its memory.
pub const MAX_SUPPOSED_BUCKETS: usize = 100_000;
/// One check or suggestion runs at a time for so many of the machine's cores, and at least one; others wait for their turn. Each
/// keeps a core busy for tens of milliseconds, which quotes must not wait for.
pub const CORES_PER_CHECK: usize = 2;
/// Suggestions in one answer when the caller does not say (contract).
pub const DEFAULT_SUGGESTIONS: i32 = 20;
/// Suggestions in one answer (contract).
pub const MAX_SUGGESTIONS: i32 = 1_000;
/// Longest time before a bucket begins at which what is set aside goes back, in hours: a year.
pub const MAX_RELEASE_HOURS: i32 = 24 * 366;
/// Fulfilments of one report (contract).
pub const MAX_FULFILMENTS: usize = 1_000;
/// Reservations that one Repromise looks at when the caller does not say (contract), and at most.
pub const MAX_REPROMISED: i32 = 1_000;
/// Comparable past promises that must be known before a confidence is told: with fewer, one late van changes it by more than
/// three points.
pub const MIN_COMPARABLE: i64 = 30;
/// Days late that are told apart in the record of what was kept; later ones count as so many.
pub const MAX_DAYS_LATE: i32 = 15;
/// Days of one scorecard: five years.
pub const MAX_SCORECARD_DAYS: i32 = 1_830;
/// Resources, and rows of lost demand, of one scorecard: what people and spreadsheets can look at.
pub const MAX_SCORECARD_ROWS: usize = 1_000;
/// How far in the future a reported instant may lie, in minutes: clocks differ.
pub const MAX_SKEW_MINUTES: i64 = 5;
/// Numbers that a server counts of its own before they are added up, for each of its 16 counters: distinct days, channels, offers
/// and answers of a second or, while the store is away, of some more.
pub const MAX_COUNTED: usize = 20_000;
/// Refused requests that a ledger remembers for each network, so that the same request again is not counted as another quote: some
/// 10 MB. Where more are refused within [`REFUSED_MINUTES`], the oldest are forgotten.
pub const MAX_REFUSED: usize = 100_000;
/// Minutes for which they are remembered: callers send a request again within seconds.
pub const REFUSED_MINUTES: i64 = 10;
/// Refused requests that a server keeps while they wait to be counted: those of a second or, while the store is away, of some more.
pub const MAX_REFUSED_WAITING: usize = 200_000;
/// Tallies that one command adds to: some 2 ms of Redis, so that holds do not wait.
pub const MAX_TALLIES: usize = 200;
/// Periods of the record of kept promises that confidence is told from: half a year.
pub const RECORD_PERIODS: i32 = 6;
