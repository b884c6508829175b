//! JSON taken apart one level at a time.
//!
//! Each part stays a slice of the text until its place is known, so that an error can name the
//! place, and so that nothing is built from parts nobody asked for.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::JsonError;

/// Milliseconds that every `f64` of at most this size holds exactly.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The values of the named fields of the object that is the whole text; `null` counts as absent.
pub fn top<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> serde_json::Result<[Option<&'a RawValue>; N]> {
    let mut input = serde_json::Deserializer::from_str(text);
    let found = Fields(names).deserialize(&mut input)?;
    input.end()?;
    Ok(found)
}

/// The values of the named fields of an object; `null` counts as absent.
pub fn fields<'a, const N: usize>(
    raw: &'a RawValue,
    names: [&str; N],
) -> serde_json::Result<[Option<&'a RawValue>; N]> {
    Fields(names).deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
}

/// A value of a known type.
pub fn value<'a, T: Deserialize<'a>>(field: &str, raw: &'a RawValue) -> Result<T, JsonError> {
    serde_json::from_str(raw.get()).map_err(super::shape(field))
}

/// Elements and how many there are in the text.
pub type Counted<T> = (Vec<T>, usize);

/// The first `max` elements of an array.
pub fn array(raw: &RawValue, max: usize) -> serde_json::Result<Counted<&RawValue>> {
    Elements { max }.deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
}

/// The first `max` entries of an object.
pub fn object(raw: &RawValue, max: usize) -> serde_json::Result<Counted<(Cow<'_, str>, &RawValue)>> {
    Entries { max }.deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
}

/// Unix milliseconds: a whole number, or one with a fraction as Python's `time.time() * 1000` has it.
pub fn time(raw: &RawValue) -> Option<i64> {
    if let Ok(time) = serde_json::from_str::<i64>(raw.get()) {
        return Some(time);
    }
    let time = serde_json::from_str::<f64>(raw.get()).ok()?;
    (time.abs() <= EXACT_MAX).then_some(time.floor() as i64)
}

/// A row's time, and its values by name.
pub type Row<'a> = (i64, Vec<(Cow<'a, str>, f64)>);

/// A row read in one go; `None` where anything about it is unusual, which must be looked at part by part.
pub fn plain_row(raw: &RawValue, values_max: usize, name_bytes_max: usize) -> Option<Row<'_>> {
    PlainRow { values_max, name_bytes_max }
        .deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
        .ok()
}

/// What an error says, without a position: those of parts count from the part's start.
pub fn message(error: &serde_json::Error) -> String {
    without_position(&error.to_string()).to_string()
}

pub fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
}

/// `text` with every `NaN`, `Infinity` and `-Infinity` outside strings replaced by a text value of
/// the same length, so that positions stay right; nothing if there is none.
pub fn without_non_finite(text: &str) -> Option<String> {
    const WORDS: [(&str, &str); 3] =
        [("NaN", "\"\" "), ("Infinity", "\"\"      "), ("-Infinity", "\"\"       ")];
    let bytes = text.as_bytes();
    let mut changed = String::new();
    let (mut at, mut copied, mut in_string) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'N' | b'I' | b'-' if !in_string => {
                let found = WORDS.iter().find(|(word, _)| bytes[at..].starts_with(word.as_bytes()));
                if let Some((word, blank)) = found {
                    changed.push_str(&text[copied..at]);
                    changed.push_str(blank);
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    changed.push_str(&text[copied..]);
    (copied > 0).then_some(changed)
}

struct Fields<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(Key(key)) = map.next_key()? {
            match self.0.iter().position(|name| *name == key) {
                Some(at) => found[at] = map.next_value::<Option<&RawValue>>()?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

struct Elements {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Counted<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Counted<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut len) = (Vec::new(), 0);
        while let Some(element) = seq.next_element()? {
            if len < self.max {
                found.push(element);
            }
            len += 1;
        }
        Ok((found, len))
    }
}

struct Entries {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = Counted<(Cow<'de, str>, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Counted<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut len) = (Vec::new(), 0);
        while let Some((Key(key), value)) = map.next_entry()? {
            if len < self.max {
                found.push((key, value));
            }
            len += 1;
        }
        Ok((found, len))
    }
}

struct PlainRow {
    values_max: usize,
    name_bytes_max: usize,
}

impl<'de> DeserializeSeed<'de> for PlainRow {
    type Value = Row<'de>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PlainRow {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let unusual = || A::Error::custom("not a plain row");
        let (mut t_ms, mut values) = (None, None);
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "t_ms" if t_ms.is_none() => t_ms = Some(map.next_value()?),
                "v" if values.is_none() => values = Some(map.next_value_seed(PlainValues(&self))?),
                _ => return Err(unusual()),
            }
        }
        t_ms.zip(values).ok_or_else(unusual)
    }
}

struct PlainValues<'a>(&'a PlainRow);

impl<'de> DeserializeSeed<'de> for PlainValues<'_> {
    type Value = Vec<(Cow<'de, str>, f64)>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PlainValues<'_> {
    type Value = Vec<(Cow<'de, str>, f64)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some((Key(name), value)) = map.next_entry()? {
            if values.len() == self.0.values_max || name.len() > self.0.name_bytes_max {
                return Err(A::Error::custom("not a plain row"));
            }
            values.push((name, value));
        }
        Ok(values)
    }
}

/// A key that is a slice of the text where it holds no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_string())))
            }
        }

        input.deserialize_str(KeyVisitor)
    }
}
