//! A port with a store behind it, a clock to move, and a client that writes its requests byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ingest::Options;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{DeviceId, DeviceProfile, LogEntry, LogQuery, RangeQuery, Store, TimeRange, Timestamp};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// When the tests happen.
pub const NOW: Timestamp = 1_800_000_000_000;

/// Longer than any answer takes.
const NEVER: Duration = Duration::from_secs(30);

pub struct Clock(AtomicI64);

impl Clock {
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

pub struct Rig {
    pub store: Arc<Store>,
    pub device: DeviceId,
    pub key: String,
    pub clock: Arc<Clock>,
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    dir: TempDir,
}

impl Rig {
    pub async fn start() -> Rig {
        Rig::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(store::Options::new(dir.path()), NOW).unwrap();
        let key = "ocw_right".to_string();
        let device = add_device(&store, "nas", &key);
        Rig::serve(dir, Arc::new(store), device, key, change).await
    }

    async fn serve(
        dir: TempDir,
        store: Arc<Store>,
        device: DeviceId,
        key: String,
        change: impl FnOnce(&mut Options),
    ) -> Rig {
        let clock = Arc::new(Clock(AtomicI64::new(NOW)));
        let now = clock.clone();
        let mut options = Options::new(Arc::new(move || now.0.load(Ordering::Relaxed)));
        change(&mut options);
        let listener = ingest::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(ingest::run(listener, store.clone(), options, stopped));
        Rig { store, device, key, clock, addr, stop, task, dir }
    }

    /// Stops the port and the store, and starts both again on the same folder.
    pub async fn restart_store(self) -> Rig {
        self.stop.send(true).unwrap();
        tokio::time::timeout(NEVER, self.task).await.expect("never ended").unwrap();
        self.store.close();
        drop(self.store);
        let frames: store::FrameReader = Arc::new(ingest::read_frame);
        let options = store::Options { frames: Some(frames), ..store::Options::new(self.dir.path()) };
        let store = Store::open(options, NOW).unwrap();
        Rig::serve(self.dir, Arc::new(store), self.device, self.key, |_| {}).await
    }

    pub fn add_device(&self, name: &str, key: &str) -> DeviceId {
        add_device(&self.store, name, key)
    }

    pub fn with_key(&self, headers: &str) -> String {
        format!("{headers}authorization: Bearer {}\r\n", self.key)
    }

    pub async fn report(&self, body: &Value) -> Answer {
        let headers = self.with_key("content-type: application/json\r\n");
        self.post("/api/v1/report", &headers, body.to_string().as_bytes()).await
    }

    pub async fn post(&self, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.send(&request).await
    }

    /// Sends these bytes and reads until the server closes.
    pub async fn send(&self, request: &[u8]) -> Answer {
        let exchange = async {
            let mut stream = TcpStream::connect(self.addr).await.unwrap();
            stream.write_all(request).await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            bytes
        };
        let bytes = tokio::time::timeout(NEVER, exchange).await.expect("never answered");
        Answer::parse(&String::from_utf8(bytes).unwrap())
    }

    /// What is stored of a metric of the device.
    pub fn values(&self, metric: &str) -> Vec<(Timestamp, f64)> {
        let query = RangeQuery {
            devices: vec![self.device],
            metrics: vec![metric.to_string()],
            range: TimeRange::new(NOW - 3_600_000, NOW + 3_600_000).unwrap(),
            points: 5_000,
        };
        let answer = self.store.query(&query).unwrap();
        assert_eq!(answer.step_ms, 0);
        let Some(series) = answer.series.first() else { return Vec::new() };
        let times = answer.t_ms.iter().zip(&series.buckets);
        times.filter(|(_, bucket)| bucket.count > 0).map(|(t_ms, bucket)| (*t_ms, bucket.last)).collect()
    }

    /// The log lines of a device, once there are `count`: they are searchable a moment after they are on disk.
    pub async fn logs_of(&self, device: DeviceId, count: usize) -> Vec<LogEntry> {
        let query = LogQuery { device: Some(device), limit: 100, ..LogQuery::default() };
        let found = async {
            let mut again = tokio::time::interval(Duration::from_millis(5));
            loop {
                again.tick().await;
                let entries = self.store.logs(&query).unwrap().entries;
                if entries.len() >= count {
                    return entries;
                }
            }
        };
        tokio::time::timeout(NEVER, found).await.expect("the lines never came")
    }
}

fn add_device(store: &Store, name: &str, key: &str) -> DeviceId {
    let profile = DeviceProfile { name: name.to_string(), ..DeviceProfile::default() };
    store.add_device(profile, Sha256::digest(key.as_bytes()).into(), NOW).unwrap()
}

pub struct Answer {
    pub status: u16,
    pub body: String,
    head: String,
}

impl Answer {
    fn parse(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, body: body.to_string(), head: head.to_string() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json; charset=utf-8"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A report of one value.
pub fn report_of(t_ms: Timestamp, metric: &str, value: f64) -> Value {
    json!({"rows": [{"t_ms": t_ms, "v": {metric: value}}]})
}

/// A frame with that number and `rows` rows from `t_ms` on, one a second.
pub fn frame(seq: u64, t_ms: Timestamp, rows: i64) -> Vec<u8> {
    let mut builder = wire::RowsBuilder::default();
    for i in 0..rows {
        builder.push(t_ms + i * 1_000, [("cpu_percent", wire::Kind::Gauge, 10.0 + i as f64)]);
    }
    let agent = wire::AgentInfo { boot: Some((wire::BootId([9; 16]), seq)), ..wire::AgentInfo::default() };
    let report = wire::Report { agent, rows: builder.finish(), ..wire::Report::default() };
    wire::frame::encode(&report).unwrap()
}
