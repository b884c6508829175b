//! Threats of the list in `SECURITY.md` that no other file here is about.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::client::{self, send};
use crate::people::{PASSWORD, World};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below these folders whose name ends so.
fn sources(folders: &[&str], ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut todo: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let text = std::fs::read_to_string(&path).unwrap();
                // Tests may do what the program must not.
                let code = text.split("#[cfg(test)]").next().unwrap().to_string();
                found.push((path, code));
            }
        }
    }
    assert!(found.len() > 3, "{folders:?} were not read");
    found
}

/// Everything the server is made of.
const SERVER: [&str; 5] = ["src", "ingest/src", "ingest/front/src", "query/src", "store/src"];

/// Threat 5: what is compared is always the hash of a secret, in one place, in a time that says nothing.
#[test]
fn secrets_are_compared_by_their_hashes_and_in_one_place() {
    let comparing: Vec<PathBuf> = sources(&SERVER, ".rs")
        .into_iter()
        .filter(|(_, code)| code.contains("ct_eq") || code.contains("ConstantTimeEq"))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(comparing, [root().join("query/src/secret.rs")]);
    // What is kept, and so what can be looked up, is hashes alone.
    let schema = std::fs::read_to_string(root().join("store/src/meta/schema.rs")).unwrap();
    for kept in ["key_hash", "token_hash", "password_hash", "code_hash"] {
        assert!(schema.contains(kept), "{kept}");
    }
    for line in schema.lines().map(str::trim) {
        let column = line.split(' ').next().unwrap_or_default();
        for secret in ["key", "token", "password", "code", "secret"] {
            assert!(column != secret && column != format!("api_{secret}"), "kept as it is: {line}");
        }
    }
}

/// Threat 14: a path names what is served, and nothing beside it.
#[test]
fn no_path_leads_out_of_what_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let agents = folder.path().join("agents");
    std::fs::create_dir(&agents).unwrap();
    let world = World::on(crate::server::Server::start_with(
        folder.path(),
        &["--agents-dir", agents.to_str().unwrap()],
    ));
    // Beside the folder that is served, and in the folder itself under a name that is none of an agent.
    std::fs::write(folder.path().join("openclaw-watch-agent-secret"), "a secret").unwrap();
    std::fs::write(agents.join("secret"), "a secret").unwrap();
    let ways = [
        "../openclaw-watch-agent-secret",
        "..%2fopenclaw-watch-agent-secret",
        "%2e%2e/openclaw-watch-agent-secret",
        "%2e%2e%2fsecret",
        "..%5csecret",
        "..%252fsecret",
        ".%00/secret",
        "secret%00",
        "//secret",
        "/etc/passwd",
        "../../../../../../etc/passwd",
        "..;/..;/etc/passwd",
        "file:///etc/passwd",
        "%c0%ae%c0%ae%c0%afetc/passwd",
        "secret",
        "../data/meta.db",
    ];
    for way in ways.iter().map(|way| (*way).to_string()).chain([format!("{}/secret", "a/..".repeat(2_000))]) {
        for start in ["/", "/assets/", "/agent/", "/api/v1/devices/"] {
            for addr in [&world.server.web, &world.server.ingest] {
                let answer = send(addr, "GET", &format!("{start}{way}"), &world.admin.headers(), b"");
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                for inside in ["a secret", "root:", "SQLite format"] {
                    assert!(!body.contains(inside), "{start}{way}: {body}");
                }
                // The page stands for every path of its own; nothing else is 200.
                let page = answer.status == 200 && body.contains("<!doctype html")
                    || body.contains("<!DOCTYPE html");
                assert!(page || (400..500).contains(&answer.status), "{start}{way}: {answer:?}");
            }
        }
    }
}

/// Threat 16: the server asks nobody anything, so nobody can make it ask. (Its health check asks itself, and
/// `plan` a server that it starts for it.)
#[test]
fn the_server_connects_to_nobody() {
    let mut connecting: Vec<PathBuf> = sources(&SERVER, ".rs")
        .into_iter()
        .filter(|(_, code)| {
            ["::connect(", ".connect(", "connect_timeout(", "UdpSocket", "lookup_host"]
                .iter()
                .any(|call| code.contains(call))
        })
        .map(|(path, _)| path)
        .collect();
    connecting.sort();
    assert_eq!(connecting, ["ingest/front/src/probe.rs", "src/plan/load.rs"].map(|file| root().join(file)));
    for manifest in ["Cargo.toml", "ingest/Cargo.toml", "ingest/front/Cargo.toml", "query/Cargo.toml"] {
        let manifest: toml::Table = std::fs::read_to_string(root().join(manifest)).unwrap().parse().unwrap();
        let used = manifest["dependencies"].as_table().unwrap();
        for client in ["ureq", "reqwest", "lettre", "hickory-resolver"] {
            assert!(!used.contains_key(client), "{client}");
        }
    }
}

