//! The writer: the one thread that puts batches on disk.
//!
//! It takes what has come in, commits it to the tail in one transaction, applies it to the head and the registry, and
//! only then replies. What is in the channel belongs to it: whoever waits for a reply may go away.

use crate::error::Error;
use crate::health::{Trouble, Work};
use crate::shared::Shared;
use crate::tail::{StoredBatch, Tail};
use crate::types::{Batch, Origin, Receipt, Rejected, Reply, Timestamp};
use crate::{head, meta};
use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Batches in one commit at most.
pub const GROUP_BATCHES_MAX: usize = 4_096;

/// Bytes of samples and texts in one commit at which no further batch is added.
pub const GROUP_BYTES_FULL: usize = 32 << 20;

/// How long a commit waits for company when the one before had some.
const GROUP_WINDOW: Duration = Duration::from_millis(2);

/// A generation is closed at this age by the server's clock, milliseconds, or when it has `Limits::head_samples`.
pub const GENERATION_AGE_MAX_MS: i64 = 2 * 3_600_000;

/// What a refused device is told to wait, milliseconds.
pub const RETRY_AFTER_MS: u64 = 2_000;

/// How long the writer sleeps at most when nothing comes, so that forgetting goes on.
const IDLE: Duration = Duration::from_millis(500);

/// How long the writer forgets at a time: batches wait meanwhile.
const FORGET_TIME: Duration = Duration::from_millis(20);

/// How long the writer tidies up at its end.
const TIDY_TIME: Duration = Duration::from_millis(300);

/// How long the writer sleeps while somebody waits for a generation to be closed.
const IDLE_WAITING: Duration = Duration::from_millis(5);

/// What the writer is asked to do.
pub enum Command {
    /// Store it, as the frame it came in if there is one, and reply.
    Append(Box<Batch>, Option<Bytes>, Reply),
    /// Close the open generation now; the sender is dropped when it is sealed.
    CloseGeneration(Sender<()>),
    /// The time, once a second.
    Tick(Timestamp),
}

/// The writer's own state.
pub struct Writer {
    pub shared: Arc<Shared>,
    pub tail: Tail,
    pub seen: crate::seen::Seen,
    pub commands: Receiver<Command>,
    pub to_seal: Sender<ToSeal>,
    pub to_record: Sender<meta::Record>,
    /// The newest group that the recorder was given.
    pub given_to_record: i64,
    /// Who waits for the next seal, while another is going on.
    pub waiting: Vec<Sender<()>>,
    /// Groups up to this number may hold bytes of a deleted device.
    pub scrub_to: Option<i64>,
}

/// A closed generation, and what is dropped when it is sealed.
pub struct ToSeal {
    pub generation: Arc<head::Generation>,
    pub waiting: Vec<Sender<()>>,
}

#[derive(Default)]
struct Pending {
    batches: Vec<StoredBatch>,
    /// For each batch the frame that says the same.
    frames: Vec<Option<Bytes>>,
    replies: Vec<(Reply, Receipt)>,
    origins: HashSet<(crate::types::DeviceId, Origin), foldhash::fast::RandomState>,
    bytes: usize,
}

