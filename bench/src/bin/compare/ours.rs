//! This server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bench::client::{Answer, Server};
use bench::devices::{TAG, Web};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use crate::engine::{ASKED, Asked, Engine, Form, Native, Query, Range};
use crate::numbers;
use crate::pool::Call;
use bench::running::{PATIENCE, Running};

const PASSWORD: &str = "a password for measuring";
/// As long as the other engine keeps its rows; by default older ones than 30 days would be refused.
const RETENTION_DAYS: &str = "3650";
/// The device that is deleted to have everything sealed.
const SEALER: &str = "to be deleted";
/// Samples and rollups.
const CHUNKS: &str = "chunks.db";

/// See the module.
pub struct Ours {
    program: PathBuf,
    folder: PathBuf,
    running: Option<Running>,
    web: Option<Web>,
    servers: Option<(Server, Server)>,
    /// Key of each device, and the reports made of it so far.
    devices: Vec<(String, u64)>,
}

impl Ours {
    fn session(&mut self) -> Result<&mut Web> {
        self.web.as_mut().context("it does not run")
    }

    async fn storage(&mut self) -> Result<Value> {
        self.session()?.get("/api/v1/storage").await
    }
}

impl Engine for Ours {
    const NAME: &'static str = "OpenClaw Watch";
    const FORMS: &'static [Form] = &[Form::Frame, Form::Json];
    const SINGLE: Form = Form::Frame;
    const PROMISE: &'static str = "synced";
    const NATIVE: Option<Native> = None;

    fn new(program: &Path, folder: &Path) -> Ours {
        Ours {
            program: program.into(),
            folder: folder.into(),
            running: None,
            web: None,
            servers: None,
            devices: Vec::new(),
        }
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    async fn start(&mut self, devices: usize) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("--data-dir").arg(&self.folder).args(["--web-listen", "127.0.0.1:0"]);
        command.args(["--ingest-listen", "127.0.0.1:0", "--retention-raw-days", RETENTION_DAYS]);
        let mut running = Running::start(&mut command)?;
        let lines = running.lines_until("Ready: ")?;
        let ready = lines.last().and_then(|line| line.strip_prefix("Ready: web ")).unwrap_or_default();
        let (web, ingest) = ready.split_once(", ingest ").context("it prints no addresses")?;
        let (web, ingest) = (format!("http://{web}"), format!("http://{ingest}"));
        self.servers = Some((Server::parse(&web)?, Server::parse(&ingest)?));
        match self.web.take() {
            Some(before) => self.web = Some(before.moved_to(&web)?),
            None => {
                let token =
                    lines.iter().find_map(|line| line.split_once("token=")).context("no sign-up link")?.1;
                let mut session = Web::sign_up(&web, token, "measurer", PASSWORD).await?;
                let keys = session.add_devices(u32::try_from(devices)?).await?;
                self.devices = keys.into_iter().map(|key| (key, 0)).collect();
                self.web = Some(session);
            }
        }
        self.running = Some(running);
        Ok(())
    }

    fn running(&self) -> Result<&Running> {
        self.running.as_ref().context("it does not run")
    }

    async fn end(&mut self, clean: bool) -> Result<()> {
        let running = self.running.take().context("it does not run")?;
        if clean { running.stop() } else { running.kill() }
    }

