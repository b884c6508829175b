//! What reports bring beside samples: usage, logs; and the events made of them.

use super::Meta;
use super::forget::{LOG_LINE_BYTES, add_log_bytes};
use super::ledger::{add_to_overviews, add_usage};
use crate::error::Result;
use crate::registry::Happening;
use crate::types::{DeviceId, Level, LogLine, Timestamp, UsageEvent};
use crate::{Cursor, Event, EventQuery, LogEntry, LogQuery, Page};
use rusqlite::params;
use rusqlite::types::{ToSql, Value};

/// Events read at most to find the gaps of one device.
const EVENTS_AROUND_MAX: usize = 10_000;

/// What is to be recorded at once.
#[derive(Debug, Default)]
pub struct Record {
    /// The group of the tail it comes from; `None`: it does not come from a report.
    pub group: Option<i64>,
    pub logs: Vec<(DeviceId, LogLine)>,
    pub usage: Vec<(DeviceId, UsageEvent)>,
    pub happenings: Vec<Happening>,
}

impl Record {
    /// Nothing to be written down.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.usage.is_empty() && self.happenings.is_empty()
    }
}

impl Meta {
    /// Records it; `exists` is asked under the lock that a deletion takes too. Returns the log lines with their numbers.
    pub fn record(&self, record: &Record, exists: impl Fn(DeviceId) -> bool) -> Result<Vec<LogEntry>> {
        // Before the writer, and until the sums are added: see `usage_overview`.
        let mut overviews = self.overviews.lock();
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        let mut entries = Vec::new();
        let mut spent = Vec::new();
        for (device, line) in record.logs.iter().filter(|(d, _)| exists(*d)) {
            tx.prepare_cached(
                "INSERT INTO log (device, t_ms, level, source, message) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                device.0,
                line.t_ms,
                level_number(line.level),
                line.source,
                line.message
            ])?;
            entries.push(LogEntry { id: tx.last_insert_rowid(), device: *device, line: line.clone() });
        }
        let bytes: usize =
            entries.iter().map(|e| e.line.source.len() + e.line.message.len() + LOG_LINE_BYTES).sum();
        add_log_bytes(&tx, bytes as i64)?;
        for (device, usage) in record.usage.iter().filter(|(d, _)| exists(*d)) {
            if add_usage(&tx, *device, usage)? {
                spent.push((*device, usage));
            }
        }
        for happening in record.happenings.iter().filter(|h| h.device.is_none_or(&exists)) {
            tx.prepare_cached("INSERT INTO event (device, t_ms, kind, detail) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![
                    happening.device.map(|d| d.0),
                    happening.t_ms,
                    happening.kind,
                    happening.detail.to_string()
                ])?;
        }
        if let Some(group) = record.group {
            tx.prepare_cached("UPDATE state SET recorded_group = ?1")?.execute([group])?;
        }
        tx.commit()?;
        add_to_overviews(&mut overviews, &self.prices.load(), spent.into_iter());
        Ok(entries)
    }

    /// See [`crate::Store::logs`].
    pub fn logs(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        let mut filter = Filter::default();
        filter.add("device = ?", query.device.map(|d| i64::from(d.0)));
        filter.add("level >= ?", query.level.map(level_number));
        filter.add("message LIKE ? ESCAPE '\\'", query.text.as_deref().map(like_pattern));
        filter.span(query.from_ms, query.to_ms, query.before);
        let sql = format!(
            "SELECT id, device, t_ms, level, source, message FROM log {} ORDER BY t_ms DESC, id DESC LIMIT ?",
            filter.sql()
        );
        self.page(&sql, filter, query.limit, |row| {
            let line = LogLine {
                t_ms: row.get(2)?,
                level: level_of(row.get(3)?),
                source: row.get(4)?,
                message: row.get(5)?,
            };
            let cursor = Cursor { t_ms: line.t_ms, id: row.get(0)? };
            Ok((cursor, LogEntry { id: cursor.id, device: DeviceId(row.get(1)?), line }))
        })
    }

    /// See [`crate::Store::count_logs`].
    pub fn count_logs(&self, level: Level, from_ms: Timestamp) -> Result<u64> {
        self.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT count(*) FROM log WHERE t_ms >= ?1 AND level >= ?2")?;
            Ok(statement.query_row(params![from_ms, level_number(level)], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    /// See [`crate::Store::events`].
    pub fn events(&self, query: &EventQuery) -> Result<Page<Event>> {
        let mut filter = Filter::default();
        filter.add("device = ?", query.device.map(|d| i64::from(d.0)));
        filter.span(query.from_ms, query.to_ms, query.before);
        let sql = format!(
            "SELECT id, device, t_ms, kind, detail FROM event {} ORDER BY t_ms DESC, id DESC LIMIT ?",
            filter.sql()
        );
        self.page(&sql, filter, query.limit, |row| {
            let cursor = Cursor { t_ms: row.get(2)?, id: row.get(0)? };
            let event = Event {
                id: cursor.id,
                device: row.get::<_, Option<u32>>(1)?.map(DeviceId),
                t_ms: cursor.t_ms,
                kind: row.get(3)?,
                detail: serde_json::from_str(row.get_ref(4)?.as_str()?).unwrap_or_default(),
            };
            Ok((cursor, event))
        })
    }

    /// Events of some kinds of a device, or of the server when `None`: from the newest one not after `from_ms` on,
    /// oldest first, at most [`EVENTS_AROUND_MAX`]. It goes on past any end, because an outage is told by the event
    /// after it.
    pub fn events_from(
        &self,
        device: Option<DeviceId>,
        kinds: &[&str],
        from_ms: Timestamp,
    ) -> Result<Vec<Event>> {
        let wanted = kinds.iter().map(|k| format!("'{k}'")).collect::<Vec<_>>().join(",");
        let sql = format!(
            "SELECT id, t_ms, kind, detail FROM event WHERE device IS ?1 AND kind IN ({wanted})
             AND t_ms >= coalesce((SELECT max(t_ms) FROM event
                                   WHERE device IS ?1 AND kind IN ({wanted}) AND t_ms <= ?2), ?2)
             ORDER BY t_ms, id LIMIT {EVENTS_AROUND_MAX}"
        );
        self.read(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map(params![device.map(|d| d.0), from_ms], |row| {
                Ok(Event {
                    id: row.get(0)?,
                    device,
                    t_ms: row.get(1)?,
                    kind: row.get(2)?,
                    detail: serde_json::from_str(row.get_ref(3)?.as_str()?).unwrap_or_default(),
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })
    }

    fn page<T>(
        &self,
        sql: &str,
        filter: Filter,
        limit: u32,
        entry: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<(Cursor, T)>,
    ) -> Result<Page<T>> {
        let limit = limit as usize;
        let mut values = filter.values;
        // One more than asked: it tells whether there is a next page.
        values.push(Value::Integer(limit as i64 + 1));
        self.read(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let parameters: Vec<&dyn ToSql> = values.iter().map(|v| v as &dyn ToSql).collect();
            let rows = statement.query_map(parameters.as_slice(), |row| entry(row))?;
            let mut found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let more = found.len() > limit;
            found.truncate(limit);
            let next = if more { found.last().map(|f| f.0) } else { None };
            Ok(Page { entries: found.into_iter().map(|f| f.1).collect(), next })
        })
    }
}

/// Conditions with their values. The texts are ours; what comes from outside is only ever bound.
#[derive(Default)]
struct Filter {
    conditions: Vec<&'static str>,
    values: Vec<Value>,
}

impl Filter {
    fn add(&mut self, condition: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.conditions.push(condition);
            self.values.push(value.into());
        }
    }

    fn span(&mut self, from: Option<Timestamp>, to: Option<Timestamp>, before: Option<Cursor>) {
        self.add("t_ms >= ?", from);
        self.add("t_ms < ?", to);
        if let Some(before) = before {
            self.conditions.push("(t_ms, id) < (?, ?)");
            self.values.extend([Value::Integer(before.t_ms), Value::Integer(before.id)]);
        }
    }

    fn sql(&self) -> String {
        if self.conditions.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.conditions.join(" AND "))
        }
    }
}

fn like_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn level_number(level: Level) -> i64 {
    level as i64
}

fn level_of(number: i64) -> Level {
    match number {
        0 => Level::Debug,
        1 => Level::Info,
        2 => Level::Warn,
        3 => Level::Error,
        _ => Level::Fatal,
    }
}
