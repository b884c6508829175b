//! People: some ask all kinds of things, some follow the live feed, one of them too slowly; one adds and deletes guests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bench::client::{Client, Server};
use bench::rng::Rng;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{COOKIE, ORIGIN};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::server::Place;

const ASKING: u64 = 4;
const FOLLOWING: u64 = 12;
/// One of those who follow takes so long over each message.
const SLOW_READ: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_millis(250);
const GUEST_EVERY: Duration = Duration::from_secs(45);

/// What they saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Answers by status.
    pub answers: BTreeMap<u16, u64>,
    /// Answers that were neither fine nor a matter of a restart: what was asked, and how it was answered.
    pub odd: Vec<String>,
    pub unanswered: u64,
    /// Of queries that were answered; microseconds.
    pub latencies_us: Vec<u32>,
    pub feed_messages: u64,
    pub feeds_opened: u64,
    pub guests: u64,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        for (status, count) in other.answers {
            *self.answers.entry(status).or_default() += count;
        }
        self.odd.extend(other.odd);
        self.unanswered += other.unanswered;
        self.latencies_us.extend(other.latencies_us);
        self.feed_messages += other.feed_messages;
        self.feeds_opened += other.feeds_opened;
        self.guests += other.guests;
    }
}

/// All of them at work.
pub struct People(JoinSet<Result<Seen>>);

impl People {
    pub fn start(
        place: &Arc<Place>,
        headers: HeaderMap,
        devices: Vec<u64>,
        seed: u64,
        stopped: &watch::Receiver<bool>,
    ) -> People {
        let mut tasks = JoinSet::new();
        for number in 0..ASKING {
            let asking = Asking::new(place, &headers, stopped);
            tasks.spawn(ask(asking, devices.clone(), Rng::new(seed, 1 << 32 | number)));
        }
        for number in 0..FOLLOWING {
            let slow = number == 0;
            tasks.spawn(follow(place.clone(), headers.clone(), slow, stopped.clone()));
        }
        tasks.spawn(host(Asking::new(place, &headers, stopped)));
        People(tasks)
    }

    /// Once all have stopped: what they saw.
    pub async fn join(mut self) -> Result<Seen> {
        let mut all = Seen::default();
        while let Some(seen) = self.0.join_next().await {
            all.add(seen.context("a person's task ended badly")??);
        }
        all.latencies_us.sort_unstable();
        Ok(all)
    }
}

/// Somebody who asks.
struct Asking {
    client: Result<Client>,
    headers: HeaderMap,
    stopped: watch::Receiver<bool>,
    seen: Seen,
}

impl Asking {
    fn new(place: &Place, headers: &HeaderMap, stopped: &watch::Receiver<bool>) -> Asking {
        let client = Server::parse(&place.web).map(Client::new);
        Asking { client, headers: headers.clone(), stopped: stopped.clone(), seen: Seen::default() }
    }

    fn goes_on(&self) -> bool {
        !*self.stopped.borrow()
    }

    /// The answer, if there was one and it was fine.
    async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Option<Value>> {
        let client = self.client.as_mut().map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let begun = Instant::now();
        let Ok(answer) = client.send(method, path, &self.headers, body).await else {
            // It is being restarted.
            self.seen.unanswered += 1;
            tokio::time::sleep(ASK_EVERY).await;
            return Ok(None);
        };
        let status = answer.status.as_u16();
        *self.seen.answers.entry(status).or_default() += 1;
        if !answer.status.is_success() {
            // While it stops it says so.
            if status != 503 {
                self.seen.odd.push(format!("{path}: {status} {}", String::from_utf8_lossy(&answer.body)));
            }
            return Ok(None);
        }
        self.seen.latencies_us.push(begun.elapsed().as_micros() as u32);
        Ok(serde_json::from_slice(&answer.body).ok())
    }
}

async fn ask(mut asking: Asking, devices: Vec<u64>, mut rng: Rng) -> Result<Seen> {
    while asking.goes_on() {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
        let device = devices[(rng.next() % devices.len() as u64) as usize];
        let from_ms = now_ms - (1 << (10 + rng.next() % 22));
        let path = match rng.next() % 9 {
            0 => "/api/v1/devices".into(),
            1 => "/api/v1/summary".into(),
            2 => format!("/api/v1/logs?device={device}&limit=100"),
            3 => "/api/v1/logs?q=%E9%80%9A%E9%81%93&level=error&limit=50".into(),
            4 => "/api/v1/logs/groups".into(),
            5 => "/api/v1/usage?by=day,device".into(),
            6 => "/api/v1/events?limit=100".into(),
            7 => format!(
                "/api/v1/query?tag=fleet&metric=cpu_percent&from_ms={from_ms}&to_ms={now_ms}&points=200"
            ),
            _ => {
                format!("/api/v1/query?device={device}&metric=*&from_ms={from_ms}&to_ms={now_ms}&points=600")
            }
        };
        asking.call(Method::GET, &path, None).await?;
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(asking.seen)
}

/// Adds a device and deletes it, again and again.
async fn host(mut asking: Asking) -> Result<Seen> {
    asking.headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    while asking.goes_on() {
        let guest = json!({"name": format!("guest {}", asking.seen.guests), "tags": [], "notes": ""});
        let added = asking.call(Method::POST, "/api/v1/devices", Some(&guest)).await?;
        tokio::time::sleep(GUEST_EVERY).await;
        if let Some(id) = added.and_then(|added| added["device"]["id"].as_u64()) {
            let path = format!("/api/v1/devices/{id}");
            // Deleted even when a restart was in between.
            while asking.call(Method::DELETE, &path, None).await?.is_none() && asking.goes_on() {
                if asking.seen.odd.pop_if(|odd| odd.starts_with(&format!("{path}: 404"))).is_some() {
                    break;
                }
            }
            asking.seen.guests += 1;
        }
    }
    Ok(asking.seen)
}

async fn follow(
    place: Arc<Place>,
    headers: HeaderMap,
    slow: bool,
    stopped: watch::Receiver<bool>,
) -> Result<Seen> {
    let mut seen = Seen::default();
    while !*stopped.borrow() {
        let addr = place.web.trim_start_matches("http://");
        let mut request = format!("ws://{addr}/api/v1/live").into_client_request()?;
        let cookie = headers.get(COOKIE).context("a session has a cookie")?;
        request.headers_mut().insert(COOKIE, cookie.clone());
        request.headers_mut().insert(ORIGIN, place.web.parse()?);
        let opened = async {
            let stream = TcpStream::connect(addr).await?;
            let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
            let all = json!({"subscribe": {"devices": "all", "metrics": ["cpu_percent", "memory_used"]}});
            socket.send(Message::text(all.to_string())).await?;
            anyhow::Ok(socket)
        };
        let Ok(mut socket) = opened.await else {
            tokio::time::sleep(ASK_EVERY).await;
            continue;
        };
        seen.feeds_opened += 1;
        while !*stopped.borrow() {
            let next = tokio::time::timeout(Duration::from_secs(1), socket.next()).await;
            match next {
                // Nothing for a second: perhaps it is stopping.
                Err(_) => {}
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => break,
                Ok(Some(Ok(_))) => {
                    seen.feed_messages += 1;
                    if slow {
                        tokio::time::sleep(SLOW_READ).await;
                    }
                }
            }
        }
    }
    Ok(seen)
}
