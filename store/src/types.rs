//! The plain values that go in and out of the store.

use std::fmt;

/// A moment: Unix time in milliseconds.
pub type Timestamp = i64;

/// A device's number. Never given twice, also not after a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, bincode::Encode, bincode::Decode)]
pub struct DeviceId(pub u32);

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// 50,000 years on each side.
const ALL_DAYS: i64 = 50_000 * 365;

/// A half-open span of time, `start..end`, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    start: Timestamp,
    end: Timestamp,
}

impl TimeRange {
    /// Everything that anybody could mean; its ends are midnights UTC, and sums of them do not overflow.
    pub const ALL: TimeRange = TimeRange { start: -ALL_DAYS * 86_400_000, end: ALL_DAYS * 86_400_000 };

    /// `None` when `start >= end`.
    pub fn new(start: Timestamp, end: Timestamp) -> Option<TimeRange> {
        (start < end).then_some(TimeRange { start, end })
    }

    /// First moment inside.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// First moment after.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// Is `t` inside?
    pub fn contains(&self, t: Timestamp) -> bool {
        self.start <= t && t < self.end
    }

    /// Length in milliseconds, saturating.
    pub fn length_ms(&self) -> i64 {
        self.end.saturating_sub(self.start)
    }
}

/// Is a column a level, or does it only grow until it is reset?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, bincode::Encode, bincode::Decode)]
pub enum Kind {
    /// A level: it may rise and fall.
    Gauge,
    /// A total that grows; a fall means it was reset and began again from zero.
    Counter,
}

/// Which rows of a column hold a value.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub enum Presence {
    /// Every row.
    All,
    /// Row `i` when bit `i % 64` of word `i / 64` is set.
    Bits(Vec<u64>),
}

impl Presence {
    /// Does row `i` hold a value?
    pub fn has(&self, i: usize) -> bool {
        match self {
            Presence::All => true,
            Presence::Bits(words) => words.get(i / 64).is_some_and(|w| w >> (i % 64) & 1 == 1),
        }
    }

    /// Presence from one flag a row; `All` when every flag is set.
    pub fn from_flags(flags: impl ExactSizeIterator<Item = bool>) -> Presence {
        let mut words = vec![0u64; flags.len().div_ceil(64)];
        let mut all = true;
        for (i, set) in flags.enumerate() {
            if set {
                words[i / 64] |= 1 << (i % 64);
            } else {
                all = false;
            }
        }
        if all { Presence::All } else { Presence::Bits(words) }
    }

    /// Presence from words as in [`Presence::Bits`], without bits past `rows`; `All` when every bit is set.
    pub(crate) fn of_words(words: Vec<u64>, rows: usize) -> Presence {
        let set: usize = words.iter().map(|word| word.count_ones() as usize).sum();
        if set == rows { Presence::All } else { Presence::Bits(words) }
    }

    /// That of the rows `from..to`.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Presence {
        match self {
            Presence::All => Presence::All,
            Presence::Bits(_) => Presence::from_flags((from..to).map(|row| self.has(row))),
        }
    }

    /// Number of rows that hold a value, of `rows`.
    pub fn count(&self, rows: usize) -> usize {
        match self {
            Presence::All => rows,
            Presence::Bits(words) => {
                let whole =
                    words.iter().take(rows / 64).map(|word| word.count_ones() as usize).sum::<usize>();
                let last = words.get(rows / 64).map_or(0, |word| word & ((1 << (rows % 64)) - 1));
                whole + last.count_ones() as usize
            }
        }
    }
}

/// Sets the bits `from..to` of presence words.
pub(crate) fn set_bits(words: &mut [u64], from: usize, to: usize) {
    let mut bit = from;
    while bit < to {
        let inside = (64 - bit % 64).min(to - bit);
        words[bit / 64] |= (u64::MAX >> (64 - inside)) << (bit % 64);
        bit += inside;
    }
}

/// One metric's values in the rows of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name and sorted labels, as the agent says them.
    pub metric: String,
    /// Gauge or counter.
    pub kind: Kind,
    /// One value a row; what stands where `present` has no bit is of no meaning.
    pub values: Vec<f64>,
    /// Which rows hold a value.
    pub present: Presence,
}

