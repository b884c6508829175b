//! The ledger of token usage: every event once, its sums by quarter of an hour and by day UTC.
//!
//! A range is read from the days it holds whole, and from the slots at its ends. Sums of events that came without a
//! price are kept apart, so that they can be priced anew at any time: prices change at midnight UTC only, which is
//! always between two slots.

use super::Meta;
use crate::error::{Error, Result};
use crate::prices::{PRICE_DAY_MS, Price, Priced, Prices, TokenPrices, Tokens};
use crate::types::{CostBasis, DeviceId, TimeRange, Timestamp, UsageEvent};
use crate::usage::{
    Cost, USAGE_ROWS_MAX, USAGE_SLOT_MS, USAGE_TOKENS_MAX, UsageDays, UsageKey, UsageOverview, UsageQuery,
    UsageSum, UsedModel,
};
use rusqlite::{Connection, Row, params};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Zones whose overview is kept up to date.
const OVERVIEWS_MAX: usize = 8;

/// Models told by [`Meta::used_models`] at most.
const MODELS_MAX: u32 = 1_000;

/// The devices' usage in some days, kept up to date by whoever records.
#[derive(Debug, Clone)]
pub struct Overview {
    days: UsageDays,
    devices: HashMap<DeviceId, UsageOverview>,
}

/// Counts a usage event once; `false`: it was there already.
pub fn add_usage(tx: &Connection, device: DeviceId, usage: &UsageEvent) -> Result<bool> {
    let tokens = tokens_of(usage);
    let number = |n: u64| n as i64;
    let (input, output) = (number(tokens.input), number(tokens.output));
    let (cache_read, cache_write) = (number(tokens.cache_read), number(tokens.cache_write));
    let added = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO usage_event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            device.0,
            usage.event_id,
            usage.t_ms,
            usage.agent,
            usage.provider,
            usage.model,
            input,
            output,
            cache_read,
            cache_write,
            usage.cost_usd,
            usage.cost_basis.as_str()
        ])?;
    if added == 0 {
        return Ok(false);
    }
    let reported = reported_usd(usage);
    let open = |n: i64| if reported.is_none() { n } else { 0 };
    for (table, step_ms) in [("usage_slot", USAGE_SLOT_MS), ("usage_day", PRICE_DAY_MS)] {
        // The schema's migration counts in the same way.
        let sql = format!(
            "INSERT INTO {table} VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT DO UPDATE SET messages = messages + 1, input = input + ?6, output = output + ?7,
             cache_read = cache_read + ?8, cache_write = cache_write + ?9, reported_usd = reported_usd + ?10,
             open_input = open_input + ?11, open_output = open_output + ?12,
             open_cache_read = open_cache_read + ?13, open_cache_write = open_cache_write + ?14"
        );
        tx.prepare_cached(&sql)?.execute(params![
            usage.t_ms - usage.t_ms.rem_euclid(step_ms),
            device.0,
            usage.agent,
            usage.provider,
            usage.model,
            input,
            output,
            cache_read,
            cache_write,
            reported.unwrap_or(0.0),
            open(input),
            open(output),
            open(cache_read),
            open(cache_write),
        ])?;
    }
    Ok(true)
}

fn tokens_of(usage: &UsageEvent) -> Tokens {
    Tokens {
        input: usage.input.min(USAGE_TOKENS_MAX),
        output: usage.output.min(USAGE_TOKENS_MAX),
        cache_read: usage.cache_read.min(USAGE_TOKENS_MAX),
        cache_write: usage.cache_write.min(USAGE_TOKENS_MAX),
    }
}

/// What counts as reported. A price that the device computed itself would not follow this server's table.
fn reported_usd(usage: &UsageEvent) -> Option<f64> {
    usage.cost_usd.filter(|_| usage.cost_basis == CostBasis::Reported)
}

