//! How many connections are open, in total and by address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts open connections. The table has one entry for each address that has one, so never more than
/// `connections_max`.
#[derive(Debug)]
pub(crate) struct Caps {
    total_max: usize,
    per_address_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A counted connection; dropping it takes it off the count.
#[derive(Debug)]
pub(crate) struct Slot {
    caps: Arc<Caps>,
    address: IpAddr,
}

impl Caps {
    pub(crate) fn new(total_max: usize, per_address_max: usize) -> Arc<Caps> {
        Arc::new(Caps { total_max, per_address_max, open: Mutex::default() })
    }

    /// `None` when this connection is one too many. A trusted proxy has many clients: only the total bounds it.
    pub(crate) fn take(self: &Arc<Caps>, address: IpAddr, proxy: bool) -> Option<Slot> {
        let address = address_key(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.total_max {
            return None;
        }
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= self.per_address_max && !proxy {
            return None;
        }
        open.total += 1;
        open.by_address.insert(address, of_address + 1);
        Some(Slot { caps: self.clone(), address })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.caps.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address when clients are limited: an IPv4 address, or a /64 network with IPv6, where one
/// machine may pick any address of its network.
pub fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_connection_too_many_is_refused_until_another_ends() {
        let caps = Caps::new(3, 2);
        let a1 = caps.take(ip("10.0.0.1"), false).unwrap();
        let _a2 = caps.take(ip("10.0.0.1"), false).unwrap();
        assert!(caps.take(ip("10.0.0.1"), false).is_none(), "third of one address");
        let _b1 = caps.take(ip("10.0.0.2"), false).unwrap();
        assert!(caps.take(ip("10.0.0.3"), false).is_none(), "fourth in total");
        drop(a1);
        assert!(caps.take(ip("10.0.0.1"), false).is_some());
    }

    #[test]
    fn a_trusted_proxy_is_bounded_by_the_total_only() {
        let caps = Caps::new(3, 1);
        let all: Vec<_> = (0..3).filter_map(|_| caps.take(ip("10.0.0.1"), true)).collect();
        assert_eq!(all.len(), 3);
        assert!(caps.take(ip("10.0.0.1"), true).is_none());
    }

    #[test]
    fn addresses_without_connections_are_forgotten() {
        let caps = Caps::new(3, 2);
        drop(caps.take(ip("10.0.0.1"), false));
        assert!(caps.open.lock().unwrap().by_address.is_empty());
    }

    #[test]
    fn an_ipv6_network_and_a_mapped_ipv4_address_are_one_address() {
        assert_eq!(address_key(ip("2001:db8:1:2::1")), address_key(ip("2001:db8:1:2:ffff::9")));
        assert_ne!(address_key(ip("2001:db8:1:2::1")), address_key(ip("2001:db8:1:3::1")));
        assert_eq!(address_key(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
    }
}
