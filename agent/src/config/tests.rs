use clap::Parser;

use super::*;

fn surroundings(env: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        env: env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        temp_dir: "/t".into(),
        ..Surroundings::default()
    }
}

fn args(flags: &str) -> Args {
    Args::try_parse_from(["agent"].into_iter().chain(flags.split_whitespace())).expect(flags)
}

fn read(flags: &str, env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    Config::read(&args(flags), &surroundings(env), true)
}

const ENOUGH: [(&str, &str); 2] =
    [("OPENCLAW_WATCH_SERVER", "http://nas:38889"), ("OPENCLAW_WATCH_API_KEY", "ocw_1")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    ENOUGH.iter().chain(more).copied().collect()
}

#[test]
fn flags_win_over_environment_and_environment_over_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openclaw_watch.env");
    std::fs::write(&path, "NAS_URL=http://file:1/x\nAPI_KEY='from file'x\n").unwrap();
    let mut around = surroundings(&[]);
    around.env_files = vec![folder.path().join("none"), path.clone()];
    let faults = Config::read(&args(""), &around, true).unwrap_err();
    assert_eq!(faults[0], format!("env file {}, line 2: text after the closing quote", path.display()));

    std::fs::write(&path, "NAS_URL=http://file:1/x\nAPI_KEY=file\nREPORT_INTERVAL=60\n").unwrap();
    let show = |flags: &str, around: &Surroundings| {
        let config = Config::read(&args(flags), around, true).unwrap();
        let destination = config.destination.unwrap();
        format!(
            "{} {} {} {}",
            destination.server, destination.key, config.interval_s, config.sample_interval_s
        )
    };
    assert_eq!(show("", &around), "http://file:1 file 60 5");
    around.env.insert("API_KEY".into(), "env".into());
    around.env.insert("REPORT_INTERVAL".into(), "3".into());
    assert_eq!(show("", &around), "http://file:1 env 3 3");
    around.env.insert("OPENCLAW_WATCH_API_KEY".into(), "newer".into());
    assert_eq!(show("", &around), "http://file:1 newer 3 3");
    let flags = "--server https://flag/x --api-key flag --interval 20 --sample-interval 2";
    assert_eq!(show(flags, &around), "https://flag/x flag 20 2");

    around.env_files.clear();
    assert_eq!(show(&format!("--env-file {}", path.display()), &around), "http://file:1 newer 3 3");
    let faults = Config::read(&args("--env-file /no/such/file"), &around, true).unwrap_err();
    assert!(faults[0].starts_with("env file /no/such/file: "), "{faults:?}");
}

#[test]
fn all_faults_come_at_once_and_hold_no_key() {
    let env = [
        ("OPENCLAW_WATCH_SERVER", "nas"),
        ("API_KEY", "two words"),
        ("REPORT_INTERVAL", "0"),
        ("OPENCLAW_WATCH_SAMPLE_INTERVAL", "31"),
        ("OPENCLAW_WATCH_CA_FILE", "/no/such/file"),
    ];
    let faults = read("", &env).unwrap_err();
    assert_eq!(faults.len(), 5, "{faults:#?}");
    assert_eq!(faults[0], "OPENCLAW_WATCH_SERVER: the address has to start with http:// or https://");
    assert_eq!(faults[1], "API_KEY: a device key has 1 to 256 letters, digits and signs, without spaces");
    assert!(faults[2].starts_with("certificate file /no/such/file: "));
    assert_eq!(faults[3], "REPORT_INTERVAL: \"0\" is not a whole number of seconds from 1 to 3600");
    assert_eq!(
        faults[4],
        "OPENCLAW_WATCH_SAMPLE_INTERVAL: \"31\" is not a whole number of seconds from 1 to 30"
    );
    assert_eq!(read("", &[]).unwrap_err().len(), 2, "no server, no key");
    assert!(Config::read(&args("once --print"), &surroundings(&[]), false).is_ok(), "print needs neither");
    assert!(!format!("{:?}", read("", &ENOUGH).unwrap()).contains("ocw_1"));
}

#[test]
fn samples_are_at_least_as_frequent_as_reports() {
    let intervals = |flags: &str| {
        read(flags, &ENOUGH)
            .map(|config| (config.interval_s, config.sample_interval_s))
            .map_err(|f| f.join(";"))
    };
    assert_eq!(intervals(""), Ok((10, 5)));
    assert_eq!(intervals("--interval 1"), Ok((1, 1)));
    assert_eq!(intervals("--interval 3600"), Ok((3600, 5)));
    assert_eq!(intervals("--interval 30 --sample-interval 30"), Ok((30, 30)));
    assert_eq!(
        intervals("--interval 5 --sample-interval 6"),
        Err("the sample interval of 6 s is longer than the report interval of 5 s".into())
    );
    assert!(intervals("--interval 3601").is_err());
    assert!(intervals("--interval 1.5").is_err());
}

#[test]
fn certificates_are_read_from_pem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let flags = format!("--ca-file {}", path.display());
    std::fs::write(&path, "not PEM").unwrap();
    assert!(read(&flags, &ENOUGH).unwrap_err()[0].contains("no certificate in it"));
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n").unwrap();
    let ca = read(&flags, &ENOUGH).unwrap().destination.unwrap().ca.unwrap();
    assert_eq!(ca[0].der(), [1, 2, 3]);
}

