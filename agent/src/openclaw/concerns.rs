//! What goes wrong quietly or waits for a person: counts from OpenClaw's own database.
//!
//! Only counts leave it. What a job does, who asks to be paired and what a message says is not read.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::sqlite::Reading;
use super::usage::sources::state_database;
use crate::collect::Sample;

/// Time between two looks. Some of these change with time alone.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long after its time a job may still start: the gateway starts them one after another.
pub const CRON_LATE_MS: i64 = 300_000;
/// How long OpenClaw keeps a device's request to be paired, after which it is void.
const DEVICE_PAIRING_MS: i64 = 300_000;
/// How long it keeps that of a chat partner.
const CHANNEL_PAIRING_MS: i64 = 3_600_000;

/// The counts, each nothing where this version of OpenClaw does not keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Concerns {
    /// Scheduled jobs that are on.
    pub cron_jobs: Option<u32>,
    /// Jobs whose last run failed, and those that were turned off because they failed too often.
    pub cron_failing: Option<u32>,
    /// Jobs whose time passed [`CRON_LATE_MS`] ago and that did not start.
    pub cron_late: Option<u32>,
    /// Devices and chat partners that wait to be let in.
    pub pairings_pending: Option<u32>,
    /// Actions that wait for a person's yes.
    pub approvals_pending: Option<u32>,
    /// Messages, in or out, that were given up.
    pub deliveries_dead: Option<u32>,
}

impl Concerns {
    /// The counts as figures.
    pub fn sample(&self, sample: &mut Sample) {
        for (name, count) in self.named() {
            if let Some(count) = count {
                sample.gauge(name, count.into());
            }
        }
    }

