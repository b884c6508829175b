//! Opening a data folder: lock, recovery, threads.

use crate::chunk_table::ChunkTable;
use crate::error::{Error, Result};
use crate::head::Head;
use crate::limits::Limits;
use crate::meta::Meta;
use crate::metrics::Dictionary;
use crate::registry::{Happening, Registry};
use crate::retention::Retention;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::store::{Senders, Store, Threads};
use crate::tail::{FrameReader, Group, Tail};
use crate::types::Timestamp;
use crate::writer::Writer;
use crate::{latest, maintain, workers};
use crossbeam_channel::bounded;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// The data folder; made with mode 0700 when missing.
    pub dir: PathBuf,
    /// How long what is in it is kept, where nobody chose otherwise on the page.
    pub retention: Retention,
    /// Names of the settings (see [`crate::SETTINGS`]) that `retention` gives and nobody may change on the page.
    pub fixed: Vec<&'static str>,
    /// What devices, queries and memory may take.
    pub limits: Limits,
    /// Reads frames that were kept as they came. Without it a folder that holds some is not opened.
    pub frames: Option<FrameReader>,
    /// Called now and then while what is not sealed yet is read back, from the thread that opens.
    pub on_replay: Option<OnReplay>,
    /// Called by a thread of the store that has finished work which takes much memory, a seal or the merges after it, and
    /// has let go of all of it: for allocators that keep freed memory for the thread that used it.
    pub on_rest: Option<fn()>,
}

/// See [`Options::on_replay`].
pub type OnReplay = Arc<dyn Fn(Replay) + Send + Sync>;

/// How far reading back has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// Groups of reports that were read, of how many. Some numbers in between may be missing: then it ends sooner.
    pub groups: u64,
    /// See `groups`.
    pub groups_max: u64,
    /// Samples in them that were not sealed.
    pub samples: u64,
}

/// Groups between two calls of [`Options::on_replay`].
const REPLAY_EVERY: u64 = 64;

impl Options {
    /// With the default retention and limits.
    pub fn new(dir: impl Into<PathBuf>) -> Options {
        Options {
            dir: dir.into(),
            retention: Retention::default(),
            fixed: Vec::new(),
            limits: Limits::default(),
            frames: None,
            on_replay: None,
            on_rest: None,
        }
    }
}

/// Opens or makes the folder, recovers what was acknowledged, starts the threads.
pub fn open(options: Options, now: Timestamp) -> Result<Store> {
    let dir = options.dir;
    make_folder(&dir)?;
    let lock = lock(&dir)?;
    crate::backup::refuse_restoring(&dir)?;
    let meta = Meta::open(&dir)?;
    let chunks = ChunkTable::open(&dir)?;
    let sealed = chunks.sealed_generation()?;
    let recorded = meta.recorded_group()?;
    let mut tail = Tail::open(&dir, recorded)?;
    let dictionary = Dictionary::default();
    chunks.load_metrics(&dictionary)?;
    tail.load_metrics(&dictionary)?;
    let registry = Registry::new(meta.devices()?, now);
    chunks.load_series(|stream, metric, kind| registry.restore_series(stream, metric, kind))?;
    let mut seen = tail.load_seen()?;
    let newest_generation = tail.newest_generation()?.max(sealed + 1);
    let settings = Settings::of(options.retention, options.fixed, &meta.chosen_settings()?);
    let head = Head::new(newest_generation);
    let mut shared = Shared::new(dictionary, registry, head, chunks, meta, settings, sealed, recorded);
    shared.limits = options.limits;
    shared.on_rest = options.on_rest;
    shared.meta.search_time = options.limits.query_time;
    let done = (sealed, recorded);
    let begin = Instant::now();
    let mut progress = Replay { groups: 0, groups_max: tail.groups_max()?, samples: 0 };
    shared.damaged_groups = tail.replay(done, options.frames.as_ref(), &shared.dictionary, |group| {
        progress.groups += 1;
        if progress.groups.is_multiple_of(REPLAY_EVERY)
            && let Some(on_replay) = &options.on_replay
        {
            progress.samples = shared.head.samples() as u64;
            on_replay(progress);
        }
        replay(&shared, &mut seen, sealed, recorded, group)
    })?;
    if progress.groups > 0 {
        tracing::info!(
            groups = progress.groups,
            samples = shared.head.samples(),
            took_ms = begin.elapsed().as_millis() as u64,
            "read back what was not sealed yet"
        );
    }
    finish_deletions(&shared)?;
    latest::restore(&shared)?;
    // It notes that it is there once a minute; what it has heard since says that it was.
    let down_from_ms = shared.meta.note_alive(now)?.max(shared.registry.last_heard_ms(now));
    let started = Happening {
        device: None,
        t_ms: now,
        kind: "server_start",
        detail: serde_json::json!({ "down_from_ms": down_from_ms }),
    };
    shared.meta.record(&crate::meta::Record { happenings: vec![started], ..Default::default() }, |_| true)?;

    let shared = Arc::new(shared);
    let (commands, queue) = bounded(options.limits.queue_batches);
    // One: the head lets no second generation be closed before the first is sealed.
    let (to_seal, generations) = bounded(1);
    let (to_record, records) = bounded(workers::RECORDS_MAX);
    // One: while it works there is nothing to add to being told the time.
    let (to_maintain, asks) = bounded(1);
    let writer = Writer {
        shared: shared.clone(),
        tail,
        seen,
        commands: queue,
        to_seal,
        to_record,
        given_to_record: 0,
        waiting: Vec::new(),
        scrub_to: None,
    };
    let for_sealer = shared.clone();
    let for_recorder = shared.clone();
    let for_maintain = shared.clone();
    let threads = vec![
        start("writer", &shared, move || writer.run())?,
        start("sealer", &shared, move || workers::run_sealer(&for_sealer, &generations))?,
        start("recorder", &shared, move || workers::run_recorder(&for_recorder, &records))?,
        start("maintain", &shared, move || maintain::run(&for_maintain, &asks))?,
    ];
    Ok(Store::new(dir, shared, Senders { commands, to_maintain }, Threads { threads, lock }))
}

