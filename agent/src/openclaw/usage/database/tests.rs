use std::path::PathBuf;

use rusqlite::params;

use super::*;

const SQLITE: &str = "CREATE TABLE transcript_events (session_id TEXT NOT NULL, seq INTEGER NOT NULL,
    event_json TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (session_id, seq)) STRICT;
    CREATE TABLE session_windows (session_id TEXT PRIMARY KEY, updated_at INTEGER NOT NULL) STRICT;
    PRAGMA user_version = 19;";
const PACKED: &str = "CREATE TABLE transcript_events (session_id TEXT NOT NULL, seq INTEGER NOT NULL,
    event_json TEXT, created_at INTEGER NOT NULL, event_zstd BLOB, event_utf8_bytes INTEGER,
    navigation_json TEXT, PRIMARY KEY (session_id, seq)) STRICT;
    PRAGMA user_version = 23;";

struct Case {
    _folder: tempfile::TempDir,
    path: PathBuf,
    writer: Connection,
}

impl Case {
    fn new(schema: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openclaw-agent.sqlite");
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        writer.execute_batch(schema).unwrap();
        Case { _folder: folder, path, writer }
    }

    fn add(&self, session: &str, seq: i64, created_at: i64, event: &str) {
        let sql =
            "INSERT INTO transcript_events (session_id, seq, event_json, created_at) VALUES (?1, ?2, ?3, ?4)";
        self.writer.execute(sql, params![session, seq, event, created_at]).unwrap();
    }

