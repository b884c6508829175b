//! What comes in a query string or a JSON body, taken field by field.
//!
//! Nothing is guessed: an unknown field, one given twice or one that cannot be read is a 422 that names it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use front::ApiError;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use store::{Cursor, Timestamp};

/// Parameters of one request.
const PARAMS_MAX: usize = 512;
/// Moments that are accepted: 1970 to the end of the year 9999, Unix milliseconds.
pub(crate) const TIMES_MS: RangeInclusive<i64> = 0..=253_402_300_799_999;

/// The parameters of a query string. Take what the route knows, then call [`Params::finish`].
#[derive(Debug)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    pub(crate) fn parse(query: Option<&str>) -> Result<Params, ApiError> {
        let mut pairs = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == PARAMS_MAX {
                return Err(ApiError::bad_request(format!("There are more than {PARAMS_MAX} parameters.")));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Params { pairs })
    }

    /// All values of a repeatable parameter; empty ones count as not given.
    pub(crate) fn all(&mut self, name: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.pairs).into_iter().partition(|(n, _)| n == name);
        self.pairs = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).filter(|value| !value.is_empty()).collect()
    }

    /// The value of a parameter; an empty one counts as not given.
    pub(crate) fn one(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let mut all = self.all(name);
        match all.len() {
            0 | 1 => Ok(all.pop()),
            _ => Err(ApiError::invalid(name, format!("`{name}` is given more than once."))),
        }
    }

    /// A whole number within `range`.
    pub(crate) fn number<T>(&mut self, name: &str, range: RangeInclusive<T>) -> Result<Option<T>, ApiError>
    where
        T: FromStr + PartialOrd + Display,
    {
        self.one(name)?.map(|text| number(name, &text, &range)).transpose()
    }

    /// A moment, Unix milliseconds.
    pub(crate) fn time_ms(&mut self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        self.number(name, TIMES_MS)
    }

    /// The `next` of the page before.
    pub(crate) fn cursor(&mut self, name: &str) -> Result<Option<Cursor>, ApiError> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let cursor = text
            .split_once('.')
            .and_then(|(t_ms, id)| Some(Cursor { t_ms: t_ms.parse().ok()?, id: id.parse().ok()? }));
        match cursor {
            Some(cursor) => Ok(Some(cursor)),
            None => Err(ApiError::invalid(name, format!("`{name}` must be the `next` of the page before."))),
        }
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.pairs.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(unknown(&name)),
        }
    }
}

/// What must be given.
pub(crate) fn required<T>(value: Option<T>, name: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::invalid(name, format!("`{name}` is missing.")))
}

/// How a cursor is written; see [`Params::cursor`].
pub(crate) fn cursor_text(cursor: Cursor) -> String {
    format!("{}.{}", cursor.t_ms, cursor.id)
}

/// `text` as a whole number within `range`.
pub(crate) fn number<T>(name: &str, text: &str, range: &RangeInclusive<T>) -> Result<T, ApiError>
where
    T: FromStr + PartialOrd + Display,
{
    let number = text.parse::<T>().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (low, high) = (range.start(), range.end());
        ApiError::invalid(name, format!("`{name}` must be a whole number from {low} to {high}."))
    })
}

fn unknown(name: &str) -> ApiError {
    let name: String = name.chars().take(64).collect();
    ApiError::invalid(&name, format!("There is no field `{name}` here."))
}

fn decode(text: &str) -> Result<String, ApiError> {
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(ApiError::bad_request("The query string is not UTF-8.")),
    }
}

/// The fields of a JSON object. Take what the route knows, then call [`Fields::finish`].
#[derive(Debug)]
pub(crate) struct Fields {
    map: Map<String, Value>,
    /// What stands before its fields' names when they are told: nothing, or `prices[3].`.
    path: String,
}