impl Writer {
    /// Runs until every sender of commands is gone.
    pub fn run(mut self) {
        let mut had_company = false;
        loop {
            let idle = if self.waiting.is_empty() { IDLE } else { IDLE_WAITING };
            let first = match self.commands.recv_timeout(idle) {
                Ok(command) => command,
                Err(RecvTimeoutError::Timeout) => {
                    if !self.waiting.is_empty() {
                        self.close_generation();
                    }
                    if self.shared.troubles.of(Work::Sealing).is_some() {
                        // Nobody waits for what may never come: they are told, and it is tried again.
                        self.waiting.clear();
                    }
                    self.close_if_full();
                    self.forget();
                    if let Err(error) = self.tail.shrink() {
                        tracing::warn!("the tail could not be shortened: {error}");
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return self.tidy(),
            };
            let mut group = Pending::default();
            self.take(first, &mut group);
            self.take_all(&mut group);
            if had_company && !group.batches.is_empty() {
                // Asleep, not waiting at the queue: else every report that comes would wake this thread by itself.
                std::thread::sleep(GROUP_WINDOW);
                self.take_all(&mut group);
            }
            had_company = group.batches.len() > 1;
            self.commit(group);
            self.close_if_full();
        }
    }

    /// Takes what is in the queue, up to what a group may have.
    fn take_all(&mut self, group: &mut Pending) {
        while group.batches.len() < GROUP_BATCHES_MAX && group.bytes < GROUP_BYTES_FULL {
            match self.commands.try_recv() {
                Ok(command) => self.take(command, group),
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, command: Command, group: &mut Pending) {
        match command {
            Command::Append(batch, frame, reply) => self.admit(*batch, frame, reply, group),
            Command::CloseGeneration(waiting) => {
                // What came before it belongs to the generation.
                self.commit(std::mem::take(group));
                self.waiting.push(waiting);
                self.close_generation();
            }
            Command::Tick(now) => self.tick(now),
        }
    }

    /// Adds a batch to the group, or replies at once.
    fn admit(&mut self, batch: Batch, frame: Option<Bytes>, reply: Reply, group: &mut Pending) {
        if let Some(origin) = &batch.origin {
            if self.seen.contains(batch.device, origin) {
                reply(Ok(Receipt { duplicate: true, columns_refused: 0 }));
                return;
            }
            // Twice within one group: the second is answered with the first's commit.
            if group.origins.contains(&(batch.device, *origin)) {
                group.replies.push((reply, Receipt { duplicate: true, columns_refused: 0 }));
                return;
            }
        }
        let (_, _, open_samples, _) = self.shared.head.open_generation();
        if open_samples >= self.shared.limits.head_samples_max() {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            // Behind with sealing, or unable to: the second does not pass by itself.
            reply(Err(match self.shared.troubles.of(Work::Sealing) {
                Some(trouble) => Rejected::Unavailable { reason: trouble.to_string() },
                None => Rejected::Overloaded { retry_after_ms: RETRY_AFTER_MS },
            }));
            return;
        }
        let Some((stored, columns_refused)) = self.intern(batch) else {
            reply(Err(Rejected::UnknownDevice));
            return;
        };
        // What was left out must not come back when the frame is read again.
        let frame = frame.filter(|_| columns_refused == 0);
        group.bytes += bytes_of(&stored);
        group.frames.push(frame);
        group.origins.extend(stored.origin.map(|o| (stored.device, o)));
        group.batches.push(stored);
        group.replies.push((reply, Receipt { duplicate: false, columns_refused }));
    }

    /// Names become numbers; columns past the device's bound are left out. `None`: no such device.
    fn intern(&self, batch: Batch) -> Option<(StoredBatch, u32)> {
        let dictionary = &self.shared.dictionary;
        // A name that nobody has used yet gets its number only when it is not refused.
        let numbers = dictionary.numbers(batch.rows.columns.iter().map(|c| c.metric.as_str()));
        let most = self.shared.limits.metrics_per_device;
        let refused = self.shared.registry.refused_columns(batch.device, &numbers, most)?;
        let columns_refused = refused.iter().filter(|r| **r).count() as u32;
        self.shared.columns_refused.fetch_add(u64::from(columns_refused), Ordering::Relaxed);
        let mut places = numbers.into_iter().zip(refused);
        let stored = StoredBatch::of(batch, |column| match places.next() {
            Some((number, false)) => Some(number.unwrap_or_else(|| dictionary.intern(&column.metric))),
            _ => None,
        });
        Some((stored, columns_refused))
    }

    fn commit(&mut self, group: Pending) {
        if group.batches.is_empty() {
            for (reply, receipt) in group.replies {
                reply(Ok(receipt));
            }
            return;
        }
        let (generation, ..) = self.shared.head.open_generation();
        if let Some(trouble) = self.shared.troubles.poisoned() {
            return self.refuse(group, &trouble);
        }
        // Never wait for the recorder: whoever sent these reports waits for an answer.
        if self.to_record.is_full() {
            return match self.shared.troubles.refused_by_recorder() {
                Some(trouble) => self.refuse(group, &trouble),
                None => self.refuse_with(group, &Rejected::Overloaded { retry_after_ms: RETRY_AFTER_MS }),
            };
        }
        let id = match self.tail.append(generation, &group.batches, &group.frames, &self.shared.dictionary) {
            Ok(id) => id,
            Err(error) => {
                let trouble = self.shared.troubles.write_failed(&error);
                return self.refuse(group, &trouble);
            }
        };
        self.shared.troubles.write_succeeded();
        for batch in &group.batches {
            if let Some(origin) = &batch.origin {
                self.seen.insert(batch.device, origin, batch.received_ms);
            }
        }
        // Applied before the replies: whoever was told "stored" finds it in the next query.
        self.shared.head.push(&group.batches);
        let record = self.shared.apply(Some(id), group.batches);
        for (reply, receipt) in group.replies {
            reply(Ok(receipt));
        }
        self.hand_over(id, record);
        self.shared.notify();
    }

    /// Gives the recorder what is to be written down of a group.
    fn hand_over(&mut self, group: i64, record: meta::Record) {
        let recorded = &self.shared.recorded_group;
        if record.is_empty() && recorded.load(Ordering::Acquire) >= self.given_to_record {
            // Samples alone, as mostly, and the recorder has nothing left to do: it need not be woken to hear that.
            recorded.store(group, Ordering::Release);
            return;
        }
        self.given_to_record = group;
        // There was room, see `commit`, and nobody else sends. An error means that the recorder ended because the store
        // closes: the tail has it all.
        let _ = self.to_record.send(record);
    }

    /// Not only after a commit: while another generation is sealed this one cannot be closed, may fill up meanwhile, and
    /// then nothing is committed any more.
    fn close_if_full(&mut self) {
        let (_, _, samples, _) = self.shared.head.open_generation();
        if samples >= self.shared.limits.head_samples {
            self.close_generation();
        }
    }

    fn refuse(&self, group: Pending, trouble: &Trouble) {
        self.refuse_with(group, &Rejected::Unavailable { reason: trouble.to_string() });
    }

    fn refuse_with(&self, group: Pending, why: &Rejected) {
        self.shared.refused.fetch_add(group.batches.len() as u64, Ordering::Relaxed);
        for (reply, _) in group.replies {
            reply(Err(why.clone()));
        }
    }

    fn tick(&mut self, now: Timestamp) {
        let (_, opened, ..) = self.shared.head.open_generation();
        // Also when the clock went back: else it would stay open for as long as the clock was ahead.
        let age_ms = |opened: Timestamp| now.saturating_sub(opened).unsigned_abs();
        if opened.is_some_and(|opened| age_ms(opened) >= GENERATION_AGE_MAX_MS as u64) {
            self.close_generation();
        }
        // Who is judged while they cannot be recorded is judged at a later tick.
        let happenings = if self.to_record.is_full() { Vec::new() } else { self.shared.registry.judge(now) };
        if !happenings.is_empty() {
            let _ = self.to_record.send(meta::Record { happenings, ..meta::Record::default() });
            self.shared.notify();
        }
        self.forget();
    }

    /// Leaves a short file behind: whoever copies the folder, or starts from it, has less to read.
    fn tidy(&mut self) {
        let enough = Instant::now() + TIDY_TIME;
        while Instant::now() < enough && matches!(self.tail.shrink(), Ok(true)) {}
    }

    fn close_generation(&mut self) {
        if let Some(generation) = self.shared.head.close_generation() {
            let to_seal = ToSeal { generation, waiting: std::mem::take(&mut self.waiting) };
            // An error means that the sealer ended because the store closes: the tail has it all.
            let _ = self.to_seal.send(to_seal);
        }
    }

    /// Drops some of what is both sealed and recorded.
    fn forget(&mut self) {
        let deleted = self.shared.take_deleted();
        if !deleted.is_empty() {
            deleted.iter().for_each(|device| self.seen.forget(*device));
            // Their groups can go only when they are sealed.
            self.close_generation();
            match self.tail.begin_scrub() {
                Ok(up_to) => self.scrub_to = Some(up_to),
                Err(error) => {
                    tracing::warn!("the tail could not be scrubbed, will be tried again: {error}");
                    deleted.into_iter().for_each(|device| self.shared.note_deleted(device));
                }
            }
        }
        if let Err(error) = self.forget_some() {
            // Nothing is lost by forgetting later; a full disk shows at the next append too.
            tracing::warn!("the tail could not be shortened: {error}");
        }
    }

    fn forget_some(&mut self) -> crate::Result<()> {
        let sealed = self.shared.sealed_generation.load(Ordering::Acquire);
        let recorded = self.shared.recorded_group.load(Ordering::Acquire);
        let enough = Instant::now() + FORGET_TIME;
        while self.tail.forget(sealed, recorded, &self.seen)? {
            if Instant::now() >= enough {
                return Ok(());
            }
        }
        let Some(up_to) = self.scrub_to else { return Ok(()) };
        if let Some((_, generation)) = self.tail.oldest()?.filter(|oldest| oldest.0 <= up_to) {
            // Another was being sealed when the deletion asked for it.
            if generation == self.shared.head.open_generation().0 {
                self.close_generation();
            }
            return Ok(());
        }
        while !self.tail.scrub(up_to, &self.seen)? {
            if Instant::now() >= enough {
                return Ok(());
            }
        }
        self.scrub_to = None;
        Ok(())
    }
}

/// About what a batch takes in the tail.
fn bytes_of(batch: &StoredBatch) -> usize {
    let values: usize = batch.columns.iter().map(|c| c.values.len() * 8).sum();
    let logs: usize = batch.logs.iter().map(|l| l.message.len() + l.source.len()).sum();
    values + logs + batch.t_ms.len() * 9 + batch.usage.len() * 128
}

/// Does this error go away by itself when space comes back?
pub fn heals(error: &Error) -> bool {
    matches!(error, Error::Sqlite(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
}
