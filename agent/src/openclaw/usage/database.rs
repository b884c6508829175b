//! Transcripts that are rows of a database, read beside the gateway that writes them.
//!
//! Every read is a short transaction of its own: a long one would keep the gateway from shortening its
//! write-ahead log. Nothing is written, and nothing is read but the columns named here.

use std::io::{self, BufReader, Read};
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};

use super::Why;
use super::cursors::RowCursor;
use super::lines::unpacker;
use super::record::{self, Found};
use crate::openclaw::sqlite::Reading;

/// The newest schema that was seen.
pub const SCHEMA_KNOWN_MAX: i64 = 23;
/// Rows of one read.
pub const PAGE_ROWS_MAX: i64 = 256;
/// Bytes of a row that are held at once; a longer one is read piece by piece.
pub const ROW_HELD_BYTES_MAX: usize = 64 << 10;
/// Bytes of a packed row; OpenClaw packs none that is larger.
pub const PACKED_BYTES_MAX: usize = 4 << 20;
/// KiB of the database that are held in memory.
const CACHE_KIB: i64 = 512;
/// Sessions of a database that are looked at.
pub const SESSIONS_MAX: i64 = 200_000;

/// Why a source cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It may be read at another time, or by another user, or after it was repaired.
    #[error("{1}")]
    Unreadable(Why, String),
    /// Made by a version of OpenClaw that this version does not understand.
    #[error("{0}")]
    UnknownSchema(String),
}

impl Fault {
    /// What a person does about it.
    pub fn fix(&self) -> &'static str {
        match self {
            Fault::Unreadable(why, _) => why.fix(),
            Fault::UnknownSchema(_) => "OpenClaw is newer than this agent understands: update the agent",
        }
    }
}

/// A database with transcripts, open for one look.
pub struct Database {
    reading: Reading,
    packed: bool,
    navigation: bool,
    updated_at: bool,
    newer: bool,
}

/// One row of a transcript.
#[derive(Debug)]
pub struct Row {
    /// Where it is in its session.
    pub cursor: RowCursor,
    /// What was in it.
    pub found: Found,
    /// Its bytes.
    pub bytes: u64,
    /// Whether it is a user's message.
    pub prompt: bool,
}

impl Database {
    /// Opens a database; nothing if it is one of those beside which transcripts are files.
    pub fn open(path: &Path) -> Result<Option<Database>, Fault> {
        let reading = Reading::open(path)?;
        let connection = reading.connection();
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let rows = columns(connection, "transcript_events")?;
        let has = |name: &str| rows.iter().any(|column| column == name);
        if rows.is_empty() {
            if version <= SCHEMA_KNOWN_MAX && columns(connection, "session_nodes")?.is_empty() {
                return Ok(None);
            }
            return Err(Fault::UnknownSchema(format!("schema {version} has no table transcript_events")));
        }
        if let Some(missing) =
            ["session_id", "seq", "event_json", "created_at"].iter().find(|name| !has(name))
        {
            return Err(Fault::UnknownSchema(format!("schema {version} has no transcript_events.{missing}")));
        }
        let windows = columns(connection, "session_windows")?;
        let updated_at =
            ["session_id", "updated_at"].iter().all(|name| windows.iter().any(|column| column == name));
        Ok(Some(Database {
            packed: has("event_zstd"),
            navigation: has("navigation_json"),
            updated_at,
            newer: version > SCHEMA_KNOWN_MAX,
            reading,
        }))
    }

    /// Whether what was read so far was there at one time; if not, it is to be read again.
    pub fn is_sound(&self) -> bool {
        self.reading.is_sound()
    }

    fn connection(&self) -> &Connection {
        self.reading.connection()
    }

    /// Whether its version is newer than any that was seen. It may be read all the same.
    pub fn is_newer(&self) -> bool {
        self.newer
    }

    /// When the session that changed last did, if the database tells.
    pub fn changed_ms(&self) -> Result<Option<i64>, Fault> {
        if !self.updated_at {
            return Ok(None);
        }
        Ok(self
            .connection()
            .query_row("SELECT max(updated_at) FROM session_windows", [], |row| row.get(0))?)
    }

