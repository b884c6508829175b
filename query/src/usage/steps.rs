//! Token usage step by step, for drawing it beside other figures.

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{DeviceId, TimeRange, Timestamp, USAGE_SLOT_MS, UsageQuery, UsageSum};
use utoipa::{IntoParams, ToSchema};

use super::question::filter;
use super::usd;
use crate::call::Call;
use crate::model::Number;
use crate::params::{Params, number, required};

/// Steps of one answer.
const STEPS_MAX: i64 = 1_000;
/// The longest step, about ten years.
const STEP_MS_MAX: i64 = 3_650 * 24 * 3_600_000;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the parameters; they are read one by one, so that faults name them")]
pub(crate) struct StepParams {
    /// Only these devices.
    #[param(max_items = 200)]
    device: Option<Vec<u32>>,
    /// The first step begins at the quarter of an hour that this is in.
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    from_ms: i64,
    /// The last step is the one before this.
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    to_ms: i64,
    /// Length of a step, a multiple of 900,000 (a quarter of an hour), which is also the default; at most 1,000 steps.
    #[param(minimum = 900000, maximum = 315360000000_i64)]
    step_ms: Option<i64>,
}

/// Columns, one entry for each step.
#[derive(Serialize, ToSchema)]
pub(crate) struct UsageSteps {
    /// The beginning of the first step.
    from_ms: Timestamp,
    step_ms: i64,
    /// Assistant messages.
    messages: Vec<u64>,
    /// Read as prompt, not from a cache.
    input: Vec<u64>,
    /// Written.
    output: Vec<u64>,
    /// Read from a prompt cache.
    cache_read: Vec<u64>,
    /// Written to a prompt cache.
    cache_write: Vec<u64>,
    /// All that is known of the cost, US dollars.
    #[schema(value_type = Vec<f64>)]
    cost_usd: Vec<Number>,
}

/// Tokens and cost in steps of a quarter of an hour or longer.
#[utoipa::path(get, path = "/api/v1/usage/steps", operation_id = "get_usage_steps", tag = "usage", params(StepParams),
    responses((status = 200, body = UsageSteps)))]
pub(crate) async fn steps(call: Call) -> Result<Response, ApiError> {
    let (query, step_ms) = question(call.params()?)?;
    let from_ms = query.ranges[0].start();
    let mut sums = vec![UsageSum::default(); query.ranges.len()];
    for (key, sum) in call.app.heavy(move |store| store.usage(&query)).await? {
        sums[key.range].add(&sum);
    }
    let column = |figure: fn(&UsageSum) -> u64| sums.iter().map(figure).collect();
    let body = UsageSteps {
        from_ms,
        step_ms,
        messages: column(|sum| sum.messages),
        input: column(|sum| sum.tokens.input),
        output: column(|sum| sum.tokens.output),
        cache_read: column(|sum| sum.tokens.cache_read),
        cache_write: column(|sum| sum.tokens.cache_write),
        cost_usd: sums.iter().map(|sum| usd(sum.cost.usd())).collect(),
    };
    Ok(json(StatusCode::OK, &body))
}

/// The question to the ledger, which has one range or more, and the length of each.
fn question(mut params: Params) -> Result<(UsageQuery, i64), ApiError> {
    let devices = filter(&mut params, "device")?
        .iter()
        .map(|id| number("device", id, &(0..=u32::MAX)).map(DeviceId))
        .collect::<Result<_, _>>()?;
    let from_ms = required(params.time_ms("from_ms")?, "from_ms")?;
    let to_ms = required(params.time_ms("to_ms")?, "to_ms")?;
    let step_ms = params.number("step_ms", USAGE_SLOT_MS..=STEP_MS_MAX)?.unwrap_or(USAGE_SLOT_MS);
    params.finish()?;
    if from_ms >= to_ms {
        return Err(ApiError::invalid("to_ms", "`to_ms` must be after `from_ms`."));
    }
    if step_ms % USAGE_SLOT_MS != 0 {
        return Err(ApiError::invalid(
            "step_ms",
            format!("`step_ms` must be a multiple of {USAGE_SLOT_MS}."),
        ));
    }
    let first = from_ms - from_ms.rem_euclid(USAGE_SLOT_MS);
    let count = (to_ms - first + step_ms - 1) / step_ms;
    if count > STEPS_MAX {
        let message = format!("These are {count} steps; there may be {STEPS_MAX}: make them longer.");
        return Err(ApiError::invalid("step_ms", message));
    }
    let ranges = (0..count).filter_map(|at| TimeRange::new(first + at * step_ms, first + (at + 1) * step_ms));
    Ok((UsageQuery { ranges: ranges.collect(), devices, ..UsageQuery::default() }, step_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<(UsageQuery, i64), ApiError> {
        question(Params::parse(Some(query)).unwrap())
    }

    #[test]
    fn steps_begin_at_a_quarter_of_an_hour_and_reach_the_end() {
        let (query, step_ms) = parse("device=3&from_ms=900005&to_ms=2700001").unwrap();
        let spans: Vec<_> = query.ranges.iter().map(|range| (range.start(), range.end())).collect();
        assert_eq!(spans, [(900_000, 1_800_000), (1_800_000, 2_700_000), (2_700_000, 3_600_000)]);
        assert_eq!((query.devices, step_ms), (vec![DeviceId(3)], 900_000));
        let hours = parse("from_ms=0&to_ms=7200000&step_ms=3600000").unwrap();
        assert_eq!((hours.0.ranges.len(), hours.1), (2, 3_600_000));
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for (query, field) in [
            ("to_ms=1", "from_ms"),
            ("from_ms=1", "to_ms"),
            ("from_ms=1&to_ms=1", "to_ms"),
            ("from_ms=0&to_ms=1&step_ms=900001", "step_ms"),
            ("from_ms=0&to_ms=1&step_ms=0", "step_ms"),
            ("from_ms=0&to_ms=900000001", "step_ms"),
            ("from_ms=0&to_ms=1&device=x", "device"),
            ("from_ms=0&to_ms=1&by=day", "by"),
        ] {
            assert_eq!(parse(query).unwrap_err().field.as_deref(), Some(field), "{query}");
        }
    }
}
