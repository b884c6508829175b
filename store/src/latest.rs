//! What is kept in memory of sealed rows, read back at start: the newest value of each metric, and the last hour of
//! [`SPARK_METRIC`]. It is most of what a start does, so no chunk and no column is read that can tell nothing new.

use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::shared::Shared;
use crate::spark::{SPARK_METRIC, SPARK_MINUTES};
use crate::spread::spread;
use crate::types::{DeviceId, Timestamp};
use std::collections::HashMap;

/// From the newest sample back to the oldest of the minutes that are kept, at most; milliseconds.
const SPARK_MS: i64 = SPARK_MINUTES as i64 * 60_000;

/// Reads it back, for devices that sent nothing since the last seal.
pub fn restore(shared: &Shared) -> Result<()> {
    spread(&shared.registry.ids(), |device| restore_device(shared, *device))?;
    Ok(())
}

fn restore_device(shared: &Shared, device: DeviceId) -> Result<()> {
    // Each round sets one damaged chunk aside.
    loop {
        let Latest { values, spark, damaged } = sealed(shared, device)?;
        if let Some(id) = damaged
            && shared.chunks.set_aside(id)?
        {
            continue;
        }
        for (metric, (t, value)) in values {
            shared.registry.restore_latest(device, metric, t, value);
        }
        spark.iter().rev().for_each(|samples| shared.registry.restore_spark(device, samples));
        return Ok(());
    }
}

#[derive(Default)]
struct Latest {
    /// Time and value by metric.
    values: HashMap<u32, (Timestamp, f64)>,
    /// Times and values of [`SPARK_METRIC`], the latest chunk first.
    spark: Vec<Vec<(Timestamp, f64)>>,
    /// The number of a chunk that does not decode.
    damaged: Option<i64>,
}

fn sealed(shared: &Shared, device: DeviceId) -> Result<Latest> {
    let spark = shared.dictionary.numbers([SPARK_METRIC].into_iter())[0];
    let metrics: Vec<u32> = shared.registry.series(device).iter().map(|(metric, _)| *metric).collect();
    shared.chunks.snapshot(|view| {
        let mut latest = Latest::default();
        let metas = view.newest_raw(device)?;
        let spark_from = metas.first().map_or(0, |newest| newest.last_ms.saturating_sub(SPARK_MS));
        for meta in metas {
            let tells = |latest: &Latest, metric: u32| {
                let is_newer = |found: &(Timestamp, f64)| meta.last_ms > found.0;
                latest.values.get(&metric).is_none_or(is_newer)
                    || (spark == Some(metric) && meta.last_ms > spark_from)
            };
            if !metrics.iter().any(|metric| tells(&latest, *metric)) {
                continue;
            }
            let read = view.read(meta.id).and_then(|chunk| {
                let spark = spark.map(|metric| (metric, spark_from));
                latest_of(&chunk, spark, tells, &mut latest)
            });
            match read {
                Err(Error::Corrupt { .. }) => latest.damaged = Some(meta.id),
                other => other?,
            }
        }
        Ok(latest)
    })
}

/// `tells`: whether a metric's column may hold something new. `spark`: that metric's number, and from when on it counts.
fn latest_of(
    chunk: &Chunk,
    spark: Option<(u32, Timestamp)>,
    tells: impl Fn(&Latest, u32) -> bool,
    latest: &mut Latest,
) -> Result<()> {
    let times = chunk.times()?;
    for (key, _) in chunk.columns().filter(|(key, _)| tells(latest, key.metric)).collect::<Vec<_>>() {
        let Some((values, present)) = chunk.column(key)? else { continue };
        let Some(row) = (0..times.len()).rfind(|&row| present.has(row)) else { continue };
        if let Some(&value) = values.last()
            && latest.values.get(&key.metric).is_none_or(|found| times[row] > found.0)
        {
            latest.values.insert(key.metric, (times[row], value));
        }
        if let Some((_, from)) = spark.filter(|(metric, _)| *metric == key.metric) {
            // The values stand one after the other, without those that are missing.
            let rows = (0..times.len()).filter(|&row| present.has(row));
            let samples = rows.map(|row| times[row]).zip(values).filter(|(t, _)| *t > from);
            latest.spark.push(samples.collect());
        }
    }
    Ok(())
}