/// Threat 20: a session that somebody brings along is not the one that signing in begins.
#[test]
fn signing_in_begins_a_session_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let body = json!({"username": "reader", "password": PASSWORD});
    let name = world.admin.cookie.split_once('=').unwrap().0;
    let mut begun = vec![world.admin.cookie.clone(), world.reader.cookie.clone()];
    for brought in
        [format!("{name}={}", "0".repeat(64)), world.admin.cookie.clone(), world.reader.cookie.clone()]
    {
        let headers = [("cookie", brought.as_str())];
        let answer = client::json(&world.server.web, "POST", "/api/v1/session", &headers, &body);
        assert_eq!(answer.expect(200)["user"]["username"], "reader");
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_string();
        assert!(!begun.contains(&cookie), "a session was begun twice");
        begun.push(cookie);
    }
    // What was made up opens nothing even after somebody signed in with it.
    let made_up = format!("{name}={}", "0".repeat(64));
    assert_eq!(send(&world.server.web, "GET", "/api/v1/devices", &[("cookie", &made_up)], b"").status, 401);
}

/// Threat 22: whatever a report says, it is of the device whose key it came with.
#[test]
fn a_report_is_of_the_device_whose_key_it_came_with() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let added = client::json(
        &world.server.web,
        "POST",
        "/api/v1/devices",
        &world.admin.headers(),
        &json!({"name": "other"}),
    );
    let other = added.expect(201)["device"]["id"].as_u64().unwrap();
    let bearer = format!("Bearer {}", world.device_key);
    let t_ms = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let body = json!({
        "device": other, "device_id": other, "id": other, "name": "other", "api_key": "ocw_other",
        "agent": {"version": "1", "device": other, "boot_id": "00000000-0000-4000-8000-000000000001", "seq": 1},
        "rows": [{"t_ms": t_ms, "device": other, "v": {"load1": 1}}],
        "usage": [{"event_id": "e", "t_ms": t_ms, "device": other, "input": 5, "model": "m"}],
        "logs": [{"t_ms": t_ms, "device": other, "level": "error", "message": "mine"}],
    });
    let headers = [("authorization", bearer.as_str()), ("x-device-id", "2")];
    client::json(&world.server.ingest, "POST", "/api/v1/report", &headers, &body).expect(200);
    let range = format!("from_ms={}&to_ms={}", t_ms - 1_000, t_ms + 1_000);
    let rows = |device: u64| {
        let answer = world.get(&format!("/api/v1/query?device={device}&metric=load1&{range}")).expect(200);
        answer["t_ms"].as_array().unwrap().len()
    };
    assert_eq!((rows(world.device), rows(other)), (1, 0));
    let device = world.get(&format!("/api/v1/devices/{other}")).expect(200);
    assert_eq!(device["device"]["state"], "new", "{device}");
    let lines = world.get(&format!("/api/v1/logs?device={other}")).expect(200);
    assert_eq!(lines["logs"].as_array().unwrap().len(), 0);
}

/// Threat 24: what a release is made of is named exactly.
#[test]
fn what_a_release_is_made_of_is_pinned() {
    for lock in ["Cargo.lock", "web/package-lock.json"] {
        assert!(root().join(lock).is_file(), "{lock}");
    }
    let mut used = 0;
    for entry in std::fs::read_dir(root().join(".github/workflows")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in
            text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "))
        {
            let commit = line.split_once('@').unwrap().1.split(' ').next().unwrap();
            assert!(
                commit.len() == 40 && commit.bytes().all(|c| c.is_ascii_hexdigit()),
                "not a commit: {line}"
            );
            used += 1;
        }
        for line in text.lines().filter(|line| line.contains("cargo build") || line.contains("cargo run")) {
            assert!(line.contains("--locked"), "{line}");
        }
    }
    assert!(used > 3, "the workflows were not read");
    let page: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(root().join("web/package-lock.json")).unwrap())
            .unwrap();
    for (name, package) in page["packages"].as_object().unwrap().iter().filter(|(name, _)| !name.is_empty()) {
        assert!(package["integrity"].is_string() || package["link"] == true, "{name} has no checksum");
    }
    let deny: toml::Table = std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap();
    assert_eq!(deny["sources"]["unknown-registry"].as_str(), Some("deny"));
    for ignored in deny["advisories"]["ignore"].as_array().unwrap() {
        assert!(ignored["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{ignored}");
    }
}
