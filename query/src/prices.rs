//! The price table: what tokens cost of which OpenClaw reported no cost.

use front::{ApiError, Response, json};
use http::StatusCode;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use store::{PRICES_MAX, Price, Priced, Prices, Store, TokenPrices};
use utoipa::ToSchema;

use crate::call::Call;
use crate::days::parse_date;
use crate::model::Number;
use crate::params::Fields;

/// Characters of a pattern.
const PATTERN_CHARS_MAX: usize = 200;
/// US dollars per million tokens.
const USD_MAX: f64 = 1e6;

/// What tokens cost that came without a cost.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct PriceTable {
    /// Of the entries that match and whose day has come the most exact one counts (more letters of `model`, then of
    /// `provider`), of equal ones the one with the latest `from`.
    #[schema(max_items = 300)]
    prices: Vec<PriceEntry>,
    /// For everything that no entry matches; `null`: the cost of such tokens is unknown.
    #[schema(required)]
    default: Option<TokenPricesBody>,
}

/// Prices of some models from a day on, US dollars per million tokens.
#[derive(Serialize, ToSchema)]
struct PriceEntry {
    /// Pattern: `*` stands for any letters; the case of ASCII letters does not count.
    #[schema(min_length = 1, max_length = 200)]
    provider: String,
    /// Pattern, as `provider`.
    #[schema(min_length = 1, max_length = 200)]
    model: String,
    /// The day from whose beginning (UTC) on it counts, like `2026-01-01`.
    #[schema(format = Date)]
    from: String,
    /// Tokens read as prompt, not from a cache.
    #[schema(value_type = f64, minimum = 0, maximum = 1000000)]
    input: Number,
    /// Tokens written.
    #[schema(value_type = f64, minimum = 0, maximum = 1000000)]
    output: Number,
    /// Tokens read from a prompt cache.
    #[schema(value_type = f64, minimum = 0, maximum = 1000000)]
    cache_read: Number,
    /// Tokens written to a prompt cache.
    #[schema(value_type = f64, minimum = 0, maximum = 1000000)]
    cache_write: Number,
}

/// US dollars per million tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenPrices)]
struct TokenPricesBody {
    #[schema(value_type = f64, minimum = 0, maximum = 1000000)]
    input: Number,
    #[schema(value_type = f64, minimum = 0, maximum = 1000000)]
    output: Number,
    #[schema(value_type = f64, minimum = 0, maximum = 1000000)]
    cache_read: Number,
    #[schema(value_type = f64, minimum = 0, maximum = 1000000)]
    cache_write: Number,
}

/// The price table, and what it is good for.
#[derive(Serialize, ToSchema)]
pub(crate) struct PricesAnswer {
    /// As they were set.
    prices: Vec<PriceEntry>,
    /// As it was set.
    #[schema(required)]
    default: Option<TokenPricesBody>,
    /// The models that were used, those with the most tokens first.
    models: Vec<UsedModelBody>,
}

/// A model that was used.
#[derive(Serialize, ToSchema)]
#[schema(as = UsedModel)]
struct UsedModelBody {
    provider: String,
    model: String,
    tokens: u64,
    /// Those that came without a cost, which the table prices.
    unreported_tokens: u64,
    /// Day of its last use, UTC.
    #[schema(format = Date)]
    last_used: String,
    /// What prices such tokens on that day: `price_table`, `default` or `unknown`.
    basis: &'static str,
}

/// The price table and the models that were used.
#[utoipa::path(get, path = "/api/v1/prices", operation_id = "get_prices", tag = "usage",
    responses((status = 200, body = PricesAnswer)))]
pub(crate) async fn get(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let answer = call.app.heavy(answer).await?;
    Ok(json(StatusCode::OK, &answer))
}

/// Replaces the price table; what came without a cost is priced by it from now on, also in the past.
#[utoipa::path(put, path = "/api/v1/prices", operation_id = "set_prices", tag = "usage", request_body = PriceTable,
    responses((status = 200, body = PricesAnswer)))]
pub(crate) async fn put(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let (mut fields, call) = call.fields().await?;
    let prices = table(&mut fields)?;
    fields.finish()?;
    let work = move |store: &Store| {
        store.set_prices(prices)?;
        answer(store)
    };
    let answer = call.app.heavy(work).await?;
    Ok(json(StatusCode::OK, &answer))
}

fn answer(store: &Store) -> store::Result<PricesAnswer> {
    let prices = store.prices();
    let models = store.used_models()?.into_iter().map(|used| {
        let basis = match prices.at(&used.provider, &used.model, used.last_day_ms) {
            Priced::Entry(_) => "price_table",
            Priced::Default(_) => "default",
            Priced::Unknown => "unknown",
        };
        UsedModelBody {
            tokens: used.tokens,
            unreported_tokens: used.unreported_tokens,
            last_used: day_text(used.last_day_ms),
            basis,
            provider: used.provider,
            model: used.model,
        }
    });
    let entries = prices.entries.iter().map(|entry| PriceEntry {
        provider: entry.provider.clone(),
        model: entry.model.clone(),
        from: day_text(entry.from_ms),
        input: Number(entry.prices.input),
        output: Number(entry.prices.output),
        cache_read: Number(entry.prices.cache_read),
        cache_write: Number(entry.prices.cache_write),
    });
    let default = prices.default.map(|prices| TokenPricesBody {
        input: Number(prices.input),
        output: Number(prices.output),
        cache_read: Number(prices.cache_read),
        cache_write: Number(prices.cache_write),
    });
    Ok(PricesAnswer { prices: entries.collect(), default, models: models.collect() })
}

