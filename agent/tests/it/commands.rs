//! What a person types: enrolling, installing, asking how it is. The server and the system's service
//! manager are stand-ins.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection, StreamOwned};

use crate::{agent, output, text};

/// A server that answers each request with what a function makes of its first line and body.
struct Stub {
    url: String,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

type Answer = fn(&str, &str) -> String;

impl Stub {
    fn start(answer: Answer) -> Stub {
        Stub::behind("http", answer, |stream| stream)
    }

    /// The same over TLS, with a certificate of an authority of its own, and that authority's.
    fn start_tls(answer: Answer) -> (Stub, String) {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, authority_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let own =
            CertificateParams::new(["127.0.0.1".to_string()]).unwrap().signed_by(&key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config =
            Arc::new(config.with_no_client_auth().with_single_cert(vec![own.der().clone()], key).unwrap());
        let wrap = move |stream| StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
        (Stub::behind("https", answer, wrap), authority.pem())
    }

    fn behind<S: Read + Write>(
        scheme: &str,
        answer: Answer,
        wrap: impl Fn(TcpStream) -> S + Send + 'static,
    ) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(wrap(stream.unwrap()));
                let (mut head, mut length) = (String::new(), 0);
                while !head.ends_with("\r\n\r\n") {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 {
                        break;
                    }
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    head.push_str(&line);
                }
                let mut body = vec![0; length];
                if !head.contains("HTTP/1.1\r\n") || reader.read_exact(&mut body).is_err() {
                    continue;
                }
                let body = text(&body);
                let answer = answer(&head, &body);
                let (status, rest) = answer.split_once('\n').unwrap_or((&answer, ""));
                let (headers, rest) = rest.split_once("\n\n").unwrap_or(("X: y", rest));
                seen.lock().unwrap().push((head, body));
                let answer = format!(
                    "HTTP/1.1 {status}\r\n{headers}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{rest}",
                    rest.len()
                );
                let stream = reader.get_mut();
                let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
            }
        });
        Stub { url, requests }
    }

    fn requests(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn gives_a_key(_: &str, _: &str) -> String {
    "201 Created\n{\"device_id\":7,\"api_key\":\"ocw_new\"}".into()
}

fn settings(home: &Path) -> PathBuf {
    home.join("openclaw_watch.env")
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

/// The date header of now, moved by so many seconds, as the doctor's stand-in sends it.
fn date(moved_s: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let seconds = (now + moved_s) as u64;
    let (year, month, day) = agent::calendar::civil(seconds / 86_400);
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let month = months[month as usize - 1];
    format!("Date: Mon, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

fn as_a_server_does(head: &str, body: &str, key: &str, moved_s: i64) -> String {
    let error = |status: &str| format!("{status}\n{{\"error\":{{\"code\":\"x\",\"message\":\"y\"}}}}");
    if head.starts_with("GET /healthz ") {
        format!("200 OK\n{}\n\nok", date(moved_s))
    } else if !head.to_lowercase().contains(&format!("authorization: bearer {key}\r\n")) {
        error("401 Unauthorized")
    } else if body.is_empty() {
        error("400 Bad Request")
    } else {
        "200 OK\n{\"accepted\":1,\"rejected\":0}".into()
    }
}

/// What the doctor says about a server, and its exit code.
fn doctor(url: &str, flags: &[&str]) -> (String, Option<i32>) {
    let home = tempfile::tempdir().unwrap();
    let output =
        output(agent(home.path()).env("API_KEY", "ocw_1").args(["doctor", "--server", url]).args(flags));
    let said = text(&output.stdout);
    assert!(!said.contains("ocw_1"), "{said}");
    (said, output.status.code())
}

#[track_caller]
fn check_doctor(url: &str, code: i32, line: &str, fix: &str) {
    let (said, found) = doctor(url, &[]);
    assert!(said.contains(line) && said.contains(fix), "{line} / {fix}: {said}");
    assert_eq!(found, Some(code), "{said}");
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let good = Stub::start(|head, body| as_a_server_does(head, body, "ocw_1", 0));
    check_doctor(&good.url, 0, "ok    key       the server knows this device", "ok    clock     0");
    assert!(good.requests().iter().all(|(_, body)| body.is_empty()), "nothing was reported");
    let other_key = Stub::start(|head, body| as_a_server_does(head, body, "ocw_2", 0));
    check_doctor(&other_key.url, 1, "FAIL  key       the server does not know this device key", "Rotate key");
    let ahead = Stub::start(|head, body| as_a_server_does(head, body, "ocw_1", -7_200));
    check_doctor(&ahead.url, 1, "FAIL  clock     7", "set this device's clock");
    let behind = Stub::start(|head, body| as_a_server_does(head, body, "ocw_1", 30));
    check_doctor(&behind.url, 0, "note  clock     ", "behind the server's");
    let hotel = Stub::start(|_, _| "200 OK\n<html>".into());
    check_doctor(&hotel.url, 1, "FAIL  server", "port 38889");
    let nobody = format!(
        "http://127.0.0.1:{}",
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    );
    check_doctor(&nobody, 1, "FAIL  port      127.0.0.1:", "is the server running");
    check_doctor("http://no-such-name.invalid:38889", 1, "FAIL  name      no-such-name.invalid", "DNS");
    check_doctor(
        &good.url.replace("http:", "https:"),
        1,
        "FAIL  tls",
        "does the server speak TLS on this port?",
    );
    check_doctor("nas", 1, "FAIL  settings  --server", "enroll URL CODE");
}

#[test]
fn the_doctor_looks_at_the_files_too() {
    let home = tempfile::tempdir().unwrap();
    fs::write(settings(home.path()), "NAS_URL=http://127.0.0.1:1\nAPI_KEY=ocw_1\n").unwrap();
    let sessions = home.path().join(".openclaw/agents/main/sessions");
    fs::create_dir_all(&sessions).unwrap();
    fs::write(sessions.join("a.jsonl.zst"), "no frame").unwrap();
    fs::write(home.path().join("file"), "").unwrap();
    let output = output(agent(home.path()).args(["doctor", "--state-dir", "file/x"]));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAIL  folder    state folder file/x: "), "{said}");
    assert!(said.contains("FAIL  usage     "), "{said}");
    assert!(said.contains("a.jsonl.zst: "), "{said}");
    #[cfg(unix)]
    assert!(said.contains("chmod 600 "), "{said}");
}
