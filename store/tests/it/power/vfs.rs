//! A layer below SQLite that tells a [`Disk`] of every effect on its files, and fails where the disk says so.
//!
//! It is the default for the whole process; files in folders that are no [`Disk`] pass through it untouched. Only what
//! SQLite does to files goes through it: the shared memory of the write-ahead log's index is the real one, which does not
//! outlive a power loss anyway.
#![allow(unsafe_code, reason = "SQLite's files can be stood between only in C's terms; this is a test")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use rusqlite::ffi;

use super::disk::{Disk, Verdict};

/// The disks by folder.
static DISKS: Mutex<Option<HashMap<PathBuf, Arc<Disk>>>> = Mutex::new(None);

/// The VFS below, and its copy with our functions.
struct Layer {
    real: *mut ffi::sqlite3_vfs,
    _ours: Box<ffi::sqlite3_vfs>,
}

// SAFETY: both are written once, before anybody else sees them; SQLite itself shares them between threads.
unsafe impl Send for Layer {}
// SAFETY: as above.
unsafe impl Sync for Layer {}

static LAYER: OnceLock<Layer> = OnceLock::new();

/// From now on what SQLite does in this folder goes through the disk.
pub fn insert(folder: &Path, disk: Arc<Disk>) {
    LAYER.get_or_init(register);
    DISKS.lock().unwrap().get_or_insert_default().insert(folder.to_path_buf(), disk);
}

/// From now on files of this folder that are opened pass through untouched.
pub fn remove(folder: &Path) {
    DISKS.lock().unwrap().get_or_insert_default().remove(folder);
}

fn register() -> Layer {
    // SAFETY: the default VFS of an initialised library lives as long as the process; a copy of it with the same private
    // data is what every layer of SQLite's own does. The copy is boxed and never dropped, for `LAYER` is static.
    unsafe {
        assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
        let real = ffi::sqlite3_vfs_find(std::ptr::null());
        let mut ours = Box::new(std::ptr::read(real));
        ours.zName = c"faults".as_ptr();
        ours.szOsFile += size_of::<File>() as c_int;
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        assert_eq!(ffi::sqlite3_vfs_register(&mut *ours, 1), ffi::SQLITE_OK);
        Layer { real, _ours: ours }
    }
}

/// An open file: ours, and behind it in the same memory the real one.
#[repr(C)]
struct File {
    methods: *const ffi::sqlite3_io_methods,
    /// Of the real one, which may lack some.
    below: *const ffi::sqlite3_io_methods,
    /// `Box<(Arc<Disk>, String)>`: the disk and the file's name on it; null where files pass through.
    place: *mut (Arc<Disk>, String),
    /// Its next sync also syncs the folder. On Unix SQLite does that with the first sync of every journal and
    /// write-ahead log that it opens; without it a journal that was deleted before might come back and undo what was
    /// committed since.
    syncs_folder: bool,
}

const METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // 2: with shared memory, without mapped pages, which would pass us by.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Files of which only the newest state of the folder makes sense.
const JOURNALS: c_int = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;

fn place_of(path: &CStr) -> Option<(Arc<Disk>, String)> {
    let path = Path::new(path.to_str().ok()?);
    let disks = DISKS.lock().unwrap();
    let disk = disks.as_ref()?.get(path.parent()?)?.clone();
    Some((disk, path.file_name()?.to_str()?.to_string()))
}

/// The real file behind ours.
fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    file.cast::<File>().wrapping_add(1).cast()
}

