//! Whole chunks: what goes in comes back, and nothing else is taken for a chunk.

use super::*;
use crate::error::Result;
use proptest::collection::vec as many;
use proptest::prelude::*;
use proptest::sample::Index;
use zstd::zstd_safe::DCtx;

fn key(metric: u32) -> ColumnKey {
    ColumnKey { metric, field: Field::Value }
}

fn gauge(metric: u32, values: Vec<f64>) -> ColumnIn {
    ColumnIn { key: key(metric), kind: Kind::Gauge, values, present: Presence::All }
}

#[track_caller]
fn check_blob(blob: &[u8], t: &[i64], columns: &[ColumnIn]) {
    let chunk = Chunk::open(blob).unwrap();
    assert_eq!(chunk.rows(), t.len());
    assert_eq!(chunk.times().unwrap(), t);
    let mut wanted: Vec<_> = columns.iter().map(|c| (c.key, c.kind)).collect();
    wanted.sort_unstable_by_key(|c| c.0);
    assert_eq!(chunk.columns().collect::<Vec<_>>(), wanted);
    for column in columns {
        let (values, present) = chunk.column(column.key).unwrap().unwrap();
        assert_eq!(present, &column.present);
        let given = (0..t.len()).filter(|&i| column.present.has(i)).map(|i| column.values[i].to_bits());
        let found: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
        assert_eq!(found, given.collect::<Vec<_>>(), "column {:?}", column.key);
    }
}

#[track_caller]
fn check(t: &[i64], columns: &[ColumnIn]) {
    check_blob(&encode(t, columns), t, columns);
}

fn walk(steps: Vec<i64>, from: i64) -> impl Iterator<Item = i64> {
    steps.into_iter().scan(from, |at, step| {
        *at = at.wrapping_add(step);
        Some(*at)
    })
}

/// Columns of `rows` values as the sources in the world make them.
fn any_column(rows: usize) -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        any::<u64>().prop_map(move |bits| vec![f64::from_bits(bits); rows]),
        // Noise in every bit.
        many(any::<u64>().prop_map(f64::from_bits), rows),
        // Decimals that wander, with and without rounding noise.
        (many(-50i64..50, rows), 0i32..5).prop_map(move |(steps, places)| {
            walk(steps, 1_000).map(|m| m as f64 / 10f64.powi(places)).collect()
        }),
        many(-50i64..50, rows)
            .prop_map(move |steps| walk(steps, 100_000).map(|m| m as f64 * 0.001).collect()),
        // Counters, also beyond 2^53, in pages.
        (many(0i64..5_000, rows), 0i64..1 << 62, 0u32..14).prop_map(move |(steps, from, shift)| {
            walk(steps, from >> shift).map(|m| (m << shift) as f64).collect()
        }),
        // Speeding up: differences of the second order.
        (many(-2i64..3, rows), -1000i64..1000).prop_map(move |(steps, from)| {
            let slopes: Vec<i64> = walk(steps, from).collect();
            walk(slopes, 0).map(|m| m as f64).collect()
        }),
        // Long runs, and few values far apart.
        (many((0usize..30, -4i64..4), rows), 1i64..1 << 40).prop_map(move |(runs, far)| {
            let runs = runs.into_iter().flat_map(|(n, v)| std::iter::repeat_n((v * far) as f64, n + 1));
            runs.take(rows).collect()
        }),
        many((0i64..9).prop_map(|v| (v * v * 1_000_003) as f64 / 100.0), rows),
        // An odd distribution of bytes.
        many(
            (0u32..200, any::<bool>()).prop_map(|(v, odd)| f64::from(if odd { v } else { v / 7 * 7 })),
            rows
        ),
        // Quotients, and decimals with exceptions of every kind.
        many((0u32..100_000).prop_map(|v| f64::from(v) / 9.999), rows),
        many(
            prop_oneof![
                20 => (-10_000i64..10_000).prop_map(|m| m as f64 / 10.0),
                1 => any::<u64>().prop_map(f64::from_bits),
                1 => Just(-0.0),
                1 => Just(f64::from_bits(0x7ff8_dead_beef_0001)),
                1 => Just(f64::NEG_INFINITY),
                1 => Just(f64::MIN_POSITIVE / 2.0),
                1 => Just(i64::MAX as f64),
            ],
            rows
        ),
    ]
}

