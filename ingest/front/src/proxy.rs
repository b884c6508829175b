//! Proxies that are trusted to say who stands behind them, and the clients they name.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderMap;

use crate::Peer;

/// Entries of `X-Forwarded-For` that are looked at: a chain of proxies is short.
const HOPS_MAX: usize = 32;

/// Networks whose members are believed. Everybody else's `X-Forwarded-*` is ignored: anybody can write one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Arc<[Network]>);

/// Addresses with the same first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

/// A list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address and no network like 10.0.0.0/8 or fd00::/8")]
pub struct NotANetwork(String);

impl FromStr for Proxies {
    type Err = NotANetwork;

    /// Addresses and networks, separated by commas.
    fn from_str(text: &str) -> Result<Proxies, NotANetwork> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(Network::from_str).collect::<Result<Vec<_>, _>>().map(|all| Proxies(all.into()))
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Network, NotANetwork> {
        let wrong = || NotANetwork(text.to_string());
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, bits)| (a, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => all,
            Some(text) if text.bytes().all(|c| c.is_ascii_digit()) => text.parse().map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
        };
        if bits > all { Err(wrong()) } else { Ok(Network { address, bits }) }
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, all: u32| {
            // A shift by all bits would be undefined; a network of no bits holds every address.
            self.bits == 0 || (a ^ b) >> (all - self.bits) == 0
        };
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

impl Proxies {
    /// Is this one of them?
    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who sent a request that came over the connection of `peer`: where that is a trusted proxy, whom it names.
    pub(crate) fn client(&self, peer: Peer, headers: &HeaderMap) -> Peer {
        if !self.trust(peer.addr.ip()) {
            return peer;
        }
        let secure = match values(headers, "x-forwarded-proto").last() {
            Some(scheme) => scheme.eq_ignore_ascii_case("https"),
            None => peer.secure,
        };
        // From the end: the last was added by our neighbour, and what stands before the first stranger may be made up.
        let mut addr = peer.addr;
        let hops: Vec<&str> = values(headers, "x-forwarded-for").collect();
        for hop in hops.iter().rev().take(HOPS_MAX) {
            let Some(ip) = address_of(hop) else { break };
            addr = SocketAddr::new(ip, 0);
            if !self.trust(ip) {
                break;
            }
        }
        Peer { addr, secure }
    }
}

/// The items of a header that is a list and may be there more than once.
fn values<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let all = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).map(str::trim)
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`.
fn address_of(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse::<SocketAddr>().ok().map(|addr| addr.ip());
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(with_port).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(trusted: &str, from: &str, headers: &[(&'static str, &'static str)], addr: &str, secure: bool) {
        let proxies: Proxies = trusted.parse().unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let peer = Peer { addr: SocketAddr::new(from.parse().unwrap(), 5), secure: false };
        let client = proxies.client(peer, &map);
        assert_eq!((client.addr.ip().to_string().as_str(), client.secure), (addr, secure));
    }

    const FOR: &str = "x-forwarded-for";
    const PROTO: &str = "x-forwarded-proto";

    #[test]
    fn strangers_are_not_believed() {
        check("", "10.0.0.1", &[(FOR, "1.2.3.4"), (PROTO, "https")], "10.0.0.1", false);
        check("10.0.0.0/8", "11.0.0.1", &[(FOR, "1.2.3.4"), (PROTO, "https")], "11.0.0.1", false);
        check("::1", "127.0.0.1", &[(FOR, "1.2.3.4")], "127.0.0.1", false);
    }

    #[test]
    fn a_trusted_proxy_names_the_client_before_it() {
        check("10.0.0.0/8", "10.9.9.9", &[(FOR, "1.2.3.4"), (PROTO, "https")], "1.2.3.4", true);
        check("10.0.0.1", "10.0.0.1", &[(FOR, "[2001:db8::1]:80"), (PROTO, "http")], "2001:db8::1", false);
        check("127.0.0.1", "::ffff:127.0.0.1", &[(FOR, "1.2.3.4:99")], "1.2.3.4", false);
        check("fd00::/8", "fd12::1", &[(FOR, "1.2.3.4")], "1.2.3.4", false);
        check("10.0.0.1", "10.0.0.1", &[], "10.0.0.1", false);
    }

    #[test]
    fn what_a_client_made_up_before_the_last_stranger_is_not_believed() {
        check("10.0.0.0/8", "10.0.0.1", &[(FOR, "6.6.6.6, 1.2.3.4, 10.0.0.2")], "1.2.3.4", false);
        check("10.0.0.0/8", "10.0.0.1", &[(FOR, "6.6.6.6"), (FOR, "1.2.3.4")], "1.2.3.4", false);
        check("10.0.0.0/8", "10.0.0.1", &[(FOR, "6.6.6.6, nonsense, 10.0.0.2")], "10.0.0.2", false);
        check("10.0.0.0/8", "10.0.0.1", &[(PROTO, "https, http")], "10.0.0.1", false);
    }

    #[test]
    fn networks_are_read_or_named() {
        for good in ["", "10.0.0.0/8", "10.0.0.1, ::1 ,fd00::/8", "0.0.0.0/0", "::/0", "1.2.3.4/32"] {
            assert!(good.parse::<Proxies>().is_ok(), "{good}");
        }
        for odd in
            ["10.0.0.0/33", "10.0.0", "::/129", "10.0.0.0/", "10.0.0.0/+8", "proxy.lan", "10.0.0.0/8/8"]
        {
            assert_eq!(odd.parse::<Proxies>(), Err(NotANetwork(odd.into())));
        }
        let everybody: Proxies = "0.0.0.0/0".parse().unwrap();
        assert!(everybody.trust("8.8.8.8".parse().unwrap()) && !everybody.trust("::1".parse().unwrap()));
    }
}
