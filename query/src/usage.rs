//! Token usage: how much, of what, and what it cost.

pub(crate) mod steps;

use std::collections::{BTreeMap, HashMap};

use front::{ApiError, Response};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use store::{Cost, DeviceId, Store, Timestamp, UsageKey, UsageOverview, UsageQuery, UsageSum};
use utoipa::{IntoParams, ToSchema};

use crate::call::Call;
use crate::csv::{self, Csv};
use crate::days::{date, date_at, days, zone};
use crate::lists::{name, names};
use crate::model::{Number, json_text, to_json};
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
enum By {
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

    fn word(self) -> &'static str {
        By::ALL.iter().find(|(_, by)| *by == self).map_or("", |(word, _)| word)
    }
}

/// A checked question; the range is completed once the oldest usage is known.
#[derive(Debug)]
pub(crate) struct Question {
    from: Option<Date>,
    to: Option<Date>,
    by: Vec<By>,
    tz: TimeZone,
    query: UsageQuery,
}

/// Token usage over some days.
#[derive(Serialize, ToSchema)]
pub(crate) struct Usage<'a> {
    /// First day.
    #[schema(format = Date)]
    from: String,
    /// Last day, included.
    #[schema(format = Date)]
    to: String,
    /// Zone of the days.
    tz: &'a str,
    /// By what rows are told apart.
    by: Vec<&'static str>,
    /// Rows with usage, in the order of `by`.
    rows: Vec<UsageRow<'a>>,
    /// Everything that was asked for together.
    total: Figures,
}

/// What is not asked for in `by` is not there.
#[derive(Serialize, ToSchema)]
struct UsageRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date, nullable = false)]
    day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    device: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    device_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    model: Option<&'a str>,
    #[serde(flatten)]
    figures: Figures,
}

/// Tokens and what they cost.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageFigures)]
struct Figures {
    /// Assistant messages.
    messages: u64,
    /// All four kinds together.
    tokens: u64,
    /// Read as prompt, not from a cache.
    input: u64,
    /// Written.
    output: u64,
    /// Read from a prompt cache.
    cache_read: u64,
    /// Written to a prompt cache.
    cache_write: u64,
    /// All that is known of the cost, US dollars.
    #[schema(value_type = f64)]
    cost_usd: Number,
    cost: CostBody,
}

/// The cost by what is known of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Cost)]
struct CostBody {
    /// As OpenClaw reported it.
    #[schema(value_type = f64)]
    reported_usd: Number,
    /// Computed from an entry of the price table.
    #[schema(value_type = f64)]
    price_table_usd: Number,
    /// Computed from the default price.
    #[schema(value_type = f64)]
    default_usd: Number,
    /// Tokens of which nobody knows the price; they count as nothing.
    unknown_tokens: u64,
}

/// Tokens and cost of some days, in short.
#[derive(Serialize, ToSchema)]
pub(crate) struct Spent {
    tokens: u64,
    /// All that is known of the cost, US dollars.
    #[schema(value_type = f64)]
    cost_usd: Number,
    /// What the cost is based on, of these those that contribute: `reported`, `price_table`, `default`, `unknown`.
    basis: Vec<&'static str>,
}

/// Usage in days of the asked zone.
#[derive(Serialize, ToSchema)]
pub(crate) struct SpentDays {
    today: Spent,
    yesterday: Spent,
    /// The month it is.
    month: Spent,
    total: Spent,
}

impl SpentDays {
    pub(crate) fn of(overview: &UsageOverview) -> SpentDays {
        let UsageOverview { today, yesterday, month, total } = overview;
        SpentDays {
            today: Spent::of(today),
            yesterday: Spent::of(yesterday),
            month: Spent::of(month),
            total: Spent::of(total),
        }
    }
}

impl Spent {
    fn of(sum: &UsageSum) -> Spent {
        Spent { tokens: sum.tokens.total(), cost_usd: usd(sum.cost.usd()), basis: basis(&sum.cost) }
    }
}

/// The words of what contributes to a cost.
pub(crate) fn basis(cost: &Cost) -> Vec<&'static str> {
    [
        ("reported", cost.reported_usd > 0.0),
        ("price_table", cost.price_table_usd > 0.0),
        ("default", cost.default_usd > 0.0),
        ("unknown", cost.unknown_tokens > 0),
    ]
    .into_iter()
    .filter_map(|(word, there)| there.then_some(word))
    .collect()
}

/// Sums of doubles without what adding them up brought in: a billionth of a dollar is nothing.
pub(crate) fn usd(usd: f64) -> Number {
    Number((usd * 1e9).round() / 1e9)
}

impl Figures {
    fn of(sum: &UsageSum) -> Figures {
        Figures {
            messages: sum.messages,
            tokens: sum.tokens.total(),
            input: sum.tokens.input,
            output: sum.tokens.output,
            cache_read: sum.tokens.cache_read,
            cache_write: sum.tokens.cache_write,
            cost_usd: usd(sum.cost.usd()),
            cost: CostBody {
                reported_usd: usd(sum.cost.reported_usd),
                price_table_usd: usd(sum.cost.price_table_usd),
                default_usd: usd(sum.cost.default_usd),
                unknown_tokens: sum.cost.unknown_tokens,
            },
        }
    }
}

/// Tokens and cost by day, device, agent, provider and model.
#[utoipa::path(get, path = "/api/v1/usage", operation_id = "get_usage", tag = "usage", params(UsageParams),
    responses((status = 200, content((Usage = "application/json"), (String = "text/csv")))))]
