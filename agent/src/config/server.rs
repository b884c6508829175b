//! Where reports go.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ureq::http::Uri;

/// The address of a server, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    https: bool,
    authority: String,
    /// Where the server lives behind a proxy that gives it a folder: empty, or with a `/` in front.
    prefix: String,
}

impl Server {
    /// The server at `url`; the error says what is wrong with it.
    pub fn parse(url: &str) -> Result<Server, String> {
        let uri = parse(url)?;
        if uri.query().is_some() || url.contains('#') {
            return Err("the address has a '?' or '#' part, which a server address has not".into());
        }
        let prefix = uri.path().trim_end_matches('/').to_string();
        Ok(Server { prefix, ..Server::of(&uri) })
    }

    /// The server at an address that was meant for the older agent: its path, if any, is that of the
    /// older server.
    pub fn parse_older(url: &str) -> Result<Server, String> {
        parse(url).map(|uri| Server::of(&uri))
    }

    fn of(uri: &Uri) -> Server {
        Server {
            https: uri.scheme_str() == Some("https"),
            authority: uri.authority().map(|authority| authority.to_string()).unwrap_or_default(),
            prefix: String::new(),
        }
    }

    /// The URL that reports are posted to.
    pub fn report_url(&self) -> String {
        format!("{self}/api/v1/report")
    }

    /// The URL that a code is turned into a key at.
    pub fn enroll_url(&self) -> String {
        format!("{self}/api/v1/enroll")
    }

    /// The URL that says whether there is a server.
    pub fn health_url(&self) -> String {
        format!("{self}/healthz")
    }

    /// Whether nobody on the way can read what is sent.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Host and port to look up.
    pub fn host_and_port(&self) -> (&str, u16) {
        let default = if self.https { 443 } else { 80 };
        // A colon inside brackets belongs to an IPv6 address.
        let (host, port) = match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap_or(default)),
            _ => (self.authority.as_str(), default),
        };
        (host.trim_start_matches('[').trim_end_matches(']'), port)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.prefix)
    }
}

fn parse(url: &str) -> Result<Uri, String> {
    let url = url.trim();
    if !["http://", "https://"]
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme)))
    {
        return Err("the address has to start with http:// or https://".into());
    }
    let uri: Uri = url.parse().map_err(|error| format!("not an address: {error}"))?;
    let authority = uri.authority().ok_or("the address has no host")?;
    if authority.as_str().contains('@') {
        return Err(
            "the address holds a user name or password; the device key is what identifies the agent".into()
        );
    }
    if authority.host().is_empty() || authority.host() == "[]" {
        return Err("the address has no host".into());
    }
    // `port_u16` is also nothing where there is a colon and no number that fits.
    let after_host = &authority.as_str()[authority.host().len()..];
    if !after_host.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("the port has to be a number from 1 to 65535".into());
    }
    Ok(uri)
}

/// Whether an address belongs to somebody else's network: not this device, not a home or company
/// network, not a tunnel's carrier-grade range.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public(v4.into()),
            None => !(v6.is_loopback() || v6.is_unspecified() || is_local(v6)),
        },
    }
}

fn is_local(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    // fc00::/7 unique local, fe80::/10 link local
    first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        assert_eq!(Server::parse(url).map(|server| server.report_url()), Ok(expected.into()), "{url}");
    }

    #[track_caller]
    fn refused(url: &str, part: &str) {
        let error = Server::parse(url).expect_err(url);
        assert!(error.contains(part), "{url}: {error}");
    }

    #[test]
    fn addresses_become_the_report_url() {
        check("http://nas:38889", "http://nas:38889/api/v1/report");
        check(" https://watch.example.org/ ", "https://watch.example.org/api/v1/report");
        check("HTTPS://watch.example.org/deep/er/", "https://watch.example.org/deep/er/api/v1/report");
        check("http://[::1]:38889", "http://[::1]:38889/api/v1/report");
    }

    #[test]
    fn other_texts_say_what_is_wrong() {
        refused("", "start with http:// or https://");
        refused("nas:38889", "start with http:// or https://");
        refused("ftp://nas", "start with http:// or https://");
        refused("http://", "not an address");
        refused("http://:80", "no host");
        refused("http://a b", "not an address");
        refused("http://nas:0", "1 to 65535");
        refused("http://nas:99999", "1 to 65535");
        refused("http://nas:", "1 to 65535");
        refused("http://user:secret@nas", "user name or password");
        refused("http://nas/?key=1", "'?'");
        refused("http://nas/#x", "'#'");
        assert!(!Server::parse("http://user:secret@nas").unwrap_err().contains("secret@"));
    }

    #[test]
    fn of_an_older_address_only_the_server_counts() {
        for (url, expected) in [
            ("http://192.168.1.10:8080/api/report?x=1", "http://192.168.1.10:8080"),
            ("http://nas/", "http://nas"),
            ("https://nas:38889", "https://nas:38889"),
        ] {
            assert_eq!(Server::parse_older(url).map(|server| server.to_string()), Ok(expected.into()));
        }
        assert!(Server::parse_older("nas").is_err());
    }

    #[test]
    fn host_and_port_are_what_is_looked_up() {
        let split = |url: &str| {
            let server = Server::parse(url).unwrap();
            let (host, port) = server.host_and_port();
            format!("{host} {port}")
        };
        assert_eq!(split("http://nas"), "nas 80");
        assert_eq!(split("https://nas/x"), "nas 443");
        assert_eq!(split("http://nas:38889"), "nas 38889");
        assert_eq!(split("http://[fe80::1]"), "fe80::1 80");
        assert_eq!(split("http://[fe80::1]:38889"), "fe80::1 38889");
    }

    #[test]
    fn networks_of_one_s_own_are_not_public() {
        for (address, expected) in [
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.31.0.1", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("169.254.1.1", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("8.8.8.8", true),
            ("::1", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("::ffff:192.168.1.1", false),
            ("2001:4860:4860::8888", true),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }
}
