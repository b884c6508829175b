//! Maintenance: many small chunks become few large ones. One thread, one piece of work at a time; nobody waits for it
//! longer than for one of its transactions.

mod choose;

pub use choose::{Policy, Work, choose};

use crate::chunk_table::ChunkMeta;
use crate::error::{Error, Result};
use crate::rollup::{Layer, settle};
use crate::seal::new_chunks;
use crate::shared::Shared;
use crate::types::{DeviceId, Tier, Timestamp};
use crossbeam_channel::{Receiver, Sender};
use std::collections::HashSet;
use std::sync::atomic::Ordering;

/// Without a seal in between everything is looked through this often, milliseconds.
const LOOK_EVERY_MS: i64 = 10 * 60_000;

/// Pieces of work for one stream in one go at most; what is left then is done in the next.
const WORK_MAX: usize = 1_000;

/// What the thread is asked.
pub enum Ask {
    /// The time, about once a second.
    Tick(Timestamp),
    /// Do everything there is to do now; the sender is dropped when it is done.
    All(Timestamp, Sender<()>),
}

/// Runs until there is no sender.
pub fn run(shared: &Shared, asks: &Receiver<Ask>) {
    let mut maintain = Maintain { shared, left_out: HashSet::new() };
    let (mut looked_ms, mut sealed) = (None::<Timestamp>, 0);
    while let Ok(ask) = asks.recv() {
        let (now, waiting) = match ask {
            Ask::Tick(now) => (now, None),
            Ask::All(now, waiting) => (now, Some(waiting)),
        };
        let newest = shared.sealed_generation.load(Ordering::Acquire);
        // Also when the clock went back.
        let due = looked_ms.is_none_or(|looked| (now - looked).abs() >= LOOK_EVERY_MS);
        if due || newest != sealed || waiting.is_some() {
            (looked_ms, sealed) = (Some(now), newest);
            if let Err(error) = maintain.everything(now) {
                // Nothing is lost by tidying up later.
                tracing::warn!("maintenance failed, will be tried again: {error}");
            }
        }
        drop(waiting);
    }
}

struct Maintain<'a> {
    shared: &'a Shared,
    /// Chunks that cannot be merged because they are damaged.
    left_out: HashSet<i64>,
}

impl Maintain<'_> {
    fn everything(&mut self, now: Timestamp) -> Result<()> {
        for stream in self.shared.registry.ids() {
            let mut done = 0;
            while let Some(work) = choose(&self.chunks(stream)?, &self.shared.policy, now) {
                if self.shared.stopping.load(Ordering::Acquire) || done == WORK_MAX {
                    break;
                }
                tracing::debug!("device {stream}: {work}");
                if !self.run(work)? {
                    break;
                }
                done += 1;
            }
            if done > 0 {
                self.shared.chunks.shrink()?;
            }
        }
        Ok(())
    }

    fn chunks(&self, stream: DeviceId) -> Result<Vec<ChunkMeta>> {
        self.shared.chunks.snapshot(|view| {
            let mut chunks = Vec::new();
            for tier in Tier::ALL {
                chunks.extend(view.chunks(stream, tier)?);
            }
            chunks.retain(|c| !self.left_out.contains(&c.id));
            Ok(chunks)
        })
    }

    /// `false`: the chunks changed meanwhile; the next look sees them as they are.
    fn run(&mut self, work: Work) -> Result<bool> {
        match work {
            Work::Merge { stream, tier, from } => self.merge(stream, tier, &from),
        }
    }

    fn merge(&mut self, stream: DeviceId, tier: Tier, from: &[i64]) -> Result<bool> {
        let layers = self.shared.chunks.snapshot(|view| {
            let there: HashSet<i64> = view.chunks(stream, tier)?.iter().map(|c| c.id).collect();
            if !from.iter().all(|id| there.contains(id)) {
                return Ok(None);
            }
            let mut layers = Vec::new();
            for id in from {
                match view.read(*id).and_then(|chunk| Layer::of_chunk(&chunk, |_| true)) {
                    Ok(layer) => layers.push(layer),
                    Err(Error::Corrupt { what, why }) => {
                        tracing::error!("{what} is damaged: {why}; it is left as it is");
                        self.left_out.insert(*id);
                        return Ok(None);
                    }
                    Err(other) => return Err(other),
                }
            }
            Ok(Some(layers))
        })?;
        let Some(layers) = layers else { return Ok(false) };
        let merged = new_chunks(stream, tier, &settle(layers))?;
        let exists = |id| self.shared.registry.exists(id);
        self.shared.chunks.replace(stream, tier, from, &merged, exists)
    }
}
