//! The path of a request, decoded once and refused when it is not plain.

use front::ApiError;
use percent_encoding::percent_decode_str;

/// Decodes a path once. What could mean another path to somebody (`..`, `//`, a backslash, control characters) is 400.
pub(crate) fn plain(path: &str) -> Result<String, ApiError> {
    let refused = || ApiError::bad_request("The path of this request is not a plain one.");
    let decoded = percent_decode_str(path).decode_utf8().map_err(|_| refused())?;
    let odd = !decoded.starts_with('/')
        || decoded.contains("//")
        || decoded.contains(|c: char| c == '\\' || c.is_control())
        || decoded.split('/').any(|segment| segment == ".." || segment == ".");
    if odd { Err(refused()) } else { Ok(decoded.into_owned()) }
}

/// Does this path belong to the API, where every answer is JSON?
pub(crate) fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_decoded_once() {
        assert_eq!(plain("/").unwrap(), "/");
        assert_eq!(plain("/a%20b/%E4%B8%AD").unwrap(), "/a b/中");
        assert_eq!(plain("/%2541").unwrap(), "/%41");
        assert_eq!(plain("/..a/b..").unwrap(), "/..a/b..");
    }

    #[test]
    fn odd_paths_are_refused() {
        for path in [
            "",
            "*",
            "/..",
            "/a/../b",
            "/%2e%2e/etc/passwd",
            "/a%2f..%2fb",
            "/..%5c..%5cx",
            "/a\\b",
            "/a%00",
            "/a%0d%0ab",
            "/./a",
            "//host/a",
            "/%ff",
            "/%c0%ae%c0%ae/",
        ] {
            assert_eq!(plain(path).unwrap_err().status, 400, "{path}");
        }
    }

    #[test]
    fn only_the_api_is_the_api() {
        assert!(is_api("/api") && is_api("/api/v1/x"));
        assert!(!is_api("/apis") && !is_api("/") && !is_api("/x/api/"));
    }
}
