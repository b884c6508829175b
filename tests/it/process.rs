//! How the server starts, refuses to start, and stops.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::server::{Server, command, failure};

#[test]
fn it_starts_is_healthy_and_stops_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let token = server.sign_up.as_ref().unwrap().rsplit_once('=').unwrap().1;
    assert!(token.len() == 64 && token.bytes().all(|c| c.is_ascii_hexdigit()), "{token}");
    let admin = server.set_up();
    admin.add_device(&server, "nas");

    let healthcheck = |web: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw-watch"));
        command.current_dir(folder.path()).args(["healthcheck", "--web-listen", web]);
        command.output().unwrap().status.code()
    };
    let web = server.web.clone();
    assert_eq!(healthcheck(&web), Some(0));
    assert_eq!(server.terminate(), (Some(0), String::new()));
    assert_eq!(healthcheck(&web), Some(1));

    // The account, its session and the device are still there.
    let again = Server::start(folder.path());
    assert_eq!(again.sign_up, None);
    assert_eq!(admin.get(&again, "/api/v1/devices")["devices"][0]["name"], "nas");
    let kinds: Vec<_> = admin.get(&again, "/api/v1/events")["events"].as_array().unwrap().clone();
    assert!(kinds.iter().filter(|event| event["kind"] == "server_start").count() >= 1, "{}", json!(kinds));
}

#[test]
fn a_folder_is_checked_when_no_server_runs_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let check = || command(folder.path()).arg("check").output().unwrap();
    let missing = check();
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    let server = Server::start(folder.path());
    let locked = check();
    assert_eq!(locked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&locked.stderr).contains("in use by another server"), "{locked:?}");
    assert_eq!(server.terminate().0, Some(0));
    let sound = check();
    assert_eq!(sound.status.code(), Some(0), "{sound:?}");
    assert!(String::from_utf8_lossy(&sound.stdout).starts_with("Sound: 0 chunks"), "{sound:?}");
    std::fs::remove_file(folder.path().join("data/chunks.db")).unwrap();
    let broken = check();
    assert_eq!(broken.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&broken.stdout).contains("chunks.db is missing"), "{broken:?}");
}

#[test]
fn clients_that_hang_do_not_hold_up_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut hanging = Vec::new();
    for (addr, half) in
        [(&server.web, "GET / HTTP/1.1\r\nHo"), (&server.ingest, "POST /api/v1/report HTTP/1.1\r\n")]
    {
        let mut stream = TcpStream::connect(addr.as_str()).unwrap();
        stream.write_all(half.as_bytes()).unwrap();
        hanging.push(stream);
    }
    let asked = Instant::now();
    assert_eq!(server.terminate().0, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

#[test]
fn a_taken_port_is_told_before_anything_happens() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for flag in ["--web-listen", "--ingest-listen"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw-watch"));
        let other = if flag == "--web-listen" { "--ingest-listen" } else { "--web-listen" };
        command.current_dir(folder.path()).env_clear().args([flag, &addr, other, "127.0.0.1:0"]);
        let key = flag.trim_start_matches('-').replace('-', "_");
        assert_eq!(
            failure(&mut command),
            (
                1,
                format!(
                    "openclaw-watch: {key}: {addr} is taken by another program; stop that one or choose another port\n"
                )
            )
        );
    }
    assert!(!folder.path().join("data").exists());
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Server::start(folder.path());
    let (code, said) = failure(&mut command(folder.path()));
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(said.contains("in use by another server") && said.contains("./data"), "{said}");
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    let folder = tempfile::tempdir().unwrap();
    // Under a file, so that it also fails for root, who may write anywhere.
    std::fs::write(folder.path().join("file"), "").unwrap();
    let (code, said) = failure(command(folder.path()).args(["--data-dir", "file/data"]));
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(said.contains("file/data") && said.contains("cannot be used"), "{said}");
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_before_anything_happens() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("openclaw-watch.toml"), "datadir = \"x\"\nweb_listen = \"y\"\n")
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw-watch"));
    let (code, said) = failure(command.current_dir(folder.path()).env_clear());
    assert_eq!(code, 2);
    assert!(said.contains("there is no key `datadir`; did you mean `data_dir`?"), "{said}");
    assert!(said.contains("`web_listen` (from openclaw-watch.toml) must be an IP address"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn flags_that_are_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = failure(command(folder.path()).arg("--data-dirr=x"));
    assert!(code == 2 && said.contains("--data-dir"), "{said}");
}

#[test]
fn it_says_its_version_and_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path()).arg("--version").output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("openclaw-watch {}\n", env!("CARGO_PKG_VERSION"))
    );
    let output = command(folder.path()).arg("--print-config").output().unwrap();
    let config = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && config.contains("web_listen = \"127.0.0.1:0\"  # --web-listen\n"),
        "{config}"
    );
    assert!(config.parse::<toml::Table>().is_ok());
}
