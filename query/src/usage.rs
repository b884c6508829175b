//! Token usage: how much, of what, and what it cost.

mod question;
pub(crate) mod steps;

use std::collections::{BTreeMap, HashMap};

use front::{ApiError, Response};
use jiff::civil::Date;
use serde::Serialize;
use store::{Cost, DeviceId, Store, UsageKey, UsageOverview, UsageSum};
use utoipa::ToSchema;

use crate::call::Call;
use crate::csv::{self, Csv};
use crate::lists::{name, names};
use crate::model::{Number, json_text, to_json};
use question::{By, Question, UsageParams, with_days};

pub(crate) use question::question;

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

    #[test]
    fn costs_are_told_with_what_they_are_based_on() {
        let cost = Cost { reported_usd: 0.1 + 0.2, default_usd: 1.0, unknown_tokens: 5, ..Cost::default() };
        assert_eq!(basis(&cost), ["reported", "default", "unknown"]);
        assert_eq!(serde_json::to_string(&usd(cost.reported_usd)).unwrap(), "0.3");
    }
}