    fn named(&self) -> [(&'static str, Option<u32>); 6] {
        [
            ("cron_jobs", self.cron_jobs),
            ("cron_failing", self.cron_failing),
            ("cron_late", self.cron_late),
            ("pairings_pending", self.pairings_pending),
            ("approvals_pending", self.approvals_pending),
            ("deliveries_dead", self.deliveries_dead),
        ]
    }

    /// Those of two gateways together.
    pub fn and(self, other: Concerns) -> Concerns {
        let sum = |a: Option<u32>, b: Option<u32>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        Concerns {
            cron_jobs: sum(self.cron_jobs, other.cron_jobs),
            cron_failing: sum(self.cron_failing, other.cron_failing),
            cron_late: sum(self.cron_late, other.cron_late),
            pairings_pending: sum(self.pairings_pending, other.pairings_pending),
            approvals_pending: sum(self.approvals_pending, other.approvals_pending),
            deliveries_dead: sum(self.deliveries_dead, other.deliveries_dead),
        }
    }
}

/// Looks now and then.
#[derive(Debug, Default)]
pub struct ConcernsWatch {
    last: Option<(Instant, Concerns)>,
}

impl ConcernsWatch {
    /// The counts of the gateway with this state folder, [`LOOK_EVERY`] old at most. `now_ms` is the
    /// same moment in Unix milliseconds.
    pub fn look(&mut self, state_dir: &Path, now: Instant, now_ms: i64) -> Concerns {
        if let Some((then, concerns)) = self.last
            && now.saturating_duration_since(then) < LOOK_EVERY
        {
            return concerns;
        }
        let concerns = read(&state_database(state_dir), now_ms);
        self.last = Some((now, concerns));
        concerns
    }
}

fn read(path: &Path, now_ms: i64) -> Concerns {
    let Ok(reading) = Reading::open(path) else { return Concerns::default() };
    let concerns = count(reading.connection(), now_ms);
    if reading.is_sound() { concerns } else { Concerns::default() }
}

fn count(connection: &Connection, now_ms: i64) -> Concerns {
    const JOBS: &str = "SELECT count(*) FROM cron_jobs WHERE enabled = 1 AND ?1 IS NOT NULL";
    const FAILING: &str = "SELECT count(*) FROM cron_jobs WHERE ?1 IS NOT NULL
        AND CASE WHEN json_valid(state_json) THEN
            (enabled = 1 AND state_json ->> '$.lastRunStatus' = 'error')
            OR json_type(state_json, '$.autoDisabled') NOT IN ('null', 'false')
        END";
    const LATE: &str = "SELECT count(*) FROM cron_jobs WHERE enabled = 1
        AND CASE WHEN json_valid(state_json) THEN
            state_json ->> '$.nextRunAtMs' < ?1 AND state_json ->> '$.runningAtMs' IS NULL
        END";
    const DEVICES: &str =
        "SELECT count(*) FROM device_pairing_pending WHERE max(ts, coalesce(refreshed_at_ms, 0)) > ?1";
    // Before requests could be refreshed.
    const DEVICES_OLDER: &str = "SELECT count(*) FROM device_pairing_pending WHERE ts > ?1";
    const CHANNELS: &str = "SELECT count(*) FROM channel_pairing_requests
        WHERE created_at > strftime('%Y-%m-%dT%H:%M:%fZ', ?1 / 1000.0, 'unixepoch')";
    const APPROVALS: &str =
        "SELECT count(*) FROM operator_approvals WHERE status = 'pending' AND expires_at_ms > ?1";
    const OUT: &str =
        "SELECT count(*) FROM delivery_queue_entries WHERE status = 'failed' AND ?1 IS NOT NULL";
    const IN: &str = "SELECT count(*) FROM channel_ingress_events WHERE status = 'failed' AND ?1 IS NOT NULL";
    // A table or column that this version has not is a count that it does not keep.
    let count = |sql: &str, ms: i64| connection.query_row(sql, [ms], |row| row.get::<_, u32>(0)).ok();
    let sum = |a: Option<u32>, b: Option<u32>| a.map_or(b, |a| Some(a + b.unwrap_or(0)));
    let devices = now_ms - DEVICE_PAIRING_MS;
    Concerns {
        cron_jobs: count(JOBS, now_ms),
        cron_failing: count(FAILING, now_ms),
        cron_late: count(LATE, now_ms - CRON_LATE_MS),
        pairings_pending: sum(
            count(DEVICES, devices).or_else(|| count(DEVICES_OLDER, devices)),
            count(CHANNELS, now_ms - CHANNEL_PAIRING_MS),
        ),
        approvals_pending: count(APPROVALS, now_ms),
        deliveries_dead: sum(count(OUT, now_ms), count(IN, now_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_531_725_848;

    fn show(concerns: Concerns) -> String {
        let counts =
            concerns.named().into_iter().filter_map(|(name, count)| Some(format!("{name}={}", count?)));
        counts.collect::<Vec<_>>().join(" ")
    }

    fn database(sql: &str) -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let writer = Connection::open(state_database(folder.path())).unwrap();
        writer.execute_batch(sql).unwrap();
        (folder, writer)
    }

    #[test]
    fn only_what_is_wrong_or_waits_is_counted() {
        let (minute, hour) = (60_000, 3_600_000);
        let (folder, _writer) = database(&format!(
            "CREATE TABLE cron_jobs (enabled INTEGER, state_json TEXT);
             INSERT INTO cron_jobs VALUES (1, '{{}}'), (1, 'not JSON'), (0, '{{\"lastRunStatus\":\"error\"}}'),
                (1, '{{\"lastRunStatus\":\"error\",\"consecutiveErrors\":3}}'),
                (1, '{{\"lastRunStatus\":\"ok\",\"nextRunAtMs\":{}}}'),
                (1, '{{\"nextRunAtMs\":{},\"runningAtMs\":1}}'), (1, '{{\"nextRunAtMs\":{}}}'),
                (0, '{{\"nextRunAtMs\":5}}'), (0, '{{\"autoDisabled\":{{\"atMs\":5}}}}');
             CREATE TABLE device_pairing_pending (ts INTEGER, refreshed_at_ms INTEGER);
             INSERT INTO device_pairing_pending VALUES ({}, NULL), ({}, {}), ({}, NULL);
             CREATE TABLE channel_pairing_requests (created_at TEXT);
             INSERT INTO channel_pairing_requests VALUES ('2026-11-24T14:48:40.000Z'), ('2026-11-24T13:48:40.000Z');
             CREATE TABLE operator_approvals (status TEXT, expires_at_ms INTEGER);
             INSERT INTO operator_approvals VALUES ('pending', {}), ('pending', {}), ('allowed', {});
             CREATE TABLE delivery_queue_entries (status TEXT);
             INSERT INTO delivery_queue_entries VALUES ('pending'), ('failed'), ('failed');
             CREATE TABLE channel_ingress_events (status TEXT);
             INSERT INTO channel_ingress_events VALUES ('failed'), ('completed');",
            NOW_MS - 6 * minute,
            NOW_MS - hour,
            NOW_MS - 4 * minute,
            NOW_MS - minute,
            NOW_MS - hour,
            NOW_MS - minute,
            NOW_MS - hour,
            NOW_MS + minute,
            NOW_MS - minute,
            NOW_MS + minute,
        ));
        let concerns = read(&state_database(folder.path()), NOW_MS);
        assert_eq!(
            show(concerns),
            "cron_jobs=6 cron_failing=2 cron_late=1 pairings_pending=3 approvals_pending=1 deliveries_dead=3"
        );
        assert_eq!(
            show(concerns.and(Concerns { cron_late: Some(2), ..Concerns::default() })),
            show(Concerns { cron_late: Some(3), ..concerns })
        );
    }

    #[test]
    fn a_version_without_these_tables_has_no_counts() {
        let (folder, _writer) = database("CREATE TABLE device_pairing_pending (ts INTEGER)");
        assert_eq!(show(read(&state_database(folder.path()), NOW_MS)), "pairings_pending=0");
        assert_eq!(show(read(Path::new("/no/such/database"), NOW_MS)), "");
    }

    #[test]
    fn they_are_looked_up_now_and_then() {
        let (folder, writer) = database("CREATE TABLE delivery_queue_entries (status TEXT)");
        let (mut watch, start) = (ConcernsWatch::default(), Instant::now());
        let mut dead = |after_s: u64| {
            watch.look(folder.path(), start + Duration::from_secs(after_s), NOW_MS).deliveries_dead
        };
        assert_eq!(dead(0), Some(0));
        writer.execute("INSERT INTO delivery_queue_entries VALUES ('failed')", []).unwrap();
        assert_eq!((dead(29), dead(30)), (Some(0), Some(1)));
    }
}