fn any_presence(rows: usize) -> impl Strategy<Value = Presence> {
    prop_oneof![
        Just(Presence::All),
        many(any::<bool>(), rows).prop_map(|flags| Presence::from_flags(flags.into_iter())),
        many(0usize..30, rows).prop_map(move |runs| {
            let flags =
                runs.into_iter().enumerate().flat_map(|(i, n)| std::iter::repeat_n(i % 2 == 0, n + 1));
            Presence::from_flags(flags.take(rows).collect::<Vec<_>>().into_iter())
        }),
    ]
}

fn any_times(rows: usize) -> impl Strategy<Value = Vec<i64>> {
    prop_oneof![
        many(any::<i64>(), rows),
        (any::<i64>(), 1i64..100_000, 0i64..30, many((0i64..4, any::<i64>()), rows)).prop_map(
            |(start, step, jitter, rows)| {
                let mut slot = 0i64;
                let row = rows.into_iter().map(|(gap, beside)| {
                    slot += if gap == 3 { 7 } else { 1 };
                    start.wrapping_add(slot * step).wrapping_add(beside % (jitter + 1))
                });
                row.collect()
            }
        ),
    ]
}

fn any_rows() -> impl Strategy<Value = (Vec<i64>, Vec<ColumnIn>)> {
    (0usize..400).prop_flat_map(|rows| {
        let column = (any_column(rows), any_presence(rows), any::<bool>());
        (any_times(rows), many(column, 0..5)).prop_map(|(t, columns)| {
            let kind = |counter| if counter { Kind::Counter } else { Kind::Gauge };
            let columns = columns.into_iter().enumerate().map(|(i, (values, present, counter))| ColumnIn {
                key: key(i as u32 * 300),
                kind: kind(counter),
                values,
                present,
            });
            (t, columns.collect())
        })
    })
}

/// Reads everything a blob may hold.
fn read_all(blob: &[u8]) -> Result<()> {
    let chunk = Chunk::open(blob)?;
    chunk.times()?;
    let keys: Vec<ColumnKey> = chunk.columns().map(|c| c.0).collect();
    for key in keys {
        chunk.column(key)?;
    }
    Ok(())
}

/// A blob whose header is right, around any frame.
fn with_header(frame: &[u8], plain_bytes: usize) -> Vec<u8> {
    let mut blob = vec![0; HEADER_BYTES];
    blob.extend_from_slice(frame);
    header::write(&mut blob, plain_bytes);
    blob
}

fn unpacked(blob: &[u8]) -> Vec<u8> {
    let header = header::read(blob).unwrap();
    blocks::decompress(&mut DCtx::create(), &blob[HEADER_BYTES..], header.plain_bytes, 0).unwrap()
}

proptest! {
    #[test]
    fn columns_of_every_source_come_back((t, columns) in any_rows()) {
        check(&t, &columns);
    }

    #[test]
    fn a_column_that_repeats_another_comes_back(
        (values, others) in (0usize..300).prop_flat_map(|rows| (any_column(rows), any_column(rows))),
        differing in many(any::<Index>(), 0..40)
    ) {
        let t: Vec<i64> = (0..values.len() as i64).collect();
        let mut almost = values.clone();
        if !values.is_empty() {
            differing.iter().map(|i| i.index(values.len())).for_each(|i| almost[i] = others[i]);
        }
        let copies = [values.clone(), almost.clone(), values, others, almost];
        let columns: Vec<_> = (1..).zip(copies).map(|(metric, values)| gauge(metric, values)).collect();
        check(&t, &columns);
    }

    #[test]
    fn any_bytes_are_an_error_never_a_panic(bytes in many(any::<u8>(), 0..300)) {
        let _ = Chunk::open(&bytes);
        // With a true header and frame the body is reached.
        let packed = zstd::bulk::compress(&bytes, 1).unwrap();
        let _ = read_all(&with_header(&packed, bytes.len()));
    }

    #[test]
    fn a_column_of_a_head_is_read_as_bincode_reads_it(
        bytes in many(prop_oneof![8 => 0u8..6, 1 => 248u8..=255, 1 => any::<u8>()], 0..80)
    ) {
        let told = |column: StoredColumn| {
            (column.metric_rise, column.field, column.kind, column.presence, column.values)
        };
        let expected: Option<(StoredColumn, usize)> =
            bincode::decode_from_slice(&bytes, bincode::config::standard()).ok();
        let mut reader = head::Reader::new(&bytes, 0);
        let found = <StoredColumn as head::InHead>::read(&mut reader).map(|column| (told(column), reader.at()));
        prop_assert_eq!(found, expected.map(|(column, used)| (told(column), used)));
    }

    #[test]
    fn a_body_with_changed_bytes_never_panics(
        (t, columns) in any_rows(), changes in many((any::<Index>(), any::<u8>()), 1..4)
    ) {
        let mut plain = unpacked(&encode(&t, &columns));
        for (at, byte) in changes {
            // Most of what can be believed wrongly stands in front.
            let at = at.index(plain.len().min(200));
            plain[at] = byte;
        }
        let _ = read_all(&with_header(&zstd::bulk::compress(&plain, 1).unwrap(), plain.len()));
    }
}

