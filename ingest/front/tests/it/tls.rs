//! The front end over TLS.

use super::*;

/// A certificate for `localhost`, in files.
fn certificate(folder: &std::path::Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

fn with_tls(limits: Limits) -> (Server, front::Tls, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let tls = front::Tls::load(certificate, key).unwrap();
    let transport = front::Transport { tls: Some(tls.clone()), ..front::Transport::default() };
    (start_with(limits, transport), tls, folder)
}

/// The status line of the answer to a `GET /`, asked by TLS.
async fn by_tls(server: &Server, certificate: std::path::PathBuf) -> std::io::Result<String> {
    let addr = server.addr;
    let asked = tokio::task::spawn_blocking(move || front::probe(addr, "/", Some(&certificate)));
    asked.await.unwrap().map(|answer| answer.lines().next().unwrap_or_default().to_string())
}

#[tokio::test]
async fn a_client_that_dawdles_over_the_handshake_is_closed() {
    let (server, _, folder) = with_tls(Limits { handshake_timeout: SHORT, ..Limits::default() });
    let mut silent = connect(&server).await;
    assert_eq!(until_closed(&mut silent).await, "");
    // A TLS record that never ends.
    let mut dripping = connect(&server).await;
    dripping.write_all(&[0x16, 3, 1, 1, 0, 1]).await.unwrap();
    drip(&mut dripping, &[0]).await;
    assert_eq!(by_tls(&server, folder.path().join("cert.pem")).await.unwrap(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn who_speaks_plain_http_to_a_tls_port_is_told() {
    let (server, _, _folder) = with_tls(Limits::default());
    let mut plain = connect(&server).await;
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = until_closed(&mut plain).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("begins with https"), "{answer}");
}

#[tokio::test]
async fn a_new_certificate_is_used_and_a_broken_one_is_not() {
    let (server, tls, folder) = with_tls(Limits::default());
    let first = folder.path().join("first.pem");
    std::fs::copy(folder.path().join("cert.pem"), &first).unwrap();
    assert!(!tls.reload().unwrap(), "nothing changed");

    let (changed, key) = certificate(folder.path());
    assert!(tls.reload().unwrap());
    assert_eq!(by_tls(&server, changed.clone()).await.unwrap(), "HTTP/1.1 200 OK");
    assert!(by_tls(&server, first).await.is_err(), "the one before is gone");

    let good = std::fs::read(&key).unwrap();
    for broken in ["", "no PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        std::fs::write(&key, broken).unwrap();
        assert!(tls.reload().is_err(), "{broken}");
    }
    let other = rcgen::generate_simple_self_signed(["other".to_string()]).unwrap();
    std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("key.pem cannot be used"), "{error}");
    assert_eq!(by_tls(&server, changed).await.unwrap(), "HTTP/1.1 200 OK", "what was loaded stays");
    std::fs::write(&key, good).unwrap();
    assert!(!tls.reload().unwrap());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_half_a_head_or_half_a_handshake() {
    let (server, _, _folder) = with_tls(Limits { drain_timeout: NEVER, ..Limits::default() });
    let mut handshake = connect(&server).await;
    handshake.write_all(&[0x16, 3, 1]).await.unwrap();
    server.stop.send(true).unwrap();
    tokio::time::timeout(NEVER / 2, server.task).await.expect("the stop does not wait").unwrap();

    let server = start(Limits { drain_timeout: NEVER, ..Limits::default() });
    let mut head = connect(&server).await;
    head.write_all(b"GET / HT").await.unwrap();
    // A whole request is answered, also after the stop.
    let mut whole = connect(&server).await;
    whole.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na").await.unwrap();
    let mut known = connect(&server).await;
    known.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(&mut known, "hello").await;
    server.stop.send(true).unwrap();
    assert_eq!(until_closed(&mut head).await, "");
    whole.write_all(b"b").await.unwrap();
    assert!(until_closed(&mut whole).await.ends_with("ab"));
    tokio::time::timeout(NEVER / 2, server.task).await.expect("the stop does not wait").unwrap();
}
