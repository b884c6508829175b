//! What the overview draws of every device: a day of availability, an hour of CPU.

use front::{ApiError, Response};
use serde::Serialize;
use store::{
    AVAILABILITY_SLOT_MS, AVAILABILITY_SLOTS, Activity, Availability, SPARK_METRIC, SPARK_MINUTES, Store,
    Timestamp,
};
use utoipa::ToSchema;

use crate::call::Call;
use crate::model::{Number, json_text, to_json};

const MINUTE_MS: i64 = 60_000;

/// The last day and the last hour of every device.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActivityList {
    /// The server's clock.
    now_ms: Timestamp,
    availability: AvailabilityAxis,
    spark: SparkAxis,
    devices: Vec<ActivityBody>,
}

/// When the slots are.
#[derive(Serialize, ToSchema)]
struct AvailabilityAxis {
    /// The beginning of the first slot.
    from_ms: Timestamp,
    step_ms: i64,
    slots: usize,
}

/// When the minutes are.
#[derive(Serialize, ToSchema)]
struct SparkAxis {
    /// `cpu_percent`
    metric: &'static str,
    /// The beginning of the first minute.
    from_ms: Timestamp,
    step_ms: i64,
    points: usize,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Activity)]
struct ActivityBody {
    id: u32,
    /// One letter a slot, the oldest first: `o` online, `d` degraded for a part, `i` silent for less than half of it,
    /// `x` silent for half of it or more, `-` nothing known (not added yet, or the server was down).
    #[schema(pattern = "^[odix-]{96}$")]
    availability: String,
    /// Percent of the known time of the day in which it was not silent; `null`: nothing is known.
    #[schema(value_type = Option<f64>)]
    online_percent: Option<Number>,
    /// Means of a minute, the oldest first; `null` where nothing came.
    #[schema(value_type = Vec<Option<f64>>)]
    spark: Vec<Option<Number>>,
}

impl From<Activity> for ActivityBody {
    fn from(activity: Activity) -> ActivityBody {
        let letter = |availability: &Availability| match availability {
            Availability::Unknown => '-',
            Availability::Online => 'o',
            Availability::Degraded => 'd',
            Availability::Interrupted => 'i',
            Availability::Offline => 'x',
        };
        let tenths = |value: f64| Number((value * 10.0).round() / 10.0);
        ActivityBody {
            id: activity.device.0,
            availability: activity.availability.iter().map(letter).collect(),
            online_percent: activity.online.map(|online| Number((online * 100_000.0).round() / 1_000.0)),
            spark: activity.spark.iter().map(|mean| mean.map(|mean| tenths(mean.into()))).collect(),
        }
    }
}

/// Availability over 24 hours and CPU over the last one, of all devices at once.
#[utoipa::path(get, path = "/api/v1/activity", operation_id = "get_activity", tag = "devices",
    responses((status = 200, body = ActivityList)))]
pub(crate) async fn activity(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let now = call.now;
    // Written there: a large fleet's list would hold up every other request of an async thread.
    let work = move |store: &Store| Ok(to_json(&list(store.activity(now)?, now)));
    Ok(json_text(call.app.light(work).await??))
}

fn list(activity: Vec<Activity>, now: Timestamp) -> ActivityList {
    let end = now - now.rem_euclid(AVAILABILITY_SLOT_MS) + AVAILABILITY_SLOT_MS;
    let last_minute = now - now.rem_euclid(MINUTE_MS);
    ActivityList {
        now_ms: now,
        availability: AvailabilityAxis {
            from_ms: end - AVAILABILITY_SLOTS as i64 * AVAILABILITY_SLOT_MS,
            step_ms: AVAILABILITY_SLOT_MS,
            slots: AVAILABILITY_SLOTS,
        },
        spark: SparkAxis {
            metric: SPARK_METRIC,
            from_ms: last_minute - (SPARK_MINUTES as i64 - 1) * MINUTE_MS,
            step_ms: MINUTE_MS,
            points: SPARK_MINUTES,
        },
        devices: activity.into_iter().map(ActivityBody::from).collect(),
    }
}
