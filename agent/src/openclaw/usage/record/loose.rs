//! Values of a record as they are, whatever they should be: a figure that is a text, or a list, costs that figure
//! and not the record.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::calendar::timestamp;

/// A value of any shape, kept if it is a number or a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Loose {
    #[default]
    Absent,
    Number(f64),
    Text(String),
    Other,
}

impl Loose {
    /// The text, or an empty one.
    pub(super) fn text(&self) -> &str {
        match self {
            Loose::Text(text) => text,
            _ => "",
        }
    }

    /// Unix milliseconds, of a number of them or of a time in UTC as JavaScript writes it.
    pub(super) fn time(&self) -> Option<i64> {
        /// The year 9999.
        const T_MS_MAX: f64 = 253_402_300_799_999.0;
        match self {
            Loose::Number(t_ms) if (0.0..=T_MS_MAX).contains(t_ms) => Some(*t_ms as i64),
            Loose::Text(text) => timestamp(text),
            _ => None,
        }
    }
}

/// An object, or what stands in its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Part<T> {
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
