//! One record of a transcript, whichever version wrote it. Only what a usage event needs is taken out
//! of it: prompts and replies are passed over while they are parsed and kept nowhere.

use std::fmt;
use std::io::Read;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use wire::bounds::TOKENS_MAX;

use loose::{Loose, Part};

mod loose;

/// US dollars of one record.
pub const COST_USD_MAX: f64 = 1e6;
/// Bytes of a provider's or a model's name; what is longer is cut.
pub const TEXT_BYTES_MAX: usize = 256;
/// What a record with usage has to contain; records are large, and most have none.
pub const MARK: &str = "\"usage\"";

/// What one assistant message cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Spent {
    /// Which message, the same in every copy of it.
    pub id: EventId,
    /// When, in Unix milliseconds; nothing if the record does not say.
    pub t_ms: Option<i64>,
    /// Model provider.
    pub provider: String,
    /// Model.
    pub model: String,
    /// Tokens in, without cached ones.
    pub input: u64,
    /// Tokens out.
    pub output: u64,
    /// Tokens read from the cache.
    pub cache_read: u64,
    /// Tokens written to the cache.
    pub cache_write: u64,
    /// What OpenClaw noted as its cost in US dollars.
    pub cost_usd: Option<f64>,
}

/// Identifies a message. Forks, rewinds, archives and the move into a database copy a record with its
/// id and its time, so that these two make it the same event; the session does not, it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub u128);

/// What a record was.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// No usage in it.
    Nothing,
    /// Usage; the second is whether part of it made no sense and counts as nothing.
    Usage(Spent, bool),
    /// It should hold usage and none of it could be understood.
    Faulty,
}

/// The record that the bytes are.
pub fn parse_slice(text: &[u8]) -> Found {
    serde_json::from_slice::<Record>(text).map_or(Found::Faulty, |record| judge(&record))
}

/// The record that the bytes to come are. They are not kept, however many they are.
pub fn parse_reader(text: impl Read) -> Found {
    serde_json::from_reader::<_, Record>(text).map_or(Found::Faulty, |record| judge(&record))
}

fn judge(record: &Record) -> Found {
    let message = match &record.message {
        Part::Object(message) => Some(message),
        _ => None,
    };
    // Some early versions wrote it beside the message.
    let usage = match message.map(|message| &message.usage) {
        None | Some(Part::Absent) => &record.usage,
        Some(usage) => usage,
    };
    let usage = match usage {
        Part::Absent => return Found::Nothing,
        Part::Other | Part::Number(_) => return Found::Faulty,
        Part::Object(usage) => usage,
    };
    let none = Loose::Absent;
    let of_message = |value: fn(&Message) -> &Loose| message.map_or(&none, value);
    let mut parts = Parts::default();
    let [input, output, cache_read, cache_write] = [
        [&usage.input, &usage.input_tokens, &usage.prompt_tokens],
        [&usage.output, &usage.output_tokens, &usage.completion_tokens],
        [&usage.cache_read, &usage.cache_read_input_tokens, &none],
        [&usage.cache_write, &usage.cache_creation_input_tokens, &none],
    ]
    .map(|names| parts.tokens(names));
    if !parts.any_good {
        return Found::Faulty;
    }
    let cost_usd = parts.cost(&usage.cost);
    let t_ms = of_message(|message| &message.timestamp).time().or_else(|| record.timestamp.time());
    let provider = of_message(|message| &message.provider).text();
    let model = of_message(|message| &message.model).text();
    let id = match (record.id.text(), t_ms) {
        ("", _) | (_, None) => EventId::of(&[
            record.id.text().as_bytes(),
            &t_ms.unwrap_or(-1).to_le_bytes(),
            provider.as_bytes(),
            model.as_bytes(),
            of_message(|message| &message.response_id).text().as_bytes(),
            &[input, output, cache_read, cache_write].map(u64::to_le_bytes).concat(),
        ]),
        // Older ids are short and unique within their file only; with the time they are anywhere.
        (id, Some(t_ms)) => EventId::of(&[id.as_bytes(), &t_ms.to_le_bytes()]),
    };
    let (provider, model) = (shorten(provider), shorten(model));
    let spent = Spent { id, t_ms, provider, model, input, output, cache_read, cache_write, cost_usd };
    Found::Usage(spent, parts.any_bad)
}

/// What of a record's figures made sense.
#[derive(Default)]
struct Parts {
    any_good: bool,
    any_bad: bool,
}

impl Parts {
    /// The figure under the first of its names that is there.
    fn tokens(&mut self, names: [&Loose; 3]) -> u64 {
        match names.into_iter().find(|value| **value != Loose::Absent) {
            None => 0,
            Some(Loose::Number(value)) if (0.0..=TOKENS_MAX as f64).contains(value) => {
                self.any_good = true;
                *value as u64
            }
            Some(_) => {
                self.any_bad = true;
                0
            }
        }
    }

    /// A recorded cost of nothing is none unless the provider said so: it stands where no price was
    /// known.
    fn cost(&mut self, cost: &Part<Cost>) -> Option<f64> {
        let (total, billed) = match cost {
            Part::Absent => return None,
            Part::Number(total) => (*total, false),
            Part::Object(cost) => match cost.total {
                Loose::Absent => return None,
                Loose::Number(total) => (total, cost.total_origin.text() == "provider-billed"),
                _ => (f64::NAN, false),
            },
            Part::Other => (f64::NAN, false),
        };
        if !(0.0..=COST_USD_MAX).contains(&total) {
            self.any_bad = true;
            return None;
        }
        (total > 0.0 || billed).then_some(total)
    }
}

impl EventId {
    fn of(parts: &[&[u8]]) -> EventId {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        EventId(u128::from_be_bytes(id))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The text, cut where it is too long.
pub fn shorten(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_string()
}

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    id: Loose,
    #[serde(default)]
    timestamp: Loose,
    #[serde(default)]
    message: Part<Message>,
    #[serde(default)]
    usage: Part<Tokens>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    #[serde(default)]
    provider: Loose,
    #[serde(default)]
    model: Loose,
    #[serde(default)]
    timestamp: Loose,
    #[serde(default)]
    response_id: Loose,
    #[serde(default)]
    usage: Part<Tokens>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    input: Loose,
    #[serde(default)]
    output: Loose,
    #[serde(default, rename = "cacheRead")]
    cache_read: Loose,
    #[serde(default, rename = "cacheWrite")]
    cache_write: Loose,
    #[serde(default)]
    cost: Part<Cost>,
    // As providers name them; fields of their own, because an alias that comes beside the name would
    // make the whole record a fault.
    #[serde(default)]
    input_tokens: Loose,
    #[serde(default)]
    output_tokens: Loose,
    #[serde(default)]
    cache_read_input_tokens: Loose,
    #[serde(default)]
    cache_creation_input_tokens: Loose,
    #[serde(default)]
    prompt_tokens: Loose,
    #[serde(default)]
    completion_tokens: Loose,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    #[serde(default)]
    total: Loose,
    #[serde(default)]
    total_origin: Loose,
}

#[cfg(test)]
mod tests;
