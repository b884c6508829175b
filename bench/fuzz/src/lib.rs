//! What is fuzzed: every reader of bytes that come from a stranger or from a disk.
//!
//! Each target takes any bytes and says whether they were accepted. It must not panic, must not take much memory, and
//! what it accepts must come back the same when it is written and read again. `cargo fuzz run <target>` hunts;
//! `make test` replays the corpora on the stable compiler, with some mutations of each (`bench/tests/fuzz`).

use store::chunk::{Chunk, ColumnIn};
use store::{DeviceId, Timestamp};

/// The moment at which everything arrives.
const NOW: Timestamp = 1_795_343_922_420;

/// A target.
pub struct Target {
    /// As in `fuzz_targets/` and `corpus/`.
    pub name: &'static str,
    /// Whether these bytes are accepted.
    pub run: fn(&[u8]) -> bool,
    /// Bytes of memory that it may take for bytes of a corpus' size, whatever counts stand in them.
    pub memory_bytes_max: usize,
}

/// All there are.
pub const TARGETS: [Target; 7] = [
    Target { name: "frame", run: frame, memory_bytes_max: 64 << 20 },
    Target { name: "json_report", run: json_report, memory_bytes_max: 32 << 20 },
    Target { name: "older_json", run: older_json, memory_bytes_max: 4 << 20 },
    Target { name: "query_string", run: query_string, memory_bytes_max: 4 << 20 },
    Target { name: "cookie", run: cookie, memory_bytes_max: 1 << 20 },
    Target { name: "chunk", run: chunk, memory_bytes_max: 64 << 20 },
    Target { name: "tail_group", run: tail_group, memory_bytes_max: 32 << 20 },
];

/// A frame as it came; else the content of one, packed and with a checksum that fits.
pub fn frame(bytes: &[u8]) -> bool {
    let packed;
    let frame = match wire::frame::decode(bytes) {
        Ok(_) => bytes,
        Err(_) => {
            packed = enclosed(*b"OCWF", [wire::frame::VERSION, wire::frame::CODEC_ZSTD_BINCODE, 0, 0], bytes);
            &packed
        }
    };
    let Ok(report) = wire::frame::decode(frame) else { return false };
    let again = wire::frame::encode(&report).expect("what was decoded can be sent");
    let same = wire::frame::decode(&again).expect("what was encoded can be read");
    // Compared as bytes: a NaN is no equal of itself.
    assert_eq!(wire::frame::encode(&same).expect("as before"), again);
    admitted(frame);
    true
}

/// What the server does with a frame: sort out what cannot be stored.
fn admitted(frame: &[u8]) {
    let batch = ingest::read_frame(DeviceId(1), NOW, frame).expect("a frame that decodes is read");
    for column in &batch.rows.columns {
        assert_eq!(column.values.len(), batch.rows.t_ms.len(), "a column fits its rows");
    }
}

/// The body of `POST /api/v1/report` as JSON.
pub fn json_report(bytes: &[u8]) -> bool {
    let Ok((report, _)) = wire::json::parse(bytes) else { return false };
    wire::bounds::check(&report).expect("what was parsed keeps the bounds");
    if let Ok(frame) = wire::frame::encode(&report) {
        admitted(&frame);
    }
    let again = wire::json::to_json(&report);
    let (same, _) = wire::json::parse(again.as_bytes()).expect("what was printed can be parsed");
    assert_eq!(wire::json::to_json(&same), again);
    true
}

/// The body of the older agent's two paths.
pub fn older_json(bytes: &[u8]) -> bool {
    let Ok(flat) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes) else {
        return false;
    };
    let batch = ingest::older_status(DeviceId(1), NOW, &flat);
    assert!(
        batch.rows.t_ms.len() <= 1 && batch.rows.columns.iter().all(|column| column.values[0].is_finite())
    );
    let line = ingest::older_error(DeviceId(1), NOW, &flat);
    !batch.rows.t_ms.is_empty() || line.is_some()
}

/// The query string of any route.
pub fn query_string(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(query::fuzz::query_string)
}

/// A `Cookie` header.
pub fn cookie(bytes: &[u8]) -> bool {
    query::fuzz::cookie(bytes)
}

/// A chunk as it stands in the table; else the content of one, packed and with a checksum that fits.
pub fn chunk(bytes: &[u8]) -> bool {
    let Ok(chunk) = Chunk::open(bytes).or_else(|_| Chunk::open(&enclosed(*b"OCWC", [1, 0, 0, 0], bytes)))
    else {
        return false;
    };
    let Some((t_ms, columns)) = all(&chunk) else { return false };
    let again = store::chunk::encode(&t_ms, &columns);
    let same = all(&Chunk::open(&again).expect("what was encoded can be opened"));
    let (same_t_ms, same) = same.expect("what was encoded can be decoded");
    assert_eq!(same_t_ms, t_ms);
    let bits = |columns: &[ColumnIn]| -> Vec<_> {
        let bits = |column: &ColumnIn| column.values.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
        columns.iter().map(|column| (column.key, column.kind, column.present.clone(), bits(column))).collect()
    };
    assert_eq!(bits(&same), bits(&columns));
    true
}

/// Times and columns, as they were encoded; `None` when one of them does not decode, or all would be too much here.
fn all(chunk: &Chunk) -> Option<(Vec<Timestamp>, Vec<ColumnIn>)> {
    const CELLS_MAX: usize = 1 << 17;
    let t_ms = chunk.times().ok()?;
    let keys: Vec<_> = chunk.columns().collect();
    if keys.len() * chunk.rows() > CELLS_MAX {
        // Each by itself still must not panic.
        keys.iter().take(CELLS_MAX / chunk.rows().max(1)).for_each(|(key, _)| drop(chunk.column(*key)));
        return None;
    }
    let column = |(key, kind)| {
        let (values, present) = chunk.column(key).ok()??;
        let mut values = values.into_iter();
        // A row without a value has room for one.
        let rows = (0..chunk.rows()).map(|row| if present.has(row) { values.next() } else { Some(0.0) });
        Some(ColumnIn { key, kind, values: rows.collect::<Option<_>>()?, present: present.clone() })
    };
    Some((t_ms, keys.into_iter().map(column).collect::<Option<_>>()?))
}

/// A row of the tail: its format, then its content, which gets a checksum that fits.
pub fn tail_group(bytes: &[u8]) -> bool {
    let Some((format, content)) = bytes.split_first() else { return false };
    // Without one it is refused whatever it is.
    assert!(store::fuzz::tail_group(i64::from(*format), bytes).is_none());
    let group = [&crc32fast::hash(content).to_le_bytes()[..], content].concat();
    store::fuzz::tail_group(i64::from(*format), &group).is_some()
}

/// The head that frames and chunks share, and the content packed behind it.
fn enclosed(magic: [u8; 4], version: [u8; 4], content: &[u8]) -> Vec<u8> {
    let packed = zstd::bulk::compress(content, 1).expect("memory compresses");
    let mut bytes = [magic, version].concat();
    bytes.extend((content.len() as u32).to_le_bytes());
    bytes.extend((packed.len() as u32).to_le_bytes());
    let crc = crc32fast::hash(&[&bytes[..], &packed].concat());
    bytes.extend(crc.to_le_bytes());
    bytes.extend(packed);
    bytes
}