#[test]
fn a_changed_bit_anywhere_is_an_error() {
    let t: Vec<i64> = (0..100).map(|i| 1_000 * i).collect();
    let blob = encode(&t, &[gauge(1, (0..100).map(|i| f64::from(i * i % 37) / 10.0).collect())]);
    for at in 0..blob.len() {
        for bit in 0..8 {
            let mut changed = blob.clone();
            changed[at] ^= 1 << bit;
            assert!(Chunk::open(&changed).is_err(), "bit {bit} of byte {at}");
        }
    }
    for end in 0..blob.len() {
        assert!(Chunk::open(&blob[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn streams_that_are_too_short_or_too_long_are_an_error() {
    let t: Vec<i64> = (0..100).map(|i| 1_000 * i).collect();
    let plain = unpacked(&encode(&t, &[gauge(1, (0..100).map(|i| f64::from(i * i % 997)).collect())]));
    for len in [plain.len() - 1, plain.len() + 1] {
        let mut plain = plain.clone();
        plain.resize(len, 0);
        let packed = zstd::bulk::compress(&plain, 1).unwrap();
        assert!(Chunk::open(&with_header(&packed, len)).is_err());
    }
}

#[test]
fn one_column_of_many_is_read_without_the_others() {
    let t: Vec<i64> = (0..300).map(|i| 1_000 * i).collect();
    let columns: Vec<ColumnIn> =
        (1..=30).map(|m| gauge(m, (0..300).map(|i| f64::from(i * i % 977 * m as i32)).collect())).collect();
    let mut blob = encode(&t, &columns);
    // The last column's exponent is made one that does not exist: the column is lost, no other is.
    let mut plain = unpacked(&blob);
    let (head, _): (Head, usize) = bincode::decode_from_slice(&plain, bincode::config::standard()).unwrap();
    let stored = bincode::encode_to_vec(&head.columns[29], bincode::config::standard()).unwrap();
    let at = plain.windows(stored.len()).rposition(|w| w == stored).unwrap();
    let exponent = 5;
    assert!(matches!(head.columns[29].values, Values::Decimals { exponent: 0, .. }));
    plain[at + exponent] = 16;
    blob = with_header(&zstd::bulk::compress(&plain, 1).unwrap(), plain.len());
    let chunk = Chunk::open(&blob).unwrap();
    assert!(chunk.column(key(30)).is_err());
    for column in &columns[..29] {
        assert_eq!(chunk.column(column.key).unwrap().unwrap().0, column.values);
    }
    assert_eq!(chunk.column(key(31)).unwrap(), None);
}

#[test]
fn columns_come_back_in_the_order_of_their_keys() {
    check(&[1, 2], &[gauge(7, vec![1.0, 2.0]), gauge(3, vec![5.0, 6.0]), gauge(1_000_000, vec![1.5, 2.0])]);
}

/// Bytes that columns add to a chunk of these times.
fn bytes_of(t: &[i64], columns: &[ColumnIn]) -> usize {
    check(t, columns);
    encode(t, columns).len() - encode(t, &[]).len()
}

#[test]
fn a_constant_column_costs_a_few_bytes() {
    let t: Vec<i64> = (0..720).map(|i| 10_000 * i).collect();
    let column = |metric, v| gauge(metric, vec![v; t.len()]);
    let one = encode(&t, &[column(1, 17.5)]).len();
    let two = encode(&t, &[column(1, 17.5), column(2, 8.0)]).len();
    assert!(two - one <= 16, "{} bytes more", two - one);
}

#[test]
fn rollups_of_one_sample_a_step_cost_what_the_sample_costs() {
    let t: Vec<i64> = (0..1_000).map(|i| 300_000 * i).collect();
    let values: Vec<f64> = (0..1_000).map(|i| f64::from(i * i % 1_009) / 10.0).collect();
    let column = |field, values| ColumnIn { key: ColumnKey { metric: 1, field }, ..gauge(1, values) };
    let of_value = bytes_of(&t, &[column(Field::Min, values.clone())]);
    let copies = [Field::Sum, Field::Min, Field::Max, Field::First, Field::Last];
    let mut columns: Vec<ColumnIn> = copies.into_iter().map(|field| column(field, values.clone())).collect();
    columns.push(column(Field::Count, vec![1.0; 1_000]));
    let of_all = bytes_of(&t, &columns);
    assert!(of_all <= of_value + 40, "{of_all} for {of_value}");
}

#[test]
fn a_counter_beyond_2_to_the_53_costs_what_a_small_one_does() {
    let t: Vec<i64> = (0..720).map(|i| i * 10_000).collect();
    // Doubles of this size are 256 apart: the steps of a counter that an agent read as a double.
    let from = |start: f64| {
        let steps = (0..720u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) * 256);
        let values = steps.scan(start, |at, step| {
            *at += step as f64;
            Some(*at)
        });
        bytes_of(&t, &[ColumnIn { kind: Kind::Counter, ..gauge(1, values.collect()) }])
    };
    let (small, large) = (from(0.0), from(2f64.powi(60)));
    assert!(large <= small + small / 10, "{large} bytes, {small} for the small one");
}

#[test]
fn a_mirror_that_is_off_now_and_then_costs_what_is_off() {
    let t: Vec<i64> = (0..1_000).map(|i| 1_000 * i).collect();
    let values: Vec<f64> = (0..1_000).map(|i| f64::from(i * i % 1_009) / 9.999).collect();
    let mut mirror = values.clone();
    (0..1_000).step_by(100).for_each(|i| mirror[i] = f64::from(i as u32) / 7.0);
    let one = bytes_of(&t, &[gauge(1, values.clone())]);
    let both = bytes_of(&t, &[gauge(1, values), gauge(2, mirror)]);
    assert!(both - one < 160, "{} bytes for ten values", both - one);
}

#[test]
fn a_column_absent_in_a_few_rows_costs_no_bitmap() {
    let t: Vec<i64> = (0..720).map(|i| 10_000 * i).collect();
    let values: Vec<f64> = (0..720).map(|i| f64::from(i * i % 1_009)).collect();
    let all = gauge(1, values);
    let present = Presence::from_flags((0..720).map(|i| i % 300 != 5));
    let some = ColumnIn { present, ..all.clone() };
    assert!(bytes_of(&t, &[some]) < bytes_of(&t, &[all]) + 20);
}

#[test]
fn an_empty_chunk_is_a_chunk() {
    check(&[], &[]);
    check(&[5], &[]);
    check(&[], &[gauge(1, vec![])]);
    let nowhere = Presence::from_flags([false, false].into_iter());
    check(&[1, 2], &[ColumnIn { present: nowhere, ..gauge(1, vec![1.0, 2.0]) }]);
}

#[test]
#[should_panic(expected = "two columns of one key")]
fn a_key_twice_is_the_callers_fault() {
    encode(&[1], &[gauge(1, vec![1.0]), gauge(1, vec![2.0])]);
}

/// Rows whose columns need every form there is.
fn fixture() -> (Vec<i64>, Vec<ColumnIn>) {
    let rows = 600;
    let mut x = 1u64;
    let mut random = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x ^ x >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11
    };
    let t = (0..rows)
        .map(|i| 1_795_343_922_420 + (i + i / 400 * 77) * 10_000 + (random() % 41) as i64 - 20)
        .collect();
    let mut sum = 0;
    let (mut slope, mut ramp) = (0, 0);
    let (mut wander, mut quotients) = (5_000i64, Vec::new());
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); 10];
    for i in 0..rows {
        sum += 9_000 + (random() % 900) as i64 * 3;
        slope += (random() % 7) as i64 - 3;
        ramp += slope;
        wander += (random() % 2_001) as i64 - 1_000;
        quotients.push((random() % 100_000) as f64 / 9.999);
        let odd = (random() % 10) as i64;
        let values = [
            17.5,
            (sum << 20) as f64,
            wander as f64 / 100.0,
            (random() % 1_000) as f64 * 0.001,
            (i / 70 * 7_919 % 1_013) as f64,
            ((random() % 8) * 1_234_567 % 999_983) as f64,
            (odd * odd * odd * 70 + i64::from(i == 9)) as f64,
            f64::from_bits(random() << 11 | random() & 0x7ff),
            quotients[i as usize],
            ramp as f64,
        ];
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    columns[2][300] = -0.0;
    columns.push(columns[8].clone());
    columns.push(columns[8].iter().enumerate().map(|(i, v)| if i % 50 == 7 { 1.5 } else { *v }).collect());
    let mut columns: Vec<ColumnIn> =
        (1..).zip(columns).map(|(metric, values)| gauge(metric, values)).collect();
    columns[1].kind = Kind::Counter;
    columns[4].present = Presence::from_flags((0..600).map(|i| i % 250 != 3));
    columns[5].present = Presence::from_flags((0..600).map(|i| i * i % 7 < 3));
    (t, columns)
}

#[test]
fn the_fixture_of_format_1_has_the_totals_it_was_written_with() {
    let blob = include_bytes!("../../tests/fixtures/chunk-format-1.bin");
    let (t, columns) = fixture();
    check_blob(blob, &t, &columns);
    let chunk = Chunk::open(blob).unwrap();
    let samples: usize = columns.iter().map(|c| chunk.column(c.key).unwrap().unwrap().0.len()).sum();
    let sum = |metric| chunk.column(key(metric)).unwrap().unwrap().0.iter().sum::<f64>();
    let totals = format!(
        "{} rows, {} ms, {samples} samples, sums {:?}",
        chunk.rows(),
        chunk.times().unwrap().iter().map(|t| t - 1_795_343_922_420).sum::<i64>(),
        [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12].map(sum)
    );
    assert_eq!(
        totals,
        "600 rows, 1950999193 ms, 7026 samples, sums [10500.0, 1959087477620736.0, 9285.02000000001, 302.60900000000015, 296241.0, 199828941.0, 8624491.0, 2902727.972797278, 764309.0, 2902727.972797278, 2851968.395039502]"
    );
    // No form of the format is missing in it.
    let (head, _): (Head, usize) =
        bincode::decode_from_slice(&unpacked(blob), bincode::config::standard()).unwrap();
    let forms = format!(
        "{:?} {:?} {:?}",
        head.times,
        head.presences,
        head.columns.iter().map(|c| &c.values).collect::<Vec<_>>()
    );
    for form in [
        "Grid",
        "Runs(",
        "Bits([",
        "Constant",
        "Same",
        "Like",
        "Decimals",
        "NearDecimals",
        "Bits(Direct",
        "Direct",
        "Runs {",
        "Dictionary",
        "Line",
        "Tokens(Values",
        "Tokens(Rises",
        "Tokens(Steps",
        "Slopes",
        "Planes(",
        "form: Plain",
    ] {
        assert!(forms.contains(form), "{form} in {forms}");
    }
}

#[test]
fn a_tiny_chunk_has_these_bytes() {
    let t = [1_000_000_020, 1_000_010_003, 1_000_020_011];
    let columns = [gauge(7, vec![21.5, 21.5, 21.5]), gauge(9, vec![0.1, 1.6, 1.2])];
    let blob = encode(&t, &columns);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(
        hex(&unpacked(&blob)),
        "030000fc28943577020101fbfe4d00020700000000fc4035800002000000030100020201021e040011001229"
    );
    // What zstd makes of it may change with zstd; what was made must be read.
    let kept: Vec<u8> =
        (0..KEPT.len()).step_by(2).map(|i| u8::from_str_radix(&KEPT[i..i + 2], 16).unwrap()).collect();
    check_blob(&kept, &t, &columns);
}

const KEPT: &str = "4f435743010000002c000000350000005aec3ba928b52ffd202c610100030000fc28943577020101fbfe4d00020700000000fc4035800002000000030100020201021e040011001229";
