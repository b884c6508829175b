//! What is asked of an engine: to make requests and to judge answers. Who sends them, when and over how many
//! connections is the same for all; see [`pool`](crate::pool).

use std::path::Path;

use anyhow::Result;
use bench::client::{Answer, Server};
use bytes::Bytes;

use crate::pool::Call;
use bench::running::Running;

/// From and to, exclusive; Unix milliseconds.
pub type Range = (i64, i64);

const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600 * SECOND_MS;

/// A form in which an engine takes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// This project's frames.
    Frame,
    /// This project's report as JSON.
    Json,
    /// One line of JSON a series: its values and its times.
    JsonColumns,
    /// InfluxDB's line protocol: one line a row.
    Line,
    /// What the engine itself exports; see [`Native`].
    Native,
}

impl Form {
    /// As in the table.
    pub fn name(self) -> &'static str {
        match self {
            Form::Frame => "frames",
            Form::Json => "JSON",
            Form::JsonColumns => "JSON columns",
            Form::Line => "line protocol",
            Form::Native => "native",
        }
    }
}

/// How to get what one engine stored, and to give it to another of its kind.
pub struct Native {
    /// Asks for all metrics of one device.
    pub export: fn(usize, Range) -> Call,
    /// Takes the body of the answer.
    pub import: fn(Bytes) -> Call,
}

/// A question that a dashboard asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// One hour of one series as it came.
    HourOfOneSeries,
    /// A day of one series in steps of five minutes.
    DayOfOneSeries,
    /// The same of every device.
    DayOfEveryDevice,
    /// Thirty days of one series at a thousand points.
    MonthOfOneSeries,
    /// The newest value of every metric of every device.
    Latest,
}

/// The metric that the queries ask for.
pub const ASKED: &str = "cpu_percent";

impl Query {
    /// All of them.
    pub const ALL: [Query; 5] = [
        Query::HourOfOneSeries,
        Query::DayOfOneSeries,
        Query::DayOfEveryDevice,
        Query::MonthOfOneSeries,
        Query::Latest,
    ];

    /// As in the table.
    pub fn name(self) -> &'static str {
        match self {
            Query::HourOfOneSeries => "1 h raw, 1 series",
            Query::DayOfOneSeries => "24 h at 5 min, 1 series",
            Query::DayOfEveryDevice => "24 h at 5 min, every device",
            Query::MonthOfOneSeries => "30 days at 1,000 points, 1 series",
            Query::Latest => "latest of everything",
        }
    }

    /// How far back it looks, milliseconds.
    pub fn range_ms(self) -> i64 {
        match self {
            Query::HourOfOneSeries => HOUR_MS,
            Query::DayOfOneSeries | Query::DayOfEveryDevice => 24 * HOUR_MS,
            Query::MonthOfOneSeries => 30 * 24 * HOUR_MS,
            Query::Latest => 0,
        }
    }

    /// Distance of the points it wants, milliseconds; 0: the rows as they came.
    pub fn step_ms(self) -> i64 {
        match self {
            Query::HourOfOneSeries | Query::Latest => 0,
            Query::DayOfOneSeries | Query::DayOfEveryDevice => 300 * SECOND_MS,
            Query::MonthOfOneSeries => self.range_ms() / 1_000,
        }
    }
}

/// What the questions are asked of.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The time of the newest row, rounded up.
    pub to_ms: i64,
    /// The device with a month of rows; devices 0 up to it have less. There are no more.
    pub month_device: usize,
}

/// An engine under measurement.
pub trait Engine: Sized {
    /// As in the table.
    const NAME: &'static str;
    /// The forms it takes long batches in; the first is played.
    const FORMS: &'static [Form];
    /// The form of single reports.
    const SINGLE: Form;
    /// What an answer to a report promises.
    const PROMISE: &'static str;
    /// Its own form, where [`Form::Native`] is one of its forms.
    const NATIVE: Option<Native>;

    /// With a folder that does not exist yet.
    fn new(program: &Path, folder: &Path) -> Self;
    /// Its data folder.
    fn folder(&self) -> &Path;
    /// Starts it; devices `0..devices` are made on the first start.
    async fn start(&mut self, devices: usize) -> Result<()>;
    /// Its process.
    fn running(&self) -> Result<&Running>;
    /// Ends it as an operator would, or as a crash would.
    async fn end(&mut self, clean: bool) -> Result<()>;
    /// Brings what was sent into its final form and waits for that.
    async fn settle(&mut self) -> Result<()>;
    /// Bytes of rollups, which only some keep, in their final form.
    async fn rollup_bytes(&mut self) -> Result<u64>;
    /// Bytes of all samples and rollups on disk, with the overhead of the files; after a clean end.
    fn stored_bytes(&self) -> Result<u64>;

    /// Where reports go.
    fn ingest(&self) -> Result<Server>;
    /// Some rows of one device.
    fn report(&mut self, form: Form, device: usize, rows: &wire::Rows) -> Result<Call>;
    /// Is that the answer to a report that was taken whole?
    fn accepted(answer: &Answer) -> Result<()>;

    /// Where questions go.
    fn web(&self) -> Result<Server>;
    /// Asks.
    fn question(&self, query: Query, asked: Asked) -> Result<Call>;
    /// How many values were answered.
    fn values(query: Query, answer: &Answer) -> Result<usize>;
    /// Asks for the rows of one metric of one device as they came; at most 5,000.
    fn column_question(&self, device: usize, metric: &str, range: Range) -> Result<Call>;
    /// Times and values of the answer.
    fn column(answer: &Answer) -> Result<Vec<(i64, f64)>>;
}
