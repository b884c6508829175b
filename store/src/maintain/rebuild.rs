//! Rollups that were set aside as damaged are made again from their raw rows, as far as these are still there.

use super::Maintain;
use crate::chunk_table::{NewChunk, SetAside, Snapshot};
use crate::error::{Error, Result};
use crate::layer::{Layer, settle};
use crate::rollup::{rolled_up, step_start, touched};
use crate::seal::new_chunks;
use crate::types::{Tier, TimeRange, Timestamp};

/// Rows are taken up a day at a time, …
const SPAN_MS: i64 = 24 * 3_600_000;

/// … or an hour, when a day has more samples than this: about 32 bytes of memory each.
const SPAN_SAMPLES_MAX: usize = 4_000_000;

/// What came of reading the raw rows of a span.
enum Raw {
    /// They are all there: these rows of the span, and the stream's newest chunk when they were read.
    Whole(TimeRange, Layer, i64),
    /// Not all of them are there.
    Gone,
    /// This chunk of them does not decode.
    Damaged(i64),
}

impl Maintain<'_> {
    /// Says whether anything was done. The newest rows come first: of raw rows the oldest are dropped first.
    pub(super) fn rebuild(&self) -> Result<bool> {
        let mut changed = false;
        for mut aside in self.shared.chunks.damaged_rollups()? {
            let first = step_start(aside.start_ms, aside.tier.step_ms());
            while !self.stopping() && aside.last_ms >= first && self.rebuild_last(&mut aside)? {
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Makes the last part of it again; what is left of it is then in `aside`. `false`: nothing can be done at present.
    fn rebuild_last(&self, aside: &mut SetAside) -> Result<bool> {
        let (range, rows, newest) = match self.shared.chunks.snapshot(|view| raw_of_last_part(view, aside))? {
            Raw::Whole(range, rows, newest) => (range, rows, newest),
            Raw::Gone => return Ok(false),
            Raw::Damaged(id) => {
                self.shared.chunks.set_aside(id)?;
                return Ok(false);
            }
        };
        let step_ms = aside.tier.step_ms();
        let rollups = rolled_up(&rows, step_ms, &touched(&rows.t_ms, step_ms));
        let chunks: Vec<NewChunk> =
            new_chunks(aside.stream, aside.tier, &rollups, &mut self.encoder.borrow_mut())?;
        let exists = |id| self.shared.registry.exists(id);
        if !self.shared.chunks.rebuilt(aside, range.start(), &chunks, newest, exists)? {
            return Ok(false);
        }
        tracing::info!(
            "device {}: damaged rollups of tier {} from {} to {} were made again from their raw rows",
            aside.stream,
            aside.tier.as_str(),
            range.start(),
            range.end()
        );
        aside.last_ms = range.start() - step_ms;
        Ok(true)
    }
}

fn raw_of_last_part(view: &Snapshot<'_>, aside: &SetAside) -> Result<Raw> {
    let step_ms = aside.tier.step_ms();
    let first = step_start(aside.start_ms, step_ms);
    let end = step_start(aside.last_ms, step_ms).saturating_add(step_ms);
    // A step needs all of its raw rows.
    let kept_from = view.kept_from(aside.stream, Tier::Raw)?;
    let from = |length_ms: i64| -> Timestamp {
        first
            .max(step_start(end - 1, length_ms))
            .max(step_start(kept_from.saturating_add(step_ms - 1), step_ms))
    };
    let Some(mut range) = TimeRange::new(from(SPAN_MS), end) else { return Ok(Raw::Gone) };
    let mut metas = view.overlapping(aside.stream, Tier::Raw, range)?;
    if metas.iter().map(|meta| meta.samples).sum::<usize>() > SPAN_SAMPLES_MAX {
        let Some(hour) = TimeRange::new(from(Tier::Hour.step_ms()), end) else { return Ok(Raw::Gone) };
        range = hour;
        metas = view.overlapping(aside.stream, Tier::Raw, range)?;
    }
    if !view.damaged_spans(aside.stream, Tier::Raw, range)?.is_empty() {
        return Ok(Raw::Gone);
    }
    let mut layers = Vec::new();
    for meta in metas {
        match view.read(meta.id).and_then(|chunk| Layer::of_chunk(&chunk, |t| range.contains(t))) {
            Ok(layer) => layers.push(layer),
            Err(Error::Corrupt { .. }) => return Ok(Raw::Damaged(meta.id)),
            Err(other) => return Err(other),
        }
    }
    Ok(Raw::Whole(range, settle(layers), view.newest_chunk(aside.stream)?))
}
