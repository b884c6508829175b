//! Sealing: a closed generation becomes chunks and rollup chunks.

use crate::chunk::{Chunk, ColumnIn, Encoder, same_bits};
use crate::chunk_table::{ChunkTable, NewChunk, Sealed, Snapshot, windows_ms};
use crate::error::{Error, Result};
use crate::head::Generation;
use crate::layer::{Layer, settle};
use crate::rollup::{rolled_up, touched};
use crate::types::{DeviceId, Tier, Timestamp};
use std::collections::BTreeSet;

/// Everything that a generation leaves behind. `exists` tells deleted devices, whose rows are dropped.
pub fn seal(
    generation: &Generation,
    table: &ChunkTable,
    exists: impl Fn(DeviceId) -> bool,
) -> Result<Sealed> {
    let mut sealed = Sealed { generation: generation.number, chunks: Vec::new(), series: Vec::new() };
    let mut streams: Vec<DeviceId> = generation.streams.keys().copied().filter(|&s| exists(s)).collect();
    streams.sort_unstable();
    let mut encoder = Encoder::default();
    for stream in streams {
        let rows = settle(vec![Layer::of_buffer(&generation.streams[&stream])]);
        sealed.series.extend(rows.columns.iter().map(|c| (stream, c.key.metric, c.kind)));
        sealed.chunks.extend(new_chunks(stream, Tier::Raw, &rows, &mut encoder)?);
        seal_rollups(stream, rows, table, &mut encoder, &mut sealed.chunks)?;
    }
    Ok(sealed)
}

fn seal_rollups(
    stream: DeviceId,
    rows: Layer,
    table: &ChunkTable,
    encoder: &mut Encoder,
    into: &mut Vec<NewChunk>,
) -> Result<()> {
    let older = older_rows(stream, &rows.t_ms, table)?;
    let mut layers = older.layers;
    layers.push(rows);
    let all = settle(layers);
    for (tier, times) in older.times {
        let spans = touched(&times, tier.step_ms());
        into.extend(new_chunks(stream, tier, &rolled_up(&all, tier.step_ms(), &spans), encoder)?);
    }
    Ok(())
}

/// What is needed to roll up the steps of some new rows.
struct OlderRows {
    /// By tier the times of the new rows whose steps have all of their older raw rows.
    times: [(Tier, Vec<Timestamp>); 2],
    /// The sealed raw rows of these steps, oldest chunk first.
    layers: Vec<Layer>,
}

fn older_rows(stream: DeviceId, times: &[Timestamp], table: &ChunkTable) -> Result<OlderRows> {
    // Each round sets every damaged chunk aside that it meets; what is left then decodes.
    loop {
        let (older, damaged) = table.snapshot(|view| readable_rows(stream, times, view))?;
        let mut set_aside = false;
        for id in damaged {
            set_aside |= table.set_aside(id)?;
        }
        if !set_aside {
            return Ok(older);
        }
    }
}

/// And the numbers of the chunks that do not decode.
fn readable_rows(
    stream: DeviceId,
    times: &[Timestamp],
    view: &Snapshot<'_>,
) -> Result<(OlderRows, Vec<i64>)> {
    let whole = |tier: Tier| view.with_whole_steps(stream, times, tier.step_ms());
    let times = [(Tier::FiveMinutes, whole(Tier::FiveMinutes)?), (Tier::Hour, whole(Tier::Hour)?)];
    // The hours cover the five minutes: what they need of older chunks is all that is needed.
    let spans = touched(&times[0].1, Tier::Hour.step_ms());
    let inside = |t: Timestamp| {
        let after = spans.partition_point(|s| s.start() <= t);
        after > 0 && spans[after - 1].contains(t)
    };
    let mut chunks = BTreeSet::new();
    for span in &spans {
        chunks.extend(view.overlapping(stream, Tier::Raw, *span)?.iter().map(|m| m.id));
    }
    let (mut layers, mut damaged) = (Vec::new(), Vec::new());
    for id in chunks {
        match view.read(id).and_then(|c| Layer::of_chunk(&c, inside)) {
            Ok(layer) => layers.push(layer),
            Err(Error::Corrupt { .. }) => damaged.push(id),
            Err(other) => return Err(other),
        }
    }
    Ok((OlderRows { times, layers }, damaged))
}

/// Settled rows as chunks.
pub fn new_chunks(
    stream: DeviceId,
    tier: Tier,
    rows: &Layer,
    encoder: &mut Encoder,
) -> Result<Vec<NewChunk>> {
    new_chunks_in(windows_ms(tier)[0], stream, tier, rows, encoder)
}

/// Settled rows as chunks that may each be as long as a window.
pub fn new_chunks_in(
    window_ms: i64,
    stream: DeviceId,
    tier: Tier,
    rows: &Layer,
    encoder: &mut Encoder,
) -> Result<Vec<NewChunk>> {
    let pieces = rows.pieces(window_ms).into_iter();
    pieces.map(|(times, columns)| new_chunk(stream, tier, times, &columns, encoder)).collect()
}

/// A chunk, read back and compared before anything relies on it.
fn new_chunk(
    stream: DeviceId,
    tier: Tier,
    times: &[Timestamp],
    columns: &[ColumnIn],
    encoder: &mut Encoder,
) -> Result<NewChunk> {
    let blob = encoder.encode(times, columns);
    verify(&blob, times, columns)?;
    Ok(NewChunk {
        stream,
        tier,
        start_ms: times.iter().copied().min().unwrap_or_default(),
        last_ms: times.iter().copied().max().unwrap_or_default(),
        rows: times.len(),
        samples: columns.iter().map(|c| c.present.count(times.len())).sum(),
        blob,
    })
}

fn verify(blob: &[u8], times: &[Timestamp], columns: &[ColumnIn]) -> Result<()> {
    let chunk = Chunk::open(blob)?;
    let mut same = chunk.times()? == times;
    let mut gathered = Vec::new();
    for column in columns {
        same &= chunk.column(column.key)?.is_some_and(|(values, present)| {
            *present == column.present && same_bits(column.present_values(&mut gathered), &values)
        });
    }
    if same {
        Ok(())
    } else {
        Err(Error::Corrupt {
            what: "a new chunk".into(),
            why: "it does not read back as it was written".into(),
        })
    }
}
