//! One record of a transcript, whichever version wrote it. Only what a usage event needs is taken out
//! of it: prompts and replies are passed over while they are parsed and kept nowhere.

use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

use crate::calendar;

/// Tokens of one kind in one record: far past any model.
pub const TOKENS_MAX: u64 = 1 << 40;
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

/// A value of any shape, kept if it is a number or a text.
#[derive(Clone, Debug, Default, PartialEq)]
enum Loose {
    #[default]
    Absent,
    Number(f64),
    Text(String),
    Other,
}

impl Loose {
    fn text(&self) -> &str {
        match self {
            Loose::Text(text) => text,
            _ => "",
        }
    }

    /// Unix milliseconds, of a number of them or of a time in UTC as JavaScript writes it.
    fn time(&self) -> Option<i64> {
        /// The year 9999.
        const T_MS_MAX: f64 = 253_402_300_799_999.0;
        match self {
            Loose::Number(t_ms) if (0.0..=T_MS_MAX).contains(t_ms) => Some(*t_ms as i64),
            Loose::Text(text) => parse_time(text),
            _ => None,
        }
    }
}

/// An object, or what stands in its place.
#[derive(Clone, Debug, Default, PartialEq)]
enum Part<T> {
    #[default]
    Absent,
    Object(T),
    Number(f64),
    Other,
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Loose, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Loose;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_unit<E>(self) -> Result<Loose, E> {
                Ok(Loose::Absent)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Loose, E> {
                Ok(Loose::Other)
            }

            fn visit_i64<E>(self, value: i64) -> Result<Loose, E> {
                Ok(Loose::Number(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Loose, E> {
                Ok(Loose::Number(value as f64))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Loose, E> {
                Ok(Loose::Number(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Loose, E> {
                Ok(Loose::Text(value.to_string()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Part<T>, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Any<T> {
            type Value = Part<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_unit<E>(self) -> Result<Part<T>, E> {
                Ok(Part::Absent)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Part<T>, E> {
                Ok(Part::Other)
            }

            fn visit_i64<E>(self, value: i64) -> Result<Part<T>, E> {
                Ok(Part::Number(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Part<T>, E> {
                Ok(Part::Number(value as f64))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Part<T>, E> {
                Ok(Part::Number(value))
            }

            fn visit_str<E>(self, _: &str) -> Result<Part<T>, E> {
                Ok(Part::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Part<T>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Part::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Part<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Part::Object)
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// Unix milliseconds of `2026-11-22T10:40:13.021Z`, with or without the fraction.
fn parse_time(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if signs.iter().any(|(at, sign)| text.as_bytes().get(*at) != Some(sign)) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let millis = match text.get(19..)? {
        "Z" => 0,
        rest if rest.len() == 5 && rest.starts_with('.') && rest.ends_with('Z') => number(20..23)?,
        _ => return None,
    };
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !valid {
        return None;
    }
    let days = calendar::days(year, month, day);
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + millis)
}

#[cfg(test)]
mod tests;