/// Rows as columns: one timestamp a row, shared by every column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// Time of each row; any order.
    pub t_ms: Vec<Timestamp>,
    /// The columns; every one as long as `t_ms`.
    pub columns: Vec<Column>,
}

/// What makes a report that is sent again count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, bincode::Encode, bincode::Decode)]
pub struct Origin {
    /// Drawn anew by the agent at each of its starts.
    pub boot_id: [u8; 16],
    /// Number of the report within that start.
    pub seq: u64,
}

/// How bad a log line is. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode)]
pub enum Level {
    /// For developers.
    Debug,
    /// Ordinary.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
    /// The process could not go on.
    Fatal,
}

impl Level {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }

    /// The level a program meant by a word, whatever its case; `None` for a word no logger uses.
    pub fn parse(word: &str) -> Option<Level> {
        Some(match word.to_ascii_lowercase().as_str() {
            "trace" | "debug" => Level::Debug,
            "info" | "notice" | "log" => Level::Info,
            "warn" | "warning" => Level::Warn,
            "error" | "err" => Level::Error,
            "fatal" | "critical" | "crit" | "alert" | "emergency" | "panic" => Level::Fatal,
            _ => return None,
        })
    }
}

/// One line of a device's log.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct LogLine {
    /// When the device wrote it.
    pub t_ms: Timestamp,
    /// How bad it is.
    pub level: Level,
    /// Which part of the device says so.
    pub source: String,
    /// The text, of one or several lines.
    pub message: String,
}

/// Where a cost comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, bincode::Encode, bincode::Decode)]
pub enum CostBasis {
    /// OpenClaw reported it.
    Reported,
    /// Computed from a price table.
    PriceTable,
    /// Nobody knows.
    Unknown,
}

impl CostBasis {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            CostBasis::Reported => "reported",
            CostBasis::PriceTable => "price_table",
            CostBasis::Unknown => "unknown",
        }
    }

    /// The reverse of [`CostBasis::as_str`]; any other word is `Unknown`.
    pub fn parse(word: &str) -> CostBasis {
        match word {
            "reported" => CostBasis::Reported,
            "price_table" => CostBasis::PriceTable,
            _ => CostBasis::Unknown,
        }
    }
}

/// The tokens one assistant message cost.
#[derive(Debug, Clone, PartialEq, bincode::Encode, bincode::Decode)]
pub struct UsageEvent {
    /// The agent's name for the message: counts once per device.
    pub event_id: String,
    /// When the message was finished.
    pub t_ms: Timestamp,
    /// OpenClaw agent, provider and model.
    pub agent: String,
    /// See `agent`.
    pub provider: String,
    /// See `agent`.
    pub model: String,
    /// Tokens read as prompt, not from a cache.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Tokens read from a prompt cache.
    pub cache_read: u64,
    /// Tokens written to a prompt cache.
    pub cache_write: u64,
    /// Price in US dollars, if known.
    pub cost_usd: Option<f64>,
    /// Where the price comes from.
    pub cost_basis: CostBasis,
}

/// What one report brings: appended at once, kept whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Whose it is.
    pub device: DeviceId,
    /// When the server took it in, by the server's clock.
    pub received_ms: Timestamp,
    /// For counting a report that is sent again once; `None`: always stored.
    pub origin: Option<Origin>,
    /// How often the device says it reports; `None`: learned from what arrives. Milliseconds.
    pub interval_ms: Option<u32>,
    /// Version of the agent.
    pub agent_version: Option<String>,
    /// What the device says of itself (`hostname`, `os`, …); merged over what was known.
    pub facts: Vec<(String, String)>,
    /// States (`gateway` → `running`), all there are; none: what was known stays.
    pub states: Vec<(String, String)>,
    /// The samples.
    pub rows: Rows,
    /// Token usage.
    pub usage: Vec<UsageEvent>,
    /// Log lines.
    pub logs: Vec<LogLine>,
}

impl Batch {
    /// One that says nothing but whose it is and when it came.
    pub fn new(device: DeviceId, received_ms: Timestamp) -> Batch {
        Batch {
            device,
            received_ms,
            origin: None,
            interval_ms: None,
            agent_version: None,
            facts: Vec::new(),
            states: Vec::new(),
            rows: Rows::default(),
            usage: Vec::new(),
            logs: Vec::new(),
        }
    }
}

