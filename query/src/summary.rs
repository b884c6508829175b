//! The overview's figures, and what is on disk.

use front::{ApiError, Response, json};
use http::StatusCode;
use jiff::tz::TimeZone;
use serde::Serialize;
use store::{DeviceState, Level, TimeRange, Timestamp, UsageSum};
use utoipa::{IntoParams, ToSchema};

use crate::call::Call;
use crate::params::Params;

/// Errors are counted over this long.
const ERRORS_MS: i64 = 24 * 3_600_000;
/// The store counts usage by quarters of an hour; every zone's midnight of today falls on one.
const QUARTER_MS: i64 = 15 * 60_000;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the parameters; they are read one by one, so that faults name them")]
pub(crate) struct SummaryParams {
    /// IANA zone of the days, like `Europe/Berlin`; UTC by default.
    tz: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Summary {
    now_ms: Timestamp,
    devices: States,
    tokens: Days<u64>,
    cost_usd: Days<f64>,
    /// Log lines of level `error` or worse within 24 hours.
    errors_24h: u64,
    storage: Stored,
    /// Of this server.
    version: &'static str,
}

#[derive(Serialize, ToSchema)]
struct States {
    online: usize,
    degraded: usize,
    offline: usize,
    new: usize,
    total: usize,
}

/// Days of the asked zone.
#[derive(Serialize, ToSchema)]
struct Days<T> {
    today: T,
    yesterday: T,
    total: T,
}

#[derive(Serialize, ToSchema)]
struct Stored {
    bytes: u64,
    samples: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Storage {
    /// Raw, 5 min, 1 h.
    tiers: Vec<TierBody>,
    /// What is not sealed yet.
    tail_bytes: u64,
    head_samples: u64,
    /// Devices, logs, events, usage, accounts.
    meta_bytes: u64,
    /// Of it the log lines.
    log_bytes: u64,
    total_bytes: u64,
    /// What was found damaged on disk and set aside: chunks, and reports that were not sealed yet.
    damaged_chunks: u64,
    damaged_bytes: u64,
    damaged_groups: u64,
    /// Reports refused since the start because nothing could be written or the queue was full.
    rows_refused: u64,
    /// Metrics left out of reports since the start because their device had too many.
    metrics_refused: u64,
    /// Queries refused since the start because they were past a limit.
    queries_refused: u64,
}

#[derive(Serialize, ToSchema)]
struct TierBody {
    /// `raw`, `5m` or `1h`.
    tier: &'static str,
    chunks: u64,
    bytes: u64,
    oldest_ms: Option<Timestamp>,
    samples: u64,
}

/// The figures of the overview.
#[utoipa::path(get, path = "/api/v1/summary", operation_id = "get_summary", tag = "summary", params(SummaryParams),
    responses((status = 200, body = Summary)))]
pub(crate) async fn summary(call: Call) -> Result<Response, ApiError> {
    let mut params = call.params()?;
    let tz = zone(&mut params)?;
    params.finish()?;
    let now = call.now;
    let (yesterday, today) = (yesterday(&tz, now)?, today(&tz, now)?);

    let read = call.app.heavy(move |store| {
        let sum = |range| store.usage_by_device(range).map(total);
        let usage = Days { today: sum(Some(today))?, yesterday: sum(Some(yesterday))?, total: sum(None)? };
        Ok((usage, store.count_logs(Level::Error, now - ERRORS_MS)?, store.storage()))
    });
    let (usage, errors_24h, storage) = read.await?;
    let devices = call.app.store.devices();
    let count = |state| devices.iter().filter(|view| view.state == state).count();
    Ok(json(
        StatusCode::OK,
        &Summary {
            now_ms: now,
            devices: States {
                online: count(DeviceState::Online),
                degraded: count(DeviceState::Degraded),
                offline: count(DeviceState::Offline),
                new: count(DeviceState::New),
                total: devices.len(),
            },
            tokens: Days {
                today: usage.today.tokens,
                yesterday: usage.yesterday.tokens,
                total: usage.total.tokens,
            },
            cost_usd: Days {
                today: usage.today.cost_usd,
                yesterday: usage.yesterday.cost_usd,
                total: usage.total.cost_usd,
            },
            errors_24h,
            storage: Stored { bytes: storage.total_bytes, samples: storage.samples },
            version: env!("CARGO_PKG_VERSION"),
        },
    ))
}