pub(crate) async fn usage(call: Call) -> Result<Response, ApiError> {
    let mut params = call.params()?;
    let csv = csv::wanted(&mut params, &call.parts.headers)?;
    let chosen = call.app.store.settings().time_zone;
    let question = question(params, chosen.as_deref())?;
    let now = call.now;
    let work = move |store: &Store| {
        let (question, days) = match with_days(question, store, now)? {
            Ok(both) => both,
            Err(fault) => return Ok(Err(fault)),
        };
        let rows = match store.usage(&question.query) {
            Err(store::Error::TooMuch { limit }) => {
                let message =
                    format!("The answer has more than {limit} rows; ask for fewer days or less in `by`.");
                return Ok(Err(ApiError::invalid("by", message)));
            }
            other => other?,
        };
        Ok(written(&question, &days, &rows, store, csv))
    };
    let text = call.app.heavy(work).await??;
    Ok(if csv { csv::answer(text, "usage.csv") } else { json_text(text) })
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

fn filter(params: &mut Params, name: &str) -> Result<Vec<String>, ApiError> {
    let values = params.all(name);
    if values.len() > FILTER_MAX {
        return Err(ApiError::invalid(name, format!("`{name}` may be given {FILTER_MAX} times.")));
    }
    Ok(values)
}

/// The question with its ranges, and the days they stand for: of one range its first and last.
fn with_days(
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

fn written(
    question: &Question,
    days: &[Date],
    sums: &BTreeMap<UsageKey, UsageSum>,
    store: &Store,
    csv: bool,
) -> Result<Vec<u8>, ApiError> {
    let names = names(store, sums.keys().filter_map(|key| key.device));
    let mut rows: Vec<UsageRow> =
        sums.iter().map(|(key, sum)| row(key, sum, days, question, &names)).collect();
    sort(&mut rows, &question.by);
    if csv {
        return Ok(table(&question.by, &rows));
    }
    let mut total = UsageSum::default();
    sums.values().for_each(|sum| total.add(sum));
    let body = Usage {
        from: days[0].to_string(),
        to: days[days.len() - 1].to_string(),
        tz: question.tz.iana_name().unwrap_or("UTC"),
        by: question.by.iter().map(|by| by.word()).collect(),
        rows,
        total: Figures::of(&total),
    };
    to_json(&body)
}

fn row<'a>(
    key: &'a UsageKey,
    sum: &UsageSum,
    days: &[Date],
    question: &Question,
    names: &'a HashMap<DeviceId, Option<String>>,
) -> UsageRow<'a> {
    UsageRow {
        day: question.by.contains(&By::Day).then(|| days[key.range].to_string()),
        device: key.device.map(|id| id.0),
        device_name: key.device.and_then(|id| name(names, id)),
        agent: key.agent.as_deref(),
        provider: key.provider.as_deref(),
        model: key.model.as_deref(),
        figures: Figures::of(sum),
    }
}

fn sort(rows: &mut [UsageRow<'_>], by: &[By]) {
    rows.sort_by(|a, b| {
        let compared = by.iter().map(|by| match by {
            By::Day => a.day.cmp(&b.day),
            By::Device => a.device.cmp(&b.device),
            By::Agent => a.agent.cmp(&b.agent),
            By::Provider => a.provider.cmp(&b.provider),
            By::Model => a.model.cmp(&b.model),
        });
        compared.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
}

fn table(by: &[By], rows: &[UsageRow<'_>]) -> Vec<u8> {
    let dimensions = by.iter().flat_map(|by| match by {
        By::Device => vec!["device", "device_name"],
        other => vec![other.word()],
    });
    let figures = [
        "messages",
        "tokens",
        "input",
        "output",
        "cache_read",
        "cache_write",
        "cost_usd",
        "reported_usd",
        "price_table_usd",
        "default_usd",
        "unknown_tokens",
    ];
    let mut csv = Csv::new(dimensions.chain(figures));
    for row in rows {
        for by in by {
            match by {
                By::Day => csv.text(row.day.as_deref().unwrap_or_default()),
                By::Device => {
                    csv.whole(row.device.unwrap_or_default());
                    csv.text(row.device_name.unwrap_or_default());
                }
                By::Agent => csv.text(row.agent.unwrap_or_default()),
                By::Provider => csv.text(row.provider.unwrap_or_default()),
                By::Model => csv.text(row.model.unwrap_or_default()),
            }
        }
        let Figures { messages, tokens, input, output, cache_read, cache_write, cost_usd, cost } =
            &row.figures;
        for whole in [messages, tokens, input, output, cache_read, cache_write] {
            csv.whole(whole);
        }
        for usd in [cost_usd, &cost.reported_usd, &cost.price_table_usd, &cost.default_usd] {
            csv.number(Some(usd.0));
        }
        csv.whole(cost.unknown_tokens);
        csv.end();
    }
    csv.finish()
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

    #[test]
    fn costs_are_told_with_what_they_are_based_on() {
        let cost = Cost { reported_usd: 0.1 + 0.2, default_usd: 1.0, unknown_tokens: 5, ..Cost::default() };
        assert_eq!(basis(&cost), ["reported", "default", "unknown"]);
        assert_eq!(serde_json::to_string(&usd(cost.reported_usd)).unwrap(), "0.3");
    }
}
