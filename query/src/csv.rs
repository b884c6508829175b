//! Tables as CSV (RFC 4180), for spreadsheets and scripts.

use std::fmt::Write;

use front::{ApiError, Response};
use http::{HeaderMap, HeaderValue, header};

use crate::accept::takes;
use crate::model::text_answer;
use crate::params::Params;

/// Does somebody want CSV instead of JSON? `format` in the query string wins over the `Accept` header.
pub(crate) fn wanted(params: &mut Params, headers: &HeaderMap) -> Result<bool, ApiError> {
    match params.one("format")?.as_deref() {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(_) => Err(ApiError::invalid("format", "`format` must be `json` or `csv`.")),
        None => Ok(takes(headers, header::ACCEPT, "text/csv")),
    }
}

/// A table in the making.
pub(crate) struct Csv {
    text: String,
    at_start: bool,
}

impl Csv {
    /// With its first line.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Csv {
        let mut csv = Csv { text: String::new(), at_start: true };
        names.into_iter().for_each(|name| csv.text(name));
        csv.end();
        csv
    }

    /// Adds a text. What a spreadsheet would take for a formula gets a `'` before it: names come from devices.
    pub(crate) fn text(&mut self, text: &str) {
        self.separate();
        let formula = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        if text.contains([',', '"', '\n', '\r']) {
            // Writing to a String cannot fail, here and below.
            let _ = write!(self.text, "\"{formula}{}\"", text.replace('"', "\"\""));
        } else {
            let _ = write!(self.text, "{formula}{text}");
        }
    }

    /// Adds a figure; nothing for `None` and what is not finite.
    pub(crate) fn number(&mut self, value: Option<f64>) {
        self.separate();
        if let Some(value) = value.filter(|value| value.is_finite()) {
            let _ = write!(self.text, "{value}");
        }
    }

    /// Adds a whole number.
    pub(crate) fn whole(&mut self, value: impl std::fmt::Display) {
        self.separate();
        let _ = write!(self.text, "{value}");
    }

    /// Ends the line.
    pub(crate) fn end(&mut self) {
        self.text.push_str("\r\n");
        self.at_start = true;
    }

    /// The file.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.at_start) {
            self.text.push(',');
        }
    }
}

/// What [`Csv::finish`] made, as an answer that a browser saves under `name`, which is ours.
pub(crate) fn answer(text: Vec<u8>, name: &'static str) -> Response {
    let mut response = text_answer(text, "text/csv; charset=utf-8; header=present");
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_quotes_has_them_and_nothing_is_a_formula() {
        let mut csv = Csv::new(["a", "b", "c"]);
        csv.text("plain");
        csv.text("with, \"comma\"\nand break");
        csv.text("=cmd|' /C calc'!A0");
        csv.end();
        csv.text("-1");
        csv.number(Some(-1.5));
        csv.number(Some(f64::NAN));
        csv.whole(7);
        csv.end();
        let text = String::from_utf8(csv.finish()).unwrap();
        assert_eq!(
            text,
            "a,b,c\r\nplain,\"with, \"\"comma\"\"\nand break\",'=cmd|' /C calc'!A0\r\n'-1,-1.5,,7\r\n"
        );
    }

    #[test]
    fn the_parameter_wins_over_the_header() {
        let check = |query: &str, accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            wanted(&mut Params::parse(Some(query)).unwrap(), &headers)
        };
        assert_eq!(check("", "*/*"), Ok(false));
        assert_eq!(check("", "application/json, Text/CSV;q=0.9"), Ok(true));
        assert_eq!(check("format=json", "text/csv"), Ok(false));
        assert_eq!(check("format=csv", "*/*"), Ok(true));
        assert_eq!(check("format=xml", "*/*").unwrap_err().field.as_deref(), Some("format"));
    }
}
