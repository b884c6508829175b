//! How long things are kept.

use crate::types::{Tier, Timestamp};

/// A day, milliseconds.
pub const DAY_MS: i64 = 24 * 3_600_000;

/// How long one kind of thing is kept: until one of both is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// What is older goes, milliseconds.
    pub age_ms: i64,
    /// While it takes more, the oldest goes; `None`: no bound.
    pub bytes: Option<u64>,
}

impl Keep {
    /// So many days, whatever they take.
    pub const fn days(days: i64) -> Keep {
        Keep { age_ms: days * DAY_MS, bytes: None }
    }

    /// What is before this is too old.
    pub fn from_ms(&self, now: Timestamp) -> Timestamp {
        now.saturating_sub(self.age_ms)
    }
}

/// How long everything is kept. Usage is kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Rows as they came. Older ones should not be taken in: rollups of what is gone are not made again.
    pub raw: Keep,
    /// Rows of five minutes.
    pub five_minutes: Keep,
    /// Rows of an hour.
    pub hour: Keep,
    /// Log lines; their bytes are twice those of the text and 128 a line, which is what they take with their indexes.
    pub logs: Keep,
    /// Events; `bytes` is of no meaning.
    pub events: Keep,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            raw: Keep::days(30),
            five_minutes: Keep::days(400),
            hour: Keep::days(5 * 365),
            logs: Keep::days(90),
            events: Keep::days(5 * 365),
        }
    }
}

impl Retention {
    /// How long a tier is kept.
    pub fn tier(&self, tier: Tier) -> Keep {
        match tier {
            Tier::Raw => self.raw,
            Tier::FiveMinutes => self.five_minutes,
            Tier::Hour => self.hour,
        }
    }
}
