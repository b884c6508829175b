//! The older server's SQLite file: what it calls its columns is looked for, not assumed.

use std::path::Path;

use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Map, Value};
use store::{Batch, Column, Presence, Rows, Timestamp};

use super::times;

/// Names a column may have, the likeliest first.
const DEVICE: [&str; 4] = ["device_id", "device", "deviceid", "device_uuid"];
const TIME: [&str; 9] = [
    "timestamp",
    "created_at",
    "reported_at",
    "recorded_at",
    "time",
    "ts",
    "received_at",
    "last_seen",
    "updated_at",
];
const NAME: [&str; 4] = ["name", "device_name", "hostname", "display_name"];
const KEY: [&str; 4] = ["api_key", "apikey", "key", "token"];
const TYPE: [&str; 2] = ["device_type", "type"];
const NOTES: [&str; 3] = ["notes", "description", "remark"];

/// As the page's form has them.
const DEVICE_TYPES: [&str; 5] = ["laptop", "desktop", "server", "nas", "vps"];
const NAME_CHARS_MAX: usize = 64;
const NOTES_CHARS_MAX: usize = 2_000;

/// The file, opened for reading.
pub struct Older {
    db: Connection,
    zone: TimeZone,
    devices: Table,
    statuses: Option<Table>,
    logs: Option<Table>,
}

/// A device of it.
pub struct OlderDevice {
    pub id: String,
    pub name: String,
    pub device_type: String,
    pub notes: String,
    pub key: Option<String>,
    pub created_ms: Option<Timestamp>,
}

/// A row of one of the other tables.
pub struct Record {
    /// The older server's identifier of the device.
    pub device: Option<String>,
    pub t_ms: Option<Timestamp>,
    /// All its columns by name.
    pub fields: Map<String, Value>,
}

/// A table's name and the names of its columns.
struct Table {
    name: &'static str,
    columns: Vec<String>,
}

impl Table {
    fn find(db: &Connection, name: &'static str) -> anyhow::Result<Option<Table>> {
        let mut statement = db.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
        let columns = statement.query_map([name], |row| row.get::<_, String>(0))?;
        let columns = columns.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok((!columns.is_empty()).then_some(Table { name, columns }))
    }

    /// Where the first of these columns is.
    fn column(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.columns.iter().position(|column| column.eq_ignore_ascii_case(name)))
    }

    /// The names come from the table itself.
    fn select(&self, rest: &str) -> String {
        let columns: Vec<String> =
            self.columns.iter().map(|column| format!("\"{}\"", column.replace('"', "\"\""))).collect();
        format!("SELECT {} FROM \"{}\" {rest}", columns.join(", "), self.name)
    }
}

