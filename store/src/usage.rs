//! What is asked of the ledger of token usage, and what it answers.

use crate::prices::Tokens;
use crate::types::{DeviceId, TimeRange, Timestamp};

/// Length of a usage slot, milliseconds. Every zone's offset is a multiple of it, so the sums of slots are the sums of
/// days in every zone.
pub const USAGE_SLOT_MS: i64 = 15 * 60 * 1000;

/// Tokens of one kind in one message at most; what claims more counts as so many. Far past any model's, and sums of them
/// stay below 2^63, where SQLite has no whole numbers any more: hundreds of millions of such messages.
pub const USAGE_TOKENS_MAX: u64 = 10_000_000_000;

/// Rows of one answer at most.
pub const USAGE_ROWS_MAX: usize = 100_000;

/// What something cost, US dollars, by what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// As OpenClaw reported it.
    pub reported_usd: f64,
    /// Computed from an entry of the price table.
    pub price_table_usd: f64,
    /// Computed from the default price.
    pub default_usd: f64,
    /// Tokens of which nobody knows the price; they cost nothing here.
    pub unknown_tokens: u64,
}

impl Cost {
    /// All that is known.
    pub fn usd(&self) -> f64 {
        self.reported_usd + self.price_table_usd + self.default_usd
    }

    /// Adds another.
    pub fn add(&mut self, other: &Cost) {
        self.reported_usd += other.reported_usd;
        self.price_table_usd += other.price_table_usd;
        self.default_usd += other.default_usd;
        self.unknown_tokens = self.unknown_tokens.saturating_add(other.unknown_tokens);
    }
}

/// Token usage added up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UsageSum {
    /// Assistant messages.
    pub messages: u64,
    /// Tokens by kind.
    pub tokens: Tokens,
    /// What they cost.
    pub cost: Cost,
}

impl UsageSum {
    /// Adds another.
    pub fn add(&mut self, other: &UsageSum) {
        self.messages = self.messages.saturating_add(other.messages);
        self.tokens.add(&other.tokens);
        self.cost.add(&other.cost);
    }
}

/// A question to the ledger. The ends of every range must be multiples of [`USAGE_SLOT_MS`].
#[derive(Debug, Clone, Default)]
pub struct UsageQuery {
    /// One row or more each: the days of a zone, or one range of everything.
    pub ranges: Vec<TimeRange>,
    /// One row for each device.
    pub by_device: bool,
    /// One row for each OpenClaw agent.
    pub by_agent: bool,
    /// One row for each provider.
    pub by_provider: bool,
    /// One row for each model.
    pub by_model: bool,
    /// Only these; all when empty.
    pub devices: Vec<DeviceId>,
    /// Only these; all when empty.
    pub agents: Vec<String>,
    /// Only these; all when empty.
    pub providers: Vec<String>,
    /// Only these; all when empty.
    pub models: Vec<String>,
}

/// What a row of the answer is about; `None` where rows are not told apart by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageKey {
    /// Which range of the question.
    pub range: usize,
    /// The device.
    pub device: Option<DeviceId>,
    /// OpenClaw's agent.
    pub agent: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
}

/// The ranges of an overview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageDays {
    /// The day it is in somebody's zone.
    pub today: TimeRange,
    /// The day before.
    pub yesterday: TimeRange,
    /// The month it is.
    pub month: TimeRange,
}

/// A device's usage in an overview.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UsageOverview {
    /// See [`UsageDays`].
    pub today: UsageSum,
    /// See [`UsageDays`].
    pub yesterday: UsageSum,
    /// See [`UsageDays`].
    pub month: UsageSum,
    /// Of all time.
    pub total: UsageSum,
}

impl UsageOverview {
    /// Adds another device's.
    pub fn add(&mut self, other: &UsageOverview) {
        self.today.add(&other.today);
        self.yesterday.add(&other.yesterday);
        self.month.add(&other.month);
        self.total.add(&other.total);
    }

    /// Adds what happened at a time.
    pub fn add_at(&mut self, days: &UsageDays, t: Timestamp, sum: &UsageSum) {
        let spans = [
            (days.today, &mut self.today),
            (days.yesterday, &mut self.yesterday),
            (days.month, &mut self.month),
        ];
        for (range, total) in spans {
            if range.contains(t) {
                total.add(sum);
            }
        }
        self.total.add(sum);
    }
}

/// A model that was used, and how much of it came without a price.
#[derive(Debug, Clone, PartialEq)]
pub struct UsedModel {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// All its tokens.
    pub tokens: u64,
    /// Those that OpenClaw reported no cost for.
    pub unreported_tokens: u64,
    /// When it was last used: the start of that day, UTC.
    pub last_day_ms: Timestamp,
}
