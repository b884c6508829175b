//! A small HTTP client over one kept connection, to this machine only.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An answer that takes longer has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer: the list of devices is the longest.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A port of a server on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server(SocketAddr);

impl Server {
    /// From `http://127.0.0.1:38889`. Refuses every address that is not this machine's own: what is sent here is
    /// made to be too much.
    pub fn parse(text: &str) -> Result<Server> {
        let uri: Uri =
            text.parse().with_context(|| format!("{text} is not an address like http://127.0.0.1:38889"))?;
        ensure!(uri.scheme_str() == Some("http"), "{text}: only http:// is possible here");
        ensure!(matches!(uri.path(), "" | "/"), "{text}: only a host and a port belong here");
        let host = uri.host().unwrap_or_default();
        let ip = match host {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => host
                .trim_matches(['[', ']'])
                .parse()
                .with_context(|| format!("{host} is not an address of this machine such as 127.0.0.1"))?,
        };
        if !ip.is_loopback() {
            bail!(
                "{host} is not a loopback address: this tool only plays against a server on the same machine"
            );
        }
        Ok(Server(SocketAddr::new(ip, uri.port_u16().unwrap_or(80))))
    }
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
}

/// One connection, made anew when it was closed.
pub struct Client {
    server: Server,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// Not connected yet.
    pub fn new(server: Server) -> Client {
        Client { server, sender: None }
    }

    /// Closes the connection; the next request makes another.
    pub fn hang_up(&mut self) {
        self.sender = None;
    }

    /// Connects unless connected.
    pub async fn connect(&mut self) -> Result<&mut SendRequest<Full<Bytes>>> {
        if let Some(sender) = &mut self.sender
            && sender.ready().await.is_err()
        {
            self.sender = None;
        }
        match &mut self.sender {
            Some(sender) => Ok(sender),
            empty => {
                let stream = TcpStream::connect(self.server.0)
                    .await
                    .with_context(|| format!("cannot connect to {}", self.server.0))?;
                stream.set_nodelay(true)?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                // It ends with the sender; what goes wrong on it the sender is told.
                tokio::spawn(connection);
                Ok(empty.insert(sender))
            }
        }
    }

    /// Sends one request. After an error the next one uses a new connection.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).body(Full::new(body))?;
        *request.headers_mut() = headers.clone();
        request.headers_mut().insert(HOST, self.server.0.to_string().parse()?);
        let exchange = async {
            let response = self.connect().await?.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body =
                Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(anyhow::Error::from_boxed)?;
            Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await;
        let answer = answer.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {ANSWER_TIMEOUT:?}")));
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_accepted() {
        for text in
            ["http://127.0.0.1:38889", "http://localhost:38889/", "http://[::1]:38889", "http://127.9.9.9"]
        {
            assert!(Server::parse(text).is_ok(), "{text}");
        }
        for text in [
            "http://192.0.2.1:38889",
            "http://example.org:38889",
            "http://localhost.example.org",
            "http://0.0.0.0:38889",
            "https://127.0.0.1:38889",
            "http://127.0.0.1:38889/api",
            "127.0.0.1:38889",
            "",
        ] {
            assert!(Server::parse(text).is_err(), "{text}");
        }
    }
}
