//! A server with a clock that stands until it is moved, and people who use it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use store::{
    Batch, Column, CostBasis, DeviceId, Kind, Level, LogLine, Presence, Rows, Store, Timestamp, UsageEvent,
};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::http::{Answer, send};

pub const START_MS: Timestamp = 1_795_343_922_420;
pub const TOKEN: &str = "the-one-time-token";
pub const PASSWORD: &str = "correct horse";

/// Far longer than anything here takes: a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Server {
    pub addr: SocketAddr,
    pub store: Arc<Store>,
    clock: Arc<AtomicI64>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Server {
    /// Without an account.
    pub async fn new() -> Server {
        Server::with(|_| {}).await
    }

    pub async fn with(edit: impl FnOnce(&mut query::Options)) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let open = move || Store::open(store::Options::new(path), START_MS);
        let store = Arc::new(tokio::task::spawn_blocking(open).await.unwrap().unwrap());
        let clock = Arc::new(AtomicI64::new(START_MS));
        let mut options = query::Options {
            clock: Arc::new({
                let clock = clock.clone();
                move || clock.load(Ordering::SeqCst)
            }),
            sign_up_token: Some(TOKEN.into()),
            public_url: None,
            ingest_url: None,
            ingest_port: 38889,
            transport: query::Transport::default(),
            limits: query::Options::limits(),
        };
        edit(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let run = query::run(listener, store.clone(), options, stopping);
        let task = tokio::spawn(async move { run.await.unwrap() });
        Server { addr, store, clock, stop, task, _dir: dir }
    }

    /// With an account, which is signed in.
    pub async fn signed_in() -> (Server, Person) {
        let server = Server::new().await;
        let admin = server.set_up().await;
        (server, admin)
    }

    pub async fn set_up(&self) -> Person {
        let body = json!({"token": TOKEN, "username": "admin", "password": PASSWORD});
        Person::from(self, &self.post("/api/v1/setup", &body).await, 201)
    }

    pub async fn sign_in(&self, username: &str, password: &str) -> Person {
        let body = json!({"username": username, "password": password});
        Person::from(self, &self.post("/api/v1/session", &body).await, 200)
    }

    pub fn move_clock(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn now(&self) -> Timestamp {
        self.clock.load(Ordering::SeqCst)
    }

    /// As somebody who is not signed in.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.addr, "GET", path, &[], b"").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.addr, "POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
            .await
    }

    /// Stores one row, as ingest does; returns once it is on disk.
    pub async fn report(&self, device: u32, t_ms: Timestamp, values: &[(&str, f64)]) {
        self.submit(self.batch(device, t_ms, values)).await;
    }

    pub async fn log(&self, device: u32, t_ms: Timestamp, level: Level, message: &str) {
        let line = LogLine { t_ms, level, source: "gateway".into(), message: message.into() };
        self.submit(Batch { logs: vec![line], ..self.batch(device, t_ms, &[]) }).await;
    }

    /// A message of agent `main` and provider `acme`; without a cost it is priced by the table.
    pub async fn spend(&self, device: u32, t_ms: Timestamp, model: &str, tokens: u64, cost_usd: Option<f64>) {
        let usage = UsageEvent {
            event_id: format!("{t_ms} {model} {tokens}"),
            t_ms,
            agent: "main".into(),
            provider: "acme".into(),
            model: model.into(),
            input: tokens,
            output: 0,
            cache_read: 0,
            cache_write: 0,
            cost_usd,
            cost_basis: if cost_usd.is_some() { CostBasis::Reported } else { CostBasis::Unknown },
        };
        self.submit(Batch { usage: vec![usage], ..self.batch(device, t_ms, &[]) }).await;
    }

    /// A report with one row, or none.
    pub fn batch(&self, device: u32, t_ms: Timestamp, values: &[(&str, f64)]) -> Batch {
        let column = |(metric, value): &(&str, f64)| Column {
            metric: metric.to_string(),
            kind: if metric.ends_with("_total") { Kind::Counter } else { Kind::Gauge },
            values: vec![*value],
            present: Presence::All,
        };
        let columns: Vec<Column> = values.iter().map(column).collect();
        let t_ms = if columns.is_empty() { Vec::new() } else { vec![t_ms] };
        Batch {
            interval_ms: Some(1_000),
            states: vec![("gateway".into(), "running".into())],
            rows: Rows { t_ms, columns },
            ..Batch::new(DeviceId(device), self.now())
        }
    }

    /// Stores a report, as ingest does; returns once it is on disk.
    pub async fn submit(&self, batch: Batch) {
        let (reply, receipt) = oneshot::channel();
        self.store.submit(batch, Box::new(move |result| reply.send(result).unwrap())).unwrap();
        receipt.await.unwrap().unwrap();
    }

    /// Stops the port and waits for its end.
    pub async fn stop(mut self) {
        self.stop.send(true).unwrap();
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.store.close();
    }
}

/// Somebody who is signed in.
#[derive(Clone)]
pub struct Person {
    pub addr: SocketAddr,
    pub cookie: String,
    pub csrf: String,
}

impl Person {
    /// From the answer to signing in or up.
    #[track_caller]
    pub fn from(server: &Server, answer: &Answer, status: u16) -> Person {
        let body = answer.expect(status);
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_string();
        Person { addr: server.addr, cookie, csrf: body["csrf_token"].as_str().unwrap().into() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.addr, "GET", path, &[("cookie", &self.cookie)], b"").await
    }

    /// Asks again and again until the answer is as wanted: the store writes logs and events after it acknowledged.
    #[track_caller]
    pub fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> impl Future<Output = Value> {
        let (person, path, caller) = (self.clone(), path.to_string(), std::panic::Location::caller());
        async move {
            let asking = async {
                loop {
                    let answer = person.get(&path).await.expect(200);
                    if wanted(&answer) {
                        return answer;
                    }
                }
            };
            timeout(PATIENCE, asking)
                .await
                .unwrap_or_else(|_| panic!("{path} is never as wanted at {caller}"))
        }
    }

    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("x-csrf-token", &self.csrf),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(self.addr, method, path, &headers, body.as_bytes()).await
    }

    /// Makes an account and signs it in.
    pub async fn with_account(&self, server: &Server, username: &str, role: &str) -> Person {
        let new = json!({"username": username, "password": PASSWORD, "role": role});
        self.send("POST", "/api/v1/users", &new).await.expect(201);
        server.sign_in(username, PASSWORD).await
    }

    /// Makes an API token.
    pub async fn token(&self, scope: &str) -> Token {
        let new = json!({"name": "test", "scope": scope});
        let made = self.send("POST", "/api/v1/tokens", &new).await.expect(201);
        let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
        Token { addr: self.addr, id: made["api_token"]["id"].as_i64().unwrap(), bearer }
    }

    /// Adds a device; its number and key.
    pub async fn add_device(&self, name: &str) -> (u32, String) {
        let added = self.send("POST", "/api/v1/devices", &json!({"name": name})).await.expect(201);
        (added["device"]["id"].as_u64().unwrap() as u32, added["api_key"].as_str().unwrap().to_string())
    }
}

/// A script.
#[derive(Clone)]
pub struct Token {
    pub addr: SocketAddr,
    pub id: i64,
    pub bearer: String,
}

impl Token {
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let headers = [("authorization", self.bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(self.addr, method, path, &headers, body.as_bytes()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &Value::Null).await
    }
}

/// Are there this many log lines?
pub fn logs(count: usize) -> impl Fn(&Value) -> bool {
    move |page| page["logs"].as_array().is_some_and(|logs| logs.len() == count)
}
