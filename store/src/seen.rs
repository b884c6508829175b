//! Which reports are stored already, so that one that is sent again counts once.
//!
//! Per device and start of its agent a set of numbers, kept as ranges: reports come mostly in order, so there are one
//! or two; a spool that is emptied beside live reports makes a few more.

use crate::types::{DeviceId, Origin, Timestamp};
use std::collections::HashMap;

/// Starts of the agent remembered per device; the longest unused is forgotten first.
pub const BOOTS_MAX: usize = 8;

/// Ranges remembered per start; the lowest is forgotten first.
pub const RANGES_MAX: usize = 1_024;

/// The set.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    devices: HashMap<DeviceId, Vec<Boot>, foldhash::fast::RandomState>,
}

#[derive(Debug, Clone)]
struct Boot {
    boot_id: [u8; 16],
    used_ms: Timestamp,
    /// First and last number of each range, ascending, with gaps between them.
    ranges: Vec<(u64, u64)>,
}

impl Seen {
    /// Is it stored?
    pub fn contains(&self, device: DeviceId, origin: &Origin) -> bool {
        let Some(boot) =
            self.devices.get(&device).and_then(|b| b.iter().find(|b| b.boot_id == origin.boot_id))
        else {
            return false;
        };
        let after = boot.ranges.partition_point(|r| r.0 <= origin.seq);
        after > 0 && boot.ranges[after - 1].1 >= origin.seq
    }

    /// It is stored now.
    pub fn insert(&mut self, device: DeviceId, origin: &Origin, now: Timestamp) {
        let boots = self.devices.entry(device).or_default();
        let at = match boots.iter().position(|b| b.boot_id == origin.boot_id) {
            Some(at) => at,
            None => {
                if boots.len() == BOOTS_MAX
                    && let Some(oldest) = (0..boots.len()).min_by_key(|&i| boots[i].used_ms)
                {
                    boots.swap_remove(oldest);
                }
                boots.push(Boot { boot_id: origin.boot_id, used_ms: now, ranges: Vec::new() });
                boots.len() - 1
            }
        };
        boots[at].used_ms = now;
        insert_number(&mut boots[at].ranges, origin.seq);
    }

    /// The device was deleted.
    pub fn forget(&mut self, device: DeviceId) {
        self.devices.remove(&device);
    }

    /// Everything, to be kept.
    pub fn iter(&self) -> impl Iterator<Item = (DeviceId, [u8; 16], Vec<u8>, Timestamp)> + '_ {
        self.devices.iter().flat_map(|(device, boots)| {
            boots.iter().map(|b| {
                let bytes =
                    b.ranges.iter().flat_map(|r| [r.0.to_le_bytes(), r.1.to_le_bytes()]).flatten().collect();
                (*device, b.boot_id, bytes, b.used_ms)
            })
        })
    }

    /// Takes back one entry of [`Seen::iter`].
    pub fn restore(&mut self, device: DeviceId, boot_id: [u8; 16], ranges: &[u8], used_ms: Timestamp) {
        let ranges = ranges
            .as_chunks::<16>()
            .0
            .iter()
            .map(|pair| {
                let (first, last) = (pair.first_chunk::<8>(), pair.last_chunk::<8>());
                let word = |b: Option<&[u8; 8]>| b.map_or(0, |b| u64::from_le_bytes(*b));
                (word(first), word(last))
            })
            .collect();
        self.devices.entry(device).or_default().push(Boot { boot_id, used_ms, ranges });
    }
}

fn insert_number(ranges: &mut Vec<(u64, u64)>, n: u64) {
    let after = ranges.partition_point(|r| r.0 <= n);
    if after > 0 && ranges[after - 1].1 >= n {
        return;
    }
    let joins_left = after > 0 && ranges[after - 1].1 + 1 == n;
    let joins_right = after < ranges.len() && n + 1 == ranges[after].0;
    match (joins_left, joins_right) {
        (true, true) => {
            ranges[after - 1].1 = ranges[after].1;
            ranges.remove(after);
        }
        (true, false) => ranges[after - 1].1 = n,
        (false, true) => ranges[after].0 = n,
        (false, false) => {
            ranges.insert(after, (n, n));
            if ranges.len() > RANGES_MAX {
                ranges.remove(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn it_knows_just_what_was_inserted_also_after_being_kept(numbers in proptest::collection::vec(0u64..60, 0..80)) {
            let (device, boot_id) = (DeviceId(7), [3; 16]);
            let mut seen = Seen::default();
            let mut model = HashSet::new();
            for n in numbers {
                let origin = Origin { boot_id, seq: n };
                prop_assert_eq!(seen.contains(device, &origin), model.contains(&n));
                seen.insert(device, &origin, 0);
                model.insert(n);
            }
            let mut kept = Seen::default();
            for (device, boot_id, ranges, used_ms) in seen.iter() {
                kept.restore(device, boot_id, &ranges, used_ms);
            }
            for n in 0..61 {
                prop_assert_eq!(kept.contains(device, &Origin { boot_id, seq: n }), model.contains(&n));
            }
        }
    }

    #[test]
    fn the_longest_unused_start_is_forgotten_first() {
        let mut seen = Seen::default();
        let origin = |boot: u8| Origin { boot_id: [boot; 16], seq: 1 };
        for boot in 0..=BOOTS_MAX as u8 {
            seen.insert(DeviceId(1), &origin(boot), i64::from(boot));
        }
        assert!(!seen.contains(DeviceId(1), &origin(0)));
        assert!((1..=BOOTS_MAX as u8).all(|b| seen.contains(DeviceId(1), &origin(b))));
    }

    #[test]
    fn the_largest_number_does_not_overflow() {
        let mut ranges = vec![];
        insert_number(&mut ranges, u64::MAX);
        insert_number(&mut ranges, u64::MAX - 1);
        insert_number(&mut ranges, u64::MAX);
        assert_eq!(ranges, [(u64::MAX - 1, u64::MAX)]);
    }
}
