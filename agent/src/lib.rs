//! The device side: collectors, OpenClaw probe, uplink.
//!
//! [`run`] samples on the main thread; a thread named `openclaw` asks the gateway on loopback how it
//! is, one named `usage` reads what OpenClaw's models cost, one named `logs` follows what the gateway
//! logs, and one named `uplink` posts the reports in [`queue`], which keeps them in [`spool`]. A slow
//! gateway, a large database or an absent server never moves a sample.
//!
//! What the server answers can do two things here: let a report be forgotten and make reports more
//! frequent while somebody looks. Everything else in an answer is ignored.

pub mod args;
pub mod calendar;
pub mod clock;
pub mod collect;
pub mod config;
pub mod doctor;
pub mod enroll;
pub mod explain;
pub mod log;
pub mod logs;
pub mod once;
pub mod openclaw;
pub mod queue;
pub mod report;
pub mod run;
pub mod service;
pub mod shared;
pub mod spool;
pub mod state_dir;
pub mod uplink;