/// One event as the sums take it in.
pub fn sum_of(usage: &UsageEvent, prices: &Prices) -> UsageSum {
    let tokens = tokens_of(usage);
    let cost = match reported_usd(usage) {
        Some(usd) => Cost { reported_usd: usd, ..Cost::default() },
        None => prices.at(&usage.provider, &usage.model, usage.t_ms).cost(&tokens),
    };
    UsageSum { messages: 1, tokens, cost }
}

/// A table of sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sums {
    Slots,
    Days,
}

/// The parts of a range by the table they are read from, cut where prices may change: at midnights UTC.
fn pieces(range: TimeRange, cuts: &[Timestamp]) -> Vec<(Sums, TimeRange)> {
    let mut pieces = Vec::new();
    let mut add = |sums, start, end| pieces.extend(TimeRange::new(start, end).map(|range| (sums, range)));
    let mut start = range.start();
    for end in cuts.iter().copied().filter(|cut| range.contains(*cut)).chain([range.end()]) {
        let first = start + (-start).rem_euclid(PRICE_DAY_MS);
        let last = end - end.rem_euclid(PRICE_DAY_MS);
        if first < last {
            add(Sums::Slots, start, first);
            add(Sums::Days, first, last);
            add(Sums::Slots, last, end);
        } else {
            add(Sums::Slots, start, end);
        }
        start = end;
    }
    pieces
}

impl Meta {
    /// See [`crate::Store::usage`].
    pub fn usage(&self, query: &UsageQuery) -> Result<BTreeMap<UsageKey, UsageSum>> {
        let prices = self.prices();
        // What is recorded meanwhile is in all ranges or in none.
        self.readers.snapshot(|db| {
            let mut rows = BTreeMap::new();
            for (at, range) in query.ranges.iter().enumerate() {
                add_range(db, &prices, query, at, *range, &mut rows)?;
            }
            Ok(rows)
        })
    }

    /// See [`crate::Store::usage_overview`].
    pub fn usage_overview(&self, days: &UsageDays) -> Result<HashMap<DeviceId, UsageOverview>> {
        // Held while it is read: what is recorded meanwhile is added to it afterwards, and not also read.
        let mut overviews = self.overviews.lock();
        if let Some(at) = overviews.iter().position(|o| o.days == *days) {
            // The last used one is the last to go.
            let overview = overviews.remove(at);
            overviews.insert(0, overview.clone());
            return Ok(overview.devices);
        }
        let query = UsageQuery {
            ranges: vec![days.today, days.yesterday, days.month, TimeRange::ALL],
            by_device: true,
            ..UsageQuery::default()
        };
        let mut devices: HashMap<DeviceId, UsageOverview> = HashMap::new();
        for (key, sum) in self.usage(&query)? {
            let Some(device) = key.device else { continue };
            let overview = devices.entry(device).or_default();
            *[&mut overview.today, &mut overview.yesterday, &mut overview.month, &mut overview.total]
                [key.range] = sum;
        }
        overviews.insert(0, Overview { days: *days, devices: devices.clone() });
        overviews.truncate(OVERVIEWS_MAX);
        Ok(devices)
    }

    /// See [`crate::Store::usage_since`].
    pub fn usage_since(&self) -> Result<Option<Timestamp>> {
        self.read(|db| Ok(db.query_row("SELECT min(t_ms) FROM usage_slot", [], |row| row.get(0))?))
    }

