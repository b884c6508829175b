//! What the server promises against people who mean it harm, tried on the real binary.
//!
//! `SECURITY.md` lists the promises with the test behind each; `promises` sees that they are there.

#![allow(clippy::unwrap_used, reason = "the helpers belong to tests: a panic is how they report")]

mod access;
mod client;
mod flood;
mod input;
#[cfg(unix)]
mod install;
mod people;
mod promises;
mod secrets;
#[allow(dead_code, reason = "the helpers of the other tests; not all are of use here")]
#[path = "../it/server.rs"]
mod server;
mod threats;
mod transport;
