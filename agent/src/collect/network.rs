//! Traffic of the network interfaces that carry this device's own traffic.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Bytes received and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Received.
    pub rx: u64,
    /// Sent.
    pub tx: u64,
}

/// Interfaces of containers and virtual machines, and tunnels: what they carry is counted again on
/// the interface below, or never leaves the device.
const NOT_COUNTED: [&str; 24] = [
    "veth",
    "docker",
    "br-",
    "virbr",
    "vnet",
    "cni",
    "flannel",
    "cali",
    "tap",
    "tun",
    "utun",
    "wg",
    "tailscale",
    "zt",
    "dummy",
    "ifb",
    "podman",
    "lxc",
    "awdl",
    "ovs",
    "fwln",
    "fwpr",
    "vxlan",
    "geneve",
];

/// Whether an interface's traffic is part of the device's.
pub fn counts(name: &str) -> bool {
    let loopback = name == "lo" || name == "lo0" || name.starts_with("Loopback");
    !loopback && !NOT_COUNTED.iter().any(|prefix| name.starts_with(prefix))
}

/// Where Linux says how interfaces are made of each other.
pub const CLASS: &str = "/sys/class/net";

/// Whether what an interface carries is counted at another one: a bridge, a bond or a VLAN at the interfaces below it,
/// and the second card of a virtual machine at the first, which counts both. `class` is [`CLASS`].
pub fn is_counted_elsewhere(class: &Path, name: &str) -> bool {
    let folder = class.join(name);
    let is_card = |folder: &Path| folder.join("device").exists();
    let is_below = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("lower_");
    is_card(&folder.join("master"))
        || (!is_card(&folder) && fs::read_dir(&folder).into_iter().flatten().flatten().any(is_below))
}

/// The traffic of all interfaces as counts that never fall, though interfaces come and go and their
/// own counts start anew.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    total: Bytes,
    last: HashMap<String, Bytes>,
}

impl Traffic {
    /// Takes a reading of every interface and gives the total.
    pub fn update<'a>(&mut self, interfaces: impl Iterator<Item = (&'a str, Bytes)>) -> Bytes {
        let mut seen = HashMap::with_capacity(self.last.len());
        for (name, now) in interfaces {
            // An interface that is new, or whose count started anew, has carried all of it since the
            // last reading.
            let before = self.last.get(name).copied().unwrap_or_default();
            let more = |now: u64, before: u64| if now >= before { now - before } else { now };
            self.total.rx = self.total.rx.saturating_add(more(now.rx, before.rx));
            self.total.tx = self.total.tx.saturating_add(more(now.tx, before.tx));
            seen.insert(name.to_string(), now);
        }
        self.last = seen;
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_device_s_own_interfaces_count() {
        for name in ["eth0", "enp3s0", "wlan0", "en0", "bond0", "br0", "Ethernet", "Wi-Fi"] {
            assert!(counts(name), "{name}");
        }
        for name in [
            "lo",
            "lo0",
            "veth12ab",
            "docker0",
            "br-5f2e",
            "virbr0",
            "wg0",
            "utun3",
            "Loopback 1",
            "ovs_eth0",
            "fwpr101p0",
        ] {
            assert!(!counts(name), "{name}");
        }
    }

    #[test]
    fn what_interfaces_carry_for_each_other_counts_once() {
        let class = tempfile::tempdir().unwrap();
        // Links there, folders here.
        for path in [
            "eth0/device",
            "eth0/upper_bond0",
            "eth1/device",
            "bond0/lower_eth0",
            "bond0/lower_eth1",
            "bond0/upper_br0",
            "br0/lower_bond0",
            "eth0.10/lower_eth0",
            "azure0/device",
            "azure0/lower_azure1",
            "azure1/device",
            "azure1/master/device",
            "container0",
        ] {
            fs::create_dir_all(class.path().join(path)).unwrap();
        }
        let counted = |name: &&str| !is_counted_elsewhere(class.path(), name);
        let all = ["eth0", "eth1", "bond0", "br0", "eth0.10", "azure0", "azure1", "container0", "unknown"];
        let counted: Vec<_> = all.into_iter().filter(counted).collect();
        assert_eq!(counted, ["eth0", "eth1", "azure0", "container0", "unknown"]);
    }

    #[test]
    fn totals_never_fall() {
        let mut traffic = Traffic::default();
        let mut update = |interfaces: &[(&str, u64)]| {
            let interfaces = interfaces.iter().map(|&(name, rx)| (name, Bytes { rx, tx: rx * 2 }));
            let total = traffic.update(interfaces);
            assert_eq!(total.tx, total.rx * 2);
            total.rx
        };
        assert_eq!(update(&[("eth0", 1_000)]), 1_000);
        assert_eq!(update(&[("eth0", 1_500)]), 1_500);
        assert_eq!(update(&[("eth0", 1_600), ("wlan0", 40)]), 1_640, "one came");
        assert_eq!(update(&[("wlan0", 50)]), 1_650, "one went");
        assert_eq!(update(&[("wlan0", 20)]), 1_670, "one started anew");
        assert_eq!(update(&[]), 1_670);
    }
}