/// What is on disk.
#[utoipa::path(get, path = "/api/v1/storage", operation_id = "get_storage", tag = "summary", responses((status = 200, body = Storage)))]
pub(crate) async fn storage(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let stats = call.app.heavy(|store| Ok(store.storage())).await?;
    let tiers = stats.tiers.iter().map(|tier| TierBody {
        tier: tier.tier.as_str(),
        chunks: tier.chunks,
        bytes: tier.bytes,
        oldest_ms: tier.oldest_ms,
        samples: tier.samples,
    });
    Ok(json(
        StatusCode::OK,
        &Storage {
            tiers: tiers.collect(),
            tail_bytes: stats.tail_bytes,
            head_samples: stats.head_samples,
            meta_bytes: stats.meta_bytes,
            log_bytes: stats.log_bytes,
            total_bytes: stats.total_bytes,
            damaged_chunks: stats.damaged_chunks,
            damaged_bytes: stats.damaged_bytes,
            damaged_groups: stats.damaged_groups,
            rows_refused: stats.batches_refused,
            metrics_refused: stats.columns_refused,
            queries_refused: stats.queries_refused,
        },
    ))
}

fn total(sums: Vec<(store::DeviceId, UsageSum)>) -> UsageSum {
    sums.iter().fold(UsageSum::default(), |total, (_, sum)| UsageSum {
        tokens: total.tokens.saturating_add(sum.tokens),
        cost_usd: total.cost_usd + sum.cost_usd,
    })
}

/// Takes `tz`, an IANA zone; UTC when it is not given.
pub(crate) fn zone(params: &mut Params) -> Result<TimeZone, ApiError> {
    let Some(name) = params.one("tz")? else { return Ok(TimeZone::UTC) };
    TimeZone::get(&name).map_err(|_| {
        ApiError::invalid("tz", "`tz` must be the name of an IANA time zone, like `Europe/Berlin`.")
    })
}

/// The day of `now` in a zone: from its first moment to the next day's, which may be 23 or 25 hours.
pub(crate) fn today(tz: &TimeZone, now: Timestamp) -> Result<TimeRange, ApiError> {
    day(tz, now, 0)
}

fn yesterday(tz: &TimeZone, now: Timestamp) -> Result<TimeRange, ApiError> {
    day(tz, now, -1)
}

fn day(tz: &TimeZone, now: Timestamp, days_off: i32) -> Result<TimeRange, ApiError> {
    let bounds = || -> Result<(i64, i64), jiff::Error> {
        let moment = jiff::Timestamp::from_millisecond(now)?;
        let date = moment.to_zoned(tz.clone()).date().checked_add(jiff::Span::new().try_days(days_off)?)?;
        let start = date.to_zoned(tz.clone())?.start_of_day()?;
        let end = date.tomorrow()?.to_zoned(tz.clone())?.start_of_day()?;
        Ok((start.timestamp().as_millisecond(), end.timestamp().as_millisecond()))
    };
    let range = bounds().ok().and_then(|(start, end)| {
        TimeRange::new(start - start.rem_euclid(QUARTER_MS), end - end.rem_euclid(QUARTER_MS))
    });
    range.ok_or_else(|| {
        tracing::error!(now, "the server's clock shows a time without a day");
        ApiError::internal()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tz: &str, now: &str, hours: f64, start: &str) {
        let now: jiff::Timestamp = now.parse().unwrap();
        let tz = TimeZone::get(tz).unwrap();
        let range = today(&tz, now.as_millisecond()).unwrap();
        assert!(range.contains(now.as_millisecond()));
        assert_eq!(range.length_ms() as f64 / 3_600_000.0, hours);
        assert_eq!(range.start(), start.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        assert_eq!(yesterday(&tz, now.as_millisecond()).unwrap().end(), range.start());
    }

    #[test]
    fn a_day_is_as_long_as_its_zone_says() {
        check("UTC", "2026-11-22T13:00:00Z", 24.0, "2026-11-22T00:00:00Z");
        check("Europe/Berlin", "2026-03-29T12:00:00Z", 23.0, "2026-03-28T23:00:00Z");
        check("Europe/Berlin", "2026-10-25T12:00:00Z", 25.0, "2026-10-24T22:00:00Z");
        check("Australia/Lord_Howe", "2026-04-05T03:00:00Z", 24.5, "2026-04-04T13:00:00Z");
        check("America/Sao_Paulo", "2018-11-04T12:00:00Z", 23.0, "2018-11-04T03:00:00Z");
        check("Asia/Kathmandu", "2026-11-22T18:20:00Z", 24.0, "2026-11-22T18:15:00Z");
    }

    #[test]
    fn an_unknown_zone_is_named() {
        for odd in ["Mars/Olympus", "../etc/passwd", "%00"] {
            let mut params = Params::parse(Some(&format!("tz={odd}"))).unwrap();
            assert_eq!(zone(&mut params).unwrap_err().field.as_deref(), Some("tz"));
        }
    }

    #[test]
    fn sums_do_not_overflow() {
        let sum = UsageSum { tokens: u64::MAX, cost_usd: 1.0 };
        let total = total(vec![(store::DeviceId(1), sum), (store::DeviceId(2), sum)]);
        assert_eq!((total.tokens, total.cost_usd), (u64::MAX, 2.0));
    }
}
