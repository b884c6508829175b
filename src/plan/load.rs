//! Reports like those of agents against an ingest port of this process, and what they cost it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mix::Device;
use mix::rig::Rig;
use sha2::{Digest, Sha256};
use store::Timestamp;

use super::calibrate::{START, cpu_of};

/// Threads that work for the server here; the load's are called otherwise.
const SERVER_THREADS: [&str; 5] = ["writer", "sealer", "recorder", "maintain", "ingest"];
/// The rows of a load are this much older than the port's clock at first: none is in the future.
const AGE_MS: i64 = 24 * 3_600_000;

/// How the load is.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Devices, each with a connection of its own.
    pub devices: u64,
    pub metrics: usize,
    pub lasts: Duration,
    /// Pause of a device after each answer.
    pub pause: Option<Duration>,
}

/// What it came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cost {
    pub reports: f64,
    /// Synced commits.
    pub commits: f64,
    pub took_s: f64,
    pub cpu_s: f64,
    pub in_bytes: f64,
    pub out_bytes: f64,
    pub tail_bytes: f64,
}

/// Reports of one row each over HTTP, into a folder of its own.
pub fn run(dir: &Path, load: Load) -> Result<Cost> {
    let key_hash = |number| Sha256::digest(key(number)).into();
    let Rig { store, devices } = Rig::new(dir, load.devices, load.metrics, key_hash, START)?;
    let store = Arc::new(store);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("ingest").build()?;
    let mut options = ingest::Options::new(Arc::new(|| START));
    options.reports = ingest::Rate { per_second: 1e9, burst: NonZeroU32::MAX };
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let (address, served) = {
        let _entered = runtime.enter();
        let listener = ingest::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        (address, runtime.spawn(ingest::run(listener, store.clone(), options, stopping)))
    };
    let empty = tail_bytes(dir)?;
    let (cpu, begin) = (cpu_of(&SERVER_THREADS)?, Instant::now());
    let until = begin + load.lasts;
    let mut cost = Cost::default();
    std::thread::scope(|scope| -> Result<()> {
        let mut loads = Vec::new();
        for (number, (_, device)) in devices.into_iter().enumerate() {
            let play = move || play(address, number as u64, device, until, load.pause);
            loads.push(std::thread::Builder::new().name("load".into()).spawn_scoped(scope, play)?);
        }
        for load in loads {
            let part = load.join().map_err(|_| anyhow::anyhow!("a thread of the load ended early"))??;
            cost.reports += part.reports;
            cost.in_bytes += part.in_bytes;
            cost.out_bytes += part.out_bytes;
        }
        Ok(())
    })?;
    cost.took_s = begin.elapsed().as_secs_f64();
    cost.cpu_s = (cpu_of(&SERVER_THREADS)? - cpu).as_secs_f64();
    // Nobody listens any more when the port ended by itself.
    let _ = stop.send(true);
    runtime.block_on(served).context("the port ended early")?;
    store.close();
    cost.tail_bytes = (tail_bytes(dir)? - empty).max(0.0);
    let tail = rusqlite::Connection::open(dir.join("tail.db"))?;
    cost.commits = tail.query_row("SELECT coalesce(max(id), 0) FROM batch_group", [], |row| row.get(0))?;
    ensure!(cost.reports > 0.0 && cost.commits > 0.0, "no report was answered in {:?}", load.lasts);
    Ok(cost)
}

fn key(number: u64) -> String {
    format!("ocw_{number}")
}

fn tail_bytes(dir: &Path) -> Result<f64> {
    Ok(std::fs::metadata(dir.join("tail.db"))?.len() as f64)
}

fn play(
    address: SocketAddr,
    number: u64,
    mut device: Device,
    until: Instant,
    pause: Option<Duration>,
) -> Result<Cost> {
    let mut client = Client::new(address, &key(number))?;
    let mut cost = Cost::default();
    while Instant::now() < until {
        cost.reports += 1.0;
        let seq = cost.reports as u64;
        let (sent, received) = client.report(&mut device, number, seq, START - AGE_MS + seq as i64)?;
        cost.in_bytes += sent as f64;
        cost.out_bytes += received as f64;
        if let Some(pause) = pause {
            std::thread::sleep(pause);
        }
    }
    Ok(cost)
}

/// One kept connection.
struct Client {
    stream: TcpStream,
    head: String,
    answer: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr, key: &str) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let head = format!(
            "POST /api/v1/report HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\ncontent-type: {}\r\n",
            wire::FRAME_CONTENT_TYPE
        );
        Ok(Client { stream, head, answer: Vec::new() })
    }

    /// Sends one row; the bytes that went out and came back.
    fn report(
        &mut self,
        device: &mut Device,
        number: u64,
        seq: u64,
        t_ms: Timestamp,
    ) -> Result<(usize, usize)> {
        let mut boot = [0; 16];
        boot[..8].copy_from_slice(&number.to_le_bytes());
        let report = wire::Report {
            agent: wire::AgentInfo {
                version: env!("CARGO_PKG_VERSION").into(),
                boot: Some((wire::BootId(boot), seq)),
                interval_s: Some(10),
            },
            rows: device.rows(t_ms, 1, 1),
            ..wire::Report::default()
        };
        let body = wire::frame::encode(&report)?;
        let mut request = format!("{}content-length: {}\r\n\r\n", self.head, body.len()).into_bytes();
        request.extend_from_slice(&body);
        self.stream.write_all(&request)?;
        Ok((request.len(), self.read_answer()?))
    }

    fn read_answer(&mut self) -> Result<usize> {
        self.answer.clear();
        let mut buffer = [0; 4_096];
        loop {
            let count = self.stream.read(&mut buffer)?;
            ensure!(count > 0, "the port closed the connection");
            self.answer.extend_from_slice(&buffer[..count]);
            let Some(end) = self.answer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.answer[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.context("an answer without its length")?.trim().parse()?;
            if self.answer.len() >= end + 4 + length {
                ensure!(head.starts_with("http/1.1 200"), "{}", String::from_utf8_lossy(&self.answer));
                return Ok(self.answer.len());
            }
        }
    }
}
