use std::collections::BTreeMap;
use std::fs;

use rusqlite::{Connection, params};

use super::portion::PORTION_EVENTS_MAX;
use super::*;
use crate::openclaw::usage::faults::LOCKED_FOR;

mod eras;

/// A home folder with OpenClaw in it, and what a server would have after all reports about it.
struct Device {
    home: tempfile::TempDir,
    reader: Reader,
    ledger: BTreeMap<String, Usage>,
    now: Instant,
}

fn event(id: &str, t_ms: i64, input: u64) -> String {
    format!(
        r#"{{"type":"message","id":"{id}","message":{{"role":"assistant","content":"secret","provider":"acme","model":"large","timestamp":{t_ms},"usage":{{"input":{input},"output":1,"cacheRead":2,"cacheWrite":3,"cost":{{"total":0.5}}}}}}}}"#
    )
}

impl Device {
    fn new() -> Device {
        let home = tempfile::tempdir().unwrap();
        let places = OpenClawPlaces { home: Some(home.path().into()), ..OpenClawPlaces::default() };
        let reader = Reader::new(places, Cursors::new(""));
        Device { home, reader, ledger: BTreeMap::new(), now: Instant::now() }
    }

    /// Writes a transcript, whose session is named like the file.
    fn file(&self, path: &str, lines: &[&str]) {
        let session = Path::new(path).file_name().unwrap().to_str().unwrap().split('.').next().unwrap();
        let head = format!(r#"{{"type":"session","version":3,"id":"{session}"}}"#);
        let path = self.home.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(path, format!("{head}\n{text}")).unwrap();
    }

    fn database(&self, path: &str) -> Connection {
        let path = self.home.path().join(path).join("agent");
        fs::create_dir_all(&path).unwrap();
        let writer = Connection::open(path.join("openclaw-agent.sqlite")).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        writer
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS transcript_events (session_id TEXT, seq INTEGER, event_json TEXT,
                    created_at INTEGER, PRIMARY KEY (session_id, seq)) STRICT;
                 CREATE TABLE IF NOT EXISTS session_windows (session_id TEXT PRIMARY KEY, updated_at INTEGER) STRICT;
                 PRAGMA user_version = 21;",
            )
            .unwrap();
        writer
    }

    /// Reads everything there is and delivers it. How many events were sent.
    fn deliver(&mut self) -> usize {
        let mut sent = 0;
        loop {
            let mut portion = self.reader.read(self.now);
            sent += portion.events.len();
            let more = portion.more;
            for event in std::mem::take(&mut portion.events) {
                self.ledger.entry(event.event_id.clone()).or_insert(event);
            }
            self.reader.accept(portion);
            if !more {
                return sent;
            }
        }
    }

    /// A new agent that knows nothing of what was read before.
    fn forget(&mut self) {
        self.reader = Reader::new(self.reader.places.clone(), Cursors::new(""));
    }

    /// A new agent that goes on where the last one saved.
    fn restart(&mut self) {
        self.reader = Reader::new(self.reader.places.clone(), self.reader.cursors.clone());
    }

    fn total(&self) -> (usize, u64) {
        let tokens = |event: &Usage| event.input + event.output + event.cache_read + event.cache_write;
        (self.ledger.len(), self.ledger.values().map(tokens).sum())
    }

    fn why(&self) -> &'static str {
        match self.reader.state(self.now) {
            Some(State::Unreadable(why)) => why.as_str(),
            _ => "",
        }
    }

    fn state(&self) -> &'static str {
        self.reader.state(self.now).map_or("", State::as_str)
    }
}

fn add(writer: &Connection, session: &str, seq: i64, t_ms: i64, event: &str) {
    writer
        .execute("INSERT INTO transcript_events VALUES (?1, ?2, ?3, ?4)", params![session, seq, event, t_ms])
        .unwrap();
    writer
        .execute(
            "INSERT INTO session_windows VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET updated_at = max(updated_at, excluded.updated_at)",
            params![session, t_ms],
        )
        .unwrap();
}

