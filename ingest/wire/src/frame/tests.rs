use proptest::prelude::*;

use super::*;
use crate::bounds::{COLUMNS_MAX, FACT_BYTES_MAX, LOG_BYTES_MAX, NAME_BYTES_MAX, ROWS_MAX};
use crate::report::{Column, Kind, Log, Presence, Rows};
use crate::testing::{any_bits, bits, example, reports};

/// The bincode bytes of [`example`]: what version 1, codec 1 means. It never changes.
const GOLDEN_CONTENT: &str = concat!(
    "05312e302e3001000102030405060708090a0b0c0d0e0f2a010a0103626f78000000000108000002fde869ac05440300",
    "00fdb871ac0544030000040b6370755f70657263656e74000200000000000029403333333333332a40000b6d656d6f72",
    "795f757365640002000000008894ef410000000000000000010101126e65745f74785f62797465735f746f74616c0102",
    "0000000000001c400000000000000000010101186469736b5f757365647b6d6f756e743d222f64617461227d00020000",
    "000000000000000000000000f03f0101020107676174657761790772756e6e696e6701026531fda066ac054403000004",
    "6d61696e0461636d650a61636d652d6c61726765fbb004fb5401fb2823000180b74082e2c7883f087265706f72746564",
    "01fda266ac0544030000056572726f7207676174657761790e3c7363726970743e2022c3a9220a",
);
/// A frame of [`example`] as the first release wrote it. It always decodes.
const GOLDEN_FRAME: &str = concat!(
    "4f435746010100004701000014010000ec149adb28b52ffd604700550800b20e3834604d7512e96401c0baa0b07d8624",
    "100e40095b35d5b4c42d128f340dd94498c1e368ce103ab6a0eaed9deefa6d05fb8456ee965216f641821d403ce8f916",
    "3a58bcbaf7e45132d7ef156caf369f12938d4c4483172181e409520a21bbf3d959b0fadba644bdf95174949a86b8a31e",
    "a5a253e3bce89f1dc510f32625039b3f3906ece1a9583f8c8ad0e30a32835deeccafaf85fd2347f3bcf64d0998390285",
    "e3c375286aa3d7afbf6bb34b43a6b00bedd3debc414d04b74bb2182977238909c43b29a1dd8a77773d9513b1c597018b",
    "40c065015454659222889733980c4633050f006120a55ee5435914ce64cf0980075525dc072c5fea1a6700294b083515",
    "776f53b61287b207",
);

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A frame around any content, with a header that is right.
fn frame_of(content: &[u8]) -> Vec<u8> {
    seal(content.len() as u32, &zstd::bulk::compress(content, 1).unwrap())
}

fn content_of(report: &Report) -> Vec<u8> {
    bincode::encode_to_vec(report, bincode::config::standard()).unwrap()
}

#[track_caller]
fn refused(frame: &[u8], message: &str) {
    assert_eq!(decode(frame).expect_err("must be refused").to_string(), message);
}

#[test]
fn content_is_the_golden_bytes() {
    assert_eq!(hex(&content_of(&example())), GOLDEN_CONTENT);
}

#[test]
fn golden_frame_decodes() {
    assert_eq!(decode(&unhex(GOLDEN_FRAME)), Ok(example()));
}

#[test]
fn header_is_as_described() {
    let frame = encode(&example()).unwrap();
    assert_eq!(frame[..8], *b"OCWF\x01\x01\0\0");
    assert_eq!(frame[8..12], (content_of(&example()).len() as u32).to_le_bytes());
    assert_eq!(frame[12..16], ((frame.len() - 20) as u32).to_le_bytes());
    let crc = crc32fast::hash(&[&frame[..16], &frame[20..]].concat());
    assert_eq!(frame[16..20], crc.to_le_bytes());
}