    /// The sessions: those that changed since a time, or all that have rows.
    pub fn sessions(&self, since_ms: Option<i64>) -> Result<Vec<String>, Fault> {
        // One step per session over the primary key: a table of rows is too large to go through.
        const ALL: &str = "WITH RECURSIVE session(id) AS (
                SELECT min(session_id) FROM transcript_events
                UNION ALL
                SELECT (SELECT min(session_id) FROM transcript_events WHERE session_id > session.id)
                FROM session WHERE session.id IS NOT NULL
            ) SELECT id FROM session WHERE id IS NOT NULL LIMIT ?1";
        const CHANGED: &str = "SELECT session_id FROM session_windows WHERE updated_at >= ?2 LIMIT ?1";
        let id = |row: &rusqlite::Row<'_>| row.get(0);
        let sessions: Result<Vec<String>, _> = match since_ms {
            Some(since) => {
                self.connection().prepare(CHANGED)?.query_map((SESSIONS_MAX, since), id)?.collect()
            }
            None => self.connection().prepare(ALL)?.query_map([SESSIONS_MAX], id)?.collect(),
        };
        Ok(sessions?)
    }

    /// The rows of a session after `cursor`, at most [`PAGE_ROWS_MAX`]; from the first one if the row
    /// at the cursor is not the one it was.
    pub fn page(&self, session: &str, cursor: Option<RowCursor>) -> Result<Vec<Row>, Fault> {
        let Some(cursor) = cursor else { return self.rows(session, i64::MIN) };
        let at = self.rows(session, cursor.seq)?;
        match at.first() {
            Some(first) if first.cursor == cursor => Ok(at.into_iter().skip(1).collect()),
            // The transcript was rewritten: numbers are given anew then.
            _ => self.rows(session, i64::MIN),
        }
    }

    fn rows(&self, session: &str, from: i64) -> Result<Vec<Row>, Fault> {
        let mut statement = self.connection().prepare_cached(&self.query())?;
        // One more than a page: the first may be known already.
        let mut found = statement.query((session, from, PAGE_ROWS_MAX + 1))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let cursor = RowCursor { seq: row.get(0)?, created_at: row.get(1)? };
            let (bytes, packed_bytes): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(5)?);
            let (json, packed) = (row.get_ref(3)?, row.get_ref(6)?);
            let found = match (bytes, packed_bytes) {
                (None, None) => {
                    return Err(Fault::UnknownSchema(format!(
                        "row {} holds no form that is known",
                        cursor.seq
                    )));
                }
                (Some(bytes), _) if bytes > ROW_HELD_BYTES_MAX as i64 => {
                    self.long_row(session, cursor.seq)?
                }
                (Some(_), _) => parse(json, record::parse_slice),
                (None, Some(bytes)) if bytes > PACKED_BYTES_MAX as i64 => Found::Faulty,
                (None, Some(_)) => parse(packed, parse_packed),
            };
            let bytes = bytes.or(packed_bytes).unwrap_or(0).unsigned_abs();
            rows.push(Row { cursor, found, bytes, prompt: row.get(4)? });
        }
        Ok(rows)
    }

    fn query(&self) -> String {
        let role = if self.navigation {
            "CASE WHEN json_valid(navigation_json)
                THEN json_extract(navigation_json, '$.navigation.message.role') END"
        } else {
            "NULL"
        };
        let (packed_bytes, packed) = if self.packed {
            let wanted = format!(
                "octet_length(event_zstd) <= {PACKED_BYTES_MAX} AND coalesce({role}, 'assistant') = 'assistant'"
            );
            ("octet_length(event_zstd)", format!("CASE WHEN {wanted} THEN event_zstd END"))
        } else {
            ("NULL", "NULL".to_string())
        };
        let held = format!("octet_length(event_json) <= {ROW_HELD_BYTES_MAX}");
        let mark = record::MARK;
        format!(
            "SELECT seq, created_at, octet_length(event_json),
                CASE WHEN {held} AND instr(event_json, '{mark}') > 0 THEN event_json END,
                coalesce(CASE WHEN event_json IS NULL THEN {role} = 'user'
                    WHEN {held} THEN instr(event_json, '\"role\":\"user\"') > 0 END, 0),
                {packed_bytes}, {packed}
            FROM transcript_events WHERE session_id = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3"
        )
    }

    /// What is in a row that is too long to be held.
    fn long_row(&self, session: &str, seq: i64) -> Result<Found, Fault> {
        const ROW_ID: &str = "SELECT rowid FROM transcript_events WHERE session_id = ?1 AND seq = ?2";
        let row_id = self.connection().query_row(ROW_ID, (session, seq), |row| row.get(0))?;
        let row = self.connection().blob_open("main", "transcript_events", "event_json", row_id, true)?;
        Ok(record::parse_reader(BufReader::with_capacity(ROW_HELD_BYTES_MAX, row)))
    }
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<String>, Fault> {
    let mut statement = connection.prepare_cached("SELECT name FROM pragma_table_info(?1)")?;
    let columns: Result<_, _> = statement.query_map([table], |row| row.get(0))?.collect();
    Ok(columns?)
}

fn parse(value: ValueRef<'_>, parse: impl FnOnce(&[u8]) -> Found) -> Found {
    match value {
        ValueRef::Text(text) | ValueRef::Blob(text) => parse(text),
        // The query saw that there is nothing in it.
        _ => Found::Nothing,
    }
}

fn parse_packed(packed: &[u8]) -> Found {
    // A few bytes can be packed that say to repeat themselves for ever.
    const UNPACKED_BYTES_MAX: u64 = 64 << 20;
    match unpacker(packed) {
        Ok(text) => record::parse_reader(BufReader::new(text.take(UNPACKED_BYTES_MAX))),
        Err(_) => Found::Faulty,
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        let unreadable = |why| Fault::Unreadable(why, error.to_string());
        match &error {
            // Figures where text should be, and the reverse.
            rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::IntegralValueOutOfRange(..) => {
                Fault::UnknownSchema(error.to_string())
            }
            other => unreadable(match other.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Why::Locked,
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Why::Damaged,
                Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
                    Why::Denied
                }
                _ => Why::Failed,
            }),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Unreadable(Why::from(&error), error.to_string())
    }
}

#[cfg(test)]
mod tests;
