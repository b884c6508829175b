//! The whole: which crate may use which, and the real server as a process.

#![allow(clippy::unwrap_used, reason = "the helpers belong to tests: a panic is how they report")]

mod backup;
mod import;
mod kill;
mod manifests;
mod notices;
mod outage;
mod process;
#[allow(dead_code, reason = "the tests of tests/security use it too; not all is of use here")]
mod server;
