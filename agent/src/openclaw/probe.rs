//! Asks the gateway's probe paths on loopback.
//!
//! A request of few bytes over a plain socket: no proxy, no redirect, and never to another host.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long one request may take altogether.
pub const TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of an answer that are read. `/readyz` is the longest with a few kilobytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Characters of a version that are kept.
const VERSION_CHARS_MAX: usize = 64;
/// Characters of a failing part's name that are kept: with what may follow it is a word of at most 64.
const FAILING_CHARS_MAX: usize = 40;

/// What a port said to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nobody listens.
    Refused,
    /// Somebody listens but gave no HTTP answer in time.
    Silent,
    /// HTTP.
    Http {
        /// Status code.
        status: u16,
        /// The body as far as it was read.
        body: Vec<u8>,
    },
}

/// What `/startupz` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup {
    /// It is up.
    Started {
        /// Its version where it says so.
        version: Option<String>,
    },
    /// It is coming.
    Starting,
    /// It is going.
    Draining,
}

/// `GET path` from the given port of this device.
pub fn get(port: u16, path: &str) -> Answer {
    let deadline = Instant::now() + TIMEOUT;
    let mut stream = match TcpStream::connect_timeout(&address(port), TIMEOUT) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Answer::Refused,
        Err(_) => return Answer::Silent,
    };
    // HTTP/1.0: the answer comes whole and not in chunks.
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    );
    let mut answer = Vec::new();
    if stream.set_write_timeout(Some(TIMEOUT)).is_err() || stream.write_all(request.as_bytes()).is_err() {
        return Answer::Silent;
    }
    let mut chunk = [0; 4096];
    while answer.len() < ANSWER_BYTES_MAX && !is_whole(&answer) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            break;
        }
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(bytes) => answer.extend_from_slice(&chunk[..bytes]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    parse(&answer).map_or(Answer::Silent, |(status, body, _)| Answer::Http { status, body: body.to_vec() })
}

/// Whether somebody listens on a port of this device.
pub fn is_open(port: u16) -> bool {
    TcpStream::connect_timeout(&address(port), TIMEOUT).is_ok()
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Status, body and the body's length if the head says so. Nothing before the head is complete.
fn parse(answer: &[u8]) -> Option<(u16, &[u8], Option<usize>)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, &answer[end + 4..], length))
}

fn is_whole(answer: &[u8]) -> bool {
    parse(answer).is_some_and(|(_, body, length)| length.is_some_and(|length| body.len() >= length))
}

/// What `/startupz` said; nothing if it is not OpenClaw's answer. Versions without this path send
/// their web page instead, with status 200.
pub fn startup(answer: &Answer) -> Option<Startup> {
    let body = json(answer)?;
    body.get("ok")?.as_bool()?;
    match body.get("status")?.as_str()? {
        "started" => {
            let version = body.get("version").and_then(Value::as_str);
            let good = |version: &&str| !version.is_empty() && version.len() <= VERSION_CHARS_MAX;
            Some(Startup::Started { version: version.filter(good).map(str::to_string) })
        }
        "draining" => Some(Startup::Draining),
        _ => Some(Startup::Starting),
    }
}

/// Whether `/healthz` said that it is alive.
pub fn is_live(answer: &Answer) -> bool {
    json(answer).is_some_and(|body| {
        body.get("ok").and_then(Value::as_bool) == Some(true)
            && body.get("status").is_some_and(Value::is_string)
    })
}

/// Whether `/readyz` said that it is ready; nothing if it is not OpenClaw's answer.
pub fn ready(answer: &Answer) -> Option<bool> {
    json(answer)?.get("ready")?.as_bool()
}

/// What `/readyz` named as failing, as one word: the first, and how many more there are.
pub fn failing(answer: &Answer) -> Option<String> {
    let body = json(answer)?;
    let names: Vec<&str> = body.get("failing")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let first = names.first()?;
    let letter = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '_' };
    let first: String = first.chars().take(FAILING_CHARS_MAX).map(letter).collect();
    Some(match names.len() - 1 {
        0 => first,
        more => format!("{first}_and_{more}_more"),
    })
}

