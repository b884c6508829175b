//! The allocators of the server on Linux, and what they may keep of memory that nobody uses. SQLite and zstd use that of
//! the C library.

/// See Cargo.toml.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Memory that nobody uses goes back to the system after a tenth of a second instead of a whole one: what a seal and the
/// merges after it take then hardly adds up. A load of 17 million samples takes 95 MiB at most and leaves 45, against
/// 120 and 50 without this and 104 twice with glibc's allocator, in the same processor time. To be called before there is
/// another thread.
pub fn give_back_soon() {
    #[cfg(target_os = "linux")]
    mi::give_back_soon();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::bound_heaps();
}

/// Gives back what this thread and the threads that have ended keep for themselves: the allocator holds a page, of 64 KiB
/// to 4 MiB, for each class of sizes that a thread has used. Thirty days of 50 devices, loaded in half a minute, leave 75 MiB
/// where one thread calls this each second, and 55 where the sealer and maintenance call it after their work as well.
pub fn give_back() {
    #[cfg(target_os = "linux")]
    mi::give_back();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::give_back();
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the allocator can be reached only so")]
mod mi {
    pub fn give_back_soon() {
        /// `mi_option_purge_delay` of `mimalloc.h`, which the crate leaves out; in milliseconds.
        const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
        // SAFETY: no other thread runs yet, and it changes that number alone.
        unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 100) };
    }

    pub fn give_back() {
        // SAFETY: it may be called by any thread at any time, and touches only what nobody uses.
        unsafe { libmimalloc_sys::mi_collect(true) };
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the allocator can be reached only so")]
mod glibc {
    /// It would make up to eight heaps for each core, and gives back little of what a query of SQLite took from one.
    pub fn bound_heaps() {
        const HEAPS_MAX: libc::c_int = 2;
        // SAFETY: no other thread runs yet, and it changes that number alone. Where it is refused, nothing changes.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, HEAPS_MAX) };
    }

    pub fn give_back() {
        // SAFETY: it takes each heap's lock and touches only what nobody uses.
        unsafe { libc::malloc_trim(0) };
    }
}
