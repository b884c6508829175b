//! A disk with a cache, as far as a power loss is concerned: what was synced is there, of what was not any part may be.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::vfs;

/// What is written at once even when power fails in the middle.
const SECTOR: usize = 512;

/// A folder whose files are on such a disk.
pub struct Disk(Mutex<State>);

/// What an operation has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Go,
    Fail,
    /// Write so many bytes and fail.
    Torn(usize),
    /// The same; there is no space for more.
    Full(usize),
}

/// What is to fail.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub file: &'static str,
    pub what: What,
    /// So many of these pass before.
    pub after: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Sync,
    Write,
    TornWrite,
    FullWrite,
}

/// What a power loss left: files by name.
pub type Left = BTreeMap<String, Vec<u8>>;

struct State {
    files: BTreeMap<String, Contents>,
    /// Deleted, but the folder was not synced since: they may come back.
    limbo: BTreeMap<String, Contents>,
    operations: u64,
    off_at: u64,
    left: Option<Left>,
    fault: Option<Fault>,
    faults_met: u64,
    rng: u64,
}

#[derive(Default, Clone)]
struct Contents {
    durable: Vec<u8>,
    /// Was the folder synced since it was made, or was it there from the beginning?
    named: bool,
    pending: Vec<Effect>,
}

#[derive(Clone)]
struct Effect {
    change: Change,
    /// A sync failed: the system takes it for written, and no later sync writes it.
    doomed: bool,
}

#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Disk {
    /// Takes a folder over as it is. Power goes off at operation `off_at`, counted from 1; 0: never.
    pub fn insert(folder: &Path, off_at: u64, fault: Option<Fault>, seed: u64) -> Arc<Disk> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.contains(".db") && !name.ends_with("-shm") {
                let durable = std::fs::read(entry.path()).unwrap();
                files.insert(name, Contents { durable, named: true, pending: Vec::new() });
            }
        }
        let state = State {
            files,
            limbo: BTreeMap::new(),
            operations: 0,
            off_at,
            left: None,
            fault,
            faults_met: 0,
            rng: seed,
        };
        let disk = Arc::new(Disk(Mutex::new(state)));
        vfs::insert(folder, disk.clone());
        disk
    }

    /// Did power go off already?
    pub fn is_off(&self) -> bool {
        self.0.lock().unwrap().left.is_some()
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// How often the fault was met.
    pub fn faults_met(&self) -> u64 {
        self.0.lock().unwrap().faults_met
    }

    /// What is left when power goes off now, or did before.
    pub fn left(&self) -> Left {
        let mut state = self.0.lock().unwrap();
        state.go_off();
        state.left.clone().unwrap()
    }

    pub(super) fn opened(&self, name: &str) {
        let mut state = self.0.lock().unwrap();
        if !state.files.contains_key(name) {
            state.limbo.remove(name);
            state.files.insert(name.into(), Contents::default());
        }
    }

    pub(super) fn write(&self, name: &str, at: u64, bytes: &[u8]) -> Verdict {
        let mut state = self.0.lock().unwrap();
        let verdict = match state.meets(name, &[What::Write, What::TornWrite, What::FullWrite]) {
            None => Verdict::Go,
            Some(What::TornWrite) => Verdict::Torn(state.draw(bytes.len() as u64) as usize),
            Some(What::FullWrite) => Verdict::Full(state.draw(bytes.len() as u64) as usize),
            Some(_) => Verdict::Fail,
        };
        let there = match verdict {
            Verdict::Go => bytes.len(),
            Verdict::Fail => 0,
            Verdict::Torn(there) | Verdict::Full(there) => there,
        };
        let contents = state.files.entry(name.into()).or_default();
        // Sector by sector, so that any part of it may be lost.
        let mut done = 0;
        while done < there {
            let at = at as usize + done;
            let length = (SECTOR - at % SECTOR).min(there - done);
            contents.add(Change::Write { at, bytes: bytes[done..done + length].to_vec() });
            done += length;
        }
        state.count();
        verdict
    }

    pub(super) fn truncate(&self, name: &str, size: u64) -> Verdict {
        let mut state = self.0.lock().unwrap();
        state.files.entry(name.into()).or_default().add(Change::Truncate(size as usize));
        state.count();
        Verdict::Go
    }

    pub(super) fn sync(&self, name: &str) -> Verdict {
        let mut state = self.0.lock().unwrap();
        // Power may go off in the middle of it.
        state.count();
        let fails = state.meets(name, &[What::Sync]).is_some();
        let Some(contents) = state.files.get_mut(name) else { return Verdict::Go };
        if fails {
            contents.pending.iter_mut().for_each(|effect| effect.doomed = true);
            return Verdict::Fail;
        }
        for effect in std::mem::take(&mut contents.pending) {
            match effect.doomed {
                true => contents.pending.push(effect),
                false => effect.change.apply(&mut contents.durable),
            }
        }
        Verdict::Go
    }

    /// The folder is synced: from now on the files in it are there, and the deleted ones are gone.
    pub(super) fn sync_folder(&self) {
        let mut state = self.0.lock().unwrap();
        state.count();
        state.files.values_mut().for_each(|contents| contents.named = true);
        state.limbo.clear();
    }

    pub(super) fn delete(&self, name: &str) {
        let mut state = self.0.lock().unwrap();
        state.count();
        if let Some(contents) = state.files.remove(name) {
            state.limbo.insert(name.into(), contents);
        }
    }
}

