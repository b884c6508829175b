//! Maintenance: many small chunks become few large ones, and what is past its time goes. One thread, one piece of work
//! at a time; nobody waits for it longer than for one of its transactions.

mod choose;
mod rebuild;

use choose::{Work, choose, choose_for_bytes};

pub use choose::Policy;

use crate::chunk::Encoder;
use crate::chunk_table::ChunkMeta;
use crate::error::{Error, Result};
use crate::layer::{Layer, settle};
use crate::seal::new_chunks_in;
use crate::shared::Shared;
use crate::types::{DeviceId, Tier, Timestamp};
use crossbeam_channel::{Receiver, Sender};
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::atomic::Ordering;

/// Without a seal in between everything is looked through this often, milliseconds.
const LOOK_EVERY_MS: i64 = 10 * 60_000;

/// While generations are sealed at shorter distances than this, finished windows count as being filled. Milliseconds.
const QUIET_MS: i64 = 10_000;

/// Pieces of work of one kind in one go at most; what is left then is done in the next.
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
    let maintain = Maintain { shared, encoder: RefCell::new(Encoder::default()) };
    let (mut looked_ms, mut sealed_ms) = (None::<Timestamp>, None::<Timestamp>);
    let mut sealed = shared.sealed_generation.load(Ordering::Acquire);
    while let Ok(ask) = asks.recv() {
        let (now, waiting) = match ask {
            Ask::Tick(now) => (now, None),
            Ask::All(now, waiting) => (now, Some(waiting)),
        };
        if let Err(error) = shared.scrub() {
            tracing::warn!("the files could not be scrubbed, will be tried again: {error}");
        }
        // A start is as if something was sealed: who asks first is not held up by looking through everything.
        if looked_ms.is_none() {
            (looked_ms, sealed_ms) = (Some(now), Some(now));
        }
        // Also when the clock went back.
        let is_past = |since: Timestamp, ms: i64| (now - since).abs() >= ms;
        let newest = shared.sealed_generation.load(Ordering::Acquire);
        let has_sealed = newest != sealed;
        let is_quiet = !has_sealed && sealed_ms.is_some_and(|at| is_past(at, QUIET_MS));
        let is_due = waiting.is_some() || looked_ms.is_none_or(|at| is_past(at, LOOK_EVERY_MS));
        if has_sealed {
            (sealed, sealed_ms) = (newest, Some(now));
        }
        if is_quiet || is_due {
            (looked_ms, sealed_ms) = (Some(now), None);
        }
        if has_sealed || is_quiet || is_due {
            if let Err(error) = maintain.everything(now, !is_quiet && !is_due) {
                // Nothing is lost by tidying up later.
                tracing::warn!("maintenance failed, will be tried again: {error}");
            }
            shared.rest();
        }
        drop(waiting);
    }
}

struct Maintain<'a> {
    shared: &'a Shared,
    encoder: RefCell<Encoder>,
}

/// What came of reading the chunks to merge.
enum Read {
    Layers(Vec<Layer>),
    /// They are not all there any more.
    Changed,
    /// One does not decode.
    Damaged(i64),
}

impl Maintain<'_> {
    fn everything(&self, now: Timestamp, is_filling: bool) -> Result<()> {
        let policy = || Policy { is_filling, ..self.shared.policy() };
        let mut changed = false;
        for stream in self.shared.registry.ids() {
            changed |= self.repeat(|this| {
                let chunks = this.chunks(stream)?;
                Ok(choose(&chunks, &policy(), now))
            })?;
        }
        for total in self.shared.chunks.tiers() {
            let tier = total.tier;
            if self.shared.retention().tier(tier).bytes.is_none_or(|most| total.bytes <= most) {
                continue;
            }
            changed |= self.repeat(|this| {
                let oldest = this.shared.chunks.oldest(tier)?;
                let bytes = this.shared.chunks.bytes(tier);
                Ok(choose_for_bytes(tier, bytes, &oldest, &policy(), now))
            })?;
        }
        for tier in Tier::ALL {
            self.shared.chunks.drop_damaged(tier, self.shared.retention().tier(tier).from_ms(now))?;
        }
        changed |= self.rebuild()?;
        if changed {
            while !self.stopping() && self.shared.chunks.shrink()? {}
            self.shared.chunks.checkpoint()?;
        }
        self.forget_journal(now)
    }

    /// Works until there is nothing to do; says whether anything was done.
    fn repeat(&self, next: impl Fn(&Self) -> Result<Option<Work>>) -> Result<bool> {
        for done in 0..WORK_MAX {
            if self.stopping() {
                return Ok(done > 0);
            }
            let Some(work) = next(self)? else { return Ok(done > 0) };
            tracing::debug!("maintenance: {work}");
            if !self.run(work)? {
                return Ok(done > 0);
            }
        }
        Ok(true)
    }

    /// Drops logs and events past their time, a bounded number at a time.
    fn forget_journal(&self, now: Timestamp) -> Result<()> {
        let (meta, retention) = (&self.shared.meta, self.shared.retention());
        let mut changed = false;
        while !self.stopping() && meta.drop_old_logs(&retention.logs, now)? {
            changed = true;
        }
        if changed {
            meta.drop_unused_templates()?;
        }
        while !self.stopping() && meta.drop_old_events(retention.events.from_ms(now))? {
            changed = true;
        }
        if changed {
            while !self.stopping() && meta.shrink()? {}
            meta.checkpoint()?;
        }
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Acquire)
    }

    fn chunks(&self, stream: DeviceId) -> Result<Vec<ChunkMeta>> {
        self.shared.chunks.snapshot(|view| {
            let mut chunks = Vec::new();
            for tier in Tier::ALL {
                chunks.extend(view.chunks(stream, tier)?);
            }
            Ok(chunks)
        })
    }

    /// `false`: the chunks changed meanwhile; the next look sees them as they are.
    fn run(&self, work: Work) -> Result<bool> {
        match work {
            Work::Merge { stream, tier, from, window_ms } => self.merge(stream, tier, &from, window_ms),
            Work::Drop { chunks, .. } => self.shared.chunks.drop_chunks(&chunks).map(|()| true),
        }
    }

    fn merge(&self, stream: DeviceId, tier: Tier, from: &[i64], window_ms: i64) -> Result<bool> {
        let read = self.shared.chunks.snapshot(|view| {
            let there: HashSet<i64> = view.chunks(stream, tier)?.iter().map(|c| c.id).collect();
            if !from.iter().all(|id| there.contains(id)) {
                return Ok(Read::Changed);
            }
            let mut layers = Vec::new();
            for id in from {
                match view.read(*id).and_then(|chunk| Layer::of_chunk(&chunk, |_| true)) {
                    Ok(layer) => layers.push(layer),
                    Err(Error::Corrupt { .. }) => return Ok(Read::Damaged(*id)),
                    Err(other) => return Err(other),
                }
            }
            Ok(Read::Layers(layers))
        })?;
        let layers = match read {
            Read::Layers(layers) => layers,
            Read::Changed => return Ok(false),
            Read::Damaged(id) => return self.shared.chunks.set_aside(id),
        };
        let rows = settle(layers);
        let merged = new_chunks_in(window_ms, stream, tier, &rows, &mut self.encoder.borrow_mut())?;
        let exists = |id| self.shared.registry.exists(id);
        self.shared.chunks.replace(stream, tier, from, &merged, exists)
    }
}
