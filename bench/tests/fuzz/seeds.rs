//! The seeds that are not text, made by what writes such bytes. The corpora hold what this made once: bytes of an
//! earlier version are seeds as good as any.

use std::path::Path;
use std::sync::Arc;

use bench::mix::{self, Device};
use store::chunk::{ColumnIn, ColumnKey, Field};
use store::{Batch, DeviceId, DeviceProfile, Kind, Presence, Store};

const NOW: i64 = 1_795_343_922_420;

/// Writes them when `OPENCLAW_WATCH_WRITE_CORPUS` is set.
pub fn write_if_asked() {
    if std::env::var_os("OPENCLAW_WATCH_WRITE_CORPUS").is_none() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let write = |name: &str, bytes: &[u8]| std::fs::write(root.join(name), bytes).unwrap();
    frames(&write);
    chunks(&write);
    tail_groups(&write);
}

/// One of everything.
fn report() -> wire::Report {
    let mut rows = Device::new(1, 1, 12).rows(NOW, 1_000, 5);
    rows.columns[3].present = wire::Presence::Bits(vec![0b10101]);
    let text = |text: &str| Some(text.to_string());
    wire::Report {
        agent: wire::AgentInfo {
            version: "1.0.0".into(),
            boot: Some((wire::BootId([7; 16]), 42)),
            interval_s: Some(10),
        },
        facts: wire::Facts { hostname: text("nas"), os: text("Linux"), cores: Some(8), ..Default::default() },
        rows,
        states: vec![("gateway".into(), "running".into())],
        usage: vec![wire::Usage { event_id: "e1".into(), t_ms: NOW, input: 1_200, ..Default::default() }],
        logs: vec![wire::Log {
            t_ms: NOW,
            level: "error".into(),
            message: "no 磁盘\n".into(),
            ..Default::default()
        }],
    }
}

fn frames(write: &impl Fn(&str, &[u8])) {
    let whole = wire::frame::encode(&report()).unwrap();
    let content = zstd::bulk::decompress(&whole[wire::frame::HEADER_BYTES..], 1 << 20).unwrap();
    write("frame/valid-everything", &whole);
    write("frame/valid-content", &content);
    write("frame/valid-empty", &wire::frame::encode(&wire::Report::default()).unwrap());
    write("frame/bad-cut", &whole[..whole.len() - 7]);
    let mut newer = whole.clone();
    newer[4] = 9;
    write("frame/bad-newer", &newer);
    let mut huge = whole.clone();
    huge[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    write("frame/bad-size", &huge);
    // A list of logs (the last of a report) that claims 2^63 entries.
    let empty = zstd::bulk::decompress(
        &wire::frame::encode(&wire::Report::default()).unwrap()[wire::frame::HEADER_BYTES..],
        1 << 10,
    );
    let mut many = empty.unwrap();
    many.pop();
    many.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0x80]);
    write("frame/bad-content-count", &many);
}

fn chunks(write: &impl Fn(&str, &[u8])) {
    const HEADER_BYTES: usize = 20;
    let content = |blob: &[u8]| zstd::bulk::decompress(&blob[HEADER_BYTES..], 1 << 20).unwrap();
    let rows = mix::store_rows(Device::new(2, 2, 24).rows(NOW, 1_000, 100));
    let columns = rows.columns.into_iter().zip(1..).map(|(column, metric)| ColumnIn {
        key: ColumnKey { metric, field: Field::Value },
        kind: column.kind,
        values: column.values,
        present: column.present,
    });
    let blob = store::chunk::encode(&rows.t_ms, &columns.collect::<Vec<_>>());
    write("chunk/valid-raw", &blob);
    write("chunk/valid-content", &content(&blob));
    let odd = [f64::NAN, -0.0, f64::INFINITY, f64::MIN_POSITIVE, 1e300, 9_007_199_254_740_993.0, 0.1, -1.5];
    let column = |metric, field, present| ColumnIn {
        key: ColumnKey { metric, field },
        kind: Kind::Counter,
        values: odd.to_vec(),
        present,
    };
    let sparse = Presence::Bits(vec![0b1010_0110]);
    let columns = [
        column(1, Field::Count, Presence::All),
        column(1, Field::Sum, sparse),
        column(9, Field::Last, Presence::All),
    ];
    let blob = store::chunk::encode(&[5, 4, 3, 3, -9, i64::MAX, i64::MIN, 0], &columns);
    write("chunk/valid-odd", &content(&blob));
    write("chunk/valid-empty", &store::chunk::encode(&[], &[]));
    write("chunk/bad-cut", &blob[..blob.len() - 3]);
    let mut rows_claimed = content(&blob);
    rows_claimed.splice(0..1, [0xfc, 0xff, 0xff, 0xff, 0xff]);
    write("chunk/bad-content-rows", &rows_claimed);
    let mut flipped = blob;
    flipped[HEADER_BYTES + 2] ^= 1;
    write("chunk/bad-checksum", &flipped);
}

fn tail_groups(write: &impl Fn(&str, &[u8])) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = store::Options::new(folder.path());
    options.frames = Some(Arc::new(ingest::read_frame));
    let store = Store::open(options, NOW).unwrap();
    let device = store.add_device(DeviceProfile::default(), [1; 32], NOW).unwrap();
    let wait = |submit: &dyn Fn(store::Reply)| {
        let (done, wait) = std::sync::mpsc::channel();
        submit(Box::new(move |receipt| done.send(receipt).unwrap()));
        wait.recv().unwrap().unwrap();
    };
    let frame = wire::frame::encode(&report()).unwrap();
    let batch = |device: DeviceId| -> Batch { ingest::read_frame(device, NOW, &frame).unwrap() };
    wait(&|reply| drop(store.submit(batch(device), reply)));
    let again = Batch { origin: None, ..batch(device) };
    wait(&|reply| drop(store.submit_frame(again.clone(), frame.clone().into(), reply)));
    let db = rusqlite::Connection::open(folder.path().join("tail.db")).unwrap();
    let mut rows = db.prepare("SELECT format, body FROM batch_group ORDER BY id").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let mut groups: Vec<Vec<u8>> = rows
        .map(|row: rusqlite::Result<(u8, Vec<u8>)>| row.unwrap())
        .map(|(format, body)| [&[format], &body[4..]].concat())
        .collect();
    assert_eq!(groups.len(), 2, "one of each kind");
    let (frame, batch) = (groups.remove(1), groups.remove(0));
    write("tail_group/valid-batch", &batch);
    write("tail_group/bad-frame-nobody-can-read", &frame);
    // Format 1 is the same list without a word of what each entry is: that of one batch is byte 2.
    write("tail_group/valid-format-1", &[&[1, 1], &batch[3..]].concat());
    write("tail_group/bad-format", &[&[3], &batch[1..]].concat());
    write("tail_group/bad-cut", &batch[..batch.len() - 9]);
    write("tail_group/bad-count", &[2, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    // A million batches of which none is there.
    write("tail_group/bad-many", &[1, 0xfc, 0x40, 0x42, 0x0f, 0]);
}
