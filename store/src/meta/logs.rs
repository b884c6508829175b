//! Log lines: kept with the template they share with others, found by text.
//!
//! A text of three letters or more is looked up in an index of all sequences of three letters (trigrams), which knows
//! Chinese as well as English, and then compared with the lines it may be in. A text that is in many lines is found
//! sooner by looking through the newest ones, so that is tried first; one of one or two letters is found no other way.

use super::Meta;
use super::forget::add_log_bytes;
use super::pages::{Filter, page};
use crate::error::Result;
use crate::template::{fingerprint, template};
use crate::types::{DeviceId, Level, LogLine, TimeRange, Timestamp};
use crate::{Cursor, LogEntry, LogGroup, LogGroups, LogQuery, Page};
use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeSet;

/// Lines looked through before the index is asked.
const LOOK_FIRST: u32 = 5_000;

/// Trigrams asked of the index; the others of a long text would leave out little more.
const TRIGRAMS_MAX: usize = 40;

/// Devices told of each group; how many there are is told beside them.
const GROUP_DEVICES_MAX: u32 = 20;

/// Lines given their template in one transaction, when they are of an earlier version.
const OLDER_LINES: u32 = 10_000;

/// What is kept of a line counts so many bytes: its texts in the row and, cut into trigrams, in the index of texts; and
/// what the row and its places in three more indexes take beside. Measured with lines of 74 bytes: 284 of the file.
/// The schema's last step has the same numbers.
pub fn bytes_of(source_bytes: i64, message_bytes: i64) -> i64 {
    2 * (source_bytes + message_bytes) + 128
}

/// Adds lines within a transaction; returns them with their numbers.
pub fn add_logs<'a>(
    tx: &Connection,
    lines: impl Iterator<Item = (DeviceId, &'a LogLine)>,
) -> Result<Vec<LogEntry>> {
    let mut entries = Vec::new();
    let mut bytes = 0;
    for (device, line) in lines {
        let group = add_template(tx, &line.source, &line.message)?;
        let id = tx
            .prepare_cached(
                "INSERT INTO log (device, t_ms, level, source, message, template)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id",
            )?
            .query_row(
                params![device.0, line.t_ms, level_number(line.level), line.source, line.message, group],
                |row| row.get(0),
            )?;
        bytes += bytes_of(line.source.len() as i64, line.message.len() as i64);
        entries.push(LogEntry { id, device, group, line: line.clone() });
    }
    add_log_bytes(tx, bytes)?;
    Ok(entries)
}

fn add_template(tx: &Connection, source: &str, message: &str) -> Result<i64> {
    let template = template(message);
    let group = fingerprint(source, &template);
    tx.prepare_cached("INSERT OR IGNORE INTO log_template VALUES (?1, ?2, ?3)")?
        .execute(params![group, source, template])?;
    Ok(group)
}

