//! What reports bring beside samples: usage, logs; and the events made of them.

use super::filled::add_filled;
use super::ledger::{add_to_overviews, add_usage};
use super::logs::add_logs;
use super::pages::Filter;
use super::{Meta, View};
use crate::activity::DAY_EVENTS_MAX;
use crate::error::Result;
use crate::filled::Filled;
use crate::registry::Happening;
use crate::types::{DeviceId, LogLine, Timestamp, UsageEvent};
use crate::{Cursor, Event, EventQuery, LogEntry, Page};
use rusqlite::params;

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
    pub filled: Vec<Filled>,
}

impl Record {
    /// Nothing to be written down.
    pub fn is_empty(&self) -> bool {
        self.is_of_the_past() && self.filled.is_empty()
    }

    /// Nothing but ranges that were filled in: nobody waits to see them.
    pub fn is_of_the_past(&self) -> bool {
        self.logs.is_empty() && self.usage.is_empty() && self.happenings.is_empty()
    }

    /// About how many bytes it takes to write it down.
    pub fn bytes(&self) -> usize {
        const EACH: usize = 128;
        let things = self.logs.len() + self.usage.len() + self.happenings.len() + self.filled.len();
        things * EACH + self.logs.iter().map(|(_, line)| line.message.len()).sum::<usize>()
    }

    /// Adds what is to be recorded after it, so that both take one commit.
    pub fn append(&mut self, mut later: Record) {
        self.group = later.group.or(self.group);
        self.logs.append(&mut later.logs);
        self.usage.append(&mut later.usage);
        self.happenings.append(&mut later.happenings);
        for filled in later.filled {
            if !self.filled.iter_mut().rev().any(|before| before.join(&filled)) {
                self.filled.push(filled);
            }
        }
    }
}

impl Meta {
    /// Records it; `exists` is asked under the lock that a deletion takes too. Returns the log lines with their numbers.
    pub fn record(&self, record: &Record, exists: impl Fn(DeviceId) -> bool) -> Result<Vec<LogEntry>> {
        // Before the writer, and until the sums are added: see `usage_overview`.
        let mut overviews = self.overviews.lock();
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        let lines = record.logs.iter().filter(|(device, _)| exists(*device));
        let entries = add_logs(&tx, lines.map(|(device, line)| (*device, line)))?;
        let mut spent = Vec::new();
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
        for filled in record.filled.iter().filter(|filled| exists(filled.device)) {
            add_filled(&tx, filled)?;
        }
        if let Some(group) = record.group {
            tx.prepare_cached("UPDATE state SET recorded_group = ?1")?.execute([group])?;
        }
        tx.commit()?;
        add_to_overviews(&mut overviews, &self.prices.load(), spent.into_iter());
        Ok(entries)
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
        self.page(&sql, filter.values(), query.limit, |row| {
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

    /// What changed the states of devices since a time, and the server's starts, oldest first; at most the newest
    /// [`DAY_EVENTS_MAX`].
    pub fn state_events(&self, from_ms: Timestamp) -> Result<Vec<Event>> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT id, device, t_ms, kind, detail FROM event WHERE t_ms >= ?1
                 AND kind IN ('online', 'offline', 'degraded', 'recovered', 'server_start')
                 ORDER BY t_ms DESC, id DESC LIMIT ?2",
            )?;
            let rows = statement.query_map(params![from_ms, DAY_EVENTS_MAX], |row| {
                Ok(Event {
                    id: row.get(0)?,
                    device: row.get::<_, Option<u32>>(1)?.map(DeviceId),
                    t_ms: row.get(2)?,
                    kind: row.get(3)?,
                    detail: serde_json::from_str(row.get_ref(4)?.as_str()?).unwrap_or_default(),
                })
            })?;
            let mut events = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            events.reverse();
            Ok(events)
        })
    }
}

impl View<'_> {
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
        let mut statement = self.0.prepare_cached(&sql)?;
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_take_one_commit_leave_what_each_would() {
        let line = |message: &str| {
            let message = message.to_string();
            (
                DeviceId(1),
                crate::LogLine { t_ms: 1, level: crate::Level::Warn, source: "gateway".into(), message },
            )
        };
        let filled = |device, start| crate::filled::Filled {
            device: DeviceId(device),
            range: crate::TimeRange::new(start, start + 10).unwrap(),
            rows: 1,
            slack_ms: 5,
            from_received_ms: start,
            received_ms: start,
        };
        let mut record = Record {
            group: Some(7),
            logs: vec![line("first")],
            filled: vec![filled(1, 0), filled(2, 0)],
            ..Record::default()
        };
        record.append(Record {
            logs: vec![line("second")],
            filled: vec![filled(2, 10)],
            ..Record::default()
        });
        assert_eq!(record.group, Some(7), "what comes from no report leaves the number as it is");
        record.append(Record { group: Some(9), filled: vec![filled(1, 40)], ..Record::default() });
        assert_eq!(record.group, Some(9));
        assert_eq!(record.logs, [line("first"), line("second")]);
        let ranges: Vec<(u32, i64, i64, u64)> =
            record.filled.iter().map(|f| (f.device.0, f.range.start(), f.range.end(), f.rows)).collect();
        assert_eq!(ranges, [(1, 0, 10, 1), (2, 0, 20, 2), (1, 40, 50, 1)]);
        assert_eq!(record.bytes(), 5 * 128 + "first".len() + "second".len());
    }
}
