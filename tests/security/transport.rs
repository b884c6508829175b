//! TLS on both ports, and proxies: whom the server believes about who asks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use crate::client::{self, send};
use crate::people::{PASSWORD, World};
use crate::server::{PATIENCE, Server};

/// A certificate for `localhost`, in files of this folder.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

/// A client that trusts this certificate and no other.
fn trusting(certificate: &Path) -> ureq::Agent {
    let pem = std::fs::read(certificate).unwrap();
    let root = ureq::tls::Certificate::from_pem(&pem).unwrap();
    let tls =
        ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::new_with_certs(&[root])).build();
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    config.timeout_global(Some(PATIENCE)).tls_config(tls).build().new_agent()
}

fn url(addr: &str, path: &str) -> String {
    format!("https://localhost:{}{path}", addr.rsplit_once(':').unwrap().1)
}

#[test]
fn with_a_certificate_both_ports_speak_tls_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let files = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let server = Server::start_with(folder.path(), &files);
    let sign_up = server.sign_up.clone().unwrap();
    assert!(sign_up.starts_with("https://"), "{sign_up}");
    let token = sign_up.rsplit_once('=').unwrap().1;

    let agent = trusting(&certificate);
    let body = json!({"token": token, "username": "admin", "password": PASSWORD}).to_string();
    let post = agent.post(url(&server.web, "/api/v1/setup")).header("content-type", "application/json");
    let mut answer = post.send(body).unwrap();
    assert_eq!(answer.status(), 201);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_string();
    assert!(cookie.starts_with("__Host-ocw_session=") && cookie.contains("; Secure;"), "{cookie}");
    assert!(answer.headers().contains_key("strict-transport-security"));
    let session: serde_json::Value =
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!(session["transport"], "tls");

    let cookie = cookie.split(';').next().unwrap();
    let add = agent.post(url(&server.web, "/api/v1/devices")).header("content-type", "application/json");
    let add = add.header("cookie", cookie).header("x-csrf-token", session["csrf_token"].as_str().unwrap());
    let mut added = add.send(json!({"name": "nas"}).to_string()).unwrap();
    let added: serde_json::Value = serde_json::from_str(&added.body_mut().read_to_string().unwrap()).unwrap();
    assert!(added["install"]["linux"].as_str().unwrap().contains("https://"), "{added}");
    let report = agent.post(url(&server.ingest, "/api/v1/report")).header("content-type", "application/json");
    let report = report.header("authorization", format!("Bearer {}", added["api_key"].as_str().unwrap()));
    assert_eq!(report.send("{}").unwrap().status(), 200);

    for addr in [&server.web, &server.ingest] {
        let plain = send(addr, "GET", "/healthz", &[], b"");
        assert_eq!((plain.status, plain.json()["error"]["code"].as_str()), (400, Some("tls_required")));
    }
    let healthcheck = |certificate: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw-watch"));
        command.current_dir(folder.path()).env_clear().args(["healthcheck", "--web-listen", &server.web]);
        command.args(["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
        command.output().unwrap().status.code()
    };
    assert_eq!(healthcheck(&certificate), Some(0));
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(healthcheck(&self::certificate(elsewhere.path()).0), Some(1), "somebody else's certificate");
}

#[cfg(unix)]
#[test]
fn a_hang_up_loads_the_certificate_again() {
    let folder = tempfile::tempdir().unwrap();
    let (before, key) = certificate(folder.path());
    let files = ["--tls-cert", before.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let server = Server::start_with(folder.path(), &files);
    let old = trusting(&before);
    assert_eq!(old.get(url(&server.web, "/healthz")).call().unwrap().status(), 200);

    let (now, _) = certificate(folder.path());
    let hang_up = format!("kill -HUP {}", server.pid());
    assert!(Command::new("sh").args(["-c", &hang_up]).status().unwrap().success());
    let deadline = Instant::now() + PATIENCE;
    // A signal is handled when its turn comes; an agent keeps its connections, so each try has its own.
    while trusting(&now).get(url(&server.web, "/healthz")).call().is_err() {
        assert!(Instant::now() < deadline, "the new certificate is never used");
    }
    assert_eq!(trusting(&now).get(url(&server.ingest, "/healthz")).call().unwrap().status(), 200);
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_before_anything_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    std::fs::write(&key, "no key").unwrap();
    let mut command = crate::server::command(folder.path());
    command.args(["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    let (code, said) = crate::server::failure(&mut command);
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(said.contains("TLS: ") && said.contains("key.pem holds no private key in PEM format"), "{said}");
    assert!(!folder.path().join("data").exists());
}

/// Where from the newest session was begun, by the server's account.
fn address_of_sign_in(world: &World, forwarded: &str) -> String {
    let headers = [("x-forwarded-for", forwarded), ("x-real-ip", forwarded), ("forwarded", forwarded)];
    let body = json!({"username": "reader", "password": PASSWORD});
    client::json(&world.server.web, "POST", "/api/v1/session", &headers, &body).expect(200);
    let sessions = world.get("/api/v1/sessions").expect(200);
    let newest = sessions["sessions"].as_array().unwrap().iter().max_by_key(|session| session["id"].as_i64());
    newest.unwrap()["address"].as_str().unwrap().to_string()
}

#[test]
fn a_forged_address_is_believed_from_trusted_proxies_only() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    assert_eq!(address_of_sign_in(&world, "198.51.100.7"), "127.0.0.1");
    // Nor does it help against the limit of tries.
    let mut statuses = Vec::new();
    for n in 0..12 {
        let forged = format!("198.51.100.{n}");
        let body = json!({"username": format!("user {n}"), "password": "wrong"});
        let headers = [("x-forwarded-for", forged.as_str()), ("x-forwarded-proto", "https")];
        let answer = client::json(&world.server.web, "POST", "/api/v1/session", &headers, &body);
        assert!(answer.header("strict-transport-security").is_none(), "{answer:?}");
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10..], [429; 2]);

    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--trusted-proxies", "127.0.0.0/8"];
    let world = World::on(Server::start_with(folder.path(), &arguments));
    assert_eq!(address_of_sign_in(&world, "198.51.100.7"), "198.51.100.7");
    assert_eq!(address_of_sign_in(&world, "6.6.6.6, 198.51.100.7"), "198.51.100.7", "only the last is known");
    let headers = [("x-forwarded-for", "198.51.100.7"), ("x-forwarded-proto", "https")];
    let answer = send(&world.server.web, "GET", "/healthz", &headers, b"");
    assert!(answer.header("strict-transport-security").is_some());
}
