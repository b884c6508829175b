//! What a client says it takes: `Accept`, `Accept-Encoding`.

use http::header::{AsHeaderName, HeaderMap};

/// Does a header like `gzip, br;q=0.5` name `wanted`, and not with a weight of 0? Wildcards do not count: who sends
/// `*/*` asks for nothing in particular.
pub(crate) fn takes(headers: &HeaderMap, header: impl AsHeaderName, wanted: &str) -> bool {
    let values = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        name.eq_ignore_ascii_case(wanted) && !parts.any(is_zero)
    })
}

fn is_zero(part: &str) -> bool {
    let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
    weight.and_then(|weight| weight.trim().parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::ACCEPT;

    #[track_caller]
    fn check(values: &[&str], expected: bool) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        assert_eq!(takes(&headers, ACCEPT, "text/csv"), expected, "{values:?}");
    }

    #[test]
    fn a_name_counts_in_any_case_unless_its_weight_is_nothing() {
        check(&["text/csv"], true);
        check(&["application/json, Text/CSV;q=0.9"], true);
        check(&["application/json", "text/csv; charset=utf-8"], true);
        check(&["text/csv;q=0"], false);
        check(&["text/csv; Q=0.000, text/html"], false);
        check(&["*/*", "text/*"], false);
        check(&[], false);
    }
}
