//! What is read at once, and what is remembered of what was read before.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::time::Instant;

use wire::Usage;

use crate::openclaw::usage::cursors::Advance;
use crate::openclaw::usage::lines::FileId;
use crate::openclaw::usage::record::EventId;
use crate::openclaw::usage::sources::Stamp;

/// Events of a portion.
pub const PORTION_EVENTS_MAX: usize = 1_000;
/// Bytes of a portion's events: they share a frame with a report's rows.
pub const PORTION_BYTES_MAX: usize = 256 << 10;
/// Bytes of transcripts that are read for one portion: some tenths of a second.
pub const PORTION_READ_BYTES_MAX: u64 = 32 << 20;
/// Events that are remembered, so that the copies a fork makes are not sent as well. Those that are
/// forgotten are sent again and count once there.
const RECENT_MAX: usize = 16_384;

const _: () = assert!(PORTION_EVENTS_MAX <= wire::bounds::USAGE_MAX);
const _: () = assert!(PORTION_BYTES_MAX <= wire::bounds::FRAME_BYTES_MAX / 4);

/// What was read, and how far.
#[derive(Debug, Default)]
pub struct Portion {
    /// The events, each once.
    pub events: Vec<Usage>,
    /// Whether there is more to read at once.
    pub more: bool,
    pub(super) steps: Vec<Advance>,
    pub(super) done: Vec<(PathBuf, Done)>,
    pub(super) ids: HashSet<EventId>,
    pub(super) bytes: usize,
    pub(super) read_bytes: u64,
    pub(super) faulty: u64,
    /// User's messages since the last usage.
    pub(super) prompts: u64,
    pub(super) newest_ms: i64,
    pub(super) newer_schema: bool,
}

impl Portion {
    /// To go back to with [`Portion::rewind`].
    pub(super) fn mark(&self) -> Mark {
        Mark {
            lens: [self.events.len(), self.steps.len(), self.done.len()],
            figures: (self.bytes, self.faulty, self.prompts, self.newest_ms),
        }
    }

    /// As if nothing had been read since.
    pub(super) fn rewind(&mut self, mark: Mark) {
        let [events, steps, done] = mark.lens;
        for event in self.events.drain(events..) {
            // Each event's id was noted with it, and is its number in hexadecimal digits.
            let id = u128::from_str_radix(&event.event_id, 16);
            id.map(|id| self.ids.remove(&EventId(id))).ok();
        }
        self.steps.truncate(steps);
        self.done.truncate(done);
        (self.bytes, self.faulty, self.prompts, self.newest_ms) = mark.figures;
    }

    /// Whether the rest is left to the next portion.
    pub(super) fn is_full(&mut self) -> bool {
        self.more |= self.events.len() >= PORTION_EVENTS_MAX
            || self.bytes >= PORTION_BYTES_MAX
            || self.read_bytes >= PORTION_READ_BYTES_MAX;
        self.more
    }
}

/// How much was in a portion, to go back to.
pub(super) struct Mark {
    lens: [usize; 3],
    figures: (usize, u64, u64, i64),
}

/// A source that was read to its end.
#[derive(Clone, Debug)]
pub(super) struct Done {
    /// As it was before it was read.
    pub(super) stamp: Stamp,
    pub(super) file: Option<FileId>,
    /// When the session that changed last did.
    pub(super) changed_ms: Option<i64>,
    /// When all sessions were looked at.
    pub(super) all_sessions: Option<Instant>,
    /// Whether only those sessions were that say they changed.
    pub(super) only_changed: bool,
}

impl Done {
    pub(super) fn new(stamp: Stamp) -> Done {
        Done { stamp, file: None, changed_ms: None, all_sessions: None, only_changed: false }
    }
}

/// The events that were accepted last.
#[derive(Debug, Default)]
pub(super) struct Recent {
    known: HashSet<EventId>,
    order: VecDeque<EventId>,
}

impl Recent {
    pub(super) fn contains(&self, id: EventId) -> bool {
        self.known.contains(&id)
    }

    pub(super) fn insert(&mut self, id: EventId) {
        if self.known.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > RECENT_MAX {
            let oldest = self.order.pop_front();
            oldest.map(|id| self.known.remove(&id));
        }
    }
}
