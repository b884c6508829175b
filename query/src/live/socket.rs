//! One open socket: reads subscriptions, writes what the feed says, and closes when it must.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::json;
use store::{DeviceId, LogQuery};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use crate::accounts;
use crate::app::App;
use crate::call::Who;
use crate::lists::names;
use crate::live::feed::{Feed, Now, SNAPSHOT_LOGS, Subscribe};

/// A message from a client; subscriptions are small.
const INBOUND_BYTES_MAX: usize = 16 << 10;
/// Messages of a client within a minute.
const INBOUND_PER_MINUTE_MAX: u32 = 120;
/// A message to a client: a snapshot of the largest fleet. There is never more than one on its way.
const OUTBOUND_BYTES_MAX: usize = 32 << 20;
const READ_BUFFER_BYTES: usize = 4 << 10;
const WRITE_BUFFER_BYTES: usize = 64 << 10;

/// A client that takes longer than this for one message is too slow.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the answer to the handshake to the open socket, and from our close to the client's.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that answers no ping for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(65);
/// How often the session is looked up; signing out closes the socket at once, without this.
const SESSION_CHECK_EVERY: Duration = Duration::from_secs(60);
/// A watched device is told so with its next reports for this long, renewed at half of it.
const WATCHED_MS: i64 = 5_000;
const WATCH_EVERY: Duration = Duration::from_millis(2_500);

/// Why a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client is gone or too slow: nothing more can be said to it.
    Gone,
    /// 4001.
    Session,
    /// The server stops.
    Stop,
    /// The client sends too much.
    Flood,
    /// Something failed here.
    Failed,
}

impl End {
    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            End::Gone => return None,
            End::Session => (CloseCode::Library(4001), "the session ended"),
            End::Stop => (CloseCode::Away, "the server stops"),
            End::Flood => (CloseCode::Policy, "too many messages"),
            End::Failed => (CloseCode::Error, "the server failed"),
        };
        Some(CloseFrame { code, reason: reason.into() })
    }
}

struct Socket<'a> {
    app: &'a App,
    who: Who,
    stream: WebSocketStream<TokioIo<Upgraded>>,
    feed: Option<Feed>,
}