/// Where it is on which disk, if on one.
fn place<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a (Arc<Disk>, String)> {
    // SAFETY: SQLite gives us files that `open` made, until `close`.
    unsafe { (*file.cast::<File>()).place.as_ref() }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let below = LAYER.get().expect("registered before it is called").real;
    // SAFETY: `file` has room for ours and, behind it, for the real one: see `szOsFile`. A name is null or a C string.
    unsafe {
        let ours = file.cast::<File>();
        ours.write(File {
            methods: std::ptr::null(),
            below: std::ptr::null(),
            place: std::ptr::null_mut(),
            syncs_folder: flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & JOURNALS != 0,
        });
        let place = if name.is_null() { None } else { place_of(CStr::from_ptr(name)) };
        let opened = ((*below).xOpen.expect("a VFS opens"))(below, name, real(file), flags, out_flags);
        (*ours).below = (*real(file)).pMethods;
        if opened != ffi::SQLITE_OK {
            return opened;
        }
        if let Some((disk, name)) = place {
            disk.opened(&name);
            (*ours).place = Box::into_raw(Box::new((disk, name)));
        }
        (*ours).methods = &METHODS;
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    let below = LAYER.get().expect("registered before it is called").real;
    // SAFETY: the name is a C string.
    unsafe {
        if let Some((disk, name)) = place_of(CStr::from_ptr(name)) {
            disk.delete(&name);
            if sync_dir != 0 {
                disk.sync_folder();
            }
        }
        ((*below).xDelete.expect("a VFS deletes"))(below, name, sync_dir)
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let ours = file.cast::<File>();
    // SAFETY: made by `open`, and SQLite closes it once.
    unsafe {
        if !(*ours).place.is_null() {
            drop(Box::from_raw((*ours).place));
        }
        ((*(*ours).below).xClose.expect("a file closes"))(real(file))
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    count: c_int,
    at: i64,
) -> c_int {
    let mut count = count;
    let mut failure = None;
    if let Some((disk, name)) = place(file) {
        // SAFETY: SQLite gives as many bytes as it says.
        let given = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count as usize) };
        match disk.write(name, at as u64, given) {
            Verdict::Go => {}
            Verdict::Fail => return ffi::SQLITE_IOERR_WRITE,
            Verdict::Torn(there) => (count, failure) = (there as c_int, Some(ffi::SQLITE_IOERR_WRITE)),
            Verdict::Full(there) => (count, failure) = (there as c_int, Some(ffi::SQLITE_FULL)),
        }
    }
    // SAFETY: as it was called, with at most as many bytes.
    let written = unsafe {
        let methods = (*file.cast::<File>()).below;
        ((*methods).xWrite.expect("a file writes"))(real(file), bytes, count, at)
    };
    failure.unwrap_or(written)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    if let Some((disk, name)) = place(file)
        && disk.truncate(name, size as u64) == Verdict::Fail
    {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    // SAFETY: as it was called.
    unsafe { ((*(*file.cast::<File>()).below).xTruncate.expect("a file truncates"))(real(file), size) }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    let Some((disk, name)) = place(file) else {
        // SAFETY: as it was called.
        return unsafe { ((*(*file.cast::<File>()).below).xSync.expect("a file syncs"))(real(file), _flags) };
    };
    // The disk knows what is durable: nothing is gained by waiting for the real one.
    if disk.sync(name) != Verdict::Go {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // SAFETY: SQLite gives us files that `open` made, each to one thread at a time.
    if std::mem::take(unsafe { &mut (*file.cast::<File>()).syncs_folder }) {
        disk.sync_folder();
    }
    ffi::SQLITE_OK
}

/// Passes a call on.
macro_rules! below {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)? = $method:ident;)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) $(-> $result)? {
            // SAFETY: made by `open`; passed on as it was called.
            unsafe {
                ((*(*file.cast::<File>()).below).$method.expect("the file below has it"))(real(file) $(, $argument)*)
            }
        }
    )*};
}

below! {
    fn read(bytes: *mut c_void, count: c_int, at: i64) -> c_int = xRead;
    fn file_size(size: *mut i64) -> c_int = xFileSize;
    fn lock(level: c_int) -> c_int = xLock;
    fn unlock(level: c_int) -> c_int = xUnlock;
    fn check_reserved_lock(result: *mut c_int) -> c_int = xCheckReservedLock;
    fn file_control(operation: c_int, argument: *mut c_void) -> c_int = xFileControl;
    fn sector_size() -> c_int = xSectorSize;
    fn device_characteristics() -> c_int = xDeviceCharacteristics;
    fn shm_map(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int = xShmMap;
    fn shm_lock(offset: c_int, count: c_int, flags: c_int) -> c_int = xShmLock;
    fn shm_barrier() = xShmBarrier;
    fn shm_unmap(delete: c_int) -> c_int = xShmUnmap;
}
