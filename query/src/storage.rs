//! What is on disk, and what keeping it longer would cost.

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{Keep, Store, Timestamp};
use utoipa::ToSchema;

use crate::call::Call;
use crate::model::Number;

const DAY_MS: f64 = 24.0 * 3_600_000.0;
/// Of less than this nobody can tell what a day takes.
const MEASURED_MS_MIN: i64 = 3_600_000;

#[derive(Serialize, ToSchema)]
pub(crate) struct Storage {
    /// Raw, 5 min, 1 h.
    tiers: Vec<TierBody>,
    logs: StoredLogs,
    /// What is not sealed yet.
    tail_bytes: u64,
    head_samples: u64,
    /// Devices, logs, events, usage, accounts.
    meta_bytes: u64,
    /// Of it about what the log lines take.
    log_bytes: u64,
    total_bytes: u64,
    /// Bytes of the raw tier for each of its samples; `null` while there is none.
    #[schema(value_type = Option<f64>)]
    bytes_per_sample: Option<Number>,
    /// What tiers and logs will take once everything is as old as it may get, at the rate so far; `null` while that
    /// cannot be told.
    forecast_bytes: Option<u64>,
    /// What was found damaged on disk and set aside: chunks, and reports that were not sealed yet.
    damaged_chunks: u64,
    damaged_bytes: u64,
    damaged_groups: u64,
    /// Reports refused since the start because nothing could be written or the queue was full.
    reports_refused: u64,
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
    /// `null` while there is no sample.
    #[schema(value_type = Option<f64>)]
    bytes_per_sample: Option<Number>,
    #[serde(flatten)]
    cost: KeepCost,
}

#[derive(Serialize, ToSchema)]
struct StoredLogs {
    bytes: u64,
    oldest_ms: Option<Timestamp>,
    #[serde(flatten)]
    cost: KeepCost,
}

/// How long something is kept and what that costs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct KeepCost {
    /// For how long it is kept, days.
    pub(crate) keep_days: i64,
    /// What it may take before the oldest goes; `null`: no bound.
    pub(crate) keep_bytes: Option<u64>,
    /// What a day takes, at the rate so far; `null` until there is an hour of it.
    pub(crate) bytes_per_day: Option<u64>,
    /// What it takes once it is as old as it may get; `null` while that cannot be told.
    pub(crate) forecast_bytes: Option<u64>,
}

impl KeepCost {
    /// Of what takes so many bytes since its oldest entry.
    pub(crate) fn of(keep: &Keep, bytes: u64, oldest_ms: Option<Timestamp>, now: Timestamp) -> KeepCost {
        let keep_days = keep.age_ms / DAY_MS as i64;
        let age_ms = oldest_ms.map(|oldest_ms| now.saturating_sub(oldest_ms));
        let per_day = age_ms
            .filter(|age_ms| *age_ms >= MEASURED_MS_MIN)
            .map(|age_ms| bytes as f64 / (age_ms as f64 / DAY_MS));
        // Going from f64 to u64 saturates.
        let forecast = per_day.map(|per_day| (per_day * keep_days as f64) as u64);
        KeepCost {
            keep_days,
            keep_bytes: keep.bytes,
            bytes_per_day: per_day.map(|per_day| per_day as u64),
            forecast_bytes: forecast.map(|forecast| forecast.min(keep.bytes.unwrap_or(u64::MAX))),
        }
    }
}

/// What is on disk.
#[utoipa::path(get, path = "/api/v1/storage", operation_id = "get_storage", tag = "summary", responses((status = 200, body = Storage)))]
pub(crate) async fn storage(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let now = call.now;
    let storage = call.app.heavy(move |store| Ok(body(store, now))).await?;
    Ok(json(StatusCode::OK, &storage))
}

fn body(store: &Store, now: Timestamp) -> Storage {
    let (stats, retention) = (store.storage(), store.retention());
    let per_sample = |bytes: u64, samples: u64| {
        (samples > 0).then(|| Number((bytes as f64 / samples as f64 * 1e3).round() / 1e3))
    };
    let tiers: Vec<TierBody> = stats
        .tiers
        .iter()
        .map(|tier| TierBody {
            tier: tier.tier.as_str(),
            chunks: tier.chunks,
            bytes: tier.bytes,
            oldest_ms: tier.oldest_ms,
            samples: tier.samples,
            bytes_per_sample: per_sample(tier.bytes, tier.samples),
            cost: KeepCost::of(&retention.tier(tier.tier), tier.bytes, tier.oldest_ms, now),
        })
        .collect();
    let logs = StoredLogs {
        bytes: stats.log_bytes,
        oldest_ms: stats.log_oldest_ms,
        cost: KeepCost::of(&retention.logs, stats.log_bytes, stats.log_oldest_ms, now),
    };
    // Without logs they take nothing; without samples nobody knows.
    let of_tiers: Option<u64> = tiers.iter().map(|tier| tier.cost.forecast_bytes).sum();
    let forecast_bytes = of_tiers.map(|bytes| bytes.saturating_add(logs.cost.forecast_bytes.unwrap_or(0)));
    Storage {
        bytes_per_sample: stats.tiers.first().and_then(|raw| per_sample(raw.bytes, raw.samples)),
        tiers,
        logs,
        tail_bytes: stats.tail_bytes,
        head_samples: stats.head_samples,
        meta_bytes: stats.meta_bytes,
        log_bytes: stats.log_bytes,
        total_bytes: stats.total_bytes,
        forecast_bytes,
        damaged_chunks: stats.damaged_chunks,
        damaged_bytes: stats.damaged_bytes,
        damaged_groups: stats.damaged_groups,
        reports_refused: stats.batches_refused,
        metrics_refused: stats.columns_refused,
        queries_refused: stats.queries_refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3_600_000;

    #[track_caller]
    fn check(bytes: u64, age_ms: Option<i64>, bound: Option<u64>, expected: (Option<u64>, Option<u64>)) {
        let keep = Keep { bytes: bound, ..Keep::days(30) };
        let cost = KeepCost::of(&keep, bytes, age_ms.map(|age_ms| 1_000 * DAY - age_ms), 1_000 * DAY);
        assert_eq!((cost.keep_days, cost.keep_bytes), (30, bound));
        assert_eq!((cost.bytes_per_day, cost.forecast_bytes), expected);
    }

    #[test]
    fn the_rate_so_far_tells_what_all_days_will_take() {
        check(500, Some(10 * DAY), None, (Some(50), Some(1_500)));
        check(500, Some(10 * DAY), Some(1_000), (Some(50), Some(1_000)));
        check(500, Some(DAY / 2), None, (Some(1_000), Some(30_000)));
        check(500, Some(60_000), None, (None, None));
        check(0, None, None, (None, None));
    }
}
