//! Reports that are not acknowledged yet: in the spool, or in memory where that cannot be used.
//!
//! The newest report goes first, once: whoever looks at the device sees how it is now. The others
//! follow oldest first.
//!
//! The usage events of a report count as delivered when the server has it, and not when the spool has:
//! what is on disk may still be lost, to a power cut or for want of room.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use wire::BootId;

use crate::openclaw::usage::Ticket;
use crate::spool::Spool;
use crate::spool::record::Key;

/// Bytes of reports that are kept in memory while neither the server nor the spool takes them: some
/// days of an ordinary device.
pub const QUEUE_BYTES_MAX: usize = 16 << 20;
const _: () = assert!(QUEUE_BYTES_MAX >= 2 * wire::bounds::FRAME_BYTES_MAX);

/// What a waiting report costs besides its bytes.
const OVERHEAD_BYTES: usize = 64;
/// Reports that move from memory into a spool that works again, with each new one: a disk that was
/// full must not hold up a sample.
const MOVES_MAX: usize = 16;

/// Waiting reports, bounded by their bytes.
#[derive(Debug)]
pub struct Queue {
    boot: BootId,
    next_seq: u64,
    /// The newest report, until it was tried. It waits below as well.
    fresh: Option<Waiting>,
    spool: Option<Spool>,
    memory: VecDeque<Waiting>,
    bytes: usize,
    bytes_max: usize,
    dropped: u64,
    /// Which waiting reports of this run hold usage events.
    usage: Vec<(Key, Ticket)>,
    /// Events of reports that were lost.
    lost: Vec<Ticket>,
    trouble: Option<Trouble>,
    news: Vec<String>,
}

/// One report that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number, which stays with it: the server may have it already.
    pub key: Key,
    /// Its frame.
    pub frame: Arc<[u8]>,
    /// Whether it is the newest one, tried for the first time.
    pub fresh: bool,
}

/// What is wrong with the spool. Said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Write,
    Read,
}

impl Queue {
    /// A queue of at most `bytes_max` in memory, what it takes to keep the reports included.
    pub fn new(boot: BootId, spool: Option<Spool>, bytes_max: usize) -> Queue {
        let mut queue = Queue {
            boot,
            next_seq: 0,
            fresh: None,
            spool,
            memory: VecDeque::new(),
            bytes: 0,
            bytes_max,
            dropped: 0,
            usage: Vec::new(),
            lost: Vec::new(),
            trouble: None,
            news: Vec::new(),
        };
        queue.count_losses();
        queue
    }

    /// The number of the next report.
    pub fn number(&mut self) -> Key {
        let key = Key { boot: self.boot, seq: self.next_seq };
        self.next_seq += 1;
        key
    }

    /// Adds the newest report, and drops the oldest ones if it would be too much.
    pub fn push(&mut self, key: Key, frame: Vec<u8>, usage: Option<Ticket>) {
        self.usage.extend(usage.map(|ticket| (key, ticket)));
        let waiting = Waiting { key, frame: frame.into(), fresh: false };
        self.keep(waiting.clone());
        self.fresh = Some(Waiting { fresh: true, ..waiting });
    }

    /// Adds a report that takes its turn: nobody waits to see it.
    pub fn add(&mut self, key: Key, frame: Vec<u8>, usage: Option<Ticket>) {
        self.usage.extend(usage.map(|ticket| (key, ticket)));
        self.keep(Waiting { key, frame: frame.into(), fresh: false });
    }

    fn keep(&mut self, waiting: Waiting) {
        match self.write(&waiting) {
            Some(Ok(())) => {
                for _ in 0..MOVES_MAX {
                    let Some(front) = self.memory.front().cloned() else { break };
                    if !matches!(self.write(&front), Some(Ok(()))) {
                        break;
                    }
                    self.pop();
                }
                if self.trouble.take_if(|trouble| *trouble == Trouble::Write).is_some() {
                    self.news.push("reports are kept on disk again".into());
                }
            }
            failed => {
                if let Some(Err(error)) = failed
                    && self.trouble.replace(Trouble::Write) != Some(Trouble::Write)
                {
                    self.news.push(format!("reports are kept in memory only, the spool fails: {error}"));
                }
                self.bytes += waiting.frame.len() + OVERHEAD_BYTES;
                self.memory.push_back(waiting);
                // The newest one always stays: a single frame is smaller than any sensible bound.
                let before = self.memory.len();
                while self.bytes > self.bytes_max && self.memory.len() > 1 {
                    self.pop();
                }
                self.count_dropped((before - self.memory.len()) as u64, "memory");
            }
        }
        self.count_losses();
    }