fn replay(
    shared: &Shared,
    seen: &mut crate::seen::Seen,
    sealed: i64,
    recorded: i64,
    mut group: Group,
) -> Result<()> {
    group.batches.retain(|b| shared.registry.exists(b.device));
    for batch in &group.batches {
        if let Some(origin) = &batch.origin {
            seen.insert(batch.device, origin, batch.received_ms);
        }
    }
    if group.generation > sealed {
        shared.head.push(&group.batches);
    }
    if group.id <= recorded {
        shared.registry.apply_again(&group.batches, &shared.dictionary);
    } else {
        let record = shared.apply(Some(group.id), group.batches);
        if !record.is_empty() {
            shared.meta.record(&record, |id| shared.registry.exists(id))?;
        }
        shared.recorded_group.store(group.id, std::sync::atomic::Ordering::Release);
    }
    Ok(())
}

/// Goes on with deletions that were cut short. What cannot be deleted now, on a full disk say, waits for the next start:
/// nothing finds it anyway.
fn finish_deletions(shared: &Shared) -> Result<()> {
    for device in shared.meta.deletions()? {
        // The tail may still have batches of it, and keeps them until their generation is sealed: without the device.
        shared.note_deleted(device);
        match shared.delete_kept(device) {
            Ok(_) => tracing::info!(device = device.0, "finished a deletion that was cut short"),
            Err(error) => tracing::warn!(device = device.0, "a deletion is not finished yet: {error}"),
        }
    }
    Ok(())
}

/// Makes a file that only its owner may read; it must not be there yet.
pub fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes the folder, for its owner only, unless it is there.
pub fn make_folder(dir: &Path) -> Result<()> {
    let failed = |cause| Error::Folder { path: dir.to_path_buf(), cause };
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(failed)
}

/// The lock of a folder, which one server holds, or a restore.
pub fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    take_lock(dir, File::options().create(true).truncate(false).write(true).open(path))
}

/// The lock of a folder that is there, without making anything in it.
pub fn lock_for_reading(dir: &Path) -> Result<File> {
    take_lock(dir, File::open(dir.join("lock")))
}

fn take_lock(dir: &Path, file: std::io::Result<File>) -> Result<File> {
    let failed = |cause| Error::Folder { path: dir.join("lock"), cause };
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: dir.to_path_buf() }),
        Err(TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

/// Starts a thread of the store; a panic in it stops writing, with the reason shown.
fn start(
    name: &'static str,
    shared: &Arc<Shared>,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>> {
    let shared = shared.clone();
    let guarded = move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            shared.troubles.poison(name);
        }
    };
    let spawned = std::thread::Builder::new().name(name.into()).spawn(guarded);
    spawned.map_err(|cause| Error::Folder { path: PathBuf::from(name), cause })
}
