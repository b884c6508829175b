//! A stand-in for the server: as much HTTP as the commands of a person ask for, with TLS or without.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection, StreamOwned};

use crate::text;

/// A server that answers each request with what a function makes of its first line and body.
pub struct Stub {
    pub url: String,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

pub type Answer = fn(&str, &str) -> String;

impl Stub {
    pub fn start(answer: Answer) -> Stub {
        Stub::behind("http", answer, |stream| stream)
    }

    /// The same over TLS, with a certificate of an authority of its own, and that authority's.
    pub fn start_tls(answer: Answer) -> (Stub, String) {
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

    pub fn requests(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

/// The date header of now, moved by so many seconds, as an HTTP server sends it.
fn date(moved_s: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let seconds = (now + moved_s) as u64;
    let (year, month, day) = agent::calendar::civil(seconds / 86_400);
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let month = months[month as usize - 1];
    format!("Date: Mon, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Answers as the real server does, to a device of this key, with a clock moved by so many seconds.
pub fn as_a_server_does(head: &str, body: &str, key: &str, moved_s: i64) -> String {
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