/// The day of a midnight UTC.
fn day_text(t_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(t_ms).unwrap_or_default();
    moment.to_zoned(TimeZone::UTC).date().to_string()
}

fn table(fields: &mut Fields) -> Result<Prices, ApiError> {
    let default = match fields.object_or_null("default")? {
        None => None,
        Some(mut fields) => {
            let prices = token_prices(&mut fields)?;
            fields.finish()?;
            Some(prices)
        }
    };
    let mut entries: Vec<Price> = Vec::new();
    for mut fields in fields.required_objects("prices", PRICES_MAX)? {
        let from = fields.required_text("from")?;
        let day = parse_date("from", &from)
            .map_err(|_| fields.invalid("from", "must be a date like `2026-11-24`"))?;
        let price = Price {
            provider: pattern(&mut fields, "provider")?,
            model: pattern(&mut fields, "model")?,
            from_ms: midnight_ms(day)?,
            prices: token_prices(&mut fields)?,
        };
        let same = |other: &Price| {
            other.provider.eq_ignore_ascii_case(&price.provider)
                && other.model.eq_ignore_ascii_case(&price.model)
                && other.from_ms == price.from_ms
        };
        let twice = fields.invalid("from", "is the same as in another entry for this provider and model");
        fields.finish()?;
        if entries.iter().any(same) {
            return Err(twice);
        }
        entries.push(price);
    }
    Ok(Prices { entries, default })
}

fn pattern(fields: &mut Fields, name: &str) -> Result<String, ApiError> {
    let text = fields.required_text(name)?;
    let chars = text.chars().count();
    if chars == 0 || chars > PATTERN_CHARS_MAX || text.chars().any(char::is_control) {
        let what = format!("must have 1 to {PATTERN_CHARS_MAX} characters, none of them a control character");
        return Err(fields.invalid(name, &what));
    }
    Ok(text)
}

fn token_prices(fields: &mut Fields) -> Result<TokenPrices, ApiError> {
    let mut usd = |name| fields.required_number(name, 0.0..=USD_MAX);
    Ok(TokenPrices {
        input: usd("input")?,
        output: usd("output")?,
        cache_read: usd("cache_read")?,
        cache_write: usd("cache_write")?,
    })
}

fn midnight_ms(day: Date) -> Result<i64, ApiError> {
    let midnight = day.to_zoned(TimeZone::UTC).map_err(|_| ApiError::internal())?;
    Ok(midnight.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"{"provider": "acme", "model": "m-*", "from": "2026-01-01", "input": 3, "output": 15.5,
        "cache_read": 0.3, "cache_write": 0}"#;

    fn parse(body: &str) -> Result<Prices, ApiError> {
        let mut fields = Fields::parse(body.as_bytes()).unwrap();
        let prices = table(&mut fields)?;
        fields.finish()?;
        Ok(prices)
    }

    #[test]
    fn a_table_is_read_whole() {
        let prices = parse(&format!(r#"{{"prices": [{ENTRY}], "default": null}}"#)).unwrap();
        let day_ms = "2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let tokens = TokenPrices { input: 3.0, output: 15.5, cache_read: 0.3, cache_write: 0.0 };
        let price = Price { provider: "acme".into(), model: "m-*".into(), from_ms: day_ms, prices: tokens };
        assert_eq!(prices, Prices { entries: vec![price], default: None });
        assert_eq!(day_text(day_ms), "2026-01-01");
    }

    #[track_caller]
    fn refused(from: &str, to: &str, field: &str) {
        let body = format!(r#"{{"prices": [{ENTRY}, {}], "default": null}}"#, ENTRY.replacen(from, to, 1));
        assert_eq!(parse(&body).unwrap_err().field.as_deref(), Some(field), "{body}");
    }

    #[test]
    fn a_wrong_entry_is_named_with_its_place() {
        refused("2026-01-01", "2026-13-01", "prices[1].from");
        refused("2026-01-01", "2026-01-01", "prices[1].from");
        refused("acme", "", "prices[1].provider");
        refused("15.5", "-1", "prices[1].output");
        refused("15.5", "\"15\"", "prices[1].output");
        refused("15.5", "1e7", "prices[1].output");
        refused("\"from\"", "\"form\"", "prices[1].from");
        refused("\"input\": 3,", "\"input\": 3, \"from2\": 1,", "prices[1].from2");
    }

    #[test]
    fn list_and_default_must_be_there() {
        assert_eq!(parse("{}").unwrap_err().field.as_deref(), Some("default"));
        assert_eq!(parse(r#"{"default": null}"#).unwrap_err().field.as_deref(), Some("prices"));
        assert_eq!(
            parse(r#"{"default": {}, "prices": []}"#).unwrap_err().field.as_deref(),
            Some("default.input")
        );
        let many = vec![ENTRY; PRICES_MAX + 1].join(",");
        let error = parse(&format!(r#"{{"prices": [{many}], "default": null}}"#)).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("prices"));
    }
}