fn json(answer: &Answer) -> Option<Value> {
    // Starting and not being ready are answered with 503.
    let Answer::Http { status: 200 | 503, body } = answer else { return None };
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn http(status: u16, body: &str) -> Answer {
        Answer::Http { status, body: body.into() }
    }

    #[test]
    fn startup_is_only_believed_as_json_with_its_keys() {
        let started = |version: Option<&str>| Some(Startup::Started { version: version.map(str::to_string) });
        for (answer, expected) in [
            (
                http(200, r#"{"ok":true,"status":"started","version":"2026.9.6","uptimeMs":9226}"#),
                started(Some("2026.9.6")),
            ),
            (http(200, r#"{"ok":true,"status":"started"}"#), started(None)),
            (http(503, r#"{"ok":false,"status":"starting","pendingReason":"x"}"#), Some(Startup::Starting)),
            (http(503, r#"{"ok":false,"status":"draining"}"#), Some(Startup::Draining)),
            (http(200, "<!doctype html><html>ok</html>"), None),
            (http(200, r#"{"status":"started"}"#), None),
            (http(200, r#"{"ok":true}"#), None),
            (http(200, "[]"), None),
            (http(404, r#"{"ok":true,"status":"started"}"#), None),
            (http(500, "Internal Server Error"), None),
            (Answer::Refused, None),
            (Answer::Silent, None),
        ] {
            assert_eq!(startup(&answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn health_and_readiness_are_read_in_the_same_way() {
        assert!(is_live(&http(200, r#"{"ok":true,"status":"live"}"#)));
        assert!(!is_live(&http(200, r#"{"ok":true}"#)), "any other service may say so");
        assert!(!is_live(&http(200, "<html>")));
        assert_eq!(ready(&http(200, r#"{"ready":true,"failing":[]}"#)), Some(true));
        assert_eq!(ready(&http(503, r#"{"ready":false,"failing":["telegram"]}"#)), Some(false));
        assert_eq!(ready(&http(200, "<html>")), None);
        assert_eq!(ready(&http(500, "Internal Server Error")), None);
    }

    #[test]
    fn failing_parts_are_one_word() {
        let failing = |list: &str| failing(&http(503, &format!(r#"{{"ready":false,"failing":{list}}}"#)));
        assert_eq!(failing("[]"), None);
        assert_eq!(failing(r#"["telegram"]"#).as_deref(), Some("telegram"));
        assert_eq!(
            failing(r#"["agent-database:Main","x",5,"y"]"#).as_deref(),
            Some("agent_database_main_and_2_more")
        );
        assert_eq!(failing(&format!("[\"{}\"]", "é".repeat(99))), Some("_".repeat(FAILING_CHARS_MAX)));
        assert_eq!(failing("\"telegram\""), None);
    }

    /// A port that answers one connection with these bytes, and the request it got.
    fn answering(bytes: &'static [u8]) -> (u16, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                request.push(byte[0]);
            }
            stream.write_all(bytes).unwrap();
            String::from_utf8(request).unwrap()
        });
        (port, thread)
    }

    #[test]
    fn answers_are_read_with_and_without_a_length() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: keep-alive\r\n\r\n{}",
            b"HTTP/1.0 200 OK\r\n\r\n{}",
        ] {
            let (port, thread) = answering(bytes);
            assert_eq!(get(port, "/startupz"), http(200, "{}"));
            let request = thread.join().unwrap();
            assert!(request.starts_with("GET /startupz HTTP/1.0\r\nHost: 127.0.0.1:"), "{request}");
            assert!(!request.to_lowercase().contains("forwarded"), "{request}");
        }
    }

    #[test]
    fn what_is_not_http_is_silence() {
        for bytes in [&b""[..], b"\x15\x03\x01\x00\x02\x02\x46", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200"]
        {
            let (port, thread) = answering(bytes);
            assert_eq!(get(port, "/healthz"), Answer::Silent);
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_closed_port_is_refused() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(get(port, "/healthz"), Answer::Refused);
        assert!(!is_open(port));
    }

    #[test]
    fn endless_answers_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while sent.is_ok() {
                sent = stream.write_all(&[b'x'; 4096]);
            }
        });
        let Answer::Http { body, .. } = get(port, "/healthz") else { panic!("HTTP was answered") };
        assert!(body.len() < 2 * ANSWER_BYTES_MAX);
        thread.join().unwrap();
    }
}
