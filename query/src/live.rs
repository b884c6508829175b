//! The live feed: a WebSocket that tells what changed, joined per client, so that a slow reader gets the newest state
//! and never a growing queue.

mod feed;
mod socket;

pub(crate) use feed::{Snapshot, Subscribe, Update};

use std::sync::Arc;
use std::time::Duration;

use front::{ApiError, Response};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use store::Store;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::call::{By, Call};
use crate::routes::method_not_allowed;
use crate::secret::Hashed;

/// Open sockets of the whole server. Each costs its buffers and one joined update a second.
const SOCKETS_MAX: usize = 256;
/// Ended sessions and tokens that sockets have not heard of yet; one that misses some looks its own up instead.
const ENDED_MAX: usize = 64;
/// How long sockets may take to close after a stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);

/// What all sockets share.
pub(crate) struct Live {
    /// Marked whenever the store has something new.
    changed: watch::Receiver<()>,
    ended: broadcast::Sender<Hashed>,
    slots: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Live {
    pub(crate) fn new(store: &Store, stop: watch::Receiver<bool>) -> Live {
        let (changes, changed) = watch::channel(());
        // Marks and returns: the store's thread never waits for a client.
        store.on_change(Box::new(move || {
            changes.send_replace(());
        }));
        Live {
            changed,
            ended: broadcast::channel(ENDED_MAX).0,
            slots: Arc::new(Semaphore::new(SOCKETS_MAX)),
            stop,
        }
    }

    /// Closes the sockets of a session or an API token that ended.
    pub(crate) fn end(&self, credential: Hashed) {
        // An error only says that no socket is open.
        let _ = self.ended.send(credential);
    }

    /// How many are open.
    pub(crate) fn open_sockets(&self) -> usize {
        SOCKETS_MAX - self.slots.available_permits()
    }

    /// Waits until every socket is closed, after a stop; not for ever.
    pub(crate) async fn drained(&self) {
        let all = self.slots.acquire_many(SOCKETS_MAX as u32);
        if tokio::time::timeout(DRAIN_TIMEOUT, all).await.is_err() {
            tracing::warn!("some live sockets did not close in time");
        }
    }
}

/// Opens the live feed, a WebSocket. Send `{"subscribe": …}`, then again to change it; a `{"snapshot": …}` follows
/// each, and then updates. Close code 4001: the session or the API token ended. A browser must send `Origin`.
#[utoipa::path(get, path = "/api/v1/live", operation_id = "open_live_feed", tag = "live",
    responses((status = 101, description = "The WebSocket is open.")))]
pub(crate) async fn open(mut call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    if call.parts.method != Method::GET {
        return Ok(method_not_allowed([Method::GET].iter()));
    }
    // A page cannot make a browser send a token: what comes with one is no browser, and has no `Origin`.
    let program = matches!(call.who()?.by, By::Token) && !call.parts.headers.contains_key(header::ORIGIN);
    if !program && !call.app.origins.may_open_socket(&call.parts.headers) {
        return Err(ApiError::forbidden("This request comes from another web page."));
    }
    let accept = accept_key(&call.parts.headers)
        .ok_or_else(|| ApiError::bad_request("This path is a WebSocket of version 13; open it as one."))?;
    let who = call.who()?.clone();
    let Ok(slot) = call.app.live.slots.clone().try_acquire_owned() else {
        return Err(ApiError::unavailable("Too many live views are open.", 30));
    };

    let extensions = std::mem::take(&mut call.parts.extensions);
    let mut request = Request::new(());
    *request.extensions_mut() = extensions;
    let upgrade = hyper::upgrade::on(&mut request);
    let app = call.app.clone();
    // Ends by itself: with the client, its session or the server's stop, which waits for it in `drained`.
    tokio::spawn(async move {
        socket::run(&app, upgrade, who).await;
        drop(slot);
    });

    let mut response = Response::default();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// The answer to the handshake, if these headers are one.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let lists = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
    };
    let upgrades = lists(header::CONNECTION, "upgrade") && lists(header::UPGRADE, "websocket");
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    // 16 bytes in base64.
    let plain = key.len() == 24 && key.to_str().is_ok_and(|key| key.ends_with("=="));
    if !upgrades || version != "13" || !plain {
        return None;
    }
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_handshake_is_accepted() {
        let good = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        assert_eq!(accept_key(&headers(&good)).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for left_out in 0..good.len() {
            let mut pairs = good.to_vec();
            pairs.remove(left_out);
            assert!(accept_key(&headers(&pairs)).is_none(), "without {}", good[left_out].0);
        }
        let mut pairs = good.to_vec();
        pairs[2].1 = "8";
        assert!(accept_key(&headers(&pairs)).is_none());
        pairs[2].1 = "13";
        pairs[3].1 = "short";
        assert!(accept_key(&headers(&pairs)).is_none());
    }
}
