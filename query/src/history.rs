//! Range queries: what was asked, checked; what the store answered, as columns.

use std::collections::HashMap;

use front::{ApiError, Response};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use store::{Bucket, DeviceId, Figures, Gap, Kind, RangeAnswer, RangeQuery, Series, TimeRange, Timestamp};
use utoipa::{IntoParams, ToSchema};

use crate::call::Call;
use crate::csv::{self, Csv};
use crate::lists::{name, names};
use crate::model::{Number, json_text, to_json};
use crate::params::{Params, number, required};

/// Devices of one query.
pub(crate) const DEVICES_MAX: usize = 200;
/// Metrics, or beginnings of metrics, of one query.
const METRICS_MAX: usize = 64;
const METRIC_BYTES_MAX: usize = 1_024;
const POINTS_MAX: u32 = 5_000;
const POINTS_DEFAULT: u32 = 600;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the parameters; they are read one by one, so that faults name them")]
pub(crate) struct QueryParams {
    /// Which devices, up to 200; or use `tag`.
    #[param(max_items = 200)]
    device: Option<Vec<u32>>,
    /// All devices with this tag.
    tag: Option<String>,
    /// Names of metrics, up to 64; one that ends in `*` means all that begin so.
    #[param(min_items = 1, max_items = 64)]
    metric: Vec<String>,
    /// From when, Unix milliseconds.
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    from_ms: i64,
    /// To when, exclusive.
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    to_ms: i64,
    /// Points at most, 1 to 5000; 600 by default.
    #[param(minimum = 1, maximum = 5000)]
    points: Option<u32>,
    /// Comma-separated: `avg`, `min`, `max`, `last`, `rate`; by default `avg,min,max`.
    #[param(pattern = "^(avg|min|max|last|rate)(,(avg|min|max|last|rate))*$")]
    agg: Option<String>,
    /// `json` or `csv`; by default what `Accept` says.
    #[param(pattern = "^(json|csv)$")]
    format: Option<String>,
}

/// What is computed of each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agg {
    Avg,
    Min,
    Max,
    Last,
    Rate,
}

impl Agg {
    const ALL: [(&str, Agg); 5] =
        [("avg", Agg::Avg), ("min", Agg::Min), ("max", Agg::Max), ("last", Agg::Last), ("rate", Agg::Rate)];
    const DEFAULT: [Agg; 3] = [Agg::Avg, Agg::Min, Agg::Max];

    fn word(self) -> &'static str {
        Agg::ALL.iter().find(|(_, agg)| *agg == self).map_or("", |(word, _)| word)
    }
}

/// A checked request.
#[derive(Debug)]
pub(crate) struct Plan {
    query: RangeQuery,
    aggs: Vec<Agg>,
}

/// History of some metrics of some devices, as columns.
#[utoipa::path(get, path = "/api/v1/query", operation_id = "query_history", tag = "history", params(QueryParams),
    responses((status = 200, content((History = "application/json"), (String = "text/csv")))))]
pub(crate) async fn query(call: Call) -> Result<Response, ApiError> {
    let mut params = call.params()?;
    let csv = csv::wanted(&mut params, &call.parts.headers)?;
    let Plan { query, aggs } = plan(params, |tag| call.app.store.tagged(tag))?;
    let work = move |store: &store::Store| {
        let answer = store.query_figures(&query, figures(&aggs))?;
        if csv {
            let names = names(store, answer.series.iter().map(|series| series.device));
            return Ok(Ok(table(&answer, &aggs, &names)));
        }
        let gaps = store.gaps(&query.devices, query.range)?;
        // Written here: an answer of some megabytes would hold up every other request of an async thread.
        Ok(to_json(&History::of(&query, &answer, &aggs, gaps)))
    };
    let text = call.app.heavy(work).await??;
    Ok(if csv { csv::answer(text, "history.csv") } else { json_text(text) })
}

/// What the store must tell of each step.
fn figures(aggs: &[Agg]) -> Figures {
    let has = |agg| aggs.contains(&agg);
    Figures {
        sum: has(Agg::Avg),
        min: has(Agg::Min),
        max: has(Agg::Max),
        last: has(Agg::Last),
        increase: has(Agg::Rate),
    }
}

