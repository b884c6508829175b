//! Pages of a list, newest first, filtered.

use super::Meta;
use crate::error::Result;
use crate::types::Timestamp;
use crate::{Cursor, Page};
use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, Row};

/// Conditions with their values. The texts are ours; what comes from outside is only ever bound.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    conditions: Vec<&'static str>,
    values: Vec<Value>,
}

impl Filter {
    /// Adds a condition with one `?` when there is a value for it.
    pub fn add(&mut self, condition: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.conditions.push(condition);
            self.values.push(value.into());
        }
    }

    /// Adds what is asked of the time.
    pub fn span(&mut self, from: Option<Timestamp>, to: Option<Timestamp>, before: Option<Cursor>) {
        self.add("t_ms >= ?", from);
        self.add("t_ms < ?", to);
        if let Some(before) = before {
            self.conditions.push("(t_ms, id) < (?, ?)");
            self.values.extend([Value::Integer(before.t_ms), Value::Integer(before.id)]);
        }
    }

    /// `WHERE …`, or nothing.
    pub fn sql(&self) -> String {
        if self.conditions.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.conditions.join(" AND "))
        }
    }

    /// What stands for the `?`, in order.
    pub fn values(&self) -> &[Value] {
        &self.values
    }
}

impl Meta {
    /// Runs a statement whose last `?` is a limit, and makes a page of at most `limit` entries.
    pub fn page<T>(
        &self,
        sql: &str,
        values: &[Value],
        limit: u32,
        entry: impl Fn(&Row<'_>) -> rusqlite::Result<(Cursor, T)>,
    ) -> Result<Page<T>> {
        self.search(|db| page(db, sql, values, limit, &entry))
    }
}

/// See [`Meta::page`].
pub fn page<T>(
    db: &Connection,
    sql: &str,
    values: &[Value],
    limit: u32,
    entry: &impl Fn(&Row<'_>) -> rusqlite::Result<(Cursor, T)>,
) -> Result<Page<T>> {
    let limit = limit as usize;
    // One more than asked: it tells whether there is a next page.
    let one_more = limit as i64 + 1;
    let mut statement = db.prepare_cached(sql)?;
    let parameters: Vec<&dyn ToSql> =
        values.iter().map(|value| value as &dyn ToSql).chain([&one_more as &dyn ToSql]).collect();
    let rows = statement.query_map(parameters.as_slice(), |row| entry(row))?;
    let mut found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = if more { found.last().map(|f| f.0) } else { None };
    Ok(Page { entries: found.into_iter().map(|f| f.1).collect(), next })
}
