//! Device keys: where a request carries one, and whose it is.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use store::{DeviceId, Store};

/// The key in `Authorization: Bearer` or `X-API-Key`, if there is one.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked(BEARER.len())?;
        scheme.eq_ignore_ascii_case(BEARER).then(|| key.trim_ascii())
    });
    // A proxy may have put credentials of its own into `Authorization`.
    bearer.or_else(|| headers.get("x-api-key").map(|value| value.as_bytes().trim_ascii()))
}

const BEARER: &[u8] = b"Bearer ";

/// Whose key it is. What is compared is its SHA-256, so how long that takes says nothing about any key.
pub(crate) fn device(store: &Store, key: &[u8]) -> Option<DeviceId> {
    store.device_by_key(&Sha256::digest(key).into())
}

/// What every device key begins with, so that a key that leaked is recognised as one; as on the page.
const PREFIX: &str = "ocw_";

/// A new key: 256 random bits as hexadecimal digits.
pub(crate) fn new_key() -> Result<String, getrandom::Error> {
    let mut bits = [0_u8; 32];
    getrandom::fill(&mut bits)?;
    Ok(bits.iter().fold(PREFIX.to_string(), |key, byte| key + &format!("{byte:02x}")))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], expected: Option<&str>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        assert_eq!(from_headers(&map), expected.map(str::as_bytes));
    }

    #[test]
    fn a_new_key_is_long_and_like_no_other() {
        let (a, b) = (new_key().unwrap(), new_key().unwrap());
        assert!(a.starts_with(PREFIX) && a.len() == PREFIX.len() + 64, "{a}");
        assert_ne!(a, b);
    }

    #[test]
    fn a_key_is_found_in_either_header() {
        check(&[], None);
        check(&[("authorization", "Bearer ocw_1")], Some("ocw_1"));
        check(&[("authorization", "bearer  ocw_1 ")], Some("ocw_1"));
        check(&[("x-api-key", "ocw_2")], Some("ocw_2"));
        check(&[("authorization", "Bearer ocw_1"), ("x-api-key", "ocw_2")], Some("ocw_1"));
        check(&[("authorization", "Basic abc"), ("x-api-key", "ocw_2")], Some("ocw_2"));
        check(&[("authorization", "Bearer")], None);
        check(&[("authorization", "ocw_1")], None);
    }
}
