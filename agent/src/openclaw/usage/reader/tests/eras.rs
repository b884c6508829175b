//! Whole state folders of every way in which OpenClaw has kept its transcripts, with what is in them known
//! beforehand.

use super::*;

/// Messages of a state folder. Each adds another power of two to the tokens in, so that a sum tells which of them
/// were counted.
struct Messages(u32);

impl Messages {
    fn next(&mut self) -> String {
        let at = self.0;
        self.0 += 1;
        event(&format!("m{at}"), 1_000 + i64::from(at), 1 << at)
    }
}

/// Tokens in, out, read from the cache and written to it, and US dollars.
fn sums(device: &Device) -> ([u64; 4], f64) {
    let mut tokens = [0; 4];
    for event in device.ledger.values() {
        for (sum, more) in
            tokens.iter_mut().zip([event.input, event.output, event.cache_read, event.cache_write])
        {
            *sum += more;
        }
    }
    (tokens, device.ledger.values().filter_map(|event| event.cost_usd).sum())
}

/// Reads the folder in every way that an agent may come to it, and finds the same each time.
fn check(device: &mut Device, events: usize, tokens: [u64; 4], cost_usd: f64) {
    let found = |device: &Device, when: &str| {
        let (sums, cost) = sums(device);
        assert_eq!((device.ledger.len(), sums, device.state()), (events, tokens, "ok"), "{when}");
        assert!((cost - cost_usd).abs() < 1e-9, "{when}: {cost} USD");
    };
    assert_eq!(device.deliver(), events, "each is sent once");
    found(device, "at first");
    assert_eq!(device.deliver(), 0);
    device.restart();
    device.deliver();
    found(device, "with the cursors after a restart");
    device.forget();
    assert_eq!(device.deliver(), events);
    found(device, "without the cursors");
}

/// Of `count` messages.
fn check_messages(device: &mut Device, count: u32) {
    let each = u64::from(count);
    check(device, count as usize, [(1 << count) - 1, each, 2 * each, 3 * each], 0.5 * f64::from(count));
}

#[test]
fn files_of_lines_give_what_is_in_them() {
    let mut device = Device::new();
    let mut messages = Messages(0);
    let [first, second, third, fourth] = std::array::from_fn(|_| messages.next());
    let sessions = ".openclaw/agents/main/sessions";
    // One that goes on, one before its reset, one that was deleted, and a fork of the first.
    device.file(&format!("{sessions}/s.jsonl"), &[&first, &second]);
    device.file(&format!("{sessions}/r.jsonl.reset.2026-07-01T10-00-00.000Z"), &[&third]);
    device.file(&format!("{sessions}/d.jsonl.deleted.2026-07-02T10-00-00.000Z"), &[&fourth]);
    device.file(&format!("{sessions}/f.jsonl"), &[&first]);
    // What is no transcript: sums over sessions, and copies in other shapes.
    let sums = r#"{"agent:main:main":{"sessionId":"s","inputTokens":999999,"outputTokens":999999,"usage":{"input":5}}}"#;
    device.file(&format!("{sessions}/sessions.json"), &[sums]);
    for copy in ["s.trajectory.jsonl", "s.checkpoint.1.jsonl", "s.jsonl.bak"] {
        device.file(&format!("{sessions}/{copy}"), &[&event("copy", 5, 999_999)]);
    }
    check_messages(&mut device, 4);
}