impl Fields {
    pub(crate) fn parse(body: &[u8]) -> Result<Fields, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Fields { map, path: String::new() }),
            Ok(_) => Err(ApiError::bad_request("The body must be a JSON object.")),
            Err(error) => Err(ApiError::bad_request(format!("The body is not JSON: {error}."))),
        }
    }

    /// A text; `None` when it is not there.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(name, "must be a text")),
        }
    }

    /// A text that must be there.
    pub(crate) fn required_text(&mut self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| self.invalid(name, "is missing"))
    }

    /// A number within `range` that must be there.
    pub(crate) fn required_number(
        &mut self,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Result<f64, ApiError> {
        let Some(value) = self.map.remove(name) else { return Err(self.invalid(name, "is missing")) };
        let number = value.as_f64().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            self.invalid(name, &format!("must be a number from {} to {}", range.start(), range.end()))
        })
    }

    /// An object that must be there, or `null`.
    pub(crate) fn object_or_null(&mut self, name: &str) -> Result<Option<Fields>, ApiError> {
        match self.map.remove(name) {
            None => Err(self.invalid(name, "is missing")),
            Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields { map, path: format!("{}{name}.", self.path) })),
            Some(_) => Err(self.invalid(name, "must be an object or null")),
        }
    }

    /// A list of at most `max` objects that must be there.
    pub(crate) fn required_objects(&mut self, name: &str, max: usize) -> Result<Vec<Fields>, ApiError> {
        let Some(Value::Array(list)) = self.map.remove(name) else {
            return Err(self.invalid(name, "must be a list of objects"));
        };
        if list.len() > max {
            return Err(self.invalid(name, &format!("may have {max} entries at most")));
        }
        let object = |(at, value)| match value {
            Value::Object(map) => Ok(Fields { map, path: format!("{}{name}[{at}].", self.path) }),
            _ => Err(self.invalid(name, "must be a list of objects")),
        };
        list.into_iter().enumerate().map(object).collect()
    }

    /// A fault of one of the fields.
    pub(crate) fn invalid(&self, name: &str, what: &str) -> ApiError {
        let field = format!("{}{name}", self.path);
        let message = format!("`{field}` {what}.");
        ApiError::invalid(field, message)
    }

    /// A whole number within `range`; `None` when it is not there.
    pub(crate) fn whole(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.map.remove(name) else { return Ok(None) };
        let number = value.as_i64().filter(|number| range.contains(number)).map(Some);
        number.ok_or_else(|| {
            let (low, high) = (range.start(), range.end());
            self.invalid(name, &format!("must be a whole number from {low} to {high}"))
        })
    }

    /// Like [`Fields::whole`], and `null` is a value of its own.
    pub(crate) fn nullable_whole(
        &mut self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<Option<i64>>, ApiError> {
        if self.take_null(name) { Ok(Some(None)) } else { Ok(self.whole(name, range)?.map(Some)) }
    }

    /// Like [`Fields::text`], and `null` is a value of its own.
    pub(crate) fn nullable_text(&mut self, name: &str) -> Result<Option<Option<String>>, ApiError> {
        if self.take_null(name) { Ok(Some(None)) } else { Ok(self.text(name)?.map(Some)) }
    }

    fn take_null(&mut self, name: &str) -> bool {
        let null = self.map.get(name).is_some_and(Value::is_null);
        if null {
            self.map.remove(name);
        }
        null
    }

    /// An object; `None` when it is not there.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Fields>, ApiError> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields { map, path: format!("{}{name}.", self.path) })),
            Some(_) => Err(self.invalid(name, "must be an object")),
        }
    }

    /// A list of texts; `None` when it is not there.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        let value = self.map.remove(name);
        let wrong = || self.invalid(name, "must be a list of texts");
        match value {
            None => Ok(None),
            Some(Value::Array(list)) => list
                .into_iter()
                .map(|value| if let Value::String(text) = value { Ok(text) } else { Err(wrong()) })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(wrong()),
        }
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => Err(unknown(&format!("{}{name}", self.path))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_once() {
        let mut params = Params::parse(Some("q=a+b%2Bc%2520&device=1&device=2&&level=")).unwrap();
        assert_eq!(params.one("q").unwrap().as_deref(), Some("a b+c%20"));
        assert_eq!(params.all("device"), ["1", "2"]);
        assert_eq!(params.one("level").unwrap(), None);
        params.finish().unwrap();
    }

    #[track_caller]
    fn refused(result: Result<impl std::fmt::Debug, ApiError>, status: u16, field: Option<&str>) {
        let error = result.unwrap_err();
        assert_eq!((error.status.as_u16(), error.field.as_deref()), (status, field), "{}", error.message);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let parse = |text| Params::parse(Some(text)).unwrap();
        refused(parse("limit=0").number("limit", 1..=500), 422, Some("limit"));
        refused(parse("limit=501").number("limit", 1..=500), 422, Some("limit"));
        refused(parse("limit=1e2").number("limit", 1..=500), 422, Some("limit"));
        refused(parse("from_ms=-1").time_ms("from_ms"), 422, Some("from_ms"));
        refused(parse("from_ms=99999999999999999999").time_ms("from_ms"), 422, Some("from_ms"));
        refused(parse("q=1&q=2").one("q"), 422, Some("q"));
        refused(parse("before=12").cursor("before"), 422, Some("before"));
        refused(parse("before=12.x").cursor("before"), 422, Some("before"));
        refused(parse("limits=1").finish(), 422, Some("limits"));
        refused(Params::parse(Some("q=%ff")), 400, None);
        refused(Params::parse(Some(&"a=1&".repeat(600))), 400, None);
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_given() {
        let cursor = Cursor { t_ms: 1_795_343_922_420, id: 17 };
        let query = format!("before={}", cursor_text(cursor));
        assert_eq!(Params::parse(Some(&query)).unwrap().cursor("before").unwrap(), Some(cursor));
    }

    #[test]
    fn a_body_must_be_an_object_of_known_fields() {
        refused(Fields::parse(b"{\"a\":"), 400, None);
        refused(Fields::parse(b"[1]"), 400, None);
        refused(Fields::parse(b"\xff"), 400, None);
        refused(Fields::parse(&[b'['; 100_000]), 400, None);
        let mut fields =
            Fields::parse(br#"{"name": "nas", "tags": ["a", 1], "notes": null, "x": 1}"#).unwrap();
        assert_eq!(fields.required_text("name").unwrap(), "nas");
        refused(fields.required_text("name"), 422, Some("name"));
        refused(fields.texts("tags"), 422, Some("tags"));
        refused(fields.text("notes"), 422, Some("notes"));
        refused(fields.finish(), 422, Some("x"));
    }
}
