//! What keeps the store from its work at present.

use crate::error::{Error, Result};
use crate::writer;
use parking_lot::Mutex;

/// Can the store do its work?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Ready,
    /// It takes batches, and something else that it does with them fails and is tried again.
    Failing(Trouble),
    /// It takes no batches; reads go on.
    ReadOnly(Trouble),
}

/// What is wrong, as a sentence for the person who runs the server; the log says more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It heals by itself.
    #[error("the disk is full; it goes on by itself when there is space")]
    DiskFull,
    /// After a failed write or sync nobody knows what is on disk.
    #[error("writing to the disk failed; check the disk and start the server again")]
    WriteFailed,
    /// A bug: a thread ended by a panic.
    #[error("the {0} thread failed; start the server again")]
    ThreadEnded(String),
    /// The store closes.
    #[error("the server is stopping")]
    Stopping,
    /// Closed generations stay in memory and in the tail.
    #[error(
        "new rows cannot be put into chunks, which is tried again; the log says why: stop the server and run its `check`"
    )]
    Sealing,
    /// What reports bring beside samples stays in the tail.
    #[error(
        "usage, logs and events cannot be recorded, which is tried again; the log says why: stop the server and run its `check`"
    )]
    Recording,
}

impl Trouble {
    /// A word for programs: `disk_full`, `write_failed`, `thread_ended`, `stopping`, `sealing` or `recording`.
    pub fn code(&self) -> &'static str {
        match self {
            Trouble::DiskFull => "disk_full",
            Trouble::WriteFailed => "write_failed",
            Trouble::ThreadEnded(_) => "thread_ended",
            Trouble::Stopping => "stopping",
            Trouble::Sealing => "sealing",
            Trouble::Recording => "recording",
        }
    }
}

/// Work that is done after a batch was taken, each by a thread of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Sealing,
    Recording,
}

#[derive(Default)]
struct State {
    /// Nothing is written any more until the server is started again.
    poisoned: Option<Trouble>,
    /// The last write failed for want of space.
    no_space: bool,
    /// What the last try at each kind of work failed of.
    sealing: Option<Trouble>,
    recording: Option<Trouble>,
}

/// What went wrong so far, told by the threads that meet it.
#[derive(Default)]
pub struct Troubles(Mutex<State>);

impl Troubles {
    /// A commit of the tail failed.
    pub fn write_failed(&self, error: &Error) -> Trouble {
        let mut state = self.0.lock();
        if writer::heals(error) {
            if !state.no_space {
                tracing::error!("the disk is full: batches are refused until there is space");
            }
            state.no_space = true;
            return Trouble::DiskFull;
        }
        // After a failed sync nobody knows what is on disk: going on would invent data.
        tracing::error!("writing failed, nothing is stored any more until a restart: {error}");
        state.poisoned.get_or_insert(Trouble::WriteFailed).clone()
    }

    /// A commit of the tail succeeded.
    pub fn write_succeeded(&self) {
        if std::mem::take(&mut self.0.lock().no_space) {
            tracing::info!("there is space again: batches are stored");
        }
    }

    /// A try at some work ended.
    pub fn note(&self, work: Work, result: &Result<()>) {
        let trouble = result.as_ref().err().map(|error| match work {
            _ if writer::heals(error) => Trouble::DiskFull,
            Work::Sealing => Trouble::Sealing,
            Work::Recording => Trouble::Recording,
        });
        let mut state = self.0.lock();
        *match work {
            Work::Sealing => &mut state.sealing,
            Work::Recording => &mut state.recording,
        } = trouble;
    }

    /// What the last try at some work failed of.
    pub fn of(&self, work: Work) -> Option<Trouble> {
        let state = self.0.lock();
        match work {
            Work::Sealing => state.sealing.clone(),
            Work::Recording => state.recording.clone(),
        }
    }

    /// Nothing more can be handed to the recorder: what of, when it is more than being behind.
    pub fn refused_by_recorder(&self) -> Option<Trouble> {
        let mut state = self.0.lock();
        let trouble = state.recording.clone()?;
        state.no_space |= trouble == Trouble::DiskFull;
        Some(trouble)
    }

    /// A thread of the store ended by a panic.
    pub fn poison(&self, thread: &str) {
        self.0.lock().poisoned.get_or_insert(Trouble::ThreadEnded(thread.into()));
    }

    /// Why nothing is written any more until the server is started again.
    pub fn poisoned(&self) -> Option<Trouble> {
        self.0.lock().poisoned.clone()
    }

    /// All of it in one.
    pub fn health(&self) -> Health {
        let state = self.0.lock();
        if let Some(poisoned) = &state.poisoned {
            return Health::ReadOnly(poisoned.clone());
        }
        if state.no_space {
            return Health::ReadOnly(Trouble::DiskFull);
        }
        let failing = state.sealing.as_ref().or(state.recording.as_ref());
        failing.map_or(Health::Ready, |trouble| Health::Failing(trouble.clone()))
    }
}
