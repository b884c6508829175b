//! Which rows of a column hold a value: as runs, or as a bit a row where the runs are short.

use crate::types::Presence;
use bincode::{Decode, Encode};

/// Rows that hold a value, and that are not all.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Stored {
    /// Lengths of runs in turn: present, absent, present, …
    Runs(Vec<u32>),
    /// Row `i` when bit `i % 8` of byte `i / 8` is set.
    Bits(Vec<u8>),
}

impl Stored {
    /// The shorter form.
    pub fn of(present: &Presence, rows: usize) -> Stored {
        let mut runs = Vec::new();
        let (mut from, mut holds) = (0, true);
        for row in 0..rows {
            if present.has(row) != holds {
                runs.push((row - from) as u32);
                (from, holds) = (row, !holds);
            }
        }
        runs.push((rows - from) as u32);
        // A run of up to 250 rows takes one byte, a longer one three.
        let bytes: usize = runs.iter().map(|&run| if run > 250 { 3 } else { 1 }).sum();
        if bytes <= rows.div_ceil(8) {
            return Stored::Runs(runs);
        }
        let byte = |at: usize| {
            (0..8)
                .fold(0, |byte, bit| byte | u8::from(at * 8 + bit < rows && present.has(at * 8 + bit)) << bit)
        };
        Stored::Bits((0..rows.div_ceil(8)).map(byte).collect())
    }

    /// As it was; `None` when it is not one of so many rows.
    pub fn open(&self, rows: usize) -> Option<Presence> {
        let mut words = vec![0u64; rows.div_ceil(64)];
        match self {
            Stored::Runs(runs) => {
                let mut row = 0usize;
                for (i, &run) in runs.iter().enumerate() {
                    let end = row.checked_add(run as usize).filter(|&end| end <= rows)?;
                    if i % 2 == 0 {
                        (row..end).for_each(|row| words[row / 64] |= 1 << (row % 64));
                    }
                    row = end;
                }
                if row != rows {
                    return None;
                }
            }
            Stored::Bits(bytes) => {
                if bytes.len() != rows.div_ceil(8) {
                    return None;
                }
                for (at, &byte) in bytes.iter().enumerate() {
                    words[at / 8] |= u64::from(byte) << (at % 8 * 8);
                }
                // No bit beyond the last row: two presences that say the same are equal.
                if !rows.is_multiple_of(64) && words.last().is_some_and(|word| word >> (rows % 64) != 0) {
                    return None;
                }
            }
        }
        Some(Presence::Bits(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(flags: &[bool]) -> usize {
        let present = Presence::from_flags(flags.iter().copied());
        let stored = Stored::of(&present, flags.len());
        assert_eq!(stored.open(flags.len()), Some(present));
        bincode::encode_to_vec(stored, bincode::config::standard()).unwrap().len()
    }

    proptest! {
        #[test]
        fn any_presence_comes_back(mut flags in proptest::collection::vec(any::<bool>(), 1..300)) {
            flags[0] = false;
            bytes_of(&flags);
        }
    }

    #[test]
    fn a_few_absent_rows_cost_a_few_bytes_and_noise_a_bit_a_row() {
        let few: Vec<bool> = (0..720).map(|i| i != 100 && i != 400).collect();
        assert!(bytes_of(&few) <= 13);
        let noise: Vec<bool> = (0..720).map(|i| i * i % 7 < 3).collect();
        assert_eq!(bytes_of(&noise), 2 + 90);
    }

    #[test]
    fn a_presence_of_other_rows_is_refused() {
        for stored in [
            Stored::Runs(vec![]),
            Stored::Runs(vec![9]),
            Stored::Runs(vec![11]),
            Stored::Runs(vec![u32::MAX, 2]),
            Stored::Bits(vec![0]),
            Stored::Bits(vec![0, 0, 0]),
            Stored::Bits(vec![0, 4]),
        ] {
            assert_eq!(stored.open(10), None, "{stored:?}");
        }
        assert!(Stored::Bits(vec![0, 2]).open(10).is_some());
    }
}
