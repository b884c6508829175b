//! Doors for the fuzz targets (`bench/fuzz`): what reads a stranger's query string and cookies. Nothing else uses them.

use http::{HeaderMap, HeaderValue, header};

use crate::lists::Window;
use crate::params::Params;
use crate::{accounts, days, history, logs, usage};

/// Whether some route takes this query string.
pub fn query_string(text: &str) -> bool {
    let params = || Params::parse(Some(text));
    if params().is_err() {
        return false;
    }
    let event = |mut params: Params| Window::take(&mut params).and_then(|_| params.finish());
    let summary = |mut params: Params| days::zone(&mut params, None).and_then(|_| params.finish());
    let taken = [
        params().and_then(|params| history::plan(params, |_| Vec::new()).map(drop)),
        params().and_then(|params| logs::log_query(params).map(drop)),
        params().and_then(|params| usage::question(params, None).map(drop)),
        params().and_then(event),
        params().and_then(summary),
    ];
    for error in taken.iter().filter_map(|taken| taken.as_ref().err()) {
        assert!(error.status.is_client_error(), "the fault is the client's: {}", error.message);
    }
    taken.iter().any(Result::is_ok)
}

/// Whether there is a session in this `Cookie` header.
pub fn cookie(value: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(value) else { return false };
    let headers = HeaderMap::from_iter([(header::COOKIE, value)]);
    [false, true].into_iter().any(|https| accounts::sessions::cookie_of(&headers, https).is_some())
}
