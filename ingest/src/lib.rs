//! The ingest port: who is it, decode, admit, submit to the store, answer.
//!
//! A report comes in as a frame or as JSON ([`report`]) or as the flat JSON of the older Python agent ([`older`]).
//! The key says whose it is before its body is read ([`key`]); pure checks sort out what cannot be stored
//! ([`admit`]); 200 is answered only after the store says that it is on disk. Stored data is never read here.

mod admit;
mod enroll;
mod in_flight;
mod install;
mod key;
mod names;
mod older;
mod report;
mod serve;

pub use admit::Policy;
pub use front::{BindError, Limits, Rate, bind};
pub use install::Agents;
pub use older::{error_line as older_error, status_batch as older_status};
pub use report::read_frame;
pub use serve::{Clock, Ingest, Options, PATHS, Path, Rule, run};
