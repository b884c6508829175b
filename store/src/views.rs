//! What the store answers about devices, logs, events, storage and accounts.

use crate::types::{DeviceId, Level, LogLine, Tier, Timestamp};

/// State of a device as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// Reports, and its gateway runs.
    Online,
    /// Reports, but something is wrong on it.
    Degraded,
    /// Has not reported for three of its intervals.
    Offline,
    /// Has never reported.
    New,
}

impl DeviceState {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceState::Online => "online",
            DeviceState::Degraded => "degraded",
            DeviceState::Offline => "offline",
            DeviceState::New => "new",
        }
    }
}

/// All that is known of a device at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceView {
    /// Its number.
    pub id: DeviceId,
    /// What the user typed.
    pub profile: DeviceProfile,
    /// When it was added.
    pub created_ms: Timestamp,
    /// Its state.
    pub state: DeviceState,
    /// Why, as a word: `no_report`, `gateway_stopped`, …
    pub reason: Option<String>,
    /// Since when it is in this state.
    pub since_ms: Option<Timestamp>,
    /// When its last report arrived.
    pub last_seen_ms: Option<Timestamp>,
    /// How often it reports, milliseconds.
    pub interval_ms: u32,
    /// Version of its agent.
    pub agent_version: Option<String>,
    /// What it says of itself, by name.
    pub facts: Vec<(String, String)>,
    /// Its states, by name.
    pub states: Vec<(String, String)>,
    /// Time of its newest row.
    pub latest_ms: Option<Timestamp>,
    /// Newest value of each metric, by name.
    pub latest: Vec<(std::sync::Arc<str>, f64)>,
}

/// What the user says of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceProfile {
    /// Unique among the devices.
    pub name: String,
    /// `laptop`, `server`, …
    pub device_type: String,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// Free text.
    pub notes: String,
}

/// What a deletion took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deleted {
    /// Chunks of all tiers.
    pub chunks: u64,
    /// Their bytes and those of the logs.
    pub bytes: u64,
    /// Log lines.
    pub logs: u64,
    /// Events.
    pub events: u64,
}

/// What happened to devices since a version; see [`Store::changes_since`].
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Ask with this next time.
    pub version: u64,
    /// The list of devices or what the user says of them was edited.
    pub devices_edited: bool,
    /// Devices that reported or changed state, each as it is now.
    pub devices: Vec<DeviceView>,
    /// Log lines that arrived, oldest first; at most the newest [`LIVE_LOGS_MAX`].
    pub logs: Vec<LogEntry>,
}

/// How many of the newest log lines the live feed keeps.
pub const LIVE_LOGS_MAX: usize = 500;

/// A stored log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number: larger is newer in arrival.
    pub id: i64,
    /// Whose it is.
    pub device: DeviceId,
    /// The group of lines that say the same: see [`LogGroup::id`].
    pub group: i64,
    /// The line.
    pub line: LogLine,
}

/// Lines that say the same: of one source, and equal but for what varies, such as numbers, names in quotes and paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    /// Fingerprint of source and template.
    pub id: i64,
    /// Which part of the devices says so.
    pub source: String,
    /// The message with what varies masked.
    pub template: String,
    /// How many lines there are.
    pub count: u64,
    /// Time of the oldest.
    pub first_ms: Timestamp,
    /// Time of the newest.
    pub last_ms: Timestamp,
    /// The worst of their levels.
    pub level: Level,
    /// The devices with the most of them, and how many.
    pub devices: Vec<(DeviceId, u64)>,
    /// How many devices there are.
    pub devices_total: u64,
    /// The newest one's message.
    pub example: String,
}

/// Groups of the lines that were asked for, the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogGroups {
    /// As many as were asked for.
    pub groups: Vec<LogGroup>,
    /// How many there are.
    pub groups_total: u64,
    /// How many lines are in all groups.
    pub lines_total: u64,
}

/// Which log lines are wanted. Newest first.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only this device.
    pub device: Option<DeviceId>,
    /// Only lines of this group.
    pub group: Option<i64>,
    /// At least this bad.
    pub level: Option<Level>,
    /// Containing this text, whatever the case of ASCII letters.
    pub text: Option<String>,
    /// Not before.
    pub from_ms: Option<Timestamp>,
    /// Before.
    pub to_ms: Option<Timestamp>,
    /// The cursor of the page before.
    pub before: Option<Cursor>,
    /// How many at most.
    pub limit: u32,
}

/// Where a page ended: time and number of its last entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Time of the last entry.
    pub t_ms: Timestamp,
    /// Its number.
    pub id: i64,
}

/// A page of a list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Cursor>,
}

/// Something that happened and is worth remembering.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number.
    pub id: i64,
    /// Which device, if one.
    pub device: Option<DeviceId>,
    /// When, by the server's clock.
    pub t_ms: Timestamp,
    /// What, as a word: `online`, `offline`, `degraded`, `recovered`, `server_start`, `version_change`, `key_rotated`,
    /// `device_added`, `back_fill`, `settings_changed`.
    pub kind: String,
    /// More about it.
    pub detail: serde_json::Value,
}

/// Which events are wanted. Newest first.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only this device (and the server's own events when `None`).
    pub device: Option<DeviceId>,
    /// Not before.
    pub from_ms: Option<Timestamp>,
    /// Before.
    pub to_ms: Option<Timestamp>,
    /// The cursor of the page before.
    pub before: Option<Cursor>,
    /// How many at most.
    pub limit: u32,
}

/// A stretch in which nothing could have been stored at its time, or from which it cannot be read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Whose.
    pub device: DeviceId,
    /// From when.
    pub from_ms: Timestamp,
    /// To when; the end of the asked range when it still lasts.
    pub to_ms: Timestamp,
    /// Why.
    pub cause: GapCause,
}

/// Why there is a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// The device did not report.
    DeviceOffline,
    /// This server was not running.
    ServerDown,
    /// What was stored is damaged.
    Damaged,
    /// There was one, and its rows arrived later.
    FilledIn,
}

impl GapCause {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            GapCause::DeviceOffline => "device_offline",
            GapCause::ServerDown => "server_down",
            GapCause::Damaged => "damaged",
            GapCause::FilledIn => "filled_in",
        }
    }
}

/// What is on disk.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StorageStats {
    /// Raw, 5 min, 1 h.
    pub tiers: Vec<TierStats>,
    /// Size of `tail.db` and its log.
    pub tail_bytes: u64,
    /// Samples not sealed yet.
    pub head_samples: u64,
    /// Size of `meta.db` and its log.
    pub meta_bytes: u64,
    /// Of it about what the log lines take with their indexes.
    pub log_bytes: u64,
    /// Time of the oldest log line.
    pub log_oldest_ms: Option<Timestamp>,
    /// Size of all files.
    pub total_bytes: u64,
    /// Samples stored, raw tier and head.
    pub samples: u64,
    /// Batches refused since the start because the queue was full or nothing could be written.
    pub batches_refused: u64,
    /// Columns left out since the start because a device had too many metrics.
    pub columns_refused: u64,
    /// Queries refused since the start because they were past a limit.
    pub queries_refused: u64,
    /// Chunks set aside because they are damaged.
    pub damaged_chunks: u64,
    /// Their bytes.
    pub damaged_bytes: u64,
    /// Groups of the tail set aside because they are damaged.
    pub damaged_groups: u64,
}

/// What is on disk of one tier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TierStats {
    /// Which.
    pub tier: Tier,
    /// Number of chunks.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Values in them.
    pub samples: u64,
    /// Oldest row.
    pub oldest_ms: Option<Timestamp>,
}
