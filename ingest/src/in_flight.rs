//! How many reports are being taken in at this moment, in total and by device: each holds a body in memory.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use store::DeviceId;

/// Counts requests; the table has one entry for each device that has one, so never more than `total_max`.
#[derive(Debug)]
pub(crate) struct InFlight {
    total_max: usize,
    per_device_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_device: HashMap<DeviceId, usize>,
}

/// Which bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Total,
    Device,
}

/// A counted request; dropping it takes it off the count.
#[derive(Debug)]
pub(crate) struct Ticket {
    of: Arc<InFlight>,
    device: DeviceId,
}

impl InFlight {
    pub(crate) fn new(total_max: usize, per_device_max: usize) -> Arc<InFlight> {
        Arc::new(InFlight { total_max, per_device_max, counts: Mutex::default() })
    }

    pub(crate) fn begin(self: &Arc<InFlight>, device: DeviceId) -> Result<Ticket, Full> {
        let mut counts = self.counts.lock();
        if counts.total >= self.total_max {
            return Err(Full::Total);
        }
        let of_device = counts.by_device.get(&device).copied().unwrap_or(0);
        if of_device >= self.per_device_max {
            return Err(Full::Device);
        }
        counts.total += 1;
        counts.by_device.insert(device, of_device + 1);
        Ok(Ticket { of: self.clone(), device })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.of.counts.lock();
        counts.total -= 1;
        if let Some(count) = counts.by_device.get_mut(&self.device) {
            *count -= 1;
            if *count == 0 {
                counts.by_device.remove(&self.device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_holds_until_a_request_ends() {
        let in_flight = InFlight::new(3, 2);
        let first = in_flight.begin(DeviceId(1)).unwrap();
        let _second = in_flight.begin(DeviceId(1)).unwrap();
        assert_eq!(in_flight.begin(DeviceId(1)).unwrap_err(), Full::Device);
        let _other = in_flight.begin(DeviceId(2)).unwrap();
        assert_eq!(in_flight.begin(DeviceId(3)).unwrap_err(), Full::Total);
        drop(first);
        let again = in_flight.begin(DeviceId(1)).unwrap();
        drop(again);
        drop(_other);
        assert_eq!(in_flight.counts.lock().by_device.len(), 1);
    }
}
