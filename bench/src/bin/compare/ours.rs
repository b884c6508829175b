//! This server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::client::{Client, Server};
use bench::devices::Web;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::task::JoinSet;

use crate::engine::{ASKED, Engine, PATIENCE, PROBE, Query, Running};

const PASSWORD: &str = "a password for measuring";
/// Single reports on their way at once: as many devices report at the same moment.
const SINGLES_AT_ONCE: usize = 32;

/// See the module.
pub struct Ours {
    program: PathBuf,
    folder: PathBuf,
    running: Option<Running>,
    web: Option<Web>,
    ingest: Option<Server>,
    client: Option<Client>,
    keys: Vec<String>,
    idle: Vec<Client>,
    singles: JoinSet<Result<Client>>,
}

impl Ours {
    /// With a folder that does not exist yet.
    pub fn new(program: &Path, folder: &Path) -> Ours {
        Ours {
            program: program.into(),
            folder: folder.into(),
            running: None,
            web: None,
            ingest: None,
            client: None,
            keys: Vec::new(),
            idle: Vec::new(),
            singles: JoinSet::new(),
        }
    }

    fn web(&mut self) -> Result<&mut Web> {
        self.web.as_mut().context("it does not run")
    }

    async fn report(client: &mut Client, key: &str, rows: wire::Rows) -> Result<()> {
        let report = wire::Report { rows, ..wire::Report::default() };
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {key}").parse()?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire::FRAME_CONTENT_TYPE));
        let body = Bytes::from(wire::frame::encode(&report)?);
        let answer = client.send(Method::POST, "/api/v1/report", &headers, body).await?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(
            answer.status == StatusCode::OK && text.contains("\"rejected\":0"),
            "{}: {text}",
            answer.status
        );
        Ok(())
    }
}

impl Engine for Ours {
    const NAME: &'static str = "OpenClaw Watch";

    async fn start(&mut self, devices: u32) -> Result<u32> {
        let mut command = Command::new(&self.program);
        command.arg("--data-dir").arg(&self.folder).args(["--web-listen", "127.0.0.1:0"]);
        let mut running = Running::start(command.args(["--ingest-listen", "127.0.0.1:0"]))?;
        let lines = running.lines_until("Ready: ")?;
        let ready = lines.last().and_then(|line| line.strip_prefix("Ready: web ")).unwrap_or_default();
        let (web, ingest) = ready.split_once(", ingest ").context("it prints no addresses")?;
        let (web, ingest) = (format!("http://{web}"), format!("http://{ingest}"));
        self.ingest = Some(Server::parse(&ingest)?);
        self.client = self.ingest.map(Client::new);
        self.idle.clear();
        match self.web.take() {
            Some(before) => self.web = Some(before.moved_to(&web)?),
            None => {
                let token =
                    lines.iter().find_map(|line| line.split_once("token=")).context("no sign-up link")?.1;
                let mut signed_in = Web::sign_up(&web, token, "measurer", PASSWORD).await?;
                // One more than needed: it is deleted to have everything sealed.
                self.keys = signed_in.add_devices(devices + 1).await?;
                self.web = Some(signed_in);
            }
        }
        let pid = running.pid();
        self.running = Some(running);
        Ok(pid)
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    async fn send_batch(&mut self, device: usize, rows: &wire::Rows) -> Result<()> {
        let client = self.client.as_mut().context("it does not run")?;
        Ours::report(client, &self.keys[device], rows.clone()).await
    }

    async fn send_single(&mut self, device: usize, rows: &wire::Rows) -> Result<()> {
        let mut client = match self.idle.pop() {
            Some(client) => client,
            None if self.singles.len() < SINGLES_AT_ONCE => {
                Client::new(self.ingest.context("it does not run")?)
            }
            None => self.singles.join_next().await.context("there is one under way")???,
        };
        let (key, rows) = (self.keys[device].clone(), rows.clone());
        self.singles.spawn(async move {
            Ours::report(&mut client, &key, rows).await?;
            Ok(client)
        });
        Ok(())
    }

    async fn finish_singles(&mut self) -> Result<()> {
        while let Some(client) = self.singles.join_next().await {
            self.idle.push(client??);
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<()> {
        let spare = self.keys.len();
        let web = self.web()?;
        // A deletion closes the open generation, so that the device's bytes leave the tail soon.
        web.delete_device(&format!("fleet-{spare:04}")).await?;
        let begun = Instant::now();
        while web.get("/api/v1/storage").await?["head_samples"].as_u64() != Some(0) {
            ensure!(begun.elapsed() < PATIENCE, "it has not sealed everything after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.running.as_ref().context("it does not run")?.wait_until_idle().await
    }

    async fn stored_bytes(&mut self) -> Result<u64> {
        // With the file's own overhead, and what its log still holds.
        let file =
            |name: &str| std::fs::metadata(self.folder.join(name)).map_or(0, |metadata| metadata.len());
        Ok(file("chunks.db") + file("chunks.db-wal"))
    }

    async fn ask(&mut self, query: Query, (_, to): (i64, i64)) -> Result<()> {
        let devices: String = (1..self.keys.len()).map(|n| format!("&device={n}")).collect();
        let history = |hours: i64, devices: &str, points: u32| {
            let from = to - hours * 3_600_000;
            format!("/api/v1/query?metric={ASKED}{devices}&from_ms={from}&to_ms={to}&points={points}&agg=avg")
        };
        let path = match query {
            Query::HourOfOneSeries => history(1, "&device=1", 5_000),
            Query::DayOfOneSeries => history(24, "&device=1", 289),
            Query::DayOfEveryDevice => history(24, &devices, 289),
            Query::Latest => "/api/v1/devices".to_string(),
        };
        let answer = self.web()?.get(&path).await?;
        let enough = match query {
            Query::Latest => answer["devices"].as_array().is_some_and(|devices| !devices.is_empty()),
            _ => answer["series"][0]["avg"].as_array().is_some_and(|values| values.len() >= 2),
        };
        ensure!(enough, "{}: {answer}", query.name());
        Ok(())
    }

    async fn send_probe(&mut self, t_ms: i64) -> Result<()> {
        let mut rows = wire::RowsBuilder::default();
        rows.push(t_ms, [(PROBE, wire::Kind::Gauge, 1.0)]);
        let client = self.client.as_mut().context("it does not run")?;
        Ours::report(client, &self.keys[0], rows.finish()).await
    }

    async fn count_probes(&mut self, (from, to): (i64, i64)) -> Result<usize> {
        let path =
            format!("/api/v1/query?device=1&metric={PROBE}&from_ms={from}&to_ms={to}&points=5000&agg=last");
        let answer = self.web()?.get(&path).await?;
        Ok(answer["t_ms"].as_array().map_or(0, Vec::len))
    }

    async fn stop(&mut self) -> Result<()> {
        self.running.take().context("it does not run")?.stop()
    }

    async fn kill(&mut self) -> Result<()> {
        self.running.take().context("it does not run")?.kill()
    }
}
