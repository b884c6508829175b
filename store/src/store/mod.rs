//! The store's face: what callers may do.

mod answers;
mod devices;

use crate::error::{Error, Result};
use crate::health::{Health, Trouble, Work};
use crate::maintain::Ask;
use crate::open::Options;
use crate::registry::Happening;
use crate::shared::Shared;
use crate::types::*;
use crate::views::*;
use crate::writer::{Command, RETRY_AFTER_MS};
use crate::{chunk_table, meta, open, tail, workers};
use bytes::Bytes;
use crossbeam_channel::{Sender, TrySendError, bounded};
use parking_lot::{Mutex, RwLock};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;

/// The devices' states and the server's sign of life are kept this often, milliseconds.
const KEEP_EVERY_MS: i64 = 60_000;

/// The store's threads, and the folder's lock, which must outlive them.
pub struct Threads {
    pub threads: Vec<JoinHandle<()>>,
    pub lock: File,
}

/// What the threads are told through; they end when it is gone.
#[derive(Clone)]
pub struct Senders {
    pub commands: Sender<Command>,
    pub to_maintain: Sender<Ask>,
}

/// The store: one per data folder and process.
pub struct Store {
    dir: PathBuf,
    pub(crate) shared: Arc<Shared>,
    senders: RwLock<Option<Senders>>,
    threads: Mutex<Option<Threads>>,
    kept_ms: AtomicI64,
    now_ms: AtomicI64,
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store {
    pub(crate) fn new(dir: PathBuf, shared: Arc<Shared>, senders: Senders, threads: Threads) -> Store {
        Store {
            dir,
            shared,
            senders: RwLock::new(Some(senders)),
            threads: Mutex::new(Some(threads)),
            kept_ms: AtomicI64::new(0),
            now_ms: AtomicI64::new(0),
        }
    }

    /// Opens or makes the data folder, recovers what was acknowledged, starts the threads.
    ///
    /// # Errors
    /// The folder is in use, unusable or written by a newer version.
    pub fn open(options: Options, now: Timestamp) -> Result<Store> {
        open::open(options, now)
    }

    /// Ends the threads; what is acknowledged stays. Further calls to `submit` are refused. Idempotent.
    pub fn close(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Writer and maintain end when the last sender is gone, the others when the writer is gone.
        drop(self.senders.write().take());
        let Some(threads) = self.threads.lock().take() else { return };
        for thread in threads.threads {
            // A panic in it was noted where it was caught.
            let _ = thread.join();
        }
        let now = self.now_ms.load(Ordering::Relaxed);
        let kept = workers::keep_statuses(&self.shared);
        // Without a tick the time is not known; then the last sign of life stays.
        let alive = if now > 0 { self.shared.meta.note_alive(now).map(|_| ()) } else { Ok(()) };
        if let Err(error) = kept.and(alive).and(self.shared.meta.write_uses()) {
            tracing::warn!("the devices' states could not be kept: {error}");
        }
        // The next start then has no log to read through.
        for file in [&tail::FILE, &chunk_table::FILE, &meta::FILE] {
            if let Err(error) = file.readers(&self.dir).empty_log() {
                tracing::debug!("the log of {} could not be emptied: {error}", file.name);
            }
        }
        drop(threads.lock);
    }

    /// To be called about once a second: judges who is offline, closes an old generation.
    pub fn tick(&self, now: Timestamp) {
        self.now_ms.store(now, Ordering::Relaxed);
        if let Some(senders) = &*self.senders.read() {
            // Full: they have enough to do, and the next tick is a second away.
            let _ = senders.commands.try_send(Command::Tick(now));
            let _ = senders.to_maintain.try_send(Ask::Tick(now));
        }
        let kept = self.kept_ms.load(Ordering::Relaxed);
        // Also when the clock went back.
        if (now - kept).abs() >= KEEP_EVERY_MS {
            self.kept_ms.store(now, Ordering::Relaxed);
            let kept = workers::keep_statuses(&self.shared);
            let alive = self.shared.meta.write_uses().and_then(|()| self.shared.meta.note_alive(now));
            if let Err(error) = kept.and(alive) {
                tracing::warn!("the devices' states could not be kept: {error}");
            }
        }
    }

    /// Seals what came so far and waits for it. Blocks.
    ///
    /// # Errors
    /// `Closed` when the store closes, `Failing` when it cannot be done at present: it is tried again.
    pub fn seal(&self) -> Result<()> {
        let (closed, sealed) = bounded::<()>(1);
        let senders = self.senders.read().clone().ok_or(Error::Closed)?;
        senders.commands.send(Command::CloseGeneration(closed)).map_err(|_| Error::Closed)?;
        drop(senders);
        // Nothing is ever sent: the sender is dropped when it is done, or when the threads end without.
        let _ = sealed.recv();
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        self.shared.troubles.of(Work::Sealing).map_or(Ok(()), |trouble| Err(Error::Failing(trouble)))
    }

    /// Does the maintenance that is due at `now` and waits for it. Blocks. Without it the same is done from time to time.
    ///
    /// # Errors
    /// `Closed` when the store closes.
    pub fn maintain(&self, now: Timestamp) -> Result<()> {
        let (working, done) = bounded::<()>(1);
        let senders = self.senders.read().clone().ok_or(Error::Closed)?;
        senders.to_maintain.send(Ask::All(now, working)).map_err(|_| Error::Closed)?;
        drop(senders);
        let _ = done.recv();
        if self.shared.stopping.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Can batches be taken?
    pub fn health(&self) -> Health {
        match self.shared.troubles.health() {
            Health::ReadOnly(trouble) => Health::ReadOnly(trouble),
            _ if self.senders.read().is_none() => Health::ReadOnly(Trouble::Stopping),
            other => other,
        }
    }

    /// Hands a batch to the writer. `reply` is called once, after the batch is on disk or was refused.
    /// Once this returns `Ok`, dropping whatever waits for the reply loses only the reply. Never blocks.
    ///
    /// # Errors
    /// At once when the queue is full or the store is closed; `reply` is not called then.
    pub fn submit(&self, batch: Batch, reply: Reply) -> std::result::Result<(), Rejected> {
        self.append(batch, None, reply)
    }

    /// As [`Store::submit`], for a batch that says what `frame` says, all of it: until it is sealed it is kept as these
    /// bytes, which [`Options::frames`] reads again after a crash.
    ///
    /// # Errors
    /// As [`Store::submit`].
    pub fn submit_frame(
        &self,
        batch: Batch,
        frame: Bytes,
        reply: Reply,
    ) -> std::result::Result<(), Rejected> {
        self.append(batch, Some(frame), reply)
    }

    fn append(&self, batch: Batch, frame: Option<Bytes>, reply: Reply) -> std::result::Result<(), Rejected> {
        let guard = self.senders.read();
        let Some(Senders { commands, .. }) = &*guard else {
            return Err(Rejected::Unavailable { reason: "the server is stopping".into() });
        };
        match commands.try_send(Command::Append(Box::new(batch), frame, reply)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                Err(Rejected::Overloaded { retry_after_ms: RETRY_AFTER_MS })
            }
            Err(TrySendError::Disconnected(_)) => {
                Err(Rejected::Unavailable { reason: "the writer has ended".into() })
            }
        }
    }

    /// `hook` is called (from a thread of the store, must not block) whenever `changes_since` has something new.
    pub fn on_change(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.shared.set_hook(hook);
    }

    /// The newest version, to begin with.
    pub fn version(&self) -> u64 {
        self.shared.registry.version()
    }

    /// What happened after `version`.
    pub fn changes_since(&self, version: u64) -> Changes {
        let (newest, devices_edited, devices) =
            self.shared.registry.changes_since(version, &self.shared.dictionary);
        Changes { version: newest, devices_edited, devices, logs: self.shared.live_logs(version, newest) }
    }

    fn remember(
        &self,
        device: DeviceId,
        now: Timestamp,
        kind: &'static str,
        detail: serde_json::Value,
    ) -> Result<()> {
        self.remember_of(Some(device), now, kind, detail)
    }

    fn remember_of(
        &self,
        device: Option<DeviceId>,
        now: Timestamp,
        kind: &'static str,
        detail: serde_json::Value,
    ) -> Result<()> {
        let happening = Happening { device, t_ms: now, kind, detail };
        let record = meta::Record { happenings: vec![happening], ..meta::Record::default() };
        self.shared.meta.record(&record, |id| self.shared.registry.exists(id))?;
        self.shared.notify();
        Ok(())
    }
}
