//! The overview's figures.

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{DeviceState, DeviceView, Level, Timestamp, UsageOverview, UsageSum};
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
    /// IANA zone of the days, like `Europe/Berlin`; by default the one in the settings.
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

impl States {
    fn of(devices: &[DeviceView]) -> States {
        let count = |state| devices.iter().filter(|view| view.state == state).count();
        States {
            online: count(DeviceState::Online),
            degraded: count(DeviceState::Degraded),
            offline: count(DeviceState::Offline),
            new: count(DeviceState::New),
            total: devices.len(),
        }
    }
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

/// The figures of the overview.
#[utoipa::path(get, path = "/api/v1/summary", operation_id = "get_summary", tag = "summary", params(SummaryParams),
    responses((status = 200, body = Summary)))]
pub(crate) async fn summary(call: Call) -> Result<Response, ApiError> {
    let mut params = call.params()?;
    let tz = zone(&mut params, call.app.store.settings().time_zone.as_deref())?;
    params.finish()?;
    let now = call.now;
    let days = overview(&tz, now)?;
    let read = call.app.heavy(move |store| {
        let mut usage = UsageOverview::default();
        store.usage_overview(&days)?.values().for_each(|device| usage.add(device));
        let devices = States::of(&store.devices());
        Ok((usage, store.count_logs(Level::Error, now - ERRORS_MS)?, store.storage(), devices))
    });
    let (usage, errors_24h, storage, devices) = read.await?;
    Ok(json(
        StatusCode::OK,
        &Summary {
            now_ms: now,
            devices,
            tokens: Days::of(&usage, |sum| sum.tokens.total()),
            cost_usd: Days::of(&usage, |sum| usd(sum.cost.usd())),
            cost_basis: Days::of(&usage, |sum| basis(&sum.cost)),
            errors_24h,
            storage: Stored { bytes: storage.total_bytes, samples: storage.samples },
            version: env!("CARGO_PKG_VERSION"),
        },
    ))
}
