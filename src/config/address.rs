//! Addresses: where to listen, and where others find the server.

use std::net::SocketAddr;

/// `127.0.0.1:38888`.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be an IP address and a port, like 127.0.0.1:38888 or [::]:38888".into())
}

/// `http://host` or `https://host:port`, and nothing after it.
pub fn url(text: &str) -> Result<String, String> {
    let wrong =
        || "must be like https://watch.example.org or http://192.168.1.2:38888, without a path".to_string();
    let url = text.strip_suffix('/').unwrap_or(text);
    let authority = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).ok_or_else(wrong)?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']').ok_or_else(wrong)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            (host, rest.strip_prefix(':').map_or(rest.is_empty().then_some(None), |port| Some(Some(port))))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(Some(port))),
            None => (authority, Some(None)),
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    let good_host = !host.is_empty() && host.chars().all(plain);
    let good_port = match port {
        None => false,
        Some(None) => true,
        Some(Some(port)) => {
            port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0)
        }
    };
    if good_host && good_port { Ok(url.to_string()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_scheme_and_host() {
        for good in [
            "http://a",
            "https://a.example",
            "http://192.168.1.2:38888",
            "https://[fe80::1]",
            "http://[::1]:8",
        ] {
            assert_eq!(url(good).as_deref(), Ok(good));
        }
        for odd in [
            "",
            "a",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://a:",
            "http://a:0",
            "http://a:x",
            "http://a:70000",
            "http://u@a",
            "http://a'b",
            "http://[::1",
            "http://[x]",
            "http://[::1]8",
            "http://a?b",
            "http://a:+1",
        ] {
            assert!(url(odd).is_err(), "{odd}");
        }
    }
}