    fn write(&mut self, waiting: &Waiting) -> Option<io::Result<()>> {
        Some(self.spool.as_mut()?.append(waiting.key.seq, &waiting.frame))
    }

    /// The report to send now. It waits on until it is forgotten.
    pub fn pick(&mut self) -> Option<Waiting> {
        if let Some(fresh) = self.fresh.take() {
            return Some(fresh);
        }
        let in_memory = self.memory.front();
        let spooled = self.spool.as_ref().and_then(Spool::oldest);
        // What is in memory is of this run; a spool may hold reports of earlier ones.
        let memory_first = match (in_memory, spooled) {
            (Some(waiting), Some(key)) => key.boot == self.boot && waiting.key.seq < key.seq,
            (in_memory, _) => in_memory.is_some(),
        };
        let read = match &mut self.spool {
            Some(spool) if !memory_first => spool.read_oldest(),
            _ => Ok(None),
        };
        self.count_losses();
        match read {
            Ok(Some((key, frame))) => return Some(Waiting { key, frame: frame.into(), fresh: false }),
            Ok(None) => {}
            Err(error) => {
                if self.trouble.replace(Trouble::Read) != Some(Trouble::Read) {
                    self.news.push(format!("the spool cannot be read: {error}"));
                }
            }
        }
        self.memory.front().cloned()
    }

    /// Nothing is left to do about this report. Gives the usage events in it, unless they were lost
    /// before.
    pub fn forget(&mut self, key: Key) -> Option<Ticket> {
        self.fresh.take_if(|fresh| fresh.key == key);
        if let Some(at) = self.memory.iter().position(|waiting| waiting.key == key) {
            if let Some(waiting) = self.memory.remove(at) {
                self.bytes -= waiting.frame.len() + OVERHEAD_BYTES;
            }
        } else if let Some(spool) = &mut self.spool {
            spool.forget(key);
        }
        self.take_usage(key)
    }

    /// Puts reports into the place of one. They are kept before that one is forgotten: if the agent
    /// is killed in between, rows are sent twice rather than never. Its usage events are in the first.
    pub fn replace(&mut self, key: Key, parts: impl IntoIterator<Item = (Key, Vec<u8>)>) {
        let mut usage = self.take_usage(key);
        for (key, frame) in parts {
            self.usage.extend(usage.take().map(|ticket| (key, ticket)));
            self.keep(Waiting { key, frame: frame.into(), fresh: false });
        }
        self.forget(key);
    }

    /// How many reports wait.
    pub fn len(&self) -> usize {
        self.memory.len() + self.on_disk()
    }

    /// How many of them survive the agent.
    pub fn on_disk(&self) -> usize {
        self.spool.as_ref().map_or(0, Spool::len)
    }

    /// Bytes that the spool takes on the disk.
    pub fn spool_bytes(&self) -> u64 {
        self.spool.as_ref().map_or(0, Spool::bytes)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the newest report was not tried yet.
    pub fn has_fresh(&self) -> bool {
        self.fresh.is_some()
    }

    /// How many reports were lost since the agent started: for want of room or to a bad disk.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What to tell the person who reads the log, since this was last asked.
    pub fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// The usage events of reports that were lost since this was last asked.
    pub fn take_lost(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.lost)
    }

    fn take_usage(&mut self, key: Key) -> Option<Ticket> {
        let at = self.usage.iter().position(|(of, _)| *of == key)?;
        Some(self.usage.swap_remove(at).1)
    }

    fn holds(&self, key: Key) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.contains(key))
            || self.memory.iter().any(|waiting| waiting.key == key)
    }

    fn count_losses(&mut self) {
        for (key, ticket) in std::mem::take(&mut self.usage) {
            if self.holds(key) {
                self.usage.push((key, ticket));
            } else {
                self.lost.push(ticket);
            }
        }
        let Some(spool) = &mut self.spool else { return };
        let (dropped, damaged) = (spool.take_dropped(), spool.take_damaged());
        self.count_dropped(dropped, "the spool");
        if damaged > 0 {
            self.dropped += damaged;
            self.news.push(format!("{damaged} damaged places of the spool are passed over"));
        }
    }

    fn count_dropped(&mut self, dropped: u64, full: &str) {
        if dropped > 0 {
            self.dropped += dropped;
            self.news.push(format!("{dropped} of the oldest reports are dropped: {full} is full"));
        }
    }

    fn pop(&mut self) {
        if let Some(front) = self.memory.pop_front() {
            self.bytes -= front.frame.len() + OVERHEAD_BYTES;
        }
    }
}

#[cfg(test)]
mod tests;
