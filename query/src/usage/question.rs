//! What is asked about usage, checked.

use front::ApiError;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use store::{DeviceId, Store, Timestamp, UsageQuery};
use utoipa::IntoParams;

use crate::days::{date, date_at, days, zone};
use crate::params::{Params, number};

/// Days of one question that tells them apart: more than ten years.
const DAYS_MAX: usize = 4_000;
/// Values of one filter.
const FILTER_MAX: usize = 200;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the parameters; they are read one by one, so that faults name them")]
pub(crate) struct UsageParams {
    /// First day, like `2026-11-01`; by default the day of the oldest usage.
    #[param(format = Date)]
    from: Option<String>,
    /// Last day, which is included; by default today.
    #[param(format = Date)]
    to: Option<String>,
    /// Comma-separated, in the order of the rows: `day`, `device`, `agent`, `provider`, `model`; without it one row.
    #[param(pattern = "^(day|device|agent|provider|model)(,(day|device|agent|provider|model))*$")]
    by: Option<String>,
    /// IANA zone of the days, like `Europe/Berlin`; by default the one in the settings.
    tz: Option<String>,
    /// Only these devices.
    #[param(max_items = 200)]
    device: Option<Vec<u32>>,
    /// Only these OpenClaw agents.
    #[param(max_items = 200)]
    agent: Option<Vec<String>>,
    /// Only these providers.
    #[param(max_items = 200)]
    provider: Option<Vec<String>>,
    /// Only these models.
    #[param(max_items = 200)]
    model: Option<Vec<String>>,
    /// `json` or `csv`; by default what `Accept` says.
    #[param(pattern = "^(json|csv)$")]
    format: Option<String>,
}

/// By what rows are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Day,
    Device,
    Agent,
    Provider,
    Model,
}

impl By {
    const ALL: [(&str, By); 5] = [
        ("day", By::Day),
        ("device", By::Device),
        ("agent", By::Agent),
        ("provider", By::Provider),
        ("model", By::Model),
    ];

    pub(super) fn word(self) -> &'static str {
        By::ALL.iter().find(|(_, by)| *by == self).map_or("", |(word, _)| word)
    }
}

/// A checked question; the range is completed once the oldest usage is known.
#[derive(Debug)]
pub(crate) struct Question {
    from: Option<Date>,
    to: Option<Date>,
    pub(super) by: Vec<By>,
    pub(super) tz: TimeZone,
    pub(super) query: UsageQuery,
}

pub(crate) fn question(mut params: Params, chosen_zone: Option<&str>) -> Result<Question, ApiError> {
    let question = Question {
        from: date(&mut params, "from")?,
        to: date(&mut params, "to")?,
        by: by(params.one("by")?)?,
        tz: zone(&mut params, chosen_zone)?,
        query: UsageQuery {
            devices: filter(&mut params, "device")?
                .iter()
                .map(|id| number("device", id, &(0..=u32::MAX)).map(DeviceId))
                .collect::<Result<_, _>>()?,
            agents: filter(&mut params, "agent")?,
            providers: filter(&mut params, "provider")?,
            models: filter(&mut params, "model")?,
            ..UsageQuery::default()
        },
    };
    params.finish()?;
    let by = |wanted| question.by.contains(&wanted);
    let query = UsageQuery {
        by_device: by(By::Device),
        by_agent: by(By::Agent),
        by_provider: by(By::Provider),
        by_model: by(By::Model),
        ..question.query.clone()
    };
    Ok(Question { query, ..question })
}

fn by(text: Option<String>) -> Result<Vec<By>, ApiError> {
    let mut found = Vec::new();
    for word in text.iter().flat_map(|text| text.split(',')) {
        let Some((_, by)) = By::ALL.iter().find(|(name, _)| *name == word) else {
            let message = "`by` may hold `day`, `device`, `agent`, `provider` and `model`.";
            return Err(ApiError::invalid("by", message));
        };
        if !found.contains(by) {
            found.push(*by);
        }
    }
    Ok(found)
}

pub(super) fn filter(params: &mut Params, name: &str) -> Result<Vec<String>, ApiError> {
    let values = params.all(name);
    if values.len() > FILTER_MAX {
        return Err(ApiError::invalid(name, format!("`{name}` may be given {FILTER_MAX} times.")));
    }
    Ok(values)
}

/// The question with its ranges, and the days they stand for: of one range its first and last.
pub(super) fn with_days(
    mut question: Question,
    store: &Store,
    now: Timestamp,
) -> store::Result<Result<(Question, Vec<Date>), ApiError>> {
    let since = if question.from.is_none() { store.usage_since()? } else { None };
    let complete = |question: &mut Question| -> Result<Vec<Date>, ApiError> {
        let today = date_at(&question.tz, now)?;
        let to = question.to.unwrap_or(today);
        let from = match (question.from, since) {
            (Some(from), _) => from,
            (None, Some(since)) => date_at(&question.tz, since)?.min(to),
            (None, None) => to,
        };
        if from > to {
            return Err(ApiError::invalid("to", "`to` must not be before `from`."));
        }
        if !question.by.contains(&By::Day) {
            question.query.ranges = vec![days(&question.tz, from, to)?];
            return Ok(vec![from, to]);
        }
        let all: Vec<Date> = from.series(1.day()).take_while(|day| *day <= to).take(DAYS_MAX + 1).collect();
        if all.len() > DAYS_MAX {
            let message = format!("By day there may be {DAYS_MAX} days; give a later `from`.");
            return Err(ApiError::invalid("from", message));
        }
        question.query.ranges =
            all.iter().map(|day| days(&question.tz, *day, *day)).collect::<Result<_, _>>()?;
        Ok(all)
    };
    Ok(complete(&mut question).map(|days| (question, days)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(query: &str, field: &str) {
        let error = question(Params::parse(Some(query)).unwrap(), None).unwrap_err();
        assert_eq!((error.status.as_u16(), error.field.as_deref()), (422, Some(field)), "{query}");
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        refused("from=yesterday", "from");
        refused("to=2026-13-01", "to");
        refused("by=day,week", "by");
        refused("by=day,,model", "by");
        refused("tz=Mars", "tz");
        refused("device=nas", "device");
        refused("devices=1", "devices");
        refused(&"model=x&".repeat(201), "model");
    }

    #[test]
    fn the_words_of_by_keep_their_order() {
        let question = question(Params::parse(Some("by=model,day,model")).unwrap(), None).unwrap();
        assert_eq!(question.by, [By::Model, By::Day]);
        assert!(question.query.by_model && !question.query.by_device);
    }
}
