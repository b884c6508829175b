//! The commands for whoever runs the server: `backup`, `restore`, `reset-password`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::server::{Server, agent, command};

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = command(folder);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn checked(folder: &Path) {
    let checked =
        Command::new(env!("CARGO_BIN_EXE_openclaw-watch")).current_dir(folder).arg("check").output();
    let checked = checked.unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
}

#[test]
fn a_restored_server_answers_with_the_same_bytes() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(here.path());
    let admin = server.set_up();
    let (id, key) = admin.add_device(&server, "nas");
    let now = 1_000_000_000_000_i64.max(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64);
    let report = |server: &Server, n: i64| {
        let body = json!({"rows": [{"t_ms": now - 3_600_000 + n * 1_000, "v": {"load1": n}}],
            "logs": [{"t_ms": now - n, "level": "error", "source": "s", "message": format!("line {n}")}]});
        let answer = agent()
            .post(format!("http://{}/api/v1/report", server.ingest))
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .send(body.to_string());
        assert_eq!(answer.unwrap().status(), 200);
    };
    (0..100).for_each(|n| report(&server, n));
    let file = there.path().join("nas.backup");
    let output = run(here.path(), &["backup", file.to_str().unwrap()], "");
    assert!(output.status.success() && text(&output).contains("bytes of data in"), "{}", text(&output));
    let again = run(here.path(), &["backup", file.to_str().unwrap()], "");
    assert_eq!(again.status.code(), Some(1), "nothing is overwritten");
    let over = run(here.path(), &["restore", file.to_str().unwrap()], "");
    assert!(over.status.code() == Some(1) && text(&over).contains("there is data in it"), "{}", text(&over));
    report(&server, 5_000);

    let restored = run(there.path(), &["restore", file.to_str().unwrap()], "");
    assert!(restored.status.success(), "{}", text(&restored));
    checked(there.path());
    let other = Server::start(there.path());
    assert_eq!(other.sign_up, None, "the account is there");
    let (from, to) = (now - 3_600_000, now - 3_600_000 + 100_000);
    for path in [
        format!("/api/v1/query?device={id}&metric=load1&from_ms={from}&to_ms={to}&points=5000"),
        format!("/api/v1/query?device={id}&metric=load1&from_ms={from}&to_ms={to}&points=10"),
        format!("/api/v1/logs?limit=500&from_ms={}", now - 1_000),
        format!("/api/v1/events?device={id}"),
    ] {
        // The session was backed up too.
        let of = |server: &Server| serde_json::to_string(&admin.get(server, &path)).unwrap();
        assert!(of(&server) == of(&other), "{path}");
    }
    report(&other, 200);
    other.terminate();
    checked(there.path());
}

#[test]
fn a_forgotten_password_is_reset_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = run(folder.path(), &["reset-password"], "");
    assert_eq!(nothing.status.code(), Some(1), "{}", text(&nothing));
    let server = Server::start(folder.path());
    let admin = server.set_up();
    let short = run(folder.path(), &["reset-password"], "short\n");
    assert!(
        short.status.code() == Some(1) && text(&short).contains("10 to 128 characters"),
        "{}",
        text(&short)
    );
    let unknown = run(folder.path(), &["reset-password", "eve"], "a new password\n");
    assert!(text(&unknown).contains("there is no such account"), "{}", text(&unknown));
    admin.get(&server, "/api/v1/session");

    let made = run(folder.path(), &["reset-password", "admin"], "");
    let said = String::from_utf8(made.stdout).unwrap();
    let made = said.split("Password: ").nth(1).unwrap().trim();
    assert!(made.len() == 32 && said.contains("sessions that ended: 1"), "{said}");
    let sign_in = |password: &str| {
        let body = json!({"username": "admin", "password": password}).to_string();
        let post = agent().post(format!("http://{}/api/v1/session", server.web));
        post.header("content-type", "application/json").send(body).unwrap().status().as_u16()
    };
    assert_eq!((sign_in("correct horse"), sign_in(made)), (401, 200));
    let given = run(folder.path(), &["reset-password"], "a new password\n");
    assert!(given.status.success() && !text(&given).contains("Password:"), "{}", text(&given));
    assert_eq!((sign_in(made), sign_in("a new password")), (401, 200));
}