impl Older {
    /// Looks at the tables.
    ///
    /// # Errors
    /// It is no SQLite file, or has no table `devices`.
    pub fn open(path: &Path, zone: &str) -> anyhow::Result<Older> {
        let zone = times::zone(zone)?;
        let unusable = || format!("{} cannot be read as a SQLite database", path.display());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).with_context(unusable)?;
        // One moment of it, should the older server still run.
        db.execute_batch("BEGIN").with_context(unusable)?;
        let Some(devices) = Table::find(&db, "devices").with_context(unusable)? else {
            bail!("{} has no table `devices`: it is not the older server's database", path.display());
        };
        let (statuses, logs) = (Table::find(&db, "device_status")?, Table::find(&db, "error_logs")?);
        Ok(Older { db, zone, devices, statuses, logs })
    }

    /// All devices.
    pub fn devices(&self) -> anyhow::Result<Vec<OlderDevice>> {
        let table = &self.devices;
        let Some(id) = table.column(&["id"]).or_else(|| table.column(&DEVICE)) else {
            bail!("the table `devices` has no column `id`");
        };
        let text = |row: &Row<'_>, names: &[&str]| -> Option<String> {
            let text = identifier(row.get_ref(table.column(names)?).ok()?)?;
            let text: String = text.chars().filter(|c| !c.is_control()).collect();
            (!text.trim().is_empty()).then(|| text.trim().to_string())
        };
        let mut statement = self.db.prepare(&table.select("ORDER BY rowid"))?;
        let mut rows = statement.query([])?;
        let mut devices = Vec::new();
        while let Some(row) = rows.next()? {
            let Some(id) = identifier(row.get_ref(id)?) else { continue };
            let name = text(row, &NAME).unwrap_or_else(|| format!("device {id}"));
            let kind = text(row, &TYPE).map(|kind| kind.to_ascii_lowercase());
            let created = table.column(&["created_at", "registered_at"]);
            devices.push(OlderDevice {
                name: name.chars().take(NAME_CHARS_MAX).collect::<String>().trim().to_string(),
                device_type: kind
                    .filter(|kind| DEVICE_TYPES.contains(&kind.as_str()))
                    .unwrap_or_else(|| "other".into()),
                notes: text(row, &NOTES).unwrap_or_default().chars().take(NOTES_CHARS_MAX).collect(),
                key: text(row, &KEY),
                created_ms: match created {
                    Some(created) => times::read(row.get_ref(created)?, &self.zone),
                    None => None,
                },
                id,
            });
        }
        Ok(devices)
    }

    /// How many rows of history there are.
    pub fn rows_total(&self) -> anyhow::Result<u64> {
        self.count(self.statuses.as_ref())
    }

    /// How many log lines there are.
    pub fn logs_total(&self) -> anyhow::Result<u64> {
        self.count(self.logs.as_ref())
    }

    fn count(&self, table: Option<&Table>) -> anyhow::Result<u64> {
        let Some(table) = table else { return Ok(0) };
        let sql = format!("SELECT count(*) FROM \"{}\"", table.name);
        Ok(self.db.query_row(&sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// The number of the last row of history.
    pub fn last_status_row(&self) -> anyhow::Result<Option<i64>> {
        let Some(table) = &self.statuses else { return Ok(None) };
        let sql = format!("SELECT max(rowid) FROM \"{}\"", table.name);
        Ok(self.db.query_row(&sql, [], |row| row.get(0))?)
    }

    /// The rows of history with these numbers.
    pub fn statuses(&self, from: i64, to: i64) -> anyhow::Result<Vec<Record>> {
        let Some(table) = &self.statuses else { return Ok(Vec::new()) };
        let sql = table.select("WHERE rowid >= ?1 AND rowid < ?2 ORDER BY rowid");
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut rows = statement.query([from, to])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            records.push(self.record(table, row)?);
        }
        Ok(records)
    }

    /// Each log line, in the order they were written.
    pub fn each_log(&self, mut each: impl FnMut(Record) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let Some(table) = &self.logs else { return Ok(()) };
        let mut statement = self.db.prepare(&table.select("ORDER BY rowid"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            each(self.record(table, row)?)?;
        }
        Ok(())
    }

    fn record(&self, table: &Table, row: &Row<'_>) -> anyhow::Result<Record> {
        let mut fields = Map::new();
        for (at, name) in table.columns.iter().enumerate() {
            let value = match row.get_ref(at)? {
                ValueRef::Integer(number) => Value::from(number),
                ValueRef::Real(number) => Value::from(number),
                ValueRef::Text(text) => Value::from(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Null | ValueRef::Blob(_) => continue,
            };
            fields.insert(name.to_ascii_lowercase(), value);
        }
        let device = match table.column(&DEVICE) {
            Some(at) => identifier(row.get_ref(at)?),
            None => None,
        };
        let t_ms = match table.column(&TIME) {
            Some(at) => times::read(row.get_ref(at)?, &self.zone),
            None => None,
        };
        Ok(Record { device, t_ms, fields })
    }
}

/// A number or a text, as text.
fn identifier(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}

/// Batches of one device with a row each as one batch; states, facts and the moment are those of the latest.
pub fn joined(mut batches: Vec<Batch>) -> Option<Batch> {
    batches.sort_by_key(|batch| batch.received_ms);
    let last = batches.last()?.clone();
    let with_rows: Vec<&Batch> = batches.iter().filter(|batch| !batch.rows.t_ms.is_empty()).collect();
    let mut columns: Vec<Column> = Vec::new();
    for column in with_rows.iter().flat_map(|batch| &batch.rows.columns) {
        if !columns.iter().any(|known| known.metric == column.metric) {
            columns.push(Column { values: Vec::new(), ..column.clone() });
        }
    }
    for column in &mut columns {
        let values: Vec<Option<f64>> = with_rows
            .iter()
            .map(|batch| {
                let of = batch.rows.columns.iter().find(|of| of.metric == column.metric);
                of.and_then(|of| of.values.first().copied())
            })
            .collect();
        column.present = Presence::from_flags(values.iter().map(Option::is_some));
        column.values = values.into_iter().map(Option::unwrap_or_default).collect();
    }
    let t_ms = with_rows.iter().flat_map(|batch| batch.rows.t_ms.clone()).collect();
    Some(Batch { rows: Rows { t_ms, columns }, ..last })
}