/// Serves one socket until it ends.
pub(super) async fn run(app: &App, upgrade: OnUpgrade, who: Who) {
    let upgraded = match timeout(HANDSHAKE_TIMEOUT, upgrade).await {
        Ok(Ok(upgraded)) => TokioIo::new(upgraded),
        // The client left before the socket was open.
        Ok(Err(_)) | Err(_) => return,
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(OUTBOUND_BYTES_MAX + 2 * WRITE_BUFFER_BYTES)
        .max_message_size(Some(INBOUND_BYTES_MAX))
        .max_frame_size(Some(INBOUND_BYTES_MAX));
    let stream = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
    let mut socket = Socket { app, who, stream, feed: None };
    let end = socket.serve().await;
    if let Some(frame) = end.frame() {
        socket.close(frame).await;
    }
}

impl Socket<'_> {
    async fn serve(&mut self) -> End {
        let live = &self.app.live;
        let mut ended = live.ended.subscribe();
        let mut changed = live.changed.clone();
        let mut stop = live.stop.clone();
        let mut ping = every(PING_EVERY);
        let mut session_check = every(SESSION_CHECK_EVERY);
        let mut watch = every(WATCH_EVERY);
        let mut heard = Instant::now();
        let mut inbound: u32 = 0;
        let mut dirty = false;
        let mut next_at = Instant::now();

        loop {
            let focus = self.feed.as_ref().and_then(Feed::focus);
            let step = tokio::select! {
                biased;
                () = stopped(&mut stop) => Err(End::Stop),
                ended = ended.recv() => match ended {
                    Ok(credential) if credential != self.who.credential => Ok(()),
                    Err(RecvError::Lagged(_)) => self.check_session().await,
                    Ok(_) | Err(RecvError::Closed) => Err(End::Session),
                },
                message = self.stream.next() => {
                    heard = Instant::now();
                    inbound += 1;
                    match message {
                        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
                        Some(Ok(_)) if inbound > INBOUND_PER_MINUTE_MAX => Err(End::Flood),
                        Some(Ok(Message::Text(text))) => {
                            dirty = true;
                            self.subscribe(&text).await
                        }
                        Some(Ok(Message::Binary(_))) => self.refuse("A subscription is a text message.").await,
                        Some(Ok(_)) => Ok(()),
                    }
                }
                _ = session_check.tick() => {
                    inbound = 0;
                    self.check_session().await
                }
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        Err(End::Gone)
                    } else {
                        self.send(Message::Ping(Default::default())).await
                    }
                }
                _ = watch.tick(), if focus.is_some() => {
                    self.watch(focus);
                    Ok(())
                }
                change = changed.changed(), if !dirty => {
                    dirty = true;
                    change.map_err(|_| End::Stop)
                }
                () = sleep_until(next_at), if dirty && self.feed.is_some() => {
                    // Before the store is read: what changes while this is written makes it dirty again.
                    dirty = false;
                    let sent = self.update().await;
                    next_at = Instant::now() + self.feed.as_ref().map_or(Duration::ZERO, Feed::joined);
                    sent
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn subscribe(&mut self, text: &str) -> Result<(), End> {
        let feed = serde_json::from_str::<Subscribe>(text)
            .map_err(|error| format!("This is not a subscription: {error}."))
            .and_then(|subscribe| Feed::new(subscribe.subscribe));
        let mut feed = match feed {
            Ok(feed) => feed,
            Err(message) => return self.refuse(&message).await,
        };
        self.watch(feed.focus());

        let t_ms = self.app.now();
        let query = LogQuery { device: feed.only_device(), limit: SNAPSHOT_LOGS, ..LogQuery::default() };
        let made = self.app.light(move |store| {
            let (version, views) = (store.version(), store.devices());
            let logs = store.logs(&query)?.entries;
            let names = names(store, logs.iter().map(|entry| entry.device));
            let text = feed.snapshot(&Now { version, t_ms, views, logs }, &names);
            Ok((feed, text))
        });
        let (feed, text) = made.await.map_err(|_| End::Failed)?;
        self.feed = Some(feed);
        self.send_text(text.map_err(|_| End::Failed)?).await
    }

    async fn update(&mut self) -> Result<(), End> {
        let Some(mut feed) = self.feed.take() else { return Ok(()) };
        let t_ms = self.app.now();
        // Off the async threads: what changed of a large fleet within a second is megabytes.
        let made = self.app.light(move |store| {
            let changes = store.changes_since(feed.version());
            let names = names(store, changes.logs.iter().map(|entry| entry.device));
            let text = feed.update(t_ms, &changes, &names, |id| store.device(id).is_some());
            Ok((feed, text))
        });
        let (feed, text) = made.await.map_err(|_| End::Failed)?;
        self.feed = Some(feed);
        match text {
            None => Ok(()),
            Some(Ok(text)) => self.send_text(text).await,
            Some(Err(_)) => Err(End::Failed),
        }
    }

    /// Says what is wrong; the subscription before stays.
    async fn refuse(&mut self, message: &str) -> Result<(), End> {
        let error = json!({"error": {"code": "invalid", "message": message, "field": "subscribe"}});
        self.send_text(error.to_string()).await
    }

    fn watch(&self, device: Option<DeviceId>) {
        if let Some(device) = device {
            self.app.store.watch(device, self.app.now() + WATCHED_MS);
        }
    }

    async fn check_session(&mut self) -> Result<(), End> {
        match accounts::again(self.app, &self.who, self.app.now()).await {
            Ok(None) => Err(End::Session),
            // A failed look-up says nothing about the session; the next one will.
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    async fn send_text(&mut self, text: String) -> Result<(), End> {
        if text.len() > OUTBOUND_BYTES_MAX {
            tracing::error!(bytes = text.len(), "a live message is too large; subscribe to fewer metrics");
            return Err(End::Failed);
        }
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(WRITE_TIMEOUT, self.stream.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn close(&mut self, frame: CloseFrame) {
        let closed = async {
            self.stream.close(Some(frame)).await?;
            // Until the client closes too: hanging up earlier may take our last message from it.
            while self.stream.next().await.transpose()?.is_some() {}
            Ok::<(), tokio_tungstenite::tungstenite::Error>(())
        };
        // Whatever comes of it, the socket is dropped now.
        let _ = timeout(HANDSHAKE_TIMEOUT, closed).await;
    }
}

/// The first tick comes after one period.
fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Resolves when the server stops, also when whoever would say so is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
