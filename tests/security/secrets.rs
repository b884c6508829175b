//! What must never be found: keys, tokens, cookies and passwords in files, logs and answers.

use std::path::Path;

use serde_json::json;

use crate::client::{self, connect, send};
use crate::people::{PASSWORD, World};
use crate::server::Server;

/// Every file below a folder, whole.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    all
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn no_secret_is_kept_or_logged() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("server.log");
    let arguments = ["--log-level", "trace", "--log-format", "json"];
    let world = World::on(Server::start_logging(folder.path(), &log, &arguments));
    let sign_up = world.server.sign_up.clone().unwrap();

    // Everything that meets a secret: also wrong ones, and ones in wrong places.
    assert_eq!(world.report(&world.device_key, 1_000, &json!({"load1": 1})), 200);
    assert_eq!(world.report("ocw_wrongkey0123456789", 1_000, &json!({})), 401);
    let in_query = format!("/api/v1/report?api_key={}", world.device_key);
    client::json(&world.server.ingest, "POST", &in_query, &[], &json!({})).expect(401);
    let in_query = format!("/api/v1/devices?token={}", &world.token_read[7..]);
    assert_eq!(send(&world.server.web, "GET", &in_query, &[], b"").status, 401);
    let older = json!({"api_key": world.device_key, "cpu_percent": 1.0});
    client::json(&world.server.ingest, "POST", "/api/report/status", &[], &older).expect(200);
    let wrong = json!({"username": "admin", "password": "a wrong password"});
    client::json(&world.server.web, "POST", "/api/v1/session", &[], &wrong).expect(401);
    let token = [("authorization", world.token_admin.as_str())];
    send(&world.server.web, "GET", "/api/v1/devices", &token, b"").expect(200);

    let secrets = [
        ("a device key", world.device_key.as_str()),
        ("a wrong device key", "ocw_wrongkey0123456789"),
        ("a read token", &world.token_read[7..]),
        ("an admin token", &world.token_admin[7..]),
        ("a session", world.admin.cookie.split_once('=').unwrap().1),
        ("the sign-up token", sign_up.rsplit_once('=').unwrap().1),
        ("a password", PASSWORD),
        ("a wrong password", "a wrong password"),
    ];
    for path in ["/api/v1/devices", "/api/v1/tokens", "/api/v1/users", "/api/v1/sessions", "/api/v1/events"] {
        let answer = world.get(path);
        for (what, secret) in secrets {
            assert!(!holds(&answer.body, secret), "{what} in {path}");
        }
    }
    let csrf = world.admin.csrf.clone();
    assert_eq!(world.server.terminate().0, Some(0));
    let files = files(folder.path());
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("somebody failed to sign in"), "the log was not written: {logged}");
    assert!(files.iter().any(|(name, _)| name.ends_with("meta.db")));
    for (name, bytes) in &files {
        for (what, secret) in secrets {
            assert!(!holds(bytes, secret), "{what} in {name}");
        }
    }
    // The CSRF token alone opens nothing; it is in the data folder, but not in the log.
    assert!(!logged.contains(&csrf));
}

#[test]
fn a_key_that_was_rotated_stops_on_a_connection_that_is_open() {
    use std::io::{Read, Write};
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let mut stream = connect(&world.server.ingest);
    let request = format!(
        "POST /api/v1/report HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 2\r\n\r\n{{}}",
        world.device_key
    );
    let mut status = || {
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        // The head, then as much of a body as it announces.
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let head = String::from_utf8(answer).unwrap().to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        stream.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
        head[9..12].to_string()
    };
    assert_eq!(status(), "200");
    let rotate = format!("/api/v1/devices/{}/rotate-key", world.device);
    client::send(&world.server.web, "POST", &rotate, &world.admin.headers(), b"").expect(200);
    assert_eq!(status(), "401");
}

#[cfg(unix)]
#[test]
fn the_data_folder_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start(folder.path());
    let mode = std::fs::metadata(folder.path().join("data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn text_of_strangers_stays_one_line_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("server.log");
    let world = World::on(Server::start_logging(folder.path(), &log, &[]));
    let odd = "x\n2026-01-01T00:00:00Z ERROR forged\r\n\u{1b}[31mred\u{202e}";
    let body = json!({"username": odd, "password": odd});
    client::json(&world.server.web, "POST", "/api/v1/session", &[], &body).expect(401);
    let body = json!({"username": odd, "password": PASSWORD, "role": "reader"});
    client::json(&world.server.web, "POST", "/api/v1/users", &world.admin.headers(), &body).expect(422);
    let body = json!({"username": "name \u{202e}\"quoted\"", "password": PASSWORD, "role": "reader"});
    client::json(&world.server.web, "POST", "/api/v1/users", &world.admin.headers(), &body).expect(201);
    let report = json!({"rows": [], "logs": [{"t_ms": 1, "level": "error", "source": odd, "message": odd}]});
    let bearer = format!("Bearer {}", world.device_key);
    let headers = [("authorization", bearer.as_str())];
    client::json(&world.server.ingest, "POST", "/api/v1/report", &headers, &report).expect(200);
    assert_eq!(world.server.terminate().0, Some(0));
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(
        !logged.contains("forged") && !logged.contains('\u{1b}') && !logged.contains('\u{202e}'),
        "{logged}"
    );
    assert!(logged.contains(r#"user="name \u{202e}\"quoted\"""#), "{logged}");
}
