//! Frames and JSON reports that agents and server exchange: versioned, bounded, no I/O.
//!
//! A [`Report`] is what an agent sends. [`frame`] is its compact form, [`json`] the one for scripts
//! and for reading; both obey the limits in [`bounds`]. [`answer`] is what comes back. This is the
//! only place where bincode meets the network, so nothing here trusts a byte.
//!
//! What is *not* judged here: whether a time is acceptable, a value finite or a metric's name well
//! formed ([`name::check`] exists for that). One bad row does not spoil a report, and whoever admits
//! rows has to be able to say which one it was.

pub mod answer;
pub mod bounds;
pub mod frame;
pub mod json;
pub mod name;
mod report;
#[cfg(test)]
mod testing;

pub use answer::{Ack, ErrorBody, ErrorDetail, Fault};
pub use report::{
    AgentInfo, BootId, BootIdFault, Column, Facts, Kind, Log, Presence, Report, Rows, RowsBuilder, Usage,
};

/// The media type of a [`frame`].
pub const FRAME_CONTENT_TYPE: &str = "application/vnd.openclaw-watch.frame";
/// The media type of a [`json`] report.
pub const JSON_CONTENT_TYPE: &str = "application/json";
