//! Everything that is kept: samples in the time-series engine; devices, usage, logs, events and accounts beside it.
//!
//! The store has no async, no HTTP and no clock: every moment is an argument. Its threads belong to it and are joined
//! by [`Store::close`].
//!
//! ```text
//! submit ─► queue ─► writer ─► tail.db (synced) ─► head, registry ─► reply
//!                                   │                 │
//!                                   │              sealer ─► chunks.db (raw, 5 min, 1 h) ◄─ maintain
//!                                   └────────────► recorder ─► meta.db (usage, logs, events)
//! ```

mod accounts;
mod activity;
mod backup;
mod check;
pub mod chunk;
mod chunk_table;
mod db;
mod enroll;
mod error;
mod filled;
#[cfg(test)]
mod full_disk;
#[doc(hidden)]
pub mod fuzz;
mod gaps;
mod head;
mod health;
mod latest;
mod layer;
mod limits;
mod maintain;
mod meta;
mod metrics;
mod open;
mod presence;
mod prices;
mod read;
mod registry;
mod reset;
mod retention;
mod rollup;
mod seal;
mod seen;
mod settings;
mod shared;
mod spark;
mod spread;
mod store;
mod tail;
mod template;
mod types;
mod usage;
mod views;
mod workers;
mod writer;

pub use accounts::{ApiToken, Bearer, Credential, NewSession, Role, Session, SessionView, User, UserView};
pub use activity::{AVAILABILITY_SLOT_MS, AVAILABILITY_SLOTS, Activity, Availability};
pub use backup::{BackedUp, backup, restore};
pub use check::{Checked, FAULTS_MAX, check};
pub use enroll::{
    ENROLL_CODE_LETTERS, ENROLL_CODE_MS, ENROLL_CODES_MAX, ENROLL_LETTERS, EnrollCode, plain_enroll_code,
};
pub use error::{Error, Result};
pub use health::{Health, Trouble};
pub use limits::{HEAD_FACTOR, Limits};
pub use open::{OnReplay, Options, Replay};
pub use presence::{INTERVAL_DEFAULT_MS, SILENCE_MIN_MS};
pub use prices::{PRICE_DAY_MS, PRICES_MAX, Price, Priced, Prices, TokenPrices, Tokens};
pub use read::QUERY_SERIES_MAX;
pub use reset::{reset_password, usernames};
pub use retention::{Keep, Retention};
pub use settings::{SETTINGS, Settings, TIME_ZONE};
pub use spark::{SPARK_METRIC, SPARK_MINUTES};
pub use store::Store;
pub use tail::FrameReader;
pub use types::*;
pub use usage::*;
pub use views::*;
