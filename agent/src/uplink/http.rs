//! Posts frames.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Timeout};
use wire::FRAME_CONTENT_TYPE;

use super::Outcome;
use crate::calendar::http_date;
use crate::clock::ServerClock;
use crate::config::Destination;
use crate::run::unix_ms;

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read: an acknowledgement has a few kilobytes.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// A client for one server and one device.
pub struct Http {
    agent: Agent,
    url: String,
    authorization: String,
    clock: ServerClock,
}

impl Http {
    /// The client. What answers say about the time goes to `clock`.
    pub fn new(destination: &Destination, clock: ServerClock) -> Http {
        Http {
            agent: client(destination.ca.as_deref()),
            url: destination.server.report_url(),
            authorization: format!("Bearer {}", destination.key),
            clock,
        }
    }

    /// Posts a frame and waits for the answer, at most `timeout` altogether.
    pub fn post(&self, frame: &[u8], timeout: Duration) -> Outcome {
        let request = self
            .agent
            .post(&self.url)
            .config()
            .timeout_global(Some(timeout))
            .build()
            .header("Authorization", &self.authorization)
            .header("Content-Type", FRAME_CONTENT_TYPE);
        let (sent_ms, sent) = (unix_ms(), Instant::now());
        match request.send(frame) {
            Ok(response) => {
                let now = Instant::now();
                let (head, mut body) = response.into_parts();
                let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
                let date_s = header("Date").and_then(http_date);
                if let Some(date_s) = date_s {
                    self.clock.observe(date_s, sent_ms, now.saturating_duration_since(sent), now);
                }
                Outcome::Answered {
                    status: head.status.as_u16(),
                    retry_after: header("Retry-After").and_then(|text| retry_after(text, date_s)),
                    body: read(&mut body),
                }
            }
            Err(error) if is_nobody(&error) => Outcome::Nobody(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }
}

/// Whether no connection came about, so that a server had no more work than a handshake. Not so where one does not
/// answer in time: it may have too much to do.
fn is_nobody(error: &ureq::Error) -> bool {
    let ureq::Error::Io(error) = error else {
        // That took [`CONNECT_MAX`] already: tries are far enough apart.
        return matches!(error, ureq::Error::HostNotFound | ureq::Error::Timeout(Timeout::Connect));
    };
    // What can go wrong with a connection. A name that is not found has no kind that could be named.
    !matches!(
        error.kind(),
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::TimedOut
            | ErrorKind::WouldBlock
            | ErrorKind::Interrupted
            | ErrorKind::InvalidData
            | ErrorKind::Other
    )
}

/// A client that trusts these certificates, or the built-in ones. Redirects are not followed: a key is
/// for one server and no other.
pub fn client(ca: Option<&[Certificate<'static>]>) -> Agent {
    let roots = ca.map_or(RootCerts::WebPki, RootCerts::new_with_certs);
    let config = Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_connect(Some(CONNECT_MAX))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_idle_connections(1)
        .user_agent(concat!("openclaw-watch-agent/", env!("CARGO_PKG_VERSION")))
        .build();
    config.new_agent()
}

/// The wait that a server asks for: in seconds, or until a time on its own clock.
fn retry_after(text: &str, date_s: Option<i64>) -> Option<Duration> {
    let seconds = match text.trim().parse() {
        Ok(seconds) => seconds,
        Err(_) => u64::try_from(http_date(text)?.saturating_sub(date_s?)).unwrap_or(0),
    };
    Some(Duration::from_secs(seconds))
}

/// The body. One that breaks off or is too long is no answer anybody here understands.
pub fn read(body: &mut Body) -> Vec<u8> {
    body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::config::server::Server;

    /// What a client makes of a server that answers every request with these bytes, and how many
    /// requests there were. Without bytes the connection stays open and silent.
    fn posted(answer: &'static str, timeout: Duration) -> (Outcome, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut requests = 0;
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line == "end\n" {
                    break;
                }
                requests += 1;
                while !matches!(line.as_str(), "\r\n" | "") {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
                reader.read_exact(&mut [0; 3]).unwrap();
                if answer.is_empty() {
                    // Until the client gives up.
                    let _ = reader.read(&mut [0]);
                }
                let _ = reader.get_mut().write_all(answer.as_bytes());
            }
            requests
        });
        let server_url = Server::parse(&format!("http://{address}")).unwrap();
        let destination = Destination { server: server_url, key: "k".into(), ca: None };
        let outcome = Http::new(&destination, ServerClock::default()).post(b"abc", timeout);
        std::net::TcpStream::connect(address).unwrap().write_all(b"end\n").unwrap();
        (outcome, server.join().unwrap())
    }

    fn answered(answer: &'static str) -> Outcome {
        let (outcome, requests) = posted(answer, Duration::from_secs(20));
        assert_eq!(requests, 1, "one post is one request");
        outcome
    }

    fn outcome(status: u16, retry_after: Option<u64>, body: &str) -> Outcome {
        Outcome::Answered { status, retry_after: retry_after.map(Duration::from_secs), body: body.into() }
    }

    #[test]
    fn every_status_is_an_answer() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(answered(ok), outcome(200, None, "{}"));
        let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(answered(busy), outcome(503, Some(7), ""));
        let dated =
            "HTTP/1.1 429 Slow\r\nRetry-After: Fri, 31 Dec 2027 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(answered(dated), outcome(429, None, ""), "by which clock?");
        let dated = "HTTP/1.1 429 Slow\r\nDate: Fri, 31 Dec 2027 23:59:39 GMT\r\nRetry-After: Fri, 31 Dec 2027 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(answered(dated), outcome(429, Some(20), ""));
    }

    #[test]
    fn a_redirect_is_not_followed() {
        let moved = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(answered(moved), outcome(302, None, ""));
    }

    #[test]
    fn a_body_that_breaks_off_is_no_receipt() {
        let short = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{\"accepted\":1,\"rejected\":0}";
        assert_eq!(answered(short), outcome(200, None, ""));
    }

    #[test]
    fn nobody_is_told_from_one_who_does_not_answer() {
        let post = |url: &str| {
            let destination = Destination { server: Server::parse(url).unwrap(), key: "k".into(), ca: None };
            Http::new(&destination, ServerClock::default()).post(b"abc", Duration::from_secs(20))
        };
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // No name is that long: nobody on the network is asked for it.
        for url in [format!("http://{closed}"), format!("http://{}.invalid", "a".repeat(64))] {
            assert!(matches!(post(&url), Outcome::Nobody(_)), "{url}: {:?}", post(&url));
        }
        // Hangs up, and knows nothing of TLS.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let _ = stream.read(&mut [0; 5]).and_then(|_| stream.write_all(b"HTTP/1"));
            }
        });
        for url in [format!("http://{address}"), format!("https://{address}")] {
            assert!(matches!(post(&url), Outcome::Failed(_)), "{url}: {:?}", post(&url));
        }
    }

    #[test]
    fn a_connection_that_does_not_come_about_is_nobody_and_an_answer_that_does_not_is_somebody() {
        for (timeout, expected) in
            [(Timeout::Connect, true), (Timeout::RecvResponse, false), (Timeout::Global, false)]
        {
            assert_eq!(is_nobody(&ureq::Error::Timeout(timeout)), expected, "{timeout:?}");
        }
    }

    #[test]
    fn silence_ends_with_the_timeout() {
        let (outcome, requests) = posted("", Duration::from_millis(300));
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
        assert_eq!(requests, 1);
    }
}
