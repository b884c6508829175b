//! What a person types: enrolling, installing, asking how it is. The server and the system's service
//! manager are stand-ins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stub::{Answer, Stub, as_a_server_does};
use crate::{agent, output, settings, text};

fn gives_a_key(_: &str, _: &str) -> String {
    "201 Created\n{\"device_id\":7,\"api_key\":\"ocw_new\"}".into()
}

/// The agent where settings are in a file in its folder, as for everybody who started with the older one.
fn enroll(home: &Path, url: &str, flags: &[&str]) -> std::process::Output {
    let path = settings(home).display().to_string();
    output(agent(home).args(["enroll", url, " abc-123\n", "--env-file", &path]).args(flags))
}

#[test]
fn a_code_becomes_settings_that_nobody_else_can_read() {
    let (home, server) = (tempfile::tempdir().unwrap(), Stub::start(gives_a_key));
    fs::write(settings(home.path()), "# mine\nNAS_URL=http://old\nAPI_KEY=old\nREPORT_INTERVAL=60\n")
        .unwrap();
    let output = enroll(home.path(), &format!("{}/watch/", server.url), &["--name", "Ann's NAS"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let requests = server.requests();
    assert!(requests[0].0.starts_with("POST /watch/api/v1/enroll HTTP/1.1\r\n"), "{requests:?}");
    let request: serde_json::Value = serde_json::from_str(&requests[0].1).unwrap();
    assert_eq!((&request["code"], &request["name"]), (&"abc-123".into(), &"Ann's NAS".into()));
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    assert_eq!(request["platform"], platform);
    let written = fs::read_to_string(settings(home.path())).unwrap();
    let expected = format!(
        "# mine\nREPORT_INTERVAL=60\nOPENCLAW_WATCH_SERVER={}/watch\nOPENCLAW_WATCH_API_KEY=ocw_new\n",
        server.url
    );
    assert_eq!(written, expected);
    let said = text(&output.stdout);
    assert!(said.starts_with("Enrolled as device 7. Settings: "), "{said}");
    assert!(!said.contains("ocw_new") && !text(&output.stderr).contains("ocw_new"), "{said}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(settings(home.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing else was written");
}

#[test]
fn a_code_that_is_not_taken_changes_nothing() {
    let refused: [(Answer, &str); 4] = [
        (
            |_, _| {
                "401 Unauthorized\n{\"error\":{\"code\":\"enroll_code\",\"message\":\"This code is not valid.\"}}".into()
            },
            "answers 401: This code is not valid.",
        ),
        (
            |_, _| "200 OK\n<html>Sign in to the hotel</html>".into(),
            "answers 200, not as an OpenClaw Watch server does",
        ),
        (|_, _| "201 Created\n{\"device_id\":7}".into(), "is not an OpenClaw Watch server's"),
        (|_, _| "201 Created\n{\"device_id\":7,\"api_key\":\"two words\"}".into(), "a device key has"),
    ];
    for (answer, says) in refused {
        let (home, server) = (tempfile::tempdir().unwrap(), Stub::start(answer));
        fs::write(settings(home.path()), "API_KEY=old\n").unwrap();
        let output = enroll(home.path(), &server.url, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(says), "{says}: {}", text(&output.stderr));
        assert_eq!(fs::read_to_string(settings(home.path())).unwrap(), "API_KEY=old\n");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is left behind");
    }
}

#[test]
fn a_code_is_not_spent_where_its_key_cannot_be_kept() {
    let (home, server) = (tempfile::tempdir().unwrap(), Stub::start(gives_a_key));
    fs::write(home.path().join("file"), "").unwrap();
    let path = home.path().join("file/below/x.env").display().to_string();
    let output = output(agent(home.path()).args(["enroll", &server.url, "c", "--env-file", &path]));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("settings cannot be written to"), "{}", text(&output.stderr));
    let no_code = self::output(agent(home.path()).args(["enroll", &server.url, " "]));
    assert!(text(&no_code.stderr).contains("no enrolment code"), "{}", text(&no_code.stderr));
    let no_url = self::output(agent(home.path()).args(["enroll", "nas", "c"]));
    assert!(text(&no_url.stderr).contains("http://"), "{}", text(&no_url.stderr));
    assert_eq!(server.requests(), []);
}

#[test]
fn a_server_with_its_own_authority_is_believed_where_that_is_named() {
    let home = tempfile::tempdir().unwrap();
    let (server, authority) = Stub::start_tls(|head, body| match head.starts_with("POST /api/v1/enroll ") {
        true => gives_a_key(head, body),
        false => as_a_server_does(head, body, "ocw_new", 0),
    });
    let strange = enroll(home.path(), &server.url, &[]);
    assert_eq!(strange.status.code(), Some(1));
    assert!(
        text(&strange.stderr).contains("give the authority's certificate with --ca-file"),
        "{}",
        text(&strange.stderr)
    );
    fs::write(home.path().join("ca.pem"), authority).unwrap();
    let enrolled = enroll(home.path(), &server.url, &["--ca-file", "ca.pem"]);
    assert!(enrolled.status.success(), "{}", text(&enrolled.stderr));
    // From the file alone, and from another folder: the authority's path is a whole one.
    let elsewhere = tempfile::tempdir().unwrap();
    let path = settings(home.path()).display().to_string();
    for (command, says) in [("doctor", "answers over TLS"), ("once", "")] {
        let output = output(agent(elsewhere.path()).args([command, "--env-file", &path]));
        assert!(output.status.success(), "{} {}", text(&output.stdout), text(&output.stderr));
        assert!(text(&output.stdout).contains(says), "{}", text(&output.stdout));
    }
}

/// A `systemctl` that notes what it is asked and says what is in the file `state`.
#[cfg(target_os = "linux")]
fn fake_systemctl(home: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let folder = home.join("bin");
    fs::create_dir(&folder).unwrap();
    for name in ["systemctl", "loginctl"] {
        let path = folder.join(name);
        let home = home.display();
        let script = format!(
            "#!/bin/sh\necho \"{name} $*\" >> {home}/commands\n\
             [ -e {home}/broken ] && {{ echo 'no bus' >&2; exit 1; }}\n\
             case \"$*\" in *is-active*) read state < {home}/state; echo $state;; esac\nexit 0\n"
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    folder
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_is_installed_asked_for_and_taken_out_again() {
    let home = tempfile::tempdir().unwrap();
    let bin = fake_systemctl(home.path());
    let run = |args: &[&str]| output(agent(home.path()).env("PATH", &bin).args(args));
    let commands = || {
        let commands = fs::read_to_string(home.path().join("commands")).unwrap_or_default();
        let _ = fs::remove_file(home.path().join("commands"));
        commands
    };
    let unit = home.path().join(".config/systemd/user/openclaw-watch-agent.service");

    let early = run(&["install", "--user"]);
    assert_eq!(early.status.code(), Some(1));
    assert!(text(&early.stderr).contains("enroll URL CODE"), "{}", text(&early.stderr));
    assert!(!unit.exists() && commands().is_empty(), "without settings nothing is done");
    let status = run(&["status"]);
    assert_eq!(status.status.code(), Some(3), "{}", text(&status.stdout));
    assert!(text(&status.stdout).contains("not installed"), "{}", text(&status.stdout));

    fs::write(settings(home.path()), "NAS_URL=http://127.0.0.1:1/x\nAPI_KEY=ocw_1\n").unwrap();
    let dry = run(&["install", "--user", "--dry-run"]);
    assert!(text(&dry.stdout).contains("$ systemctl --user daemon-reload\n"), "{}", text(&dry.stdout));
    assert!(!unit.exists() && commands().is_empty(), "a dry run does nothing");

    let installed = run(&["install", "--user"]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    assert_eq!(
        commands(),
        "systemctl --user daemon-reload\nsystemctl --user enable openclaw-watch-agent.service\n\
         systemctl --user restart openclaw-watch-agent.service\nloginctl enable-linger\n"
    );
    let program = home.path().join(".local/bin/openclaw-watch-agent");
    let version = Command::new(&program).arg("--version").output().unwrap();
    assert!(text(&version.stdout).starts_with("openclaw-watch-agent "), "the program is there and runs");
    let line = format!("\nExecStart={} --env-file {}\n", program.display(), settings(home.path()).display());
    let written = fs::read_to_string(&unit).unwrap();
    assert!(written.contains(&line), "{written}");
    assert!(!written.contains("ocw_1"), "the key stays in its file");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(settings(home.path())).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "a file that others could read is closed to them");

    for (state, code) in [("active", 0), ("failed", 3)] {
        fs::write(home.path().join("state"), format!("{state}\n")).unwrap();
        let status = run(&["status"]);
        assert_eq!(status.status.code(), Some(code), "{}", text(&status.stdout));
        let said = text(&status.stdout);
        assert!(said.contains(&format!("{state} (service of this user)")), "{said}");
        assert!(said.contains("http://127.0.0.1:1") && !said.contains("ocw_1"), "{said}");
    }

    // Once more, with the program that is there: an update.
    let again = output(
        Command::new(&program)
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", &bin)
            .current_dir(home.path())
            .args(["install", "--user"]),
    );
    assert!(again.status.success(), "{}", text(&again.stderr));
    commands();
    let out = run(&["uninstall"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(
        commands(),
        "systemctl --user disable --now openclaw-watch-agent.service\nsystemctl --user daemon-reload\n"
    );
    assert!(!unit.exists() && settings(home.path()).exists());
    assert_eq!(run(&["uninstall"]).status.code(), Some(1), "there is none any more");
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_manager_that_refuses_is_quoted() {
    let home = tempfile::tempdir().unwrap();
    let bin = fake_systemctl(home.path());
    fs::write(settings(home.path()), "NAS_URL=http://127.0.0.1:1\nAPI_KEY=ocw_1\n").unwrap();
    fs::write(home.path().join("broken"), "").unwrap();
    let output = output(agent(home.path()).env("PATH", &bin).args(["install", "--user"]));
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("`systemctl --user daemon-reload` fails") && said.contains("no bus"), "{said}");
    assert!(said.contains("not by su"), "what to do is said too: {said}");
}
