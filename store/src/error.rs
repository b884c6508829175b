//! What can go wrong in the store.

use std::path::PathBuf;

/// An error of the store, for whoever must act on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another server has the data folder open.
    #[error(
        "the data folder {path} is in use by another server; stop that one or choose another folder with --data-dir"
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The data folder cannot be used.
    #[error(
        "the data folder {path} cannot be used: {cause}; check that it exists and that this user may write there"
    )]
    Folder {
        /// The folder or the file in it.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A file was written by a newer version.
    #[error(
        "{file} has schema {found}, this version knows up to {known}; it was written by a newer OpenClaw Watch: update this one"
    )]
    Newer {
        /// Name of the file.
        file: &'static str,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The folder holds reports as they were sent, and it was opened without what reads them.
    #[error("the data folder holds reports that only the server reads; start it once and stop it again")]
    NoFrameReader,
    /// A file was written by an older version.
    #[error("{file} was written by an older OpenClaw Watch; start the server once, which brings it forward")]
    Older {
        /// Name of the file.
        file: &'static str,
    },
    /// A backup cannot be written or read.
    #[error("the backup {path}: {cause}")]
    Backup {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Stored bytes are not what was written.
    #[error("{what} is damaged: {why}")]
    Corrupt {
        /// Which thing, with its number.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something with that name is there already.
    #[error("{what} exists already")]
    Conflict {
        /// Which thing.
        what: &'static str,
    },
    /// Somebody must be left who may administer the server.
    #[error("there must be an administrator left")]
    LastAdmin,
    /// There are as many of these as there may be.
    #[error("there are {limit} {what} already")]
    Full {
        /// Which things.
        what: &'static str,
        /// How many there may be.
        limit: u32,
    },
    /// No such thing.
    #[error("there is no such {what}")]
    NotFound {
        /// Which thing.
        what: &'static str,
    },
    /// A query asks for more than its budget allows.
    #[error(
        "the query reads more than {limit} samples; ask for a shorter range, fewer series or fewer points"
    )]
    TooMuch {
        /// The budget in samples.
        limit: usize,
    },
    /// A query asks for more series than one may have.
    #[error("the query has more than {limit} series; name fewer devices or metrics")]
    TooManySeries {
        /// The bound.
        limit: usize,
    },
    /// A query takes longer than its budget allows.
    #[error("the query takes longer than {limit_ms} ms; ask for a shorter range or fewer series")]
    TooLong {
        /// The budget in milliseconds.
        limit_ms: u64,
    },
    /// A search takes longer than its budget allows.
    #[error(
        "the search takes longer than {limit_ms} ms; ask for a shorter time, one device, or three letters or more"
    )]
    SearchTooLong {
        /// The budget in milliseconds.
        limit_ms: u64,
    },
    /// The database failed.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What was asked for cannot be done at present.
    #[error("{0}")]
    Failing(crate::Trouble),
    /// A thread of the store has ended.
    #[error("the store is closed")]
    Closed,
}

/// `Result` with the store's error.
pub type Result<T> = std::result::Result<T, Error>;
