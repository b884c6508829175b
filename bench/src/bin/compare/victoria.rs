//! VictoriaMetrics, single node.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bench::client::{Answer, Client, Server};
use http::HeaderMap;
use serde_json::Value;

use crate::engine::{ASKED, Asked, Engine, Form, Native, Query, Range};
use crate::numbers;
use crate::pool::Call;
use bench::running::{PATIENCE, Running};

/// See the module.
pub struct Victoria {
    program: PathBuf,
    folder: PathBuf,
    running: Option<(Running, Server)>,
}

impl Victoria {
    async fn get(&self, path: &str) -> Result<()> {
        let answer = get(path.to_string()).send(&mut Client::new(self.web()?)).await?;
        ensure!(answer.status.is_success(), "{path}: {}", answer.status);
        Ok(())
    }
}

impl Engine for Victoria {
    const NAME: &'static str = "VictoriaMetrics";
    // Of the two that clients can make themselves, JSON columns cost it less.
    const FORMS: &'static [Form] = &[Form::JsonColumns, Form::Line, Form::Native];
    const SINGLE: Form = Form::Line;
    const PROMISE: &'static str = "not synced";
    const NATIVE: Option<Native> = Some(Native {
        export: |device, range| get(export("/native", &format!("%7Bdevice=%22{device}%22%7D"), range)),
        import: |body| Call::post("/api/v1/import/native", HeaderMap::new(), body),
    });