/// One line a time, one column for each series and aggregate.
fn table(answer: &RangeAnswer, aggs: &[Agg], names: &HashMap<DeviceId, Option<String>>) -> Vec<u8> {
    let columns: Vec<Column> = answer
        .series
        .iter()
        .flat_map(|series| {
            aggs.iter().map(move |agg| Column {
                series,
                agg: *agg,
                step_ms: answer.step_ms,
                t_ms: &answer.t_ms,
            })
        })
        .collect();
    let title = |column: &Column| {
        let device = name(names, column.series.device).unwrap_or("?");
        format!("{device}: {} {}", column.series.metric, column.agg.word())
    };
    let titles: Vec<String> = columns.iter().map(title).collect();
    let mut csv = Csv::new(["time", "t_ms"].into_iter().chain(titles.iter().map(String::as_str)));
    let mut values: Vec<_> = columns.iter().map(Column::values).collect();
    for t_ms in &answer.t_ms {
        // What is past the years of a calendar has no name.
        let time = jiff::Timestamp::from_millisecond(*t_ms).map(|time| time.to_string());
        csv.text(&time.unwrap_or_default());
        csv.whole(t_ms);
        values.iter_mut().for_each(|values| csv.number(values.next().flatten()));
        csv.end();
    }
    csv.finish()
}

pub(crate) fn plan(mut params: Params, tagged: impl FnOnce(&str) -> Vec<DeviceId>) -> Result<Plan, ApiError> {
    let ids = params.all("device");
    let tag = params.one("tag")?;
    let metrics = params.all("metric");
    let from_ms = required(params.time_ms("from_ms")?, "from_ms")?;
    let to_ms = required(params.time_ms("to_ms")?, "to_ms")?;
    let points = params.number("points", 1..=POINTS_MAX)?.unwrap_or(POINTS_DEFAULT);
    let aggs = aggs(params.all("agg"))?;
    params.finish()?;

    let Some(range) = TimeRange::new(from_ms, to_ms) else {
        return Err(ApiError::invalid("to_ms", "`to_ms` must be after `from_ms`."));
    };
    let mut ids = ids
        .iter()
        .map(|id| number("device", id, &(0..=u32::MAX)).map(DeviceId))
        .collect::<Result<Vec<_>, _>>()?;
    match tag {
        Some(_) if !ids.is_empty() => {
            return Err(ApiError::invalid("tag", "Give either `device` or `tag`."));
        }
        Some(tag) => ids = tagged(&tag),
        None if ids.is_empty() => return Err(ApiError::invalid("device", "`device` or `tag` is missing.")),
        None => {}
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > DEVICES_MAX {
        return Err(ApiError::invalid("device", format!("A query has {DEVICES_MAX} devices at most.")));
    }
    Ok(Plan { query: RangeQuery { devices: ids, metrics: checked_metrics(metrics)?, range, points }, aggs })
}

fn checked_metrics(mut metrics: Vec<String>) -> Result<Vec<String>, ApiError> {
    metrics.sort_unstable();
    metrics.dedup();
    let odd = |metric: &String| metric.len() > METRIC_BYTES_MAX || metric.chars().any(char::is_control);
    if metrics.is_empty() || metrics.len() > METRICS_MAX {
        return Err(ApiError::invalid("metric", format!("A query has 1 to {METRICS_MAX} metrics.")));
    }
    if metrics.iter().any(odd) {
        return Err(ApiError::invalid("metric", "This cannot be the name of a metric."));
    }
    Ok(metrics)
}

fn aggs(values: Vec<String>) -> Result<Vec<Agg>, ApiError> {
    if values.is_empty() {
        return Ok(Agg::DEFAULT.to_vec());
    }
    let mut aggs = Vec::new();
    for word in values.iter().flat_map(|value| value.split(',')) {
        let Some((_, agg)) = Agg::ALL.iter().find(|(name, _)| *name == word) else {
            return Err(ApiError::invalid("agg", "`agg` may hold `avg`, `min`, `max`, `last` and `rate`."));
        };
        if !aggs.contains(agg) {
            aggs.push(*agg);
        }
    }
    Ok(aggs)
}

/// Some series over a range, each aggregate a column as long as `t_ms`; `null` where nothing was stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct History<'a> {
    /// What it was read from: `raw`, `5m` or `1h`.
    tier: &'static str,
    /// Distance of two times; 0 when these are the rows themselves.
    step_ms: i64,
    from_ms: Timestamp,
    to_ms: Timestamp,
    /// With a step, the starts of the steps: multiples of it.
    t_ms: &'a [Timestamp],
    series: Vec<SeriesBody<'a>>,
    gaps: Vec<GapBody>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Series)]