#[test]
fn an_event_says_who_spent_what_when_and_for_which_agent() {
    let mut device = Device::new();
    device.file(".openclaw/agents/helper/sessions/a.jsonl", &[&event("a1", 77, 10)]);
    device.deliver();
    let event = device.ledger.into_values().next().unwrap();
    let expected = Usage {
        event_id: event.event_id.clone(),
        t_ms: 77,
        agent: "helper".into(),
        provider: "acme".into(),
        model: "large".into(),
        input: 10,
        output: 1,
        cache_read: 2,
        cache_write: 3,
        cost_usd: Some(0.5),
        cost_basis: "reported".into(),
    };
    assert_eq!(event, expected);
    assert!(!format!("{event:?}").contains("secret"));
}

#[test]
fn all_agents_of_all_state_folders_count() {
    let mut device = Device::new();
    device.file(".openclaw/agents/main/sessions/a.jsonl", &[&event("a1", 1, 10)]);
    device.file(".openclaw/agents/other/sessions/b.jsonl", &[&event("b1", 2, 10)]);
    device.file(".openclaw-work/agents/main/sessions/c.jsonl", &[&event("c1", 3, 10)]);
    device.file(".clawdbot/agents/main/sessions/d.jsonl", &[&event("d1", 4, 10)]);
    add(&device.database(".openclaw/agents/third"), "s", 0, 5, &event("e1", 5, 10));
    assert_eq!(device.deliver(), 5);
    assert_eq!(device.total(), (5, 5 * 16));
    assert_eq!(device.state(), "ok");
}

#[test]
fn copies_count_once_wherever_they_are() {
    let mut device = Device::new();
    let (one, two) = (event("a1", 1, 10), event("a2", 2, 20));
    let writer = device.database(".openclaw/agents/main");
    add(&writer, "s", 0, 1, &one);
    add(&writer, "s", 1, 2, &two);
    assert_eq!(device.deliver(), 2);
    // A fork, a rewind with a new message, an archive, and a copy of the whole folder as a profile.
    add(&writer, "fork", 0, 1, &one);
    add(&writer, "fork", 1, 2, &two);
    add(&writer, "rewind", 0, 1, &one);
    add(&writer, "rewind", 1, 9, &event("a3", 9, 30));
    device.file(".openclaw/agents/main/sessions/s.jsonl.deleted.2026", &[&one, &two]);
    device.file(".openclaw-copy/agents/main/sessions/s.jsonl", &[&one, &two]);
    assert_eq!(device.deliver(), 1, "copies are not even sent");
    assert_eq!(device.total(), (3, 60 + 3 * 6));
    device.forget();
    assert_eq!(device.deliver(), 3);
    assert_eq!(device.total(), (3, 60 + 3 * 6), "a lost cursor changes no total");
}

#[test]
fn what_is_deleted_later_was_counted_and_stays_counted() {
    let mut device = Device::new();
    let writer = device.database(".openclaw/agents/main");
    add(&writer, "s", 0, 1, &event("a1", 1, 10));
    add(&writer, "t", 0, 2, &event("a2", 2, 10));
    device.deliver();
    writer.execute("DELETE FROM transcript_events WHERE session_id = 's'", []).unwrap();
    writer.execute("VACUUM", []).unwrap();
    add(&writer, "t", 1, 3, &event("a3", 3, 10));
    assert_eq!(device.deliver(), 1);
    fs::remove_dir_all(device.home.path().join(".openclaw")).unwrap();
    assert_eq!(device.deliver(), 0);
    assert_eq!((device.total().0, device.state(), device.why()), (3, "unreadable", "gone"));
}

#[test]
fn the_move_into_a_database_counts_nothing_twice() {
    let mut device = Device::new();
    let lines = [event("a1b2c3d4", 1, 10), event("a1b2c3d5", 2, 10)];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    device.file(".openclaw/agents/main/sessions/s.jsonl", &lines);
    assert_eq!(device.deliver(), 2);
    let moved = ".openclaw/agents/main/session-sqlite-import-archive";
    fs::create_dir_all(device.home.path().join(moved)).unwrap();
    fs::rename(
        device.home.path().join(".openclaw/agents/main/sessions/s.jsonl"),
        device.home.path().join(moved).join("key.s.jsonl.imported-17"),
    )
    .unwrap();
    let writer = device.database(".openclaw/agents/main");
    add(&writer, "s", 0, 1, lines[0]);
    add(&writer, "s", 1, 2, lines[1]);
    device.restart();
    assert_eq!(device.deliver(), 2, "after a restart they are sent again");
    assert_eq!(device.total().0, 2, "and count once");
    add(&writer, "s", 2, 3, &event("a1b2c3d6", 3, 10));
    assert_eq!(device.deliver(), 1);
}