#[test]
fn a_variable_that_is_not_text_is_a_fault_if_it_is_ours() {
    let mut around = surroundings(&ENOUGH);
    around.env_not_text = vec!["OTHER".into(), "REPORT_INTERVAL".into()];
    let faults = Config::read(&args(""), &around, true).unwrap_err();
    assert_eq!(faults, ["REPORT_INTERVAL: the value is not UTF-8 text"]);
}

#[test]
fn the_state_folder_is_the_one_asked_for_or_the_user_s() {
    let dir = |flags: &str, env: &[(&str, &str)]| read(flags, &with(env)).unwrap().state_dir;
    assert_eq!(dir("--state-dir /a", &[("OPENCLAW_WATCH_STATE_DIR", "/b")]), StateDir::Asked("/a".into()));
    assert_eq!(dir("", &[("OPENCLAW_WATCH_STATE_DIR", "/b")]), StateDir::Asked("/b".into()));
    assert_eq!(dir("", &[]), StateDir::None);
    #[cfg(target_os = "linux")]
    {
        let usual = |path: &str| StateDir::Usual(path.into());
        assert_eq!(dir("", &[("HOME", "/h")]), usual("/h/.local/state/openclaw-watch-agent"));
        let env = [("HOME", "/h"), ("XDG_STATE_HOME", "/s")];
        assert_eq!(dir("", &env), usual("/s/openclaw-watch-agent"));
    }
}

#[test]
fn openclaw_is_looked_for_where_it_looks_itself() {
    let places = |flags: &str, env: &[(&str, &str)]| read(flags, &with(env)).unwrap().openclaw;
    let dirs = |flags: &str, env: &[(&str, &str)]| places(flags, env).asked;
    let home = |env: &[(&str, &str)]| places("", env).home.map(|home| home.display().to_string());
    assert_eq!(home(&[("HOME", "/h")]).as_deref(), Some("/h"));
    assert_eq!(home(&[("USERPROFILE", "/u")]).as_deref(), Some("/u"));
    assert_eq!(home(&[("HOME", "/h"), ("OPENCLAW_HOME", "/o")]).as_deref(), Some("/o"));
    assert_eq!(home(&[("HOME", "/h"), ("OPENCLAW_HOME", "undefined")]).as_deref(), Some("/h"));
    assert_eq!(dirs("", &[("HOME", "/h"), ("OPENCLAW_STATE_DIR", "~/x")]), [Path::new("/h").join("x")]);
    assert_eq!(dirs("--openclaw-state-dir /y", &[("OPENCLAW_STATE_DIR", "/x")]), [PathBuf::from("/y")]);
    let two = dirs("--openclaw-state-dir /y --openclaw-state-dir /z", &[]);
    assert_eq!(two, [PathBuf::from("/y"), PathBuf::from("/z")]);
    assert_eq!(dirs("", &[]), Vec::<PathBuf>::new());
    for (text, port) in [("19000", Some(19000)), ("0.0.0.0:19001", Some(19001)), ("x", None), ("0", None)] {
        assert_eq!(places("", &[("OPENCLAW_GATEWAY_PORT", text)]).port, port, "{text}");
    }
    let config_path = places("", &[("HOME", "/h"), ("OPENCLAW_CONFIG_PATH", "~/c.json")]).config_path;
    assert_eq!(config_path, Some(Path::new("/h").join("c.json")));
}

#[test]
fn the_spool_is_bounded_and_can_be_off() {
    let spool =
        |flags: &str, env: &[(&str, &str)]| read(flags, &with(env)).map(|config| config.spool_bytes >> 20);
    assert_eq!(spool("", &[]), Ok(64));
    assert_eq!(spool("", &[("OPENCLAW_WATCH_SPOOL_MB", " 128 ")]), Ok(128));
    assert_eq!(spool("--spool-mb 8", &[("OPENCLAW_WATCH_SPOOL_MB", "128")]), Ok(8));
    assert_eq!(spool("--spool-mb 0", &[]), Ok(0));
    for wrong in ["7", "1025", "-1", "64M", "1e3"] {
        let faults = spool(&format!("--spool-mb={wrong}"), &[]).unwrap_err();
        assert_eq!(faults, [format!("--spool-mb: {wrong:?} is not a whole number from 8 to 1024, or 0")]);
    }
}

#[test]
fn the_level_of_log_lines_is_a_known_one_or_off() {
    let level = |flags: &str, env: &[(&str, &str)]| read(flags, &with(env)).map(|config| config.log_level);
    assert_eq!(level("", &[]), Ok(Some(Level::Warn)));
    assert_eq!(level("", &[("OPENCLAW_WATCH_LOG_LEVEL", "INFO")]), Ok(Some(Level::Info)));
    assert_eq!(level("--log-level error", &[("OPENCLAW_WATCH_LOG_LEVEL", "info")]), Ok(Some(Level::Error)));
    assert_eq!(level("--log-level off", &[]), Ok(None));
    let faults = level("--log-level loud", &[]).unwrap_err();
    assert_eq!(faults, ["--log-level: \"loud\" is none of debug, info, warn, error, fatal and off"]);
}