struct SeriesBody<'a> {
    device: u32,
    metric: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Option<f64>>>)]
    avg: Option<Column<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Option<f64>>>)]
    min: Option<Column<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Option<f64>>>)]
    max: Option<Column<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Option<f64>>>)]
    last: Option<Column<'a>>,
    /// Increase per second of a counter; `null` for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Option<f64>>>)]
    rate: Option<Column<'a>>,
}

/// A stretch in which nothing was stored at its time.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Gap)]
struct GapBody {
    device: u32,
    from_ms: Timestamp,
    to_ms: Timestamp,
    /// `device_offline`, `server_down`, `damaged`, or `filled_in`: there are rows, but they arrived much later.
    cause: &'static str,
}

impl<'a> History<'a> {
    fn of(query: &RangeQuery, answer: &'a RangeAnswer, aggs: &[Agg], gaps: Vec<Gap>) -> History<'a> {
        let series = answer.series.iter().map(|series| {
            let column = |agg| {
                aggs.contains(&agg).then_some(Column {
                    series,
                    agg,
                    step_ms: answer.step_ms,
                    t_ms: &answer.t_ms,
                })
            };
            SeriesBody {
                device: series.device.0,
                metric: &series.metric,
                avg: column(Agg::Avg),
                min: column(Agg::Min),
                max: column(Agg::Max),
                last: column(Agg::Last),
                rate: column(Agg::Rate),
            }
        });
        History {
            tier: answer.tier.as_str(),
            step_ms: answer.step_ms,
            from_ms: query.range.start(),
            to_ms: query.range.end(),
            t_ms: &answer.t_ms,
            series: series.collect(),
            gaps: merged(gaps),
        }
    }
}

/// One aggregate of one series; written straight into the answer, value by value.
struct Column<'a> {
    series: &'a Series,
    agg: Agg,
    step_ms: i64,
    t_ms: &'a [Timestamp],
}

impl Column<'_> {
    /// One value for each time.
    fn values(&self) -> impl Iterator<Item = Option<f64>> {
        // Where the rows themselves are answered, a rate is over the time since the series' row before.
        let mut before: Option<Timestamp> = None;
        self.series.buckets.iter().zip(self.t_ms).map(move |(bucket, &t_ms)| {
            let span_ms =
                if self.step_ms > 0 { Some(self.step_ms) } else { before.map(|before| t_ms - before) };
            if bucket.count > 0 {
                before = Some(t_ms);
            }
            value(bucket, self.agg, self.series.kind, span_ms)
        })
    }
}

impl Serialize for Column<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.series.buckets.len()))?;
        for value in self.values() {
            seq.serialize_element(&value.map(Number))?;
        }
        seq.end()
    }
}

fn value(bucket: &Bucket, agg: Agg, kind: Kind, span_ms: Option<i64>) -> Option<f64> {
    if bucket.count == 0 {
        return None;
    }
    match agg {
        Agg::Avg => Some(bucket.sum / bucket.count as f64),
        Agg::Min => Some(bucket.min),
        Agg::Max => Some(bucket.max),
        Agg::Last => Some(bucket.last),
        Agg::Rate => {
            let span_ms = span_ms.filter(|span_ms| *span_ms > 0 && kind == Kind::Counter)?;
            Some(bucket.increase / (span_ms as f64 / 1_000.0))
        }
    }
}

/// By device and time; what overlaps or touches with the same cause is one gap.
fn merged(mut gaps: Vec<Gap>) -> Vec<GapBody> {
    gaps.sort_by_key(|gap| (gap.device, gap.cause.as_str(), gap.from_ms));
    let mut merged: Vec<GapBody> = Vec::with_capacity(gaps.len());
    for gap in gaps {
        let (device, cause) = (gap.device.0, gap.cause.as_str());
        match merged.last_mut() {
            Some(last) if last.device == device && last.cause == cause && gap.from_ms <= last.to_ms => {
                last.to_ms = last.to_ms.max(gap.to_ms);
            }
            _ => merged.push(GapBody { device, from_ms: gap.from_ms, to_ms: gap.to_ms, cause }),
        }
    }
    merged.sort_by_key(|gap| (gap.device, gap.from_ms));
    merged
}

#[cfg(test)]
mod tests;