#[test]
fn a_reset_and_a_restart_read_only_what_is_new() {
    let mut device = Device::new();
    let path = ".openclaw/agents/main/sessions/s.jsonl";
    device.file(path, &[&event("a1", 1, 10)]);
    let writer = device.database(".openclaw/agents/other");
    add(&writer, "s", 0, 1, &event("b1", 1, 10));
    assert_eq!(device.deliver(), 2);
    let path = device.home.path().join(path);
    fs::rename(&path, path.with_file_name("s.jsonl.reset.2026-11-22T11-08-51.310Z")).unwrap();
    device.file(".openclaw/agents/main/sessions/t.jsonl", &[&event("a2", 2, 10)]);
    add(&writer, "s", 1, 2, &event("b2", 2, 10));
    device.restart();
    assert_eq!(device.deliver(), 2);
    assert_eq!(device.deliver(), 0);
}

#[test]
fn a_portion_that_is_lost_comes_again_and_none_is_too_large() {
    let mut device = Device::new();
    let writer = device.database(".openclaw/agents/main");
    writer.execute_batch("BEGIN").unwrap();
    let count = PORTION_EVENTS_MAX as i64 + 500;
    (0..count).for_each(|i| add(&writer, "s", i, i, &event(&format!("a{i}"), i, 1)));
    writer.execute_batch("COMMIT").unwrap();
    let lines: Vec<String> = (0..count).map(|i| event(&format!("b{i}"), i, 1)).collect();
    device.file(
        ".openclaw/agents/main/sessions/f.jsonl",
        &lines.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let lost = device.reader.read(device.now);
    assert_eq!((lost.events.len(), lost.more), (PORTION_EVENTS_MAX, true));
    assert_eq!(device.state(), "catching_up");
    let again = device.reader.read(device.now);
    assert_eq!(again.events, lost.events);
    assert_eq!(device.deliver() as i64, 2 * count);
    assert_eq!((device.total().0 as i64, device.state()), (2 * count, "ok"));
}

#[test]
fn a_session_that_does_not_say_it_changed_is_found_in_time() {
    let mut device = Device::new();
    let writer = device.database(".openclaw/agents/main");
    add(&writer, "s", 0, 1, &event("a1", 1, 10));
    add(&writer, "t", 0, 10_000_000, &event("a2", 10_000_000, 10));
    assert_eq!(device.deliver(), 2);
    let silent = "INSERT INTO transcript_events VALUES ('s', 1, ?1, 20000000)";
    writer.execute(silent, [event("a3", 20_000_000, 10)]).unwrap();
    assert_eq!(device.deliver(), 0);
    device.now += ALL_SESSIONS_EVERY;
    assert_eq!(device.deliver(), 1);
    assert_eq!(device.deliver(), 0);
}

#[test]
fn one_source_that_cannot_be_read_is_named_and_the_rest_goes_on() {
    let mut device = Device::new();
    assert_eq!((device.deliver(), device.state()), (0, ""), "no OpenClaw here");
    fs::create_dir(device.home.path().join(".openclaw")).unwrap();
    assert_eq!((device.deliver(), device.state()), (0, "none"));
    device.file(".openclaw/agents/main/sessions/a.jsonl", &[&event("a1", 1, 10)]);
    let writer = device.database(".openclaw/agents/locked");
    add(&writer, "s", 0, 1, &event("b1", 1, 10));
    writer.pragma_update(None, "journal_mode", "delete").unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!((device.deliver(), device.state()), (1, "catching_up"), "it may be a moment's work");
    device.now += LOCKED_FOR;
    assert_eq!((device.deliver(), device.state(), device.why()), (0, "unreadable", "locked"));
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!((device.deliver(), device.state()), (1, "ok"));

    let unknown = device.home.path().join(".openclaw/agents/newer/agent");
    fs::create_dir_all(&unknown).unwrap();
    let newer = Connection::open(unknown.join("openclaw-agent.sqlite")).unwrap();
    newer.execute_batch("CREATE TABLE transcript_rows (x); PRAGMA user_version = 40;").unwrap();
    add(&writer, "s", 1, 2, &event("b2", 2, 10));
    assert_eq!((device.deliver(), device.state()), (1, "unknown_schema"));
    fs::remove_dir_all(unknown).unwrap();
    fs::write(device.home.path().join(".openclaw/agents/main/sessions/b.jsonl.zst"), "no frame").unwrap();
    assert_eq!((device.deliver(), device.state(), device.why()), (0, "unreadable", "damaged"));
}

#[test]
fn openclaws_own_database_that_cannot_be_read_is_named_as_well() {
    let mut device = Device::new();
    device.file(".openclaw/agents/main/sessions/a.jsonl", &[&event("a1", 1, 10)]);
    device.file(".openclaw/state/openclaw.sqlite", &["this is no database, whatever its name says"]);
    assert_eq!((device.deliver(), device.state(), device.why()), (1, "unreadable", "damaged"));
    fs::remove_file(device.home.path().join(".openclaw/state/openclaw.sqlite")).unwrap();
    device.now += OVERVIEW_EVERY;
    assert_eq!((device.deliver(), device.state()), (0, "ok"));
}

#[cfg(unix)]
#[test]
fn what_the_agents_user_may_not_read_is_said_to_be_denied() {
    use std::os::unix::fs::PermissionsExt;
    let mut device = Device::new();
    device.file(".openclaw/agents/main/sessions/a.jsonl", &[&event("a1", 1, 10)]);
    let folder = device.home.path().join(".openclaw/agents/main/sessions");
    let allow = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o000);
    if fs::read_dir(&folder).is_ok() {
        // Root may read everything.
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert_eq!(Why::from(&denied), Why::Denied);
    } else {
        assert_eq!((device.deliver(), device.state(), device.why()), (0, "unreadable", "denied"));
    }
    allow(0o700);
    assert_eq!((device.deliver(), device.state()), (1, "ok"));
}