    async fn settle(&mut self) -> Result<()> {
        let web = self.session()?;
        // A deletion closes the open generation, so that the device's bytes leave the tail soon.
        web.add_device(SEALER, &[]).await?;
        web.delete_device(SEALER).await?;
        let begun = Instant::now();
        while self.storage().await?["head_samples"].as_u64() != Some(0) {
            ensure!(begun.elapsed() < PATIENCE, "it has not sealed everything after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.running()?.wait_until_idle().await
    }

    async fn rollup_bytes(&mut self) -> Result<u64> {
        let storage = self.storage().await?;
        let tiers = storage["tiers"].as_array().context("there are no tiers in the answer")?;
        Ok(tiers.iter().filter(|tier| tier["tier"] != "raw").filter_map(|tier| tier["bytes"].as_u64()).sum())
    }

    fn stored_bytes(&self) -> Result<u64> {
        let path = self.folder.join(CHUNKS);
        // What SQLite's log holds beside the file, as a bounded ring that is there with few samples and with many, goes
        // into the file: closing the last connection does that.
        let file = rusqlite::Connection::open(&path)?;
        file.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        file.close().map_err(|(_, error)| error)?;
        Ok(path.metadata()?.len())
    }

    fn ingest(&self) -> Result<Server> {
        Ok(self.servers.context("it does not run")?.1)
    }

    fn report(&mut self, form: Form, device: usize, rows: &wire::Rows) -> Result<Call> {
        let (key, seq) = self.devices.get_mut(device).context("there is no such device")?;
        *seq += 1;
        report(form, key, device, *seq, rows)
    }

    fn accepted(answer: &Answer) -> Result<()> {
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(
            answer.status == StatusCode::OK && text.contains("\"rejected\":0"),
            "{}: {text}",
            answer.status
        );
        Ok(())
    }

    fn web(&self) -> Result<Server> {
        Ok(self.servers.context("it does not run")?.0)
    }

    fn question(&self, query: Query, asked: Asked) -> Result<Call> {
        let headers = self.web.as_ref().context("it does not run")?.headers();
        Ok(Call::get(question(query, asked), headers.clone()))
    }

    fn values(query: Query, answer: &Answer) -> Result<usize> {
        ensure!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
        values(query, &answer.body)
    }

    fn column_question(&self, device: usize, metric: &str, (from, to): Range) -> Result<Call> {
        let headers = self.web.as_ref().context("it does not run")?.headers();
        let device = device + 1;
        let path = format!(
            "/api/v1/query?device={device}&metric={metric}&from_ms={from}&to_ms={to}&points=5000&agg=last"
        );
        Ok(Call::get(path, headers.clone()))
    }

    fn column(answer: &Answer) -> Result<Vec<(i64, f64)>> {
        ensure!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
        let text = std::str::from_utf8(&answer.body)?;
        // A range in which the metric is not known has times of other metrics and no series.
        if !text.contains("\"last\":[") {
            return Ok(Vec::new());
        }
        let times: Vec<i64> = numbers::list(text, "t_ms")?;
        let values: Vec<f64> = numbers::list(text, "last")?;
        ensure!(times.len() == values.len(), "{} times and {} values", times.len(), values.len());
        Ok(times.into_iter().zip(values).collect())
    }
}

/// What an agent would send: with its start and number, by which a report that is sent twice counts once.
fn report(form: Form, key: &str, device: usize, seq: u64, rows: &wire::Rows) -> Result<Call> {
    let mut boot = wire::BootId::default();
    boot.0[8..].copy_from_slice(&(device as u64).to_be_bytes());
    let agent = wire::AgentInfo { boot: Some((boot, seq)), ..wire::AgentInfo::default() };
    let report = wire::Report { agent, rows: rows.clone(), ..wire::Report::default() };
    let (content_type, body) = match form {
        Form::Frame => (wire::FRAME_CONTENT_TYPE, wire::frame::encode(&report)?),
        Form::Json => (wire::JSON_CONTENT_TYPE, wire::json::to_json(&report).into_bytes()),
        other => bail!("it takes no {}", other.name()),
    };
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {key}").parse()?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(Call::post("/api/v1/report", headers, body))
}

fn question(query: Query, Asked { to_ms, month_device }: Asked) -> String {
    let devices = match query {
        Query::HourOfOneSeries | Query::DayOfOneSeries => "device=1".to_string(),
        Query::DayOfEveryDevice => format!("tag={TAG}"),
        Query::MonthOfOneSeries => format!("device={}", month_device + 1),
        Query::Latest => return "/api/v1/devices".to_string(),
    };
    // Where the range holds fewer rows than points, the rows themselves come. Else there is one step more than the
    // range is long, and each is at least as fine as asked.
    let points = if query.step_ms() == 0 { 5_000 } else { query.range_ms() / query.step_ms() + 2 };
    let from_ms = to_ms - query.range_ms();
    format!("/api/v1/query?{devices}&metric={ASKED}&from_ms={from_ms}&to_ms={to_ms}&points={points}&agg=avg")
}

fn values(query: Query, body: &[u8]) -> Result<usize> {
    let answer: Value = serde_json::from_slice(body)?;
    let of = |list: &str, count: fn(&Value) -> usize| -> Option<usize> {
        Some(answer[list].as_array()?.iter().map(count).sum())
    };
    let found = match query {
        Query::Latest => of("devices", |device| device["latest"].as_object().map_or(0, serde_json::Map::len)),
        _ => of("series", |series| {
            series["avg"].as_array().map_or(0, |values| values.iter().filter(|v| v.is_number()).count())
        }),
    };
    found.with_context(|| format!("{}: nothing was found", query.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> wire::Rows {
        bench::mix::Device::new(1, 1, 20).rows(1_800_000_000_000, 10_000, 3)
    }

    #[test]
    fn a_report_holds_the_rows_and_who_sent_them_in_both_forms() {
        for form in Ours::FORMS {
            let call = report(*form, "ocw_key", 7, 42, &rows()).unwrap();
            assert_eq!(call.headers[AUTHORIZATION], "Bearer ocw_key");
            let read = match form {
                Form::Frame => wire::frame::decode(&call.body).unwrap(),
                _ => wire::json::parse(&call.body).unwrap().0,
            };
            assert_eq!(read.rows, rows(), "{}", form.name());
            assert_eq!(read.agent.boot.map(|(boot, seq)| (boot.0[15], seq)), Some((7, 42)));
        }
        assert!(report(Form::Line, "ocw_key", 0, 1, &rows()).is_err());
    }

    #[test]
    fn questions_ask_for_the_range_the_points_and_the_devices() {
        let asked = Asked { to_ms: 1_800_000_000_000, month_device: 100 };
        let cases = [
            (Query::HourOfOneSeries, "device=1&", "from_ms=1799996400000&", "points=5000&"),
            (Query::DayOfOneSeries, "device=1&", "from_ms=1799913600000&", "points=290&"),
            (Query::DayOfEveryDevice, "tag=fleet&", "from_ms=1799913600000&", "points=290&"),
            (Query::MonthOfOneSeries, "device=101&", "from_ms=1797408000000&", "points=1002&"),
        ];
        for (query, devices, from, points) in cases {
            let path = question(query, asked);
            assert!([devices, from, points].iter().all(|part| path.contains(part)), "{path}");
        }
        assert_eq!(question(Query::Latest, asked), "/api/v1/devices");
    }

    #[test]
    fn only_values_count_as_found() {
        let series = br#"{"t_ms":[1,2],"series":[{"avg":[1.5,null]},{"avg":[2,3]}]}"#;
        assert_eq!(values(Query::DayOfEveryDevice, series).unwrap(), 3);
        let devices = br#"{"devices":[{"latest":{"a":1,"b":2}},{"latest":{}}]}"#;
        assert_eq!(values(Query::Latest, devices).unwrap(), 2);
        assert!(values(Query::Latest, b"{}").is_err());
    }
}