#[test]
fn rows_of_a_database_give_what_is_in_them() {
    let mut device = Device::new();
    let mut messages = Messages(0);
    let [first, second, third, fourth, fifth] = std::array::from_fn(|_| messages.next());
    let writer = device.database(".openclaw/agents/main");
    add(&writer, "s", 0, 1, r#"{"type":"session","id":"s"}"#);
    add(&writer, "s", 1, 1_000, &first);
    add(&writer, "s", 2, 1_001, &second);
    // A fork, and one that goes another way after the first answer.
    add(&writer, "fork", 0, 1_000, &first);
    add(&writer, "fork", 1, 1_001, &second);
    add(&writer, "rewind", 0, 1_000, &first);
    add(&writer, "rewind", 1, 1_002, &third);
    // A session that was deleted leaves a packed file, and the move into the database the files from before it.
    let packed =
        zstd::encode_all(format!("{{\"type\":\"session\",\"id\":\"d\"}}\n{fourth}\n").as_bytes(), 3).unwrap();
    let archive = device.home.path().join(".openclaw/agents/main/sessions");
    fs::create_dir_all(&archive).unwrap();
    fs::write(archive.join("d.jsonl.deleted.2026-09-01T10-00-00.000Z.zst"), packed).unwrap();
    let moved = ".openclaw/agents/main/session-sqlite-import-archive/key.s.jsonl.imported-17";
    device.file(moved, &[&first, &second]);
    add(&device.database(".openclaw/agents/other"), "o", 0, 1_004, &fifth);
    check_messages(&mut device, 5);
}

#[test]
fn packed_rows_give_what_is_in_them() {
    let mut device = Device::new();
    let mut messages = Messages(0);
    let writer = device.database(".openclaw/agents/main");
    writer
        .execute_batch(
            "DROP TABLE transcript_events;
             CREATE TABLE transcript_events (session_id TEXT NOT NULL, seq INTEGER NOT NULL, event_json TEXT,
                created_at INTEGER NOT NULL, event_zstd BLOB, event_utf8_bytes INTEGER, navigation_json TEXT,
                PRIMARY KEY (session_id, seq)) STRICT;
             PRAGMA user_version = 23;",
        )
        .unwrap();
    let row = |session: &str, seq: i64, event: &str, packed: bool| {
        let (plain, packed) = match packed {
            true => (None, Some(zstd::encode_all(event.as_bytes(), 3).unwrap())),
            false => (Some(event), None),
        };
        let navigation = r#"{"version":1,"navigation":{"message":{"role":"assistant"}}}"#;
        let sql = "INSERT INTO transcript_events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let values = params![session, seq, plain, 1_000 + seq, packed, event.len() as i64, navigation];
        writer.execute(sql, values).unwrap();
        let touched = "INSERT OR REPLACE INTO session_windows VALUES (?1, ?2)";
        writer.execute(touched, params![session, 1_000 + seq]).unwrap();
    };
    let events: [String; 3] = std::array::from_fn(|_| messages.next());
    let long = events[2].replace("secret", &"secret ".repeat(100_000));
    row("s", 0, &events[0], false);
    row("s", 1, &events[1], true);
    // Both ways of keeping it are the same message.
    row("fork", 0, &events[1], false);
    row("fork", 1, &long, true);
    check_messages(&mut device, 3);
}

/// State folders of real installs, with what an independent count found in them.
#[test]
#[ignore = "needs OPENCLAW_WATCH_FIXTURES to name the folder with state-*.tar.zst; .ci/run looks for it"]
fn real_state_folders_give_exactly_their_figures() {
    let fixtures = std::env::var_os("OPENCLAW_WATCH_FIXTURES").expect("OPENCLAW_WATCH_FIXTURES is set");
    let cases = [
        ("state-2026.9.6.tar.zst", 14, [10_451, 701, 2_600, 0], 0.012113),
        ("state-2026.7.35.tar.zst", 3, [2_427, 177, 600, 0], 0.002841),
    ];
    for (archive, events, tokens, cost_usd) in cases {
        let mut device = Device::new();
        // Not every tar knows the compression.
        let (packed, plain) = (Path::new(&fixtures).join(archive), device.home.path().join("state.tar"));
        fs::write(&plain, zstd::decode_all(fs::File::open(packed).unwrap()).unwrap()).unwrap();
        let mut tar = std::process::Command::new("tar");
        tar.arg("-xf").arg(&plain).arg("-C").arg(device.home.path());
        assert!(tar.status().unwrap().success(), "{archive}");
        check(&mut device, events, tokens, cost_usd);
    }
}
