//! The accept loop, and one task a connection.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::caps::{Caps, Slot, address_key};
use crate::socket::{Phase, Socket};
use crate::stream::Stream;
use crate::{ApiError, Limits, Request, Response, Transport};

/// Wait after a failed `accept`, doubled with each further one: without it a server out of file descriptors would
/// spin until a connection ends.
const ACCEPT_WAIT_MIN: Duration = Duration::from_millis(10);
const ACCEPT_WAIT_MAX: Duration = Duration::from_secs(1);

/// After a stop, how long the head of a request that is on its way may take.
const HEAD_GRACE: Duration = Duration::from_millis(250);

/// Buffers of a connection, bytes; hyper wants 8 KiB at least. Must hold the headers.
const BUFFER_BYTES: usize = 64 << 10;

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The client: the other end of the connection, or whom a trusted proxy there names (with port 0).
    pub addr: SocketAddr,
    /// Did it come by TLS, here or to the trusted proxy?
    pub secure: bool,
}

impl Peer {
    /// What to count as one address when limiting; see [`address_key`].
    pub fn key(&self) -> IpAddr {
        address_key(self.addr.ip())
    }
}

/// Serves `listener` until `stop` holds `true` (or its sender is gone), then finishes what is under way, within
/// [`Limits::drain_timeout`], and returns.
///
/// A panic in `handler` becomes a 500 for that request. A handler may upgrade its connection
/// (`hyper::upgrade::on`); such connections stay counted and keep their write timeout, but belong to whoever upgraded
/// them: this function does not wait for them. When a client goes away, the handler's future is dropped.
pub async fn serve<H, F>(
    listener: TcpListener,
    limits: Limits,
    transport: Transport,
    handler: H,
    mut stop: watch::Receiver<bool>,
) where
    H: Fn(Request, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let handler = Arc::new(handler);
    let limits = Arc::new(limits);
    let transport = Arc::new(transport);
    let caps = Caps::new(limits.connections_max, limits.connections_per_address_max);
    let mut connections = JoinSet::new();
    let mut wait = ACCEPT_WAIT_MIN;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, addr)) => {
                wait = ACCEPT_WAIT_MIN;
                // Dropping the stream closes it.
                let Some(slot) = caps.take(addr.ip(), transport.proxies.trust(addr.ip())) else {
                    tracing::debug!(%addr, "one connection too many");
                    continue;
                };
                connections.spawn(connection(
                    stream,
                    Peer { addr, secure: transport.tls.is_some() },
                    slot,
                    limits.clone(),
                    transport.clone(),
                    handler.clone(),
                    stop.clone(),
                ));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::select! {
                    _ = stopped(&mut stop) => break,
                    () = tokio::time::sleep(wait) => {}
                }
                wait = (wait * 2).min(ACCEPT_WAIT_MAX);
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain_timeout, drained).await.is_err() {
        tracing::warn!(open = connections.len(), "closing connections that did not end in time");
        connections.shutdown().await;
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: nobody could stop us any more, so that is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Errors of `accept` that concern the connection that was to be accepted, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

async fn connection<H, F>(
    stream: TcpStream,
    peer: Peer,
    slot: Slot,
    limits: Arc<Limits>,
    transport: Arc<Transport>,
    handler: Arc<H>,
    mut stop: watch::Receiver<bool>,
) where
    H: Fn(Request, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    // Answers are small and written at once; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let stream = tokio::select! {
        stream = Stream::accept(stream, transport.tls.as_ref(), &limits) => stream,
        _ = stopped(&mut stop) => None,
    };
    let Some(stream) = stream else { return };
    let phase = Phase::new();
    let of_requests = phase.clone();
    let socket = Socket::new(stream, phase.clone(), &limits, slot);
    let service = service_fn(move |request: Request| {
        of_requests.busy();
        let (handler, phase) = (handler.clone(), of_requests.clone());
        let peer = transport.proxies.client(peer, request.headers());
        async move {
            let response = guarded(async move { handler(request, peer).await }).await;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                phase.idle();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper's timer starts when it waits for a request, so it is the one for idle connections.
        .header_read_timeout(limits.idle_timeout)
        .max_header_size(limits.header_bytes_max)
        .max_buf_size(BUFFER_BYTES.max(limits.header_bytes_max))
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                // Half a head is no request: nothing is lost with it, and nobody should wait for the rest.
                () = no_request_within(HEAD_GRACE, &phase) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(addr = %peer.addr, %error, "connection ended");
    }
}

/// Resolves when no request is being answered after this long; never otherwise: then the connection ends by itself.
async fn no_request_within(grace: Duration, phase: &Phase) {
    tokio::time::sleep(grace).await;
    if phase.is_busy() {
        std::future::pending::<()>().await;
    }
}

/// Turns a panic into a 500.
async fn guarded(handler: impl Future<Output = Response>) -> Response {
    let mut handler = std::pin::pin!(handler);
    let answered = poll_fn(|cx| {
        // After a panic the future is not polled again, so nobody sees what it left half done.
        match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => std::task::Poll::Ready(None),
        }
    })
    .await;
    answered.unwrap_or_else(|| {
        tracing::error!("bug: a request handler panicked");
        ApiError::internal().into_response()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_the_listener_make_the_loop_wait() {
        for (kind, expected) in [
            (io::ErrorKind::ConnectionAborted, true),
            (io::ErrorKind::ConnectionReset, true),
            (io::ErrorKind::OutOfMemory, false),
            (io::ErrorKind::Other, false),
        ] {
            assert_eq!(is_of_one_connection(&io::Error::from(kind)), expected, "{kind}");
        }
        // Too many open files: of the process, and of the system.
        #[cfg(unix)]
        for errno in [24, 23] {
            assert!(!is_of_one_connection(&io::Error::from_raw_os_error(errno)), "{errno}");
        }
    }
}