#[test]
fn every_cut_is_refused() {
    let frame = encode(&example()).unwrap();
    for len in 0..frame.len() {
        assert!(decode(&frame[..len]).is_err(), "{len} bytes");
    }
    refused(&frame[..19], "a frame has at least 20 bytes, these are 19");
    let cut = &frame[..frame.len() - 1];
    refused(cut, &format!("the frame's header says {} bytes, but there are {}", frame.len(), cut.len()));
    assert!(decode(&[&frame[..], b"x"].concat()).is_err());
}

#[test]
fn every_changed_bit_is_refused() {
    let frame = encode(&example()).unwrap();
    for bit in 0..frame.len() * 8 {
        let mut frame = frame.clone();
        frame[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&frame).is_err(), "bit {bit}");
    }
}

#[test]
fn header_faults_say_which() {
    let with = |at: usize, value: u8| {
        let mut frame = encode(&example()).unwrap();
        frame[at] = value;
        frame
    };
    refused(&with(0, b'o'), "these bytes do not start with \"OCWF\": not a frame");
    refused(&with(4, 2), "frame version 2 is newer than this server understands (1)");
    refused(&with(4, 0), "byte 4 of the frame's header is 0, which means nothing");
    refused(&with(5, 9), "byte 5 of the frame's header is 9, which means nothing");
    refused(&with(7, 1), "byte 7 of the frame's header is 1, which means nothing");
    assert!(matches!(decode(&with(16, 0)), Err(FrameError::Checksum { said, computed }) if said != computed));
}

#[test]
fn a_claimed_length_is_not_believed() {
    let content = content_of(&example());
    let body = zstd::bulk::compress(&content, 1).unwrap();
    for claimed in [0, content.len() - 1, content.len() + 1, REPORT_BYTES_MAX] {
        let frame = seal(claimed as u32, &body);
        assert!(matches!(decode(&frame), Err(FrameError::Compression { .. })), "{claimed}");
    }
    refused(&seal(u32::MAX, &body), "the report has 4294967295 bytes where at most 16777216 are allowed");
    // 64 MiB of zeros in a few kilobytes.
    let bomb = zstd::bulk::compress(&vec![0; 4 * REPORT_BYTES_MAX], 1).unwrap();
    assert!(bomb.len() < FRAME_BYTES_MAX);
    let frame = seal(REPORT_BYTES_MAX as u32, &bomb);
    assert!(matches!(decode(&frame), Err(FrameError::Compression { .. })));
}

#[test]
fn a_length_inside_the_content_is_not_believed() {
    // Empty version, no boot id, no interval, no facts, then 2^60 times.
    let mut content = vec![0; 11];
    content.push(253);
    content.extend_from_slice(&(1u64 << 60).to_le_bytes());
    assert!(matches!(decode(&frame_of(&content)), Err(FrameError::Content { .. })));
}

#[test]
fn bytes_after_the_report_are_refused() {
    let mut content = content_of(&example());
    content.push(0);
    refused(&frame_of(&content), "the frame's content is no report: 1 bytes are left over after it");
}

fn with_column(rows: usize, change: impl Fn(&mut Column)) -> Report {
    let mut column = Column {
        name: "a".into(),
        kind: Kind::Gauge,
        values: vec![0.0; rows],
        present: Presence::Bits(vec![0; rows.div_ceil(64)]),
    };
    change(&mut column);
    Report { rows: Rows { t_ms: vec![0; rows], columns: vec![column] }, ..Report::default() }
}

/// Refused on both sides: nobody sends it, nobody takes it.
#[track_caller]
fn out_of_bounds(report: &Report, message: &str) {
    assert_eq!(encode(report).expect_err("must not encode").to_string(), message);
    refused(&frame_of(&content_of(report)), message);
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    assert!(decode(&encode(&with_column(65, |_| ())).unwrap()).is_ok());
    out_of_bounds(&with_column(65, |c| c.values.truncate(64)), "rows.columns[0]: 64 values for 65 rows");
    out_of_bounds(
        &with_column(65, |c| c.present = Presence::Bits(vec![0])),
        "rows.columns[0]: 1 presence words for 65 rows",
    );
    out_of_bounds(
        &with_column(65, |c| c.present = Presence::Bits(vec![0, 0b10])),
        "rows.columns[0]: presence bits past the last row",
    );
    let mut twice = with_column(1, |_| ());
    twice.rows.columns.push(twice.rows.columns[0].clone());
    out_of_bounds(&twice, "rows.columns[1]: the same name as an earlier column");
}

