//! VictoriaMetrics, single node.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::client::{Client, Server};
use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::engine::{ASKED, Engine, PATIENCE, PROBE, Query, Running};

/// See the module.
pub struct Victoria {
    program: PathBuf,
    folder: PathBuf,
    running: Option<Running>,
    client: Option<Client>,
}

impl Victoria {
    /// With a folder that does not exist yet.
    pub fn new(program: &Path, folder: &Path) -> Victoria {
        Victoria { program: program.into(), folder: folder.into(), running: None, client: None }
    }

    async fn call(&mut self, method: Method, path: &str, body: String) -> Result<Bytes> {
        let client = self.client.as_mut().context("it does not run")?;
        let answer = client.send(method, path, &HeaderMap::new(), Bytes::from(body)).await?;
        ensure!(answer.status.is_success(), "{path}: {}", answer.status);
        Ok(answer.body)
    }

    async fn get(&mut self, path: &str) -> Result<Bytes> {
        self.call(Method::GET, path, String::new()).await
    }
}

impl Engine for Victoria {
    const NAME: &'static str = "VictoriaMetrics";

    async fn start(&mut self, _devices: u32) -> Result<u32> {
        // Freed at once: the program takes it next.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(&self.program);
        command.arg(format!("-storageDataPath={}", self.folder.display()));
        command.arg(format!("-httpListenAddr=127.0.0.1:{port}")).arg("-retentionPeriod=10y");
        let running = Running::start(&mut command)?;
        self.client = Some(Client::new(Server::parse(&format!("http://127.0.0.1:{port}"))?));
        let begun = Instant::now();
        while self.get("/health").await.is_err() {
            ensure!(begun.elapsed() < PATIENCE, "it does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let pid = running.pid();
        self.running = Some(running);
        Ok(pid)
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    async fn send_batch(&mut self, device: usize, rows: &wire::Rows) -> Result<()> {
        let mut body = String::new();
        for column in &rows.columns {
            write!(body, r#"{{"metric":{{"__name__":"{}","device":"{device}"}},"values":["#, column.name)?;
            let present: Vec<usize> = (0..rows.t_ms.len()).filter(|&i| column.present.has(i)).collect();
            for (i, &row) in present.iter().enumerate() {
                write!(body, "{}{}", if i > 0 { "," } else { "" }, column.values[row])?;
            }
            body.push_str(r#"],"timestamps":["#);
            for (i, &row) in present.iter().enumerate() {
                write!(body, "{}{}", if i > 0 { "," } else { "" }, rows.t_ms[row])?;
            }
            body.push_str("]}\n");
        }
        self.call(Method::POST, "/api/v1/import", body).await.map(drop)
    }

    async fn send_single(&mut self, device: usize, rows: &wire::Rows) -> Result<()> {
        let mut body = format!("agent,device={device} ");
        for (i, column) in rows.columns.iter().enumerate() {
            write!(body, "{}{}={}", if i > 0 { "," } else { "" }, column.name, column.values[0])?;
        }
        // Nanoseconds by default.
        writeln!(body, " {}000000", rows.t_ms[0])?;
        self.call(Method::POST, "/write", body).await.map(drop)
    }

    async fn finish_singles(&mut self) -> Result<()> {
        Ok(())
    }

    async fn settle(&mut self) -> Result<()> {
        self.get("/internal/force_flush").await?;
        self.get("/internal/force_merge").await?;
        self.running.as_ref().context("it does not run")?.wait_until_idle().await
    }

    async fn stored_bytes(&mut self) -> Result<u64> {
        bench::process::folder_bytes(&self.folder.join("data"))
    }

    async fn ask(&mut self, query: Query, (_, to): (i64, i64)) -> Result<()> {
        let to = to / 1_000;
        let steps = |expression: &str| {
            let from = to - 24 * 3_600;
            // Without its cache of answers: the same question again must be work again.
            format!("/api/v1/query_range?query={expression}&start={from}&end={to}&step=300&nocache=1")
        };
        let path = match query {
            Query::HourOfOneSeries => {
                format!("/api/v1/query?query={ASKED}%7Bdevice=%220%22%7D%5B1h%5D&time={to}")
            }
            Query::DayOfOneSeries => steps(&format!("avg_over_time({ASKED}%7Bdevice=%220%22%7D%5B5m%5D)")),
            Query::DayOfEveryDevice => steps(&format!("avg_over_time({ASKED}%5B5m%5D)")),
            Query::Latest => format!("/api/v1/query?query=%7Bdevice!=%22%22%7D&time={to}&nocache=1"),
        };
        let answer = self.get(&path).await?;
        let parsed: serde_json::Value = serde_json::from_slice(&answer)?;
        let found = parsed["data"]["result"].as_array().map_or(0, Vec::len);
        ensure!(found > 0, "{}: nothing was found", query.name());
        Ok(())
    }

    async fn send_probe(&mut self, t_ms: i64) -> Result<()> {
        let body =
            format!("{{\"metric\":{{\"__name__\":\"{PROBE}\"}},\"values\":[1],\"timestamps\":[{t_ms}]}}\n");
        self.call(Method::POST, "/api/v1/import", body).await.map(drop)
    }

    async fn count_probes(&mut self, (from, to): (i64, i64)) -> Result<usize> {
        let path = format!("/api/v1/export?match[]={PROBE}&start={from}&end={to}");
        let answer = self.get(&path).await?;
        let mut count = 0;
        for line in answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let series: serde_json::Value = serde_json::from_slice(line)?;
            count += series["timestamps"].as_array().map_or(0, Vec::len);
        }
        Ok(count)
    }

    async fn stop(&mut self) -> Result<()> {
        self.running.take().context("it does not run")?.stop()
    }

    async fn kill(&mut self) -> Result<()> {
        self.running.take().context("it does not run")?.kill()
    }
}