    fn new(program: &Path, folder: &Path) -> Victoria {
        Victoria { program: program.into(), folder: folder.into(), running: None }
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    async fn start(&mut self, _devices: usize) -> Result<()> {
        // Freed at once: the program takes it next.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(&self.program);
        command.arg(format!("-storageDataPath={}", self.folder.display()));
        command.arg(format!("-httpListenAddr=127.0.0.1:{port}")).arg("-retentionPeriod=10y");
        // So that both forms name the same series.
        command.arg("-influxSkipMeasurement");
        let server = Server::parse(&format!("http://127.0.0.1:{port}"))?;
        self.running = Some((Running::start(&mut command)?, server));
        let begun = Instant::now();
        while self.get("/health").await.is_err() {
            ensure!(begun.elapsed() < PATIENCE, "it does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn running(&self) -> Result<&Running> {
        Ok(&self.running.as_ref().context("it does not run")?.0)
    }

    async fn end(&mut self, clean: bool) -> Result<()> {
        let (running, _) = self.running.take().context("it does not run")?;
        if clean { running.stop() } else { running.kill() }
    }

    async fn settle(&mut self) -> Result<()> {
        self.get("/internal/force_flush").await?;
        self.get("/internal/force_merge").await?;
        self.running()?.wait_until_idle().await
    }

    async fn rollup_bytes(&mut self) -> Result<u64> {
        Ok(0)
    }

    fn stored_bytes(&self) -> Result<u64> {
        // Without the index of names, which lies beside it.
        bench::process::folder_bytes(&self.folder.join("data"))
    }

    fn ingest(&self) -> Result<Server> {
        self.web()
    }

    fn report(&mut self, form: Form, device: usize, rows: &wire::Rows) -> Result<Call> {
        match form {
            Form::JsonColumns => {
                Ok(Call::post("/api/v1/import", HeaderMap::new(), json_columns(device, rows)))
            }
            Form::Line => Ok(Call::post("/write?precision=ms", HeaderMap::new(), lines(device, rows))),
            other => bail!("it cannot be made of rows: {}", other.name()),
        }
    }

    fn accepted(answer: &Answer) -> Result<()> {
        ensure!(answer.status.is_success(), "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        Ok(())
    }

    fn web(&self) -> Result<Server> {
        Ok(self.running.as_ref().context("it does not run")?.1)
    }

    fn question(&self, query: Query, asked: Asked) -> Result<Call> {
        Ok(get(question(query, asked)))
    }

    fn values(query: Query, answer: &Answer) -> Result<usize> {
        Victoria::accepted(answer)?;
        values(query, &answer.body)
    }

    fn column_question(&self, device: usize, metric: &str, range: Range) -> Result<Call> {
        Ok(get(export("", &format!("{metric}%7Bdevice=%22{device}%22%7D"), range)))
    }

    fn column(answer: &Answer) -> Result<Vec<(i64, f64)>> {
        Victoria::accepted(answer)?;
        let text = std::str::from_utf8(&answer.body)?;
        let mut column = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let times: Vec<i64> = numbers::list(line, "timestamps")?;
            let values: Vec<f64> = numbers::list(line, "values")?;
            ensure!(times.len() == values.len(), "{} times and {} values", times.len(), values.len());
            column.extend(times.into_iter().zip(values));
        }
        column.sort_by_key(|(t_ms, _)| *t_ms);
        Ok(column)
    }
}

fn get(path: String) -> Call {
    Call::get(path, HeaderMap::new())
}

fn export(form: &str, series: &str, (from, to): Range) -> String {
    // Times are seconds, and its ranges include their end.
    let seconds = |t_ms: i64| format!("{}.{:03}", t_ms / 1_000, t_ms % 1_000);
    format!("/api/v1/export{form}?match[]={series}&start={}&end={}", seconds(from), seconds(to - 1))
}

/// One line a series. Numbers in Rust's shortest form, which every correct parser reads back bit for bit.
fn json_columns(device: usize, rows: &wire::Rows) -> String {
    let mut body = String::with_capacity(rows.len() * rows.columns.len() * 24);
    for column in &rows.columns {
        let name = &column.name;
        push(&mut body, format_args!(r#"{{"metric":{{"__name__":"{name}","device":"{device}"}},"values":["#));
        let present = || (0..rows.len()).filter(|&row| column.present.has(row));
        present().for_each(|row| push(&mut body, format_args!("{},", column.values[row])));
        end_list(&mut body, r#"],"timestamps":["#);
        present().for_each(|row| push(&mut body, format_args!("{},", rows.t_ms[row])));
        end_list(&mut body, "]}\n");
    }
    body
}

/// One line a row. The measurement's name is not used.
fn lines(device: usize, rows: &wire::Rows) -> String {
    let mut body = String::with_capacity(rows.len() * rows.columns.len() * 32);
    for (row, t_ms) in rows.t_ms.iter().enumerate() {
        push(&mut body, format_args!("agent,device={device} "));
        for (column, value) in rows.row(row) {
            push(&mut body, format_args!("{}={value},", column.name));
        }
        end_list(&mut body, "");
        push(&mut body, format_args!(" {t_ms}\n"));
    }
    body
}

/// The comma after the last element gives way to what follows the list.
fn end_list(body: &mut String, end: &str) {
    if body.ends_with(',') {
        body.pop();
    }
    body.push_str(end);
}

fn push(body: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = body.write_fmt(text);
}

fn question(query: Query, Asked { to_ms, month_device }: Asked) -> String {
    let to = to_ms / 1_000;
    let devices = match query {
        Query::HourOfOneSeries | Query::DayOfOneSeries => "%7Bdevice=%220%22%7D".to_string(),
        Query::DayOfEveryDevice => String::new(),
        Query::MonthOfOneSeries => format!("%7Bdevice=%22{month_device}%22%7D"),
        Query::Latest => return format!("/api/v1/query?query=%7Bdevice!=%22%22%7D&time={to}&nocache=1"),
    };
    let series = format!("{ASKED}{devices}");
    match query.step_ms() / 1_000 {
        0 => {
            let range = query.range_ms() / 1_000;
            format!("/api/v1/query?query={series}%5B{range}s%5D&time={to}&nocache=1")
        }
        step => {
            let from = (to_ms - query.range_ms()) / 1_000;
            let average = format!("avg_over_time({series}%5B{step}s%5D)");
            // Without its cache of answers: the same question again must be work again.
            format!("/api/v1/query_range?query={average}&start={from}&end={to}&step={step}s&nocache=1")
        }
    }
}

fn values(query: Query, body: &[u8]) -> Result<usize> {
    let answer: Value = serde_json::from_slice(body)?;
    let series = answer["data"]["result"].as_array();
    let series = series.with_context(|| format!("{}: nothing was found", query.name()))?;
    Ok(match query {
        Query::Latest => series.len(),
        _ => series.iter().filter_map(|series| Some(series["values"].as_array()?.len())).sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Kind::Gauge;

    fn rows() -> wire::Rows {
        let mut rows = wire::RowsBuilder::default();
        rows.push(1_000, [("a", Gauge, 0.1), ("b", Gauge, 20_000_000_000.0)]);
        rows.push(2_000, [("a", Gauge, 1.0 / 3.0)]);
        rows.finish()
    }

    #[test]
    fn both_forms_hold_every_value_that_was_measured_and_no_other() {
        assert_eq!(
            json_columns(7, &rows()),
            "{\"metric\":{\"__name__\":\"a\",\"device\":\"7\"},\"values\":[0.1,0.3333333333333333],\"timestamps\":[1000,2000]}\n\
             {\"metric\":{\"__name__\":\"b\",\"device\":\"7\"},\"values\":[20000000000],\"timestamps\":[1000]}\n"
        );
        assert_eq!(
            lines(7, &rows()),
            "agent,device=7 a=0.1,b=20000000000 1000\nagent,device=7 a=0.3333333333333333 2000\n"
        );
    }

    #[test]
    fn questions_ask_for_the_range_the_step_and_the_devices() {
        let asked = Asked { to_ms: 1_800_000_000_000, month_device: 100 };
        let cases = [
            (Query::HourOfOneSeries, "cpu_percent%7Bdevice=%220%22%7D%5B3600s%5D", "time=1800000000"),
            (Query::DayOfOneSeries, "cpu_percent%7Bdevice=%220%22%7D%5B300s%5D", "start=1799913600"),
            (Query::DayOfEveryDevice, "cpu_percent%5B300s%5D", "step=300s"),
            (Query::MonthOfOneSeries, "%7Bdevice=%22100%22%7D%5B2592s%5D", "start=1797408000"),
            (Query::Latest, "%7Bdevice!=%22%22%7D", "time=1800000000"),
        ];
        for (query, series, range) in cases {
            let path = question(query, asked);
            assert!(path.contains(series) && path.contains(range) && path.contains("nocache=1"), "{path}");
        }
    }

    #[test]
    fn an_export_has_its_times_in_seconds_and_no_row_at_its_end() {
        let path = "/api/v1/export?match[]=a&start=1800000000.007&end=1800003600.006";
        assert_eq!(export("", "a", (1_800_000_000_007, 1_800_003_600_007)), path);
    }

    #[test]
    fn values_are_counted_over_all_series() {
        let matrix = br#"{"data":{"result":[{"values":[[1,"2"],[2,"3"]]},{"values":[[1,"2"]]}]}}"#;
        assert_eq!(values(Query::DayOfEveryDevice, matrix).unwrap(), 3);
        let vector = br#"{"data":{"result":[{"value":[1,"2"]},{"value":[1,"2"]}]}}"#;
        assert_eq!(values(Query::Latest, vector).unwrap(), 2);
        assert!(values(Query::Latest, br#"{"status":"error"}"#).is_err());
    }
}