    /// See [`crate::Store::used_models`].
    pub fn used_models(&self) -> Result<Vec<UsedModel>> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT provider, model, sum(input + output + cache_read + cache_write),
                 sum(open_input + open_output + open_cache_read + open_cache_write), max(t_ms)
                 FROM usage_day GROUP BY provider, model ORDER BY 3 DESC, 1, 2 LIMIT ?1",
            )?;
            let models = statement.query_map([MODELS_MAX], |row| {
                Ok(UsedModel {
                    provider: row.get(0)?,
                    model: row.get(1)?,
                    tokens: row.get::<_, i64>(2)? as u64,
                    unreported_tokens: row.get::<_, i64>(3)? as u64,
                    last_day_ms: row.get(4)?,
                })
            })?;
            Ok(models.collect::<rusqlite::Result<Vec<_>>>()?)
        })
    }

    /// The price table.
    pub fn prices(&self) -> Arc<Prices> {
        self.prices.load_full()
    }

    /// Replaces the price table; what was not reported is priced by it from now on.
    pub fn set_prices(&self, prices: Prices) -> Result<()> {
        // Nobody may read sums of one table and add those of another.
        let mut overviews = self.overviews.lock();
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        tx.execute("DELETE FROM price", [])?;
        let default = prices.default.map(|prices| (None, prices));
        let entries = prices.entries.iter().map(|entry| (Some(entry), entry.prices));
        for (entry, prices) in default.into_iter().chain(entries) {
            tx.prepare_cached("INSERT INTO price VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
                entry.map(|entry| &entry.provider),
                entry.map(|entry| &entry.model),
                entry.map(|entry| entry.from_ms),
                prices.input,
                prices.output,
                prices.cache_read,
                prices.cache_write
            ])?;
        }
        tx.commit()?;
        self.prices.store(Arc::new(prices));
        overviews.clear();
        Ok(())
    }
}

/// The price table as it is kept.
pub fn load_prices(db: &Connection) -> Result<Prices> {
    let mut statement = db.prepare("SELECT * FROM price")?;
    let rows = statement.query_map([], |row| {
        let prices = TokenPrices {
            input: row.get(3)?,
            output: row.get(4)?,
            cache_read: row.get(5)?,
            cache_write: row.get(6)?,
        };
        let entry = match (row.get(0)?, row.get(1)?, row.get(2)?) {
            (Some(provider), Some(model), Some(from_ms)) => Some(Price { provider, model, from_ms, prices }),
            _ => None,
        };
        Ok((entry, prices))
    })?;
    let mut prices = Prices { entries: Vec::new(), default: None };
    for row in rows {
        match row? {
            (Some(entry), _) => prices.entries.push(entry),
            (None, default) => prices.default = Some(default),
        }
    }
    Ok(prices)
}

fn add_range(
    db: &Connection,
    prices: &Prices,
    query: &UsageQuery,
    at: usize,
    range: TimeRange,
    rows: &mut BTreeMap<UsageKey, UsageSum>,
) -> Result<()> {
    let cuts = prices.changes_within(range.start(), range.end());
    for (sums, piece) in pieces(range, &cuts) {
        let mut statement = db.prepare_cached(&sql(query, sums))?;
        let devices: Vec<u32> = query.devices.iter().map(|d| d.0).collect();
        let list = |list: &[String]| serde_json::Value::from(list).to_string();
        let mut found = statement.query(params![
            piece.start(),
            piece.end(),
            serde_json::Value::from(devices).to_string(),
            list(&query.agents),
            list(&query.providers),
            list(&query.models)
        ])?;
        while let Some(row) = found.next()? {
            let (provider, model): (String, String) = (row.get(2)?, row.get(3)?);
            let sum = sum_of_row(row, prices.at(&provider, &model, piece.start()))?;
            let key = UsageKey {
                range: at,
                device: if query.by_device { Some(DeviceId(row.get(0)?)) } else { None },
                agent: if query.by_agent { Some(row.get(1)?) } else { None },
                provider: query.by_provider.then_some(provider),
                model: query.by_model.then_some(model),
            };
            rows.entry(key).or_default().add(&sum);
            if rows.len() > USAGE_ROWS_MAX {
                return Err(Error::TooMuch { limit: USAGE_ROWS_MAX });
            }
        }
    }
    Ok(())
}

