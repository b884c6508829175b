//! The rows' times: integers as they stand, or slots of a grid and what each time is beside its slot.
//!
//! A device that reports every ten seconds, a few milliseconds early or late, is cheaper as a grid: differences would
//! carry the lateness of two rows each.

use super::integers::{self, Integers};
use super::sequence::{Place, Source, Streams};
use bincode::{Decode, Encode};

/// How times are written.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Times {
    /// As they are.
    Plain(Integers),
    /// `tᵢ = step·slotᵢ + besideᵢ`.
    Grid {
        /// Distance of two slots.
        step: i64,
        /// The slot of each row.
        slots: Integers,
        /// What its time is beside it; the start of the grid is in here too.
        beside: Integers,
    },
}

/// Appends the times in the shorter form.
pub fn put(t: &[i64], out: &mut Streams) -> Times {
    let plain = integers::plan(t);
    // A grid has two parts: below this it cannot be shorter.
    const GRID_BITS_MIN: u64 = 160;
    if plain.bits > GRID_BITS_MIN
        && let Some((step, slots, beside)) = grid(t)
    {
        let (of_slots, of_beside) = (integers::plan(&slots), integers::plan(&beside));
        if of_slots.bits + of_beside.bits < plain.bits {
            return Times::Grid {
                step,
                slots: of_slots.put(&slots, out),
                beside: of_beside.put(&beside, out),
            };
        }
    }
    Times::Plain(plain.put(t, out))
}

fn grid(t: &[i64]) -> Option<(i64, Vec<i64>, Vec<i64>)> {
    let mut distances: Vec<i64> = t.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
    let middle = distances.len() / 2;
    let usual = *distances.select_nth_unstable(middle).1;
    let span = t[t.len() - 1].checked_sub(t[0])?;
    if usual < 2 || span < usual {
        return None;
    }
    // The usual distance is a little off when every row is: the whole span has it exactly.
    let rounded = |a: i64, b: i64| a / b + i64::from(a % b >= b - b / 2);
    let step = rounded(span, rounded(span, usual));
    let start = t[0];
    let half = step / 2;
    // The nearest slot; wrapping, as everything here, so that times far apart come back too.
    let slots: Vec<i64> =
        t.iter().map(|t| t.wrapping_sub(start).wrapping_add(half).div_euclid(step)).collect();
    let beside = t.iter().zip(&slots).map(|(t, slot)| t.wrapping_sub(step.wrapping_mul(*slot))).collect();
    Some((step, slots, beside))
}

impl Times {
    /// Steps over the streams of `count` times; `None` when they are not there.
    pub fn skip(&self, count: usize, source: Source, place: &mut Place) -> Option<()> {
        match self {
            Times::Plain(times) => times.skip(count, source, place),
            Times::Grid { slots, beside, .. } => {
                slots.skip(count, source, place)?;
                beside.skip(count, source, place)
            }
        }
    }

    /// Reads `count` times, whose streams are the first.
    pub fn take(&self, count: usize, source: Source) -> Option<Vec<i64>> {
        let mut place = Place::default();
        match self {
            Times::Plain(times) => times.take(count, source, &mut place),
            Times::Grid { step, slots, beside } => {
                let slots = slots.take(count, source, &mut place)?;
                let mut times = beside.take(count, source, &mut place)?;
                times
                    .iter_mut()
                    .zip(slots)
                    .for_each(|(t, slot)| *t = t.wrapping_add(step.wrapping_mul(slot)));
                Some(times)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sequence::tests::with_source;
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(t: &[i64], expected: &str) -> usize {
        let mut out = Streams::default();
        let times = put(t, &mut out);
        let name = if matches!(times, Times::Plain(_)) { "plain" } else { "grid" };
        assert_eq!(name, expected);
        with_source(&mut out, |source| {
            assert_eq!(times.take(t.len(), source).unwrap(), t);
            let mut place = Place::default();
            times.skip(t.len(), source, &mut place).unwrap();
            assert_eq!(place.symbol, source.symbols.len());
        });
        let head = bincode::encode_to_vec(&times, bincode::config::standard()).unwrap().len();
        head + out.symbols.len() + out.raw.finish().len()
    }

    #[test]
    fn a_regular_grid_costs_what_its_start_and_step_cost() {
        let t: Vec<i64> = (0..8_000).map(|i| 1_795_343_922_420 + 10_000 * i).collect();
        assert!(check(&t, "plain") <= 16);
    }

    #[test]
    fn jitter_is_kept_beside_the_grid() {
        let t: Vec<i64> = (0..720).map(|i| 1_795_343_922_420 + 10_000 * i + i * i * 7 % 41 - 20).collect();
        check(&t, "grid");
    }

    #[test]
    fn a_gap_leaves_the_grid_in_place() {
        let slot = |i: i64| if i < 300 { i } else { i + 1_000 };
        let t: Vec<i64> = (0..720).map(|i| 1_000_000 + 10_000 * slot(i) + i * i * 7 % 41 - 20).collect();
        check(&t, "grid");
    }

    #[test]
    fn one_row_and_none_are_times_too() {
        check(&[], "plain");
        check(&[-5], "plain");
        check(&[i64::MAX, i64::MIN], "plain");
    }

    proptest! {
        #[test]
        fn any_times_come_back(t in proptest::collection::vec(any::<i64>(), 0..100)) {
            let mut out = Streams::default();
            let times = put(&t, &mut out);
            with_source(&mut out, |source| assert_eq!(times.take(t.len(), source).unwrap(), t));
        }

        #[test]
        fn grids_with_jitter_and_gaps_come_back(
            start in any::<i64>(), step in 1i64..100_000,
            rows in proptest::collection::vec((1i64..4, -50i64..50), 0..300)
        ) {
            let mut slot = 0;
            let t: Vec<i64> = rows.iter().map(|(gap, beside)| {
                slot += gap * step;
                start.wrapping_add(slot).wrapping_add(*beside)
            }).collect();
            let mut out = Streams::default();
            let times = put(&t, &mut out);
            with_source(&mut out, |source| assert_eq!(times.take(t.len(), source).unwrap(), t));
        }
    }
}
