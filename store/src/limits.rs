//! What one device, one query and the memory may take. Past a limit something is refused, counted and said.

use std::time::Duration;

/// The limits of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Metrics of one device; a new name past it is left out of the report that brings it.
    pub metrics_per_device: usize,
    /// Samples and rollup rows that one query may read.
    pub query_samples: usize,
    /// How long one query, or one search in logs or events, may read.
    pub query_time: Duration,
    /// Samples in memory at which they are sealed into chunks. While sealing does not keep up, reports are refused at
    /// [`HEAD_FACTOR`] times as many.
    pub head_samples: usize,
    /// Reports waiting for the disk; the next one is refused as overload.
    pub queue_batches: usize,
}

/// See [`Limits::head_samples`].
pub const HEAD_FACTOR: usize = 3;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            metrics_per_device: 1_000,
            query_samples: 20_000_000,
            query_time: Duration::from_secs(20),
            head_samples: 4_000_000,
            queue_batches: 8_192,
        }
    }
}

impl Limits {
    /// Samples in the open generation at which reports are refused.
    pub fn head_samples_max(&self) -> usize {
        self.head_samples.saturating_mul(HEAD_FACTOR)
    }
}