/// What became of a batch that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// It had been stored before, and was not stored again.
    pub duplicate: bool,
    /// Columns left out because the device has too many metrics already.
    pub columns_refused: u32,
}

/// Called once, from the writer's thread, when a batch is on disk or could not be written. Must not block.
pub type Reply = Box<dyn FnOnce(Result<Receipt, Rejected>) + Send>;

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The queue is full: the disk does not keep up.
    #[error("the server is overloaded; send the report again in {retry_after_ms} ms")]
    Overloaded {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// Nothing can be written at present; the reason is for a person.
    #[error("the server cannot store at present: {reason}")]
    Unavailable {
        /// What is wrong.
        reason: String,
    },
    /// The device was deleted.
    #[error("the device no longer exists")]
    UnknownDevice,
}

/// A resolution at which samples are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Rows as they came.
    Raw,
    /// One row every five minutes.
    FiveMinutes,
    /// One row an hour.
    Hour,
}

impl Tier {
    /// Finest first.
    pub const ALL: [Tier; 3] = [Tier::Raw, Tier::FiveMinutes, Tier::Hour];

    /// Distance of two rows in milliseconds; 0 for raw.
    pub fn step_ms(self) -> i64 {
        match self {
            Tier::Raw => 0,
            Tier::FiveMinutes => 5 * 60 * 1000,
            Tier::Hour => 60 * 60 * 1000,
        }
    }

    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Raw => "raw",
            Tier::FiveMinutes => "5m",
            Tier::Hour => "1h",
        }
    }
}

/// A question for the history of some metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeQuery {
    /// Which devices; those that do not exist answer nothing.
    pub devices: Vec<DeviceId>,
    /// Names of metrics; one that ends in `*` means every metric that begins with what stands before it.
    pub metrics: Vec<String>,
    /// From when to when.
    pub range: TimeRange,
    /// How many points an answer should have at most.
    pub points: u32,
}

/// Which figures an answer needs of each step. What it does not need is not unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// `sum` of [`Bucket`].
    pub sum: bool,
    /// `min`.
    pub min: bool,
    /// `max`.
    pub max: bool,
    /// `last`.
    pub last: bool,
    /// `increase`, of counters.
    pub increase: bool,
}

impl Figures {
    /// Every field of [`Bucket`], also `first`.
    pub const ALL: Figures = Figures { sum: true, min: true, max: true, last: true, increase: true };
}

/// One value of a series in an answer: what happened within one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Number of samples; 0: nothing was stored, and the other fields mean nothing.
    pub count: u64,
    /// Sum of the samples.
    pub sum: f64,
    /// Smallest sample.
    pub min: f64,
    /// Largest sample.
    pub max: f64,
    /// Earliest sample.
    pub first: f64,
    /// Latest sample.
    pub last: f64,
    /// By how much a counter grew, from the sample before this step's first one on. Gauges: 0.
    pub increase: f64,
}

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Whose it is.
    pub device: DeviceId,
    /// The metric's name with its labels.
    pub metric: String,
    /// Gauge or counter.
    pub kind: Kind,
    /// One per time of the answer.
    pub buckets: Vec<Bucket>,
}

/// The answer to a [`RangeQuery`].
#[derive(Debug, Clone, PartialEq)]
pub struct RangeAnswer {
    /// The tier it was read from.
    pub tier: Tier,
    /// Distance of two times; 0 when these are the rows themselves.
    pub step_ms: i64,
    /// The times, ascending; with a step, the starts of the buckets.
    pub t_ms: Vec<Timestamp>,
    /// The series, by device and name.
    pub series: Vec<Series>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_across_words() {
        for (from, to) in [(0, 0), (0, 1), (3, 64), (63, 65), (64, 128), (5, 190)] {
            let mut words = [0; 3];
            set_bits(&mut words, from, to);
            let set: Vec<usize> = (0..192).filter(|i| words[i / 64] >> (i % 64) & 1 == 1).collect();
            assert_eq!(set, (from..to).collect::<Vec<_>>());
        }
    }
}
