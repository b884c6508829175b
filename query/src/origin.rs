//! Does a request come from our own page? And what is this server called from outside?

use front::Peer;
use http::{HeaderMap, header};

/// What the page's own origin is.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    public: Option<String>,
}

impl Origins {
    pub(crate) fn new(public_url: Option<&str>) -> Origins {
        Origins { public: public_url.map(|url| url.trim_end_matches('/').to_ascii_lowercase()) }
    }

    /// Did this request come by TLS? Where the public URL says https all do, as far as cookies are concerned.
    pub(crate) fn is_https(&self, peer: Peer) -> bool {
        peer.secure || self.public.as_deref().is_some_and(|url| url.starts_with("https://"))
    }

    /// May a request that changes something come with these headers? Programs that are no browser send neither
    /// `Sec-Fetch-Site` nor `Origin`; browsers send at least one, and a page cannot forge them.
    pub(crate) fn may_change(&self, headers: &HeaderMap) -> bool {
        fetched_by_us(headers) && origins(headers).is_none_or(|origin| self.is_ours(origin, headers))
    }

    /// May a WebSocket be opened? Browsers always send `Origin` with one, so it must be there.
    pub(crate) fn may_open_socket(&self, headers: &HeaderMap) -> bool {
        fetched_by_us(headers) && origins(headers).is_some_and(|origin| self.is_ours(origin, headers))
    }

    fn is_ours(&self, origin: &str, headers: &HeaderMap) -> bool {
        let origin = origin.to_ascii_lowercase();
        if self.public.as_deref().is_some_and(|public| without_default_port(public) == origin) {
            return true;
        }
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(default_port(scheme)).unwrap_or(&host);
        matches!(scheme, "http" | "https") && !host.is_empty() && authority == host
    }
}

/// The host name a client used to get here, without its port, if it is a plain one; safe to put into a command.
pub(crate) fn host_name(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let name = match host.strip_prefix('[') {
        Some(v6) => &host[..v6.find(']')? + 2],
        None => host.split(':').next()?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    (!name.is_empty() && name.len() <= 253 && name.chars().all(plain) && !name.starts_with('-'))
        .then_some(name)
}

fn fetched_by_us(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site") {
        None => true,
        Some(site) => site == "same-origin" || site == "none",
    }
}

/// `Origin` as text. One that is not text is no origin of anybody.
fn origins(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("null"))
}

fn default_port(scheme: &str) -> &'static str {
    if scheme == "https" { ":443" } else { ":80" }
}

fn without_default_port(origin: &str) -> &str {
    let scheme = origin.split("://").next().unwrap_or_default();
    origin.strip_suffix(default_port(scheme)).unwrap_or(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[track_caller]
    fn check(public: Option<&str>, pairs: &[(&'static str, &str)], change: bool, socket: bool) {
        let origins = Origins::new(public);
        let headers = headers(pairs);
        assert_eq!((origins.may_change(&headers), origins.may_open_socket(&headers)), (change, socket));
    }

    #[test]
    fn our_own_page_may_do_both() {
        let host = ("host", "nas.lan:38888");
        check(None, &[host, ("origin", "http://nas.lan:38888")], true, true);
        check(
            None,
            &[host, ("origin", "http://NAS.lan:38888"), ("sec-fetch-site", "same-origin")],
            true,
            true,
        );
        check(None, &[("host", "watch.example"), ("origin", "https://watch.example")], true, true);
        check(None, &[("host", "watch.example:443"), ("origin", "https://watch.example")], true, true);
        let public = Some("https://Watch.example/");
        check(public, &[("host", "127.0.0.1:38888"), ("origin", "https://watch.example")], true, true);
        check(Some("https://w.example:443"), &[("host", "x"), ("origin", "https://w.example")], true, true);
    }

    #[test]
    fn programs_may_change_but_a_socket_needs_an_origin() {
        check(None, &[("host", "nas.lan:38888")], true, false);
        check(None, &[("host", "nas.lan"), ("sec-fetch-site", "none")], true, false);
    }

    #[test]
    fn other_pages_may_do_neither() {
        let host = ("host", "nas.lan:38888");
        check(None, &[host, ("origin", "http://evil.example")], false, false);
        check(None, &[host, ("origin", "http://nas.lan:1")], false, false);
        check(None, &[host, ("origin", "http://nas.lan")], false, false);
        check(None, &[host, ("origin", "null")], false, false);
        check(None, &[host, ("origin", "ftp://nas.lan:38888")], false, false);
        check(None, &[("host", ""), ("origin", "http://")], false, false);
        check(None, &[("origin", "http://nas.lan:38888")], false, false);
        check(None, &[host, ("sec-fetch-site", "cross-site")], false, false);
        check(None, &[host, ("sec-fetch-site", "same-site")], false, false);
        let own = ("origin", "http://nas.lan:38888");
        check(None, &[host, own, ("sec-fetch-site", "cross-site")], false, false);
    }

    #[test]
    fn a_host_name_is_plain_or_not_there() {
        let of = |host: &str| host_name(&headers(&[("host", host)])).map(str::to_string);
        assert_eq!(of("nas.lan:38888").as_deref(), Some("nas.lan"));
        assert_eq!(of("192.168.1.2").as_deref(), Some("192.168.1.2"));
        assert_eq!(of("[fe80::1]:38888").as_deref(), Some("[fe80::1]"));
        for odd in ["", ":1", "a'b", "$(id)", "a b", "[::1", "-x", "a;b", "a/b"] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }
}