#[test]
fn a_session_that_cannot_be_read_does_not_keep_the_others_back() {
    let mut device = Device::new();
    let writer = device.database(".openclaw/agents/main");
    let unknown = "INSERT INTO transcript_events VALUES ('a', 0, NULL, 1)";
    writer.execute(unknown, []).unwrap();
    add(&writer, "b", 0, 1, &event("b1", 1, 10));
    assert_eq!((device.deliver(), device.state()), (1, "unknown_schema"));
    assert_eq!((device.deliver(), device.state()), (0, "unknown_schema"));
    // A version of the agent that understands the row reads it.
    writer
        .execute("UPDATE transcript_events SET event_json = ?1 WHERE session_id = 'a'", [event("a1", 1, 1)])
        .unwrap();
    assert_eq!((device.deliver(), device.state()), (1, "ok"));
}

#[test]
fn records_that_make_no_sense_are_shown_for_a_while() {
    let mut device = Device::new();
    let broken = event("a2", 2, 10).replace(":10,", ":\"10\",");
    device.file(
        ".openclaw/agents/main/sessions/a.jsonl",
        &[&event("a1", 1, 10), &broken, &broken[..broken.len() - 1], &event("a3", 3, 10)],
    );
    assert_eq!((device.deliver(), device.state()), (3, "partial"));
    assert_eq!(device.total(), (3, 16 + 6 + 16));
    device.now += PARTIAL_FOR;
    assert_eq!(device.state(), "ok");
}

#[test]
fn users_who_write_without_any_usage_make_a_quiet_source() {
    let mut device = Device::new();
    let prompt = r#"{"type":"message","id":"p","message":{"role":"user","content":"secret"}}"#;
    let writer = device.database(".openclaw/agents/main");
    add(&writer, "s", 0, 1, &event("a1", 1, 10));
    let count = QUIET_PROMPTS as i64;
    (1..count).for_each(|seq| add(&writer, "s", seq, seq, prompt));
    device.deliver();
    assert_eq!(device.state(), "ok");
    add(&writer, "s", count, count, prompt);
    device.deliver();
    assert_eq!(device.state(), "quiet");
    add(&writer, "s", count + 1, count, &event("a2", 2, 10));
    device.deliver();
    assert_eq!(device.state(), "ok");
}

