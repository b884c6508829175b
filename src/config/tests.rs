//! What comes of flags, variables and files.

use std::io::{Error, ErrorKind};

use super::command::command;
use super::*;

/// What comes of these flags, variables (`NAME=value`) and file.
fn outcome(args: &str, variables: &[&str], file: Option<&str>) -> Result<Task, Faults> {
    let args: Vec<OsString> =
        std::iter::once("openclaw-watch").chain(args.split_whitespace()).map(OsString::from).collect();
    let sources = Sources {
        args: &args,
        variable: &|name| {
            let mut pairs = variables.iter().filter_map(|variable| variable.split_once('='));
            pairs.find(|(n, _)| *n == name).map(|(_, value)| value.into())
        },
        read: &|path| match file {
            Some(text) if path == Path::new(FILE) => Ok(text.to_string()),
            _ => Err(Error::from(ErrorKind::NotFound)),
        },
    };
    load(&command().try_get_matches_from(&args).unwrap(), &sources)
}

fn config(args: &str, variables: &[&str], file: Option<&str>) -> Config {
    match outcome(args, variables, file) {
        Ok(Task::Serve(config)) => config,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(args: &str, variables: &[&str], file: Option<&str>, expected: &[&str]) {
    assert_eq!(
        outcome(args, variables, file).unwrap_err(),
        Faults(expected.iter().map(|t| t.to_string()).collect())
    );
}

#[test]
fn the_command_line_is_well_formed() {
    command().debug_assert();
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let config = config("", &[], None);
    assert_eq!(config.data_dir, Path::new("./data"));
    assert_eq!(config.web_listen.to_string(), "0.0.0.0:38888");
    assert_eq!(config.ingest_listen.to_string(), "0.0.0.0:38889");
    assert_eq!((config.public_url, config.log_level), (None, LevelFilter::INFO));
    assert_eq!(config.retention, Retention::default());
    assert_eq!(config.limits, Limits::default());
}

#[test]
fn flags_go_over_the_environment_and_that_over_the_file() {
    let file = Some("data_dir = \"file\"\nlog_level = \"warn\"\npublic_url = \"https://w.example/\"");
    let variables = ["OPENCLAW_WATCH_DATA_DIR=environment", "OPENCLAW_WATCH_LOG_FORMAT="];
    assert_eq!(config("", &[], file).data_dir, Path::new("file"));
    assert_eq!(config("", &variables, file).data_dir, Path::new("environment"));
    let all = config("--data-dir flag", &variables, file);
    assert_eq!((all.data_dir.as_path(), all.log_level), (Path::new("flag"), LevelFilter::WARN));
    assert_eq!(all.log_format, LogFormat::Text, "an empty variable is not set");
    assert_eq!(all.public_url.as_deref(), Some("https://w.example"));
    assert_eq!(config("serve --data-dir flag", &variables, file), all);
}

#[test]
fn all_faults_are_told_at_once() {
    refused(
        "--web-listen here",
        &["OPENCLAW_WATCH_LOG_LEVEL=loud"],
        Some("datadir = \"x\"\nlog_format = 1\npublic_url = \"watch.example\""),
        &[
            "openclaw-watch.toml: there is no key `datadir`; did you mean `data_dir`?",
            "openclaw-watch.toml: `log_format` must be a text in quotes",
            "`web_listen` (from --web-listen) must be an IP address and a port, like 127.0.0.1:38888 or [::]:38888; it is \"here\"",
            "`public_url` (from openclaw-watch.toml) must be like https://watch.example.org or http://192.168.1.2:38888, without a path; it is \"watch.example\"",
            "`log_level` (from OPENCLAW_WATCH_LOG_LEVEL) must be error, warn, info, debug or trace; it is \"loud\"",
        ],
    );
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_a_fault_and_not_passed_over() {
    let no_text: OsString = std::os::unix::ffi::OsStringExt::from_vec(b"/srv/\xff".to_vec());
    for name in ["OPENCLAW_WATCH_DATA_DIR", "OPENCLAW_WATCH_CONFIG"] {
        let sources = Sources {
            args: &[],
            variable: &|asked| (asked == name).then(|| no_text.clone()),
            read: &|_| Err(Error::from(ErrorKind::NotFound)),
        };
        let matches = command().try_get_matches_from(["openclaw-watch"]).unwrap();
        let fault = format!("{name} must be UTF-8; it is \"/srv/\\xFF\"");
        assert_eq!(load(&matches, &sources).unwrap_err(), Faults(vec![fault]));
    }
}

#[test]
fn a_named_file_must_be_there() {
    let missing = Error::from(ErrorKind::NotFound);
    refused("--config other.toml", &[], None, &[&format!("other.toml: cannot be read: {missing}")]);
    refused("", &["OPENCLAW_WATCH_CONFIG=o.toml"], None, &[&format!("o.toml: cannot be read: {missing}")]);
}

#[test]
fn retention_is_set_in_days_and_bytes() {
    let variables = ["OPENCLAW_WATCH_RETENTION_1H_DAYS=7"];
    let retention =
        config("--retention-raw-days 2", &variables, Some("retention_raw_bytes = \"20GB\"")).retention;
    assert_eq!(retention.raw, store::Keep { bytes: Some(20_000_000_000), ..store::Keep::days(2) });
    assert_eq!(retention.hour, store::Keep::days(7));
    refused(
        "--retention-raw-days 0 --retention-logs-bytes many",
        &[],
        None,
        &[
            "`retention_raw_days` (from --retention-raw-days) must be a whole number of days from 1 to 36500; it is \"0\"",
            "`retention_logs_bytes` (from --retention-logs-bytes) must be at least 1MB and look like 500MB, 20GB or 1TB; it is \"many\"",
        ],
    );
}

#[test]
fn limits_are_set_as_numbers() {
    let variables = ["OPENCLAW_WATCH_LIMIT_QUERY_SECONDS=3"];
    let limits = config("--limit-head-samples 5000", &variables, None).limits;
    let expected =
        Limits { head_samples: 5_000, query_time: std::time::Duration::from_secs(3), ..Limits::default() };
    assert_eq!(limits, expected);
    refused(
        "--limit-queue-reports 0",
        &[],
        Some("limit_metrics_per_device = \"many\""),
        &[
            "`limit_metrics_per_device` (from openclaw-watch.toml) must be a whole number from 1 to 100000; it is \"many\"",
            "`limit_queue_reports` (from --limit-queue-reports) must be a whole number from 1 to 1000000; it is \"0\"",
        ],
    );
}

#[test]
fn the_ports_must_differ() {
    let same = "--web-listen 127.0.0.1:1 --ingest-listen 127.0.0.1:1";
    refused(same, &[], None, &["`web_listen` and `ingest_listen` must not be the same address"]);
    config("--web-listen 127.0.0.1:0 --ingest-listen 127.0.0.1:0", &[], None);
}

#[test]
fn tls_needs_both_files_and_proxies_are_networks() {
    let all = config("--tls-cert c.pem --tls-key k.pem --trusted-proxies 10.0.0.0/8,::1", &[], None);
    assert_eq!(all.tls, Some(Files { certificate: "c.pem".into(), key: "k.pem".into() }));
    assert_eq!(all.trusted_proxies, "10.0.0.0/8, ::1".parse().unwrap());
    refused(
        "--tls-cert c.pem --trusted-proxies 10.0.0.0/99",
        &[],
        None,
        &[
            "`tls_cert` and `tls_key` belong together: set both or none",
            "`trusted_proxies` (from --trusted-proxies) is not a list of networks: `10.0.0.0/99` is no address and no network like 10.0.0.0/8 or fd00::/8; it is \"10.0.0.0/99\"",
        ],
    );
}

#[test]
fn what_is_printed_can_be_read_again() {
    let args = "--print-config --data-dir a\"b";
    let Ok(Task::Print(text)) = outcome(args, &["OPENCLAW_WATCH_LOG_LEVEL=debug"], None) else { panic!() };
    assert!(text.contains("log_level = \"debug\"  # OPENCLAW_WATCH_LOG_LEVEL\n"), "{text}");
    assert!(text.contains("# public_url is not set\n"), "{text}");
    let again = config("", &[], Some(&text));
    assert_eq!((again.data_dir.as_path(), again.log_level), (Path::new("a\"b"), LevelFilter::DEBUG));
}
