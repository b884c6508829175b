//! Ten integer CPU metrics at exact times, as the `cpu-only` case of the Time Series Benchmark Suite generates them:
//! each a walk with normal steps between 0 and 100, of which the whole part is reported.
//!
//! The published figures of most time-series databases are of such data, which is easier than what agents send.

use wire::Kind;

use crate::rng::Rng;

const NAMES: [&str; 10] = [
    "usage_user",
    "usage_system",
    "usage_idle",
    "usage_nice",
    "usage_iowait",
    "usage_irq",
    "usage_softirq",
    "usage_steal",
    "usage_guest",
    "usage_guest_nice",
];

/// `count` rows of host `number` from `from_ms` on, `step_ms` apart.
pub fn rows(seed: u64, number: u64, from_ms: i64, step_ms: i64, count: usize) -> wire::Rows {
    let mut rng = Rng::new(seed, number);
    let columns = NAMES.map(|name| {
        let mut level = rng.unit() * 100.0;
        let mut next = || {
            level = (level + normal(&mut rng)).clamp(0.0, 100.0);
            level.trunc()
        };
        wire::Column {
            name: name.to_string(),
            kind: Kind::Gauge,
            values: (0..count).map(|_| next()).collect(),
            present: wire::Presence::All,
        }
    });
    wire::Rows { t_ms: (0..count as i64).map(|i| from_ms + i * step_ms).collect(), columns: columns.into() }
}

/// Mean 0 and deviation 1: the sum of twelve even numbers has that variance, and nobody sees the missing tails here.
fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_metrics_wander_in_whole_numbers_at_exact_times() {
        let rows = rows(1, 1, 1_000, 10_000, 5_000);
        assert_eq!(rows.columns.len(), 10);
        assert!(rows.t_ms.windows(2).all(|two| two[1] - two[0] == 10_000));
        for column in &rows.columns {
            assert!(column.values.iter().all(|v| v.fract() == 0.0 && (0.0..=100.0).contains(v)));
            let moved: f64 = column.values.windows(2).map(|two| (two[1] - two[0]).powi(2)).sum();
            let variance = moved / 5_000.0;
            // 1 of the step itself, a sixth of the two cuts to whole numbers each; less where it stays at a border.
            assert!((0.5..1.6).contains(&variance), "{}: {variance}", column.name);
        }
    }
}