#[test]
fn runs_that_end_well_without_any_usage_make_a_quiet_source() {
    let mut device = Device::new();
    device.file(".openclaw/agents/main/sessions/a.jsonl", &[&event("a1", 100, 10)]);
    let state = device.home.path().join(".openclaw/state");
    fs::create_dir_all(&state).unwrap();
    let tasks = Connection::open(state.join("openclaw.sqlite")).unwrap();
    let table = "CREATE TABLE task_runs (runtime TEXT, status TEXT, created_at INTEGER, ended_at INTEGER)";
    tasks.execute(table, []).unwrap();
    let add = |began: i64| {
        tasks.execute("INSERT INTO task_runs VALUES ('cron', 'succeeded', ?1, ?1 + 5)", [began]).unwrap();
    };
    (0..QUIET_RUNS as i64).for_each(|i| add(90 + i));
    device.deliver();
    assert_eq!(device.state(), "ok", "their usage was read");
    (0..QUIET_RUNS as i64).for_each(|i| add(101 + i));
    device.now += OVERVIEW_EVERY;
    device.deliver();
    assert_eq!(device.state(), "quiet");
    device.file(".openclaw/agents/main/sessions/b.jsonl", &[&event("b1", 104, 10)]);
    device.deliver();
    assert_eq!(device.state(), "ok", "one run alone says nothing");
}

#[test]
fn a_newer_schema_is_read_as_long_as_usage_comes() {
    let mut device = Device::new();
    let writer = device.database(".openclaw/agents/main");
    writer.pragma_update(None, "user_version", 99).unwrap();
    add(&writer, "s", 0, 1, &event("a1", 1, 10));
    device.deliver();
    assert_eq!((device.total().0, device.state()), (1, "ok"));
    let renamed = r#"{"message":{"role":"user"},"spent":{"tokens":5}}"#;
    (1..=QUIET_PROMPTS as i64).for_each(|seq| add(&writer, "s", seq, seq, renamed));
    device.deliver();
    assert_eq!(device.state(), "unknown_schema");
}

#[test]
fn a_stopped_openclaw_is_read_to_the_token_and_without_a_trace() {
    let mut device = Device::new();
    let writer = device.database(".openclaw/agents/main");
    add(&writer, "s", 0, 1, &event("a1", 1, 10));
    add(&writer, "s", 1, 2, &event("a2", 2, 10));
    drop(writer);
    assert_eq!((device.deliver(), device.state()), (2, "ok"));
    let folder = device.home.path().join(".openclaw/agents/main/agent");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "the database and nothing beside it");
    let writer = Connection::open(folder.join("openclaw-agent.sqlite")).unwrap();
    add(&writer, "s", 2, 3, &event("a3", 3, 10));
    assert_eq!((device.deliver(), device.state()), (1, "ok"));
}

#[test]
fn what_a_portion_goes_back_over_is_as_if_it_was_never_read() {
    let device = Device::new();
    let take = |portion: &mut Portion, id: &str| {
        let found = super::super::record::parse_slice(event(id, 7, 10).as_bytes());
        device.reader.take(found, false, "main", 0, portion);
    };
    let mut portion = Portion::default();
    take(&mut portion, "a");
    let (before, mark) = (format!("{portion:?}"), portion.mark());
    take(&mut portion, "b");
    portion.steps.push(Advance::Newest(9));
    portion.done.push(("/x".into(), Done::new(Stamp::of_file(Path::new("/x")))));
    assert_ne!(format!("{portion:?}"), before);
    portion.rewind(mark);
    assert_eq!(format!("{portion:?}"), before);
    take(&mut portion, "b");
    assert_eq!(portion.events.len(), 2, "it may come again");
}

#[test]
fn a_state_folder_that_vanishes_and_comes_back_costs_and_doubles_nothing() {
    let mut device = Device::new();
    let writer = device.database(".openclaw/agents/main");
    add(&writer, "s", 0, 1, &event("a1", 1, 10));
    drop(writer);
    device.file(".openclaw/agents/main/sessions/f.jsonl", &[&event("b1", 1, 10)]);
    assert_eq!((device.deliver(), device.state()), (2, "ok"));
    let (here, away) = (device.home.path().join(".openclaw"), device.home.path().join("away"));
    fs::rename(&here, &away).unwrap();
    assert_eq!((device.deliver(), device.state(), device.why()), (0, "unreadable", "gone"));
    fs::rename(&away, &here).unwrap();
    assert_eq!((device.deliver(), device.state()), (0, "ok"));
    let writer = device.database(".openclaw/agents/main");
    add(&writer, "s", 1, 2, &event("a2", 2, 10));
    assert_eq!((device.deliver(), device.total().0), (1, 3));
}