#[test]
fn every_bound_holds_on_both_sides() {
    let name = "n".repeat(NAME_BYTES_MAX + 1);
    out_of_bounds(
        &with_column(1, |c| c.name = name.clone()),
        "rows.columns[0].name: 257 bytes where at most 256 are allowed",
    );
    out_of_bounds(&with_column(ROWS_MAX + 1, |_| ()), "rows: 10001 elements where at most 10000 are allowed");
    let mut wide = with_column(1, |_| ());
    wide.rows.columns = vec![wide.rows.columns[0].clone(); COLUMNS_MAX + 1];
    out_of_bounds(&wide, "rows.columns: 1001 elements where at most 1000 are allowed");
    let mut fact = example();
    fact.facts.kernel = Some("k".repeat(FACT_BYTES_MAX + 1));
    out_of_bounds(&fact, "facts.kernel: 1025 bytes where at most 1024 are allowed");
    let mut log = example();
    log.logs.push(Log { message: "m".repeat(LOG_BYTES_MAX + 1), ..Log::default() });
    out_of_bounds(&log, "logs[1].message: 65537 bytes where at most 65536 are allowed");
    let mut logs = example();
    logs.logs = vec![Log::default(); 1_001];
    out_of_bounds(&logs, "logs: 1001 elements where at most 1000 are allowed");
    let mut usage = example();
    usage.usage = vec![Default::default(); 10_001];
    out_of_bounds(&usage, "usage: 10001 elements where at most 10000 are allowed");
    let mut states = example();
    states.states = vec![Default::default(); 65];
    out_of_bounds(&states, "states: 65 elements where at most 64 are allowed");
}

#[test]
fn the_largest_reports_come_through() {
    let mut most = Report { logs: vec![Log::default(); 1_000], ..example() };
    most.usage = vec![Default::default(); 10_000];
    most.rows = with_column(ROWS_MAX, |_| ()).rows;
    let column = most.rows.columns[0].clone();
    most.rows.columns = (0..104).map(|i| Column { name: format!("c{i}"), ..column.clone() }).collect();
    assert_eq!(decode(&encode(&most).unwrap()), Ok(most));
}

#[test]
fn a_report_that_does_not_compress_is_too_large() {
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from_bits(state ^ state >> 29)
    };
    let mut report = with_column(ROWS_MAX, |_| ());
    let column = report.rows.columns[0].clone();
    report.rows.columns = (0..20)
        .map(|i| Column {
            name: format!("c{i}"),
            values: (0..ROWS_MAX).map(|_| noise()).collect(),
            ..column.clone()
        })
        .collect();
    let error = encode(&report).unwrap_err();
    assert!(error.is_too_large(), "{error}");
}

proptest! {
    #[test]
    fn frames_bring_back_every_bit(report in reports(any_bits())) {
        let decoded = decode(&encode(&report).unwrap()).unwrap();
        prop_assert_eq!(bits(&decoded), bits(&report));
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        let _ = decode(&seal(bytes.len() as u32, &bytes));
        let _ = decode(&frame_of(&bytes));
    }

    #[test]
    fn changed_content_never_panics(
        report in reports(any_bits()),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut content = content_of(&report);
        for (at, value) in changes {
            let at = at.index(content.len());
            content[at] = value;
        }
        // What still decodes keeps every promise that encoding checks.
        if let Ok(report) = decode(&frame_of(&content)) {
            prop_assert!(encode(&report).is_ok());
        }
        let _ = decode(&frame_of(&content[..cut.index(content.len())]));
        let mut frame = frame_of(&content);
        let at = cut.index(frame.len());
        frame[at] ^= 1;
        prop_assert!(decode(&frame).is_err());
    }
}
