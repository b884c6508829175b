//! Chunks of the agent mix: how long sealing and reading take, and how many bytes a sample is.

use std::hint::black_box;

use bench::mix::{Device, store_rows};
use bench::rng::Rng;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use store::chunk::{Chunk, ColumnIn, ColumnKey, Field, encode};

const NOW: i64 = 1_800_000_000_000;
const METRICS: usize = 20;
const STEP_MS: i64 = 10_000;
/// Real agents are late by this much, one way or the other.
const JITTER_MS: f64 = 20.0;

fn rows(count: usize) -> (Vec<i64>, Vec<ColumnIn>) {
    let mut jitter = Rng::new(1, 0);
    let mut rows = store_rows(Device::new(1, 1, METRICS).rows(NOW, STEP_MS, count));
    rows.t_ms.iter_mut().for_each(|t_ms| *t_ms += jitter.step(JITTER_MS).round() as i64);
    let columns = rows.columns.into_iter().enumerate().map(|(number, column)| ColumnIn {
        key: ColumnKey { metric: number as u32 + 1, field: Field::Value },
        kind: column.kind,
        values: column.values,
        present: column.present,
    });
    (rows.t_ms, columns.collect())
}

fn chunk(c: &mut Criterion) {
    for count in [360, 2_880] {
        let (t_ms, columns) = rows(count);
        let samples = (count * METRICS) as u64;
        let blob = encode(&t_ms, &columns);
        println!("chunk/{count}: {:.3} bytes per sample", blob.len() as f64 / samples as f64);

        let mut group = c.benchmark_group("chunk");
        group.throughput(Throughput::Elements(samples));
        group.bench_with_input(BenchmarkId::new("encode", count), &columns, |b, columns| {
            b.iter(|| encode(black_box(&t_ms), black_box(columns)));
        });
        group.bench_with_input(BenchmarkId::new("decode", count), &blob, |b, blob| {
            b.iter(|| decode(black_box(blob), &columns));
        });
        // One of many columns: what a query for one metric does.
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::new("decode one column", count), &blob, |b, blob| {
            b.iter(|| decode(black_box(blob), &columns[..1]));
        });
        group.finish();
    }
}

fn decode(blob: &[u8], columns: &[ColumnIn]) -> f64 {
    let chunk = Chunk::open(blob).expect("the blob was made a moment ago");
    let mut last = chunk.times().expect("the blob was made a moment ago").len() as f64;
    for column in columns {
        let decoded = chunk.column(column.key).expect("the blob was made a moment ago");
        last += decoded.and_then(|(values, _)| values.last().copied()).unwrap_or_default();
    }
    last
}

criterion_group!(benches, chunk);
criterion_main!(benches);
