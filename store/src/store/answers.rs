//! The store's face: what it is asked, and what it is told to keep otherwise.

use super::Store;
use crate::error::{Error, Result};
use crate::prices::Prices;
use crate::retention::Retention;
use crate::settings::Settings;
use crate::types::*;
use crate::usage::*;
use crate::views::*;
use crate::{chunk_table, gaps, read, tail};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Store {
    /// Answers a range query from the tier that suits it. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// `TooMuch` past the budget; database errors.
    pub fn query(&self, query: &RangeQuery) -> Result<RangeAnswer> {
        self.query_figures(query, Figures::ALL)
    }

    /// The same with some figures of each step only: [`Bucket::count`] and these are right, the others mean nothing.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub fn query_figures(&self, query: &RangeQuery, figures: Figures) -> Result<RangeAnswer> {
        read::answer(&self.shared, query, figures)
    }

    /// The gaps of some devices within a range.
    ///
    /// # Errors
    /// Database errors.
    pub fn gaps(&self, devices: &[DeviceId], range: TimeRange) -> Result<Vec<Gap>> {
        gaps::gaps(&self.shared, devices, range)
    }

    /// Log lines, newest first.
    ///
    /// # Errors
    /// Database errors.
    pub fn logs(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.counted(self.shared.meta.logs(query))
    }

    /// The lines that [`Store::logs`] would find, in groups that say the same; `limit` counts groups, the largest first.
    ///
    /// # Errors
    /// Database errors.
    pub fn log_groups(&self, query: &LogQuery) -> Result<LogGroups> {
        self.counted(self.shared.meta.log_groups(query))
    }

    fn counted<T>(&self, answer: Result<T>) -> Result<T> {
        if matches!(answer, Err(Error::SearchTooLong { .. })) {
            self.shared.queries_refused.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// How many lines at least as bad as `level` there are since `from_ms`.
    ///
    /// # Errors
    /// Database errors.
    pub fn count_logs(&self, level: Level, from_ms: Timestamp) -> Result<u64> {
        self.shared.meta.count_logs(level, from_ms)
    }

    /// How many lines at least as bad as `level` there are in each step of a range: of one device, or of all. The last
    /// step may reach past the range; what is there is not counted.
    ///
    /// # Errors
    /// Database errors.
    ///
    /// # Panics
    /// If `step_ms` is not above zero.
    pub fn count_logs_in_steps(
        &self,
        device: Option<DeviceId>,
        level: Level,
        range: TimeRange,
        step_ms: i64,
    ) -> Result<Vec<u64>> {
        assert!(step_ms > 0, "bug: lines are counted in steps of no length");
        self.shared.meta.count_logs_in_steps(device, level, range, step_ms)
    }

    /// Events, newest first.
    ///
    /// # Errors
    /// Database errors.
    pub fn events(&self, query: &EventQuery) -> Result<Page<Event>> {
        self.shared.meta.events(query)
    }

    /// Token usage added up, one row for each range and what else the question tells apart.
    ///
    /// # Errors
    /// `TooMuch` past [`USAGE_ROWS_MAX`] rows; database errors.
    pub fn usage(&self, query: &UsageQuery) -> Result<BTreeMap<UsageKey, UsageSum>> {
        self.shared.meta.usage(query)
    }

    /// What each device used in some days; the same days asked again cost nothing.
    ///
    /// # Errors
    /// Database errors.
    pub fn usage_overview(&self, days: &UsageDays) -> Result<HashMap<DeviceId, UsageOverview>> {
        self.shared.meta.usage_overview(days)
    }

    /// Start of the quarter of an hour of the oldest usage.
    ///
    /// # Errors
    /// Database errors.
    pub fn usage_since(&self) -> Result<Option<Timestamp>> {
        self.shared.meta.usage_since()
    }

    /// The models that were used, those with the most tokens first.
    ///
    /// # Errors
    /// Database errors.
    pub fn used_models(&self) -> Result<Vec<UsedModel>> {
        self.shared.meta.used_models()
    }

    /// The price table.
    pub fn prices(&self) -> Arc<Prices> {
        self.shared.meta.prices()
    }

    /// Replaces the price table, also for what was used before.
    ///
    /// # Errors
    /// Database errors.
    pub fn set_prices(&self, prices: Prices) -> Result<()> {
        self.shared.meta.set_prices(prices)
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.shared.settings()
    }

    /// How long everything is kept.
    pub fn retention(&self) -> Retention {
        self.shared.retention()
    }

    /// Keeps choices of settings by name (see [`crate::SETTINGS`]) and puts them in force; `None` takes one back.
    ///
    /// # Errors
    /// `Conflict` when the configuration gives one of them.
    pub fn choose_settings(&self, choices: &[(&'static str, Option<String>)], now: Timestamp) -> Result<()> {
        self.shared.choose_settings(choices)?;
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let detail = serde_json::json!({ "settings": names });
        self.remember_of(None, now, "settings_changed", detail)
    }

    /// What is on disk.
    pub fn storage(&self) -> StorageStats {
        let head_samples = self.shared.head.samples() as u64;
        let (tail_bytes, meta_bytes) = (tail::FILE.bytes(&self.dir), self.shared.meta.bytes());
        let tiers = self.shared.chunks.tiers();
        // These are only shown: an error of a database shows elsewhere.
        let (damaged_chunks, damaged_bytes) = self.shared.chunks.damaged().unwrap_or_default();
        StorageStats {
            tail_bytes,
            meta_bytes,
            log_bytes: self.shared.meta.log_bytes().unwrap_or_default(),
            log_oldest_ms: self.shared.meta.log_oldest_ms().unwrap_or_default(),
            total_bytes: tail_bytes + meta_bytes + chunk_table::FILE.bytes(&self.dir),
            head_samples,
            samples: head_samples + tiers.first().map_or(0, |raw| raw.samples),
            tiers,
            batches_refused: self.shared.refused.load(Ordering::Relaxed),
            columns_refused: self.shared.columns_refused.load(Ordering::Relaxed),
            queries_refused: self.shared.queries_refused.load(Ordering::Relaxed),
            damaged_chunks,
            damaged_bytes,
            damaged_groups: self.shared.damaged_groups,
        }
    }
}