impl State {
    fn count(&mut self) {
        self.operations += 1;
        if self.operations == self.off_at {
            self.go_off();
        }
    }

    /// SplitMix64.
    fn draw(&mut self, of: u64) -> u64 {
        self.rng = self.rng.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.rng ^ (self.rng >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (n ^ (n >> 31)) % of.max(1)
    }

    fn meets(&mut self, name: &str, kinds: &[What]) -> Option<What> {
        let fault = self.fault.as_mut().filter(|f| f.file == name && kinds.contains(&f.what))?;
        let what = fault.what;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        self.fault = None;
        self.faults_met += 1;
        Some(what)
    }

    fn go_off(&mut self) {
        if self.left.is_some() {
            return;
        }
        let mut left = Left::new();
        let (files, limbo) = (self.files.clone(), self.limbo.clone());
        for (name, contents) in &files {
            if contents.named || self.draw(2) == 0 {
                let bytes = self.some_of(contents);
                left.insert(name.clone(), bytes);
            }
        }
        for (name, contents) in &limbo {
            if !left.contains_key(name) && contents.named && self.draw(2) == 0 {
                let bytes = self.some_of(contents);
                left.insert(name.clone(), bytes);
            }
        }
        self.left = Some(left);
    }

    /// What was synced, and some of what was not: all, none, the first of it, or any sectors.
    fn some_of(&mut self, contents: &Contents) -> Vec<u8> {
        let mut bytes = contents.durable.clone();
        let count = contents.pending.len() as u64;
        let (way, first) = (self.draw(4), self.draw(count + 1));
        for (number, effect) in contents.pending.iter().enumerate() {
            let kept = match way {
                0 => false,
                1 => !effect.doomed || self.draw(2) == 0,
                2 => (number as u64) < first,
                _ => self.draw(2) == 0,
            };
            if kept {
                effect.change.apply(&mut bytes);
            }
        }
        bytes
    }
}

impl Contents {
    fn add(&mut self, change: Change) {
        // What the system took for written is written over now; the new bytes are what a sync writes.
        self.pending.retain(|old| !(old.doomed && change.covers_some_of(&old.change)));
        self.pending.push(Effect { change, doomed: false });
    }
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes } => {
                let end = at + bytes.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[*at..end].copy_from_slice(bytes);
            }
            Change::Truncate(size) => contents.truncate(*size),
        }
    }

    fn covers_some_of(&self, old: &Change) -> bool {
        match (self, old) {
            (Change::Write { at, bytes }, Change::Write { at: old_at, bytes: old }) => {
                *at < old_at + old.len() && *old_at < at + bytes.len()
            }
            (Change::Truncate(size), Change::Write { at, .. }) => at >= size,
            _ => false,
        }
    }
}
