//! The overview's figures, and what is on disk.

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{DeviceState, Level, Timestamp, UsageOverview, UsageSum};
use utoipa::{IntoParams, ToSchema};

use crate::call::Call;
use crate::days::{overview, zone};
use crate::model::Number;
use crate::usage::{basis, usd};

/// Errors are counted over this long.
const ERRORS_MS: i64 = 24 * 3_600_000;

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
    /// All that is known of the cost.
    #[schema(value_type = Days<f64>)]
    cost_usd: Days<Number>,
    /// What the cost is based on, of these those that contribute: `reported`, `price_table`, `default`, `unknown`.
    #[schema(value_type = Days<Vec<String>>)]
    cost_basis: Days<Vec<&'static str>>,
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
    /// The month it is.
    month: T,
    total: T,
}

impl<T> Days<T> {
    fn of(usage: &UsageOverview, figure: impl Fn(&UsageSum) -> T) -> Days<T> {
        Days {
            today: figure(&usage.today),
            yesterday: figure(&usage.yesterday),
            month: figure(&usage.month),
            total: figure(&usage.total),
        }
    }
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
    let days = overview(&tz, now)?;
    let read = call.app.heavy(move |store| {
        let mut usage = UsageOverview::default();
        store.usage_overview(&days)?.values().for_each(|device| usage.add(device));
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
            tokens: Days::of(&usage, |sum| sum.tokens.total()),
            cost_usd: Days::of(&usage, |sum| usd(sum.cost.usd())),
            cost_basis: Days::of(&usage, |sum| basis(&sum.cost)),
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