/// Gives the lines of an earlier version their template, some at a time, so that a stop in between costs little.
pub fn complete_older(db: &mut Connection) -> Result<()> {
    loop {
        let tx = db.transaction()?;
        let lines: Vec<(i64, String, String)> = tx
            .prepare_cached("SELECT id, source, message FROM log WHERE template = 0 LIMIT ?1")?
            .query_map([OLDER_LINES], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        if lines.is_empty() {
            return Ok(());
        }
        for (id, source, message) in &lines {
            let group = add_template(&tx, source, message)?;
            tx.prepare_cached("UPDATE log SET template = ?2 WHERE id = ?1")?.execute(params![id, group])?;
        }
        tx.commit()?;
    }
}

/// Forgets the templates that no line has any more.
pub fn forget_templates(db: &Connection) -> Result<()> {
    let sql =
        "DELETE FROM log_template WHERE NOT EXISTS (SELECT 1 FROM log WHERE template = log_template.id)";
    db.prepare_cached(sql)?.execute([])?;
    Ok(())
}

const COLUMNS: &str = "id, device, t_ms, level, source, message, template";

impl Meta {
    /// See [`crate::Store::logs`].
    pub fn logs(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        let filter = filter(query);
        let newest = format!("FROM log {} ORDER BY t_ms DESC, id DESC LIMIT", filter.sql());
        let Some(text) = query.text.as_deref().filter(|text| !text.is_empty()) else {
            return self.page(&format!("SELECT {COLUMNS} {newest} ?"), filter.values(), query.limit, entry);
        };
        let like = Value::Text(like_pattern(text));
        let Some(trigrams) = trigrams(text) else {
            let mut filter = filter;
            filter.add("message LIKE ? ESCAPE '\\'", Some(like));
            let sql =
                format!("SELECT {COLUMNS} FROM log {} ORDER BY t_ms DESC, id DESC LIMIT ?", filter.sql());
            return self.page(&sql, filter.values(), query.limit, entry);
        };
        self.search(|db| {
            // One transaction, so that both look at the same lines.
            let tx = db.unchecked_transaction()?;
            let sql = format!(
                "SELECT {COLUMNS} FROM (SELECT * {newest} {LOOK_FIRST})
                 WHERE message LIKE ? ESCAPE '\\' ORDER BY t_ms DESC, id DESC LIMIT ?"
            );
            let values: Vec<Value> = filter.values().iter().cloned().chain([like.clone()]).collect();
            let found = page(&tx, &sql, &values, query.limit, &entry)?;
            if found.next.is_some() {
                return Ok(found);
            }
            let (sql, values) = by_index(&filter, trigrams, like);
            let sql = format!("SELECT {COLUMNS} {sql} ORDER BY t_ms DESC, id DESC LIMIT ?");
            page(&tx, &sql, &values, query.limit, &entry)
        })
    }

    /// See [`crate::Store::log_groups`].
    pub fn log_groups(&self, query: &LogQuery) -> Result<LogGroups> {
        let mut filter = filter(query);
        let (from, values) = match query.text.as_deref().filter(|text| !text.is_empty()) {
            None => {
                (format!("FROM log INDEXED BY log_by_template {}", filter.sql()), filter.values().to_vec())
            }
            Some(text) => {
                let like = Value::Text(like_pattern(text));
                match trigrams(text) {
                    Some(trigrams) => by_index(&filter, trigrams, like),
                    None => {
                        filter.add("message LIKE ? ESCAPE '\\'", Some(like));
                        (format!("FROM log {}", filter.sql()), filter.values().to_vec())
                    }
                }
            }
        };
        self.search(|db| {
            let tx = db.unchecked_transaction()?;
            let sql = format!(
                "SELECT template, count(*), min(t_ms), max(t_ms), max(level) {from}
                 GROUP BY template ORDER BY 2 DESC, 4 DESC, 1"
            );
            let mut statement = tx.prepare_cached(&sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(values.iter()))?;
            let mut answer = LogGroups::default();
            while let Some(row) = rows.next()? {
                answer.groups_total += 1;
                answer.lines_total += row.get::<_, i64>(1)? as u64;
                if answer.groups.len() < query.limit as usize {
                    answer.groups.push(LogGroup {
                        id: row.get(0)?,
                        count: row.get::<_, i64>(1)? as u64,
                        first_ms: row.get(2)?,
                        last_ms: row.get(3)?,
                        level: level_of(row.get(4)?),
                        source: String::new(),
                        template: String::new(),
                        devices: Vec::new(),
                        devices_total: 0,
                        example: String::new(),
                    });
                }
            }
            for group in &mut answer.groups {
                complete(&tx, &from, &values, group)?;
            }
            Ok(answer)
        })
    }

    /// See [`crate::Store::count_logs`].
    pub fn count_logs(&self, level: Level, from_ms: Timestamp) -> Result<u64> {
        self.search(|db| {
            let mut statement =
                db.prepare_cached("SELECT count(*) FROM log WHERE t_ms >= ?1 AND level >= ?2")?;
            Ok(statement.query_row(params![from_ms, level_number(level)], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    /// See [`crate::Store::count_logs_in_steps`].
    pub fn count_logs_in_steps(
        &self,
        device: Option<DeviceId>,
        level: Level,
        range: TimeRange,
        step_ms: i64,
    ) -> Result<Vec<u64>> {
        let steps = (range.end() - range.start()).div_euclid(step_ms) + 1;
        let mut counts = vec![0; steps as usize];
        // Both orders of columns are an index of their own, so no line is read.
        let of_device = if device.is_some() { "device = ?5 AND" } else { "?5 IS NULL AND" };
        let sql = format!(
            "SELECT (t_ms - ?1) / ?3, count(*) FROM log
             WHERE {of_device} t_ms >= ?1 AND t_ms < ?2 AND level >= ?4 GROUP BY 1"
        );
        self.search(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            let device = device.map(|device| device.0);
            let mut rows =
                statement.query(params![range.start(), range.end(), step_ms, level_number(level), device])?;
            while let Some(row) = rows.next()? {
                counts[row.get::<_, i64>(0)? as usize] = row.get::<_, i64>(1)? as u64;
            }
            Ok(())
        })?;
        // A range of whole steps has none beginning at its end.
        if (range.end() - range.start()) % step_ms == 0 {
            counts.pop();
        }
        Ok(counts)
    }

    /// Copies the index of texts together, some pages at a time, until it holds nothing of deleted lines; `false`: there
    /// is more to do.
    pub fn compact_log_text(&self) -> Result<bool> {
        /// Pages written in one step: recording waits for it.
        const PAGES: i64 = 500;
        const STEPS_MAX: usize = 200;
        let merge = |pages: i64| -> Result<bool> {
            let db = self.writer.lock();
            let before = db.total_changes();
            db.execute("INSERT INTO log_text (log_text, rank) VALUES ('merge', ?1)", [pages])?;
            // As SQLite's documentation says: less than two changes are no more than the bookkeeping.
            Ok(db.total_changes() - before < 2)
        };
        // The negative number says that everything shall become one.
        if merge(-PAGES)? {
            return Ok(true);
        }
        for _ in 1..STEPS_MAX {
            if merge(PAGES)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What the index finds, compared and filtered.
fn by_index(filter: &Filter, trigrams: String, like: Value) -> (String, Vec<Value>) {
    // CROSS JOIN: the index first, whatever SQLite's planner thinks of it.
    let within = filter.sql().replacen("WHERE", "AND", 1);
    let sql = format!(
        "FROM (SELECT rowid AS hit FROM log_text WHERE log_text MATCH ?) CROSS JOIN log ON log.id = hit
         WHERE log.message LIKE ? ESCAPE '\\' {within}"
    );
    let values = [Value::Text(trigrams), like].into_iter().chain(filter.values().iter().cloned());
    (sql, values.collect())
}

/// Adds to a group what only the groups of an answer need.
fn complete(db: &Connection, from: &str, values: &[Value], group: &mut LogGroup) -> Result<()> {
    let word = if from.contains("WHERE") { "AND" } else { "WHERE" };
    let parameters = || values.iter().map(|v| v as &dyn ToSql).chain([&group.id as &dyn ToSql]);
    let sql = format!(
        "SELECT device, count(*), count(*) OVER () {from} {word} template = ?
         GROUP BY device ORDER BY 2 DESC, 1 LIMIT {GROUP_DEVICES_MAX}"
    );
    let mut devices = Vec::new();
    let mut devices_total = 0;
    {
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query(parameters().collect::<Vec<_>>().as_slice())?;
        while let Some(row) = rows.next()? {
            devices.push((DeviceId(row.get(0)?), row.get::<_, i64>(1)? as u64));
            devices_total = row.get::<_, i64>(2)? as u64;
        }
    }
    let sql = format!("SELECT message {from} {word} template = ? ORDER BY t_ms DESC, id DESC LIMIT 1");
    let example = db
        .prepare_cached(&sql)?
        .query_row(parameters().collect::<Vec<_>>().as_slice(), |row| row.get::<_, String>(0))?;
    let (source, template) = db
        .prepare_cached("SELECT source, template FROM log_template WHERE id = ?1")?
        .query_row([group.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    (group.devices, group.devices_total, group.example) = (devices, devices_total, example);
    (group.source, group.template) = (source, template);
    Ok(())
}

fn filter(query: &LogQuery) -> Filter {
    let mut filter = Filter::default();
    filter.add("device = ?", query.device.map(|d| i64::from(d.0)));
    filter.add("template = ?", query.group);
    filter.add("level >= ?", query.level.map(level_number));
    filter.span(query.from_ms, query.to_ms, query.before);
    filter
}

fn entry(row: &Row<'_>) -> rusqlite::Result<(Cursor, LogEntry)> {
    let line = LogLine {
        t_ms: row.get(2)?,
        level: level_of(row.get(3)?),
        source: row.get(4)?,
        message: row.get(5)?,
    };
    let cursor = Cursor { t_ms: line.t_ms, id: row.get(0)? };
    Ok((cursor, LogEntry { id: cursor.id, device: DeviceId(row.get(1)?), group: row.get(6)?, line }))
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

/// The question to the index: all sequences of three letters; `None` when there is none.
fn trigrams(text: &str) -> Option<String> {
    let letters: Vec<char> = text.chars().collect();
    let distinct: BTreeSet<String> = letters
        .windows(3)
        // The end of a text in SQLite's parser.
        .filter(|three| !three.contains(&'\0'))
        .map(|three| format!("\"{}\"", three.iter().collect::<String>().replace('"', "\"\"")))
        .collect();
    let asked: Vec<String> = distinct.into_iter().take(TRIGRAMS_MAX).collect();
    (!asked.is_empty()).then(|| asked.join(" AND "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_its_sequences_of_three_letters() {
        assert_eq!(trigrams("disk"), Some("\"dis\" AND \"isk\"".into()));
        assert_eq!(trigrams("网关崩"), Some("\"网关崩\"".into()));
        assert_eq!(trigrams("a\"b"), Some("\"a\"\"b\"".into()));
        assert_eq!(trigrams("崩溃"), None);
        assert_eq!(trigrams("a\0b"), None);
    }
}
