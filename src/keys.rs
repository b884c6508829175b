//! The settings there are: one table for flags, environment, file and help.

/// One setting.
pub struct Key {
    /// As in the configuration file; the environment's variable is `OPENCLAW_WATCH_` and this in capitals.
    pub name: &'static str,
    /// As on the command line, without the dashes before it: the name with `-` for `_`.
    pub flag: &'static str,
    /// What stands for its value in the help.
    pub value: &'static str,
    /// `None`: it may be left out.
    pub default: Option<&'static str>,
    /// One sentence.
    pub help: &'static str,
}

/// All settings.
pub const KEYS: [Key; 25] = [
    Key {
        name: "data_dir",
        flag: "data-dir",
        value: "FOLDER",
        default: Some("./data"),
        help: "Where everything is kept",
    },
    Key {
        name: "web_listen",
        flag: "web-listen",
        value: "ADDRESS",
        default: Some("0.0.0.0:38888"),
        help: "Where browsers and scripts connect",
    },
    Key {
        name: "ingest_listen",
        flag: "ingest-listen",
        value: "ADDRESS",
        default: Some("0.0.0.0:38889"),
        help: "Where agents connect",
    },
    Key {
        name: "public_url",
        flag: "public-url",
        value: "URL",
        default: None,
        help: "What people type to get to the web port, like https://watch.example.org; with https, signing in works by TLS only",
    },
    Key {
        name: "public_ingest_url",
        flag: "public-ingest-url",
        value: "URL",
        default: None,
        help: "What agents report to, for the install commands; by default the host a browser used, with the ingest port",
    },
    Key {
        name: "agents_dir",
        flag: "agents-dir",
        value: "FOLDER",
        default: None,
        help: "Agents that /install.sh and /install.ps1 give to devices: files called openclaw-watch-agent-PLATFORM; by default the folder agents next to this program",
    },
    Key {
        name: "tls_cert",
        flag: "tls-cert",
        value: "FILE",
        default: None,
        help: "Certificate chain in PEM format: both ports speak TLS, and nothing else; loaded again when it changes and on SIGHUP",
    },
    Key {
        name: "tls_key",
        flag: "tls-key",
        value: "FILE",
        default: None,
        help: "The private key of tls_cert, in PEM format",
    },
    Key {
        name: "trusted_proxies",
        flag: "trusted-proxies",
        value: "NETWORKS",
        default: None,
        help: "Proxies that are believed when they say for whom they ask (X-Forwarded-For, X-Forwarded-Proto): addresses and networks like 10.0.0.0/8, separated by commas",
    },
    Key {
        name: "retention_raw_days",
        flag: "retention-raw-days",
        value: "DAYS",
        default: Some("30"),
        help: "How many days rows are kept as they came; older ones are refused",
    },
    Key {
        name: "retention_5m_days",
        flag: "retention-5m-days",
        value: "DAYS",
        default: Some("400"),
        help: "How many days rollups of five minutes are kept",
    },
    Key {
        name: "retention_1h_days",
        flag: "retention-1h-days",
        value: "DAYS",
        default: Some("1825"),
        help: "How many days rollups of an hour are kept",
    },
    Key {
        name: "retention_logs_days",
        flag: "retention-logs-days",
        value: "DAYS",
        default: Some("90"),
        help: "How many days log lines are kept",
    },
    Key {
        name: "retention_events_days",
        flag: "retention-events-days",
        value: "DAYS",
        default: Some("1825"),
        help: "How many days events are kept",
    },
    Key {
        name: "retention_raw_bytes",
        flag: "retention-raw-bytes",
        value: "BYTES",
        default: None,
        help: "What all raw rows may take, like 20GB, before the oldest go; no bound by default; never the last day's",
    },
    Key {
        name: "retention_5m_bytes",
        flag: "retention-5m-bytes",
        value: "BYTES",
        default: None,
        help: "What all rollups of five minutes may take; no bound by default",
    },
    Key {
        name: "retention_1h_bytes",
        flag: "retention-1h-bytes",
        value: "BYTES",
        default: None,
        help: "What all rollups of an hour may take; no bound by default",
    },
    Key {
        name: "retention_logs_bytes",
        flag: "retention-logs-bytes",
        value: "BYTES",
        default: None,
        help: "What all log lines may take; no bound by default",
    },
    Key {
        name: "limit_metrics_per_device",
        flag: "limit-metrics-per-device",
        value: "NUMBER",
        default: Some("1000"),
        help: "Metrics one device may have; new names past it are left out of its reports and counted",
    },
    Key {
        name: "limit_query_samples",
        flag: "limit-query-samples",
        value: "NUMBER",
        default: Some("20000000"),
        help: "Samples one query may read; past it the query is refused",
    },
    Key {
        name: "limit_query_seconds",
        flag: "limit-query-seconds",
        value: "SECONDS",
        default: Some("20"),
        help: "How long one query, or one search in logs, may take; past it it is broken off and refused",
    },
    Key {
        name: "limit_head_samples",
        flag: "limit-head-samples",
        value: "NUMBER",
        default: Some("4000000"),
        help: "Samples in memory at which they are sealed into chunks, about 21 bytes each; reports are refused at three times as many",
    },
    Key {
        name: "limit_queue_reports",
        flag: "limit-queue-reports",
        value: "NUMBER",
        default: Some("8192"),
        help: "Reports that may wait for the disk; past it they are refused with 503 and Retry-After",
    },
    Key {
        name: "log_level",
        flag: "log-level",
        value: "LEVEL",
        default: Some("info"),
        help: "What is logged to standard error: error, warn, info, debug or trace",
    },
    Key {
        name: "log_format",
        flag: "log-format",
        value: "FORMAT",
        default: Some("text"),
        help: "text or json",
    },
];

impl Key {
    /// As in the environment.
    pub fn variable(&self) -> String {
        format!("OPENCLAW_WATCH_{}", self.name.to_ascii_uppercase())
    }
}

/// The setting whose name is most like `word`.
pub fn nearest(word: &str) -> &'static str {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let by_distance = KEYS.iter().min_by_key(|key| distance(&word, key.name));
    by_distance.map_or("", |key| key.name)
}

/// How many letters must be added, taken away or changed to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    // One row of the table at a time: row[j] is the distance of what was read of `a` to the first j letters of `b`.
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_the_name_with_dashes() {
        for key in &KEYS {
            assert_eq!(key.flag, key.name.replace('_', "-"));
        }
    }

    #[test]
    fn a_distance_counts_changes() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn a_mistyped_key_finds_its_own() {
        assert_eq!(nearest("data-dir"), "data_dir");
        assert_eq!(nearest("datadir"), "data_dir");
        assert_eq!(nearest("web_port"), "web_listen");
        assert_eq!(nearest("loglevel"), "log_level");
    }
}