fn sql(query: &UsageQuery, sums: Sums) -> String {
    let table = match sums {
        Sums::Slots => "usage_slot",
        Sums::Days => "usage_day",
    };
    let column = |wanted, name: &'static str| if wanted { name } else { "NULL" };
    let filter = |empty: bool, column, parameter| {
        if empty {
            // Still bound, so that the parameters have their places.
            format!("AND ?{parameter} IS NOT NULL")
        } else {
            format!("AND {column} IN (SELECT value FROM json_each(?{parameter}))")
        }
    };
    let filters = [
        filter(query.devices.is_empty(), "device", 3),
        filter(query.agents.is_empty(), "agent", 4),
        filter(query.providers.is_empty(), "provider", 5),
        filter(query.models.is_empty(), "model", 6),
    ];
    // Provider and model always: the price depends on them.
    format!(
        "SELECT {}, {}, provider, model, sum(messages), sum(input), sum(output), sum(cache_read), sum(cache_write),
         sum(reported_usd), sum(open_input), sum(open_output), sum(open_cache_read), sum(open_cache_write)
         FROM {table} WHERE t_ms >= ?1 AND t_ms < ?2 {} GROUP BY 1, 2, 3, 4",
        column(query.by_device, "device"),
        column(query.by_agent, "agent"),
        filters.join(" ")
    )
}

fn sum_of_row(row: &Row<'_>, priced: Priced<'_>) -> rusqlite::Result<UsageSum> {
    let number = |at: usize| row.get::<_, i64>(at).map(|n| n as u64);
    let tokens = |at: usize| -> rusqlite::Result<Tokens> {
        Ok(Tokens {
            input: number(at)?,
            output: number(at + 1)?,
            cache_read: number(at + 2)?,
            cache_write: number(at + 3)?,
        })
    };
    let mut cost = priced.cost(&tokens(10)?);
    cost.reported_usd = row.get(9)?;
    Ok(UsageSum { messages: number(4)?, tokens: tokens(5)?, cost })
}

/// Adds what was recorded to the overviews, which [`Meta::usage_overview`] filled before it.
pub fn add_to_overviews<'a>(
    overviews: &mut [Overview],
    prices: &Prices,
    added: impl Iterator<Item = (DeviceId, &'a UsageEvent)>,
) {
    for (device, usage) in added {
        let sum = sum_of(usage, prices);
        for overview in overviews.iter_mut() {
            overview.devices.entry(device).or_default().add_at(&overview.days, usage.t_ms, &sum);
        }
    }
}

/// A deleted device leaves the overviews as well.
pub fn forget_in_overviews(overviews: &mut [Overview], device: DeviceId) {
    for overview in overviews {
        overview.devices.remove(&device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = PRICE_DAY_MS;
    const HOUR: i64 = 3_600_000;

    #[track_caller]
    fn check(start_h: i64, end_h: i64, cuts: &[i64], expected: &str) {
        let cuts: Vec<i64> = cuts.iter().map(|day| day * DAY).collect();
        let range = TimeRange::new(start_h * HOUR, end_h * HOUR).unwrap();
        let piece = |(sums, range): &(Sums, TimeRange)| {
            let name = if *sums == Sums::Days { "days" } else { "slots" };
            format!("{name} {}..{}", range.start() / HOUR, range.end() / HOUR)
        };
        let found: Vec<String> = pieces(range, &cuts).iter().map(piece).collect();
        assert_eq!(found.join(", "), expected);
    }

    #[test]
    fn a_range_is_read_from_whole_days_and_the_slots_at_its_ends() {
        check(0, 48, &[], "days 0..48");
        check(1, 23, &[], "slots 1..23");
        check(22, 26, &[], "slots 22..26");
        check(23, 73, &[], "slots 23..24, days 24..72, slots 72..73");
        check(-25, 24, &[], "slots -25..-24, days -24..24");
    }

    #[test]
    fn a_range_is_cut_where_prices_change() {
        check(22, 26, &[1], "slots 22..24, slots 24..26");
        check(0, 96, &[1, 3], "days 0..24, days 24..72, days 72..96");
        check(0, 24, &[0, 1, 2], "days 0..24");
    }
}