    fn add_packed(&self, seq: i64, packed: &[u8], role: &str) {
        let sql = "INSERT INTO transcript_events (session_id, seq, event_zstd, created_at, navigation_json)
            VALUES ('s', ?1, ?2, 5, ?3)";
        let navigation = format!(r#"{{"version":1,"navigation":{{"message":{{"role":"{role}"}}}}}}"#);
        self.writer.execute(sql, params![seq, packed, navigation]).unwrap();
    }

    fn open(&self) -> Database {
        Database::open(&self.path).unwrap().expect("it has transcripts")
    }

    /// Tokens in of a session's rows after the cursor: `-` for a fault, `.` for none, `?` for a prompt.
    fn show(&self, session: &str, cursor: Option<(i64, i64)>) -> String {
        let cursor = cursor.map(|(seq, created_at)| RowCursor { seq, created_at });
        let rows = self.open().page(session, cursor).unwrap();
        let show = |row: &Row| match &row.found {
            Found::Usage(spent, _) => spent.input.to_string(),
            Found::Faulty => "-".into(),
            Found::Nothing if row.prompt => "?".into(),
            Found::Nothing => ".".into(),
        };
        rows.iter().map(show).collect::<Vec<_>>().join(" ")
    }
}

fn usage(input: u32) -> String {
    format!(
        r#"{{"id":"{input}","message":{{"role":"assistant","timestamp":7,"usage":{{"input":{input}}}}}}}"#
    )
}

const PROMPT: &str = r#"{"id":"p","message":{"role":"user","content":"secret"}}"#;

#[test]
fn rows_are_read_from_the_log_beside_the_database_and_after_a_cursor() {
    let case = Case::new(SQLITE);
    case.add("s", 0, 10, r#"{"type":"session"}"#);
    case.add("s", 1, 11, PROMPT);
    case.add("s", 2, 12, &usage(100));
    case.add("s", 3, 13, "{broken \"usage\"");
    case.add("t", 0, 14, &usage(200));
    assert_eq!(case.show("s", None), ". ? 100 -");
    assert_eq!(case.show("s", Some((1, 11))), "100 -");
    assert_eq!(case.show("s", Some((3, 13))), "");
    assert_eq!(case.show("none", None), "");
    assert_eq!(case.open().sessions(None).unwrap(), ["s", "t"]);
}

#[test]
fn a_session_that_was_rewritten_is_read_from_its_beginning() {
    let case = Case::new(SQLITE);
    case.add("s", 0, 10, &usage(1));
    case.add("s", 1, 20, &usage(2));
    assert_eq!(case.show("s", Some((1, 15))), "1 2", "the row has another time");
    assert_eq!(case.show("s", Some((9, 15))), "1 2", "the row is gone");
}

#[test]
fn sessions_that_changed_are_found_where_the_database_tells() {
    let case = Case::new(SQLITE);
    case.writer.execute_batch("INSERT INTO session_windows VALUES ('a', 100), ('b', 200)").unwrap();
    let database = case.open();
    assert_eq!(database.changed_ms().unwrap(), Some(200));
    assert_eq!(database.sessions(Some(150)).unwrap(), ["b"]);
    assert_eq!(Case::new(PACKED).open().changed_ms().unwrap(), None);
}

#[test]
fn packed_rows_are_unpacked_if_they_can_hold_usage() {
    let case = Case::new(PACKED);
    let pack = |text: &str| zstd::encode_all(text.as_bytes(), 3).unwrap();
    case.add("s", 0, 5, &usage(1));
    case.add_packed(1, &pack(&usage(2)), "assistant");
    case.add_packed(2, b"not packed at all", "user");
    case.add_packed(3, b"not packed at all", "assistant");
    case.add_packed(4, &pack(&usage(3))[..20], "assistant");
    case.add_packed(5, &vec![0; PACKED_BYTES_MAX + 1], "assistant");
    case.add_packed(6, &pack(PROMPT), "toolResult");
    assert_eq!(case.show("s", None), "1 2 ? - - - .");
}

#[test]
fn long_rows_are_read_without_being_held() {
    let case = Case::new(SQLITE);
    let long =
        usage(7).replacen('{', &format!("{{\"content\":\"{}\",", "secret ".repeat(ROW_HELD_BYTES_MAX)), 1);
    case.add("s", 0, 5, &long);
    case.add("s", 1, 5, &long[..long.len() - 1]);
    case.add("s", 2, 5, &format!("{{\"content\":\"{}\"}}", "x".repeat(2 * ROW_HELD_BYTES_MAX)));
    assert_eq!(case.show("s", None), "7 - .");
}

#[track_caller]
fn fault(case: &Case) -> Fault {
    let read = |database: Option<Database>| {
        let database = database.expect("it claims to have transcripts");
        database.sessions(None)?.iter().try_for_each(|session| database.page(session, None).map(drop))
    };
    Database::open(&case.path).and_then(read).expect_err("it cannot be read")
}

#[test]
fn a_schema_that_is_not_known_is_said_to_be() {
    for schema in [
        "CREATE TABLE session_nodes (x); PRAGMA user_version = 23;",
        "CREATE TABLE other (x); PRAGMA user_version = 24;",
        "CREATE TABLE transcript_events (session_id TEXT, seq INTEGER, created_at INTEGER, event BLOB)",
        "CREATE TABLE transcript_events (session_id, seq, event_json, created_at);
            INSERT INTO transcript_events VALUES ('s', 'first', '{}', 'today')",
        "CREATE TABLE transcript_events (session_id, seq, event_json, event_brotli, created_at);
            INSERT INTO transcript_events VALUES ('s', 0, NULL, x'00', 5)",
    ] {
        let fault = fault(&Case::new(schema));
        assert!(matches!(fault, Fault::UnknownSchema(_)), "{schema}: {fault}");
    }
    let older = Case::new("CREATE TABLE auth_profile_store (x); PRAGMA user_version = 1;");
    assert!(Database::open(&older.path).unwrap().is_none(), "its transcripts are files");
}

#[test]
fn a_database_that_is_locked_or_damaged_is_unreadable_until_it_is_not() {
    let case = Case::new(SQLITE);
    case.add("s", 0, 5, &usage(1));
    case.writer.pragma_update(None, "journal_mode", "delete").unwrap();
    case.writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(matches!(fault(&case), Fault::Unreadable(Why::Locked, _)));
    case.writer.execute_batch("COMMIT").unwrap();
    assert_eq!(case.show("s", None), "1");
    std::fs::write(
        &case.path,
        "this is no database, and it is long enough to be looked at as one. ".repeat(20),
    )
    .unwrap();
    assert!(matches!(Database::open(&case.path), Err(Fault::Unreadable(Why::Damaged, _))));
    std::fs::remove_file(&case.path).unwrap();
    assert!(matches!(Database::open(&case.path), Err(Fault::Unreadable(..))));
    assert!(!case.path.exists(), "looking makes no file");
}

#[test]
fn reading_neither_writes_nor_keeps_a_writer_waiting() {
    let case = Case::new(SQLITE);
    case.add("s", 0, 5, &usage(1));
    let database = case.open();
    assert!(database.connection().execute("DELETE FROM transcript_events", []).is_err());
    assert_eq!(database.page("s", None).unwrap().len(), 1);
    // Between two reads nothing is held: the log can be written back and emptied.
    let busy: i64 = case.writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
    assert_eq!(database.page("s", None).unwrap().len(), 1);
}
