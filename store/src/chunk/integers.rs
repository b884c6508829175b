//! A column of integers: a sequence as it stands, its runs, or the places of its few values in a list of them.

use super::choose::{self, Plan};
use super::head::{InHead, Reader};
use super::sequence::{Place, Sequence, Source, Streams};
use bincode::{Decode, Encode};

/// How a column of integers is written; its length is known from elsewhere. What is seldom is boxed: a reader goes through
/// the heads of many columns to find one.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Integers {
    /// As one sequence.
    Direct(Sequence),
    /// As runs of one value each.
    Runs {
        /// How many runs.
        runs: u32,
        /// The value of each.
        values: Box<Sequence>,
        /// How often it stands there.
        lengths: Box<Sequence>,
    },
    /// As places in a list.
    Dictionary {
        /// How long the list is.
        entries: u32,
        /// The list, ascending.
        list: Box<Sequence>,
        /// For each value where it stands in the list.
        places: Box<Sequence>,
    },
}

impl InHead for Integers {
    fn read(from: &mut Reader<'_>) -> Option<Integers> {
        let boxed = |from: &mut Reader<'_>| Sequence::read(from).map(Box::new);
        Some(match from.u32()? {
            0 => Integers::Direct(Sequence::read(from)?),
            1 => Integers::Runs { runs: from.u32()?, values: boxed(from)?, lengths: boxed(from)? },
            2 => Integers::Dictionary { entries: from.u32()?, list: boxed(from)?, places: boxed(from)? },
            _ => return None,
        })
    }
}

/// A form that was chosen for some values, with what else must be written.
pub struct Planned {
    /// The form.
    pub integers: Integers,
    /// About how many bits it takes.
    pub bits: u64,
    /// The values themselves when they are not written directly: run values and lengths, or list and places.
    parts: Option<(Vec<i64>, Vec<i64>)>,
}

/// The shortest form by estimate.
pub fn plan(values: &[i64]) -> Planned {
    let Plan { sequence, bits } = choose::plan(values);
    let mut best = Planned { integers: Integers::Direct(sequence), bits, parts: None };
    // Two parts cost their heads alone about this much.
    const WORTHWHILE_BITS: u64 = 160;
    if bits < WORTHWHILE_BITS {
        return best;
    }
    if let Some(runs) = plan_runs(values)
        && runs.bits < best.bits
    {
        best = runs;
    }
    if let Some(dictionary) = plan_dictionary(values, best.bits)
        && dictionary.bits < best.bits
    {
        best = dictionary;
    }
    best
}

fn plan_runs(values: &[i64]) -> Option<Planned> {
    let runs = 1 + values.windows(2).filter(|w| w[0] != w[1]).count();
    // Tokens of many equal values cost a bit each: runs must be much fewer than the values.
    if runs > values.len() / 3 {
        return None;
    }
    let (mut heads, mut lengths) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
    for run in values.chunk_by(|a, b| a == b) {
        heads.push(run[0]);
        lengths.push(run.len() as i64);
    }
    let (of_values, of_lengths) = (choose::plan(&heads), choose::plan(&lengths));
    Some(Planned {
        integers: Integers::Runs {
            runs: runs as u32,
            values: Box::new(of_values.sequence),
            lengths: Box::new(of_lengths.sequence),
        },
        bits: of_values.bits + of_lengths.bits,
        parts: Some((heads, lengths)),
    })
}

fn plan_dictionary(values: &[i64], bits: u64) -> Option<Planned> {
    // Below this many bits a value there is nothing that places could save.
    const BITS_MIN: u64 = 3;
    const SAMPLES: usize = 48;
    let count = values.len();
    if bits < BITS_MIN * count as u64 || count < 2 * SAMPLES {
        return None;
    }
    let mut some: [i64; SAMPLES] = std::array::from_fn(|i| values[i * count / SAMPLES]);
    some.sort_unstable();
    if some.windows(2).filter(|w| w[0] == w[1]).count() < SAMPLES / 12 {
        return None;
    }
    let (list, places) = list_and_places(values)?;
    let (of_list, of_places) = (choose::plan(&list), choose::plan(&places));
    Some(Planned {
        integers: Integers::Dictionary {
            entries: list.len() as u32,
            list: Box::new(of_list.sequence),
            places: Box::new(of_places.sequence),
        },
        bits: of_list.bits + of_places.bits,
        parts: Some((list, places)),
    })
}

/// The different values, ascending, and where each value stands among them. `None`: they are more than half of all.
fn list_and_places(values: &[i64]) -> Option<(Vec<i64>, Vec<i64>)> {
    /// Within a range of so many a table is faster than sorting.
    const TABLE_MAX: u64 = 1 << 14;
    let most_entries = values.len() / 2;
    let (least, most) =
        values.iter().fold((i64::MAX, i64::MIN), |(least, most), v| (least.min(*v), most.max(*v)));
    let width = most.wrapping_sub(least) as u64;
    if width >= TABLE_MAX {
        let mut list = values.to_vec();
        list.sort_unstable();
        list.dedup();
        if list.len() > most_entries {
            return None;
        }
        let place = |v| list.binary_search(v).map_or(0, |place| place as i64);
        let places = values.iter().map(place).collect();
        return Some((list, places));
    }
    let mut table = vec![0u16; width as usize + 1];
    let slot = |v: &i64| v.wrapping_sub(least) as usize;
    values.iter().for_each(|v| table[slot(v)] = 1);
    if table.iter().map(|there| usize::from(*there)).sum::<usize>() > most_entries {
        return None;
    }
    let mut list = Vec::new();
    for (slot, place) in table.iter_mut().enumerate().filter(|(_, there)| **there > 0) {
        *place = list.len() as u16;
        list.push(least.wrapping_add(slot as i64));
    }
    let places = values.iter().map(|v| i64::from(table[slot(v)])).collect();
    Some((list, places))
}

impl Planned {
    /// Appends the values it was planned for.
    pub fn put(self, values: &[i64], out: &mut Streams) -> Integers {
        match (&self.integers, &self.parts) {
            (Integers::Direct(sequence), _) => sequence.put(values, out),
            (Integers::Runs { values: a, lengths: b, .. }, Some(parts))
            | (Integers::Dictionary { list: a, places: b, .. }, Some(parts)) => {
                a.put(&parts.0, out);
                b.put(&parts.1, out);
            }
            (Integers::Runs { .. } | Integers::Dictionary { .. }, None) => {
                unreachable!("both are planned with their parts")
            }
        }
        self.integers
    }
}

impl Integers {
    /// Steps over the streams of `count` values; `None` when they are not there.
    pub fn skip(&self, count: usize, source: Source, place: &mut Place) -> Option<()> {
        match self {
            Integers::Direct(sequence) => sequence.skip(count, source, place),
            Integers::Runs { runs, values, lengths } => {
                let runs = at_most(*runs, count)?;
                values.skip(runs, source, place)?;
                lengths.skip(runs, source, place)
            }
            Integers::Dictionary { entries, list, places } => {
                list.skip(at_most(*entries, count)?, source, place)?;
                places.skip(count, source, place)
            }
        }
    }

    /// Reads `count` values.
    pub fn take(&self, count: usize, source: Source, place: &mut Place) -> Option<Vec<i64>> {
        match self {
            Integers::Direct(sequence) => sequence.take(count, source, place),
            Integers::Runs { runs, values, lengths } => {
                let runs = at_most(*runs, count)?;
                let heads = values.take(runs, source, place)?;
                let lengths = lengths.take(runs, source, place)?;
                let mut values = Vec::with_capacity(count);
                for (head, length) in heads.into_iter().zip(lengths) {
                    let length = usize::try_from(length).ok().filter(|&l| l <= count - values.len())?;
                    values.resize(values.len() + length, head);
                }
                (values.len() == count).then_some(values)
            }
            Integers::Dictionary { entries, list, places } => {
                let list = list.take(at_most(*entries, count)?, source, place)?;
                let mut values = places.take(count, source, place)?;
                for value in &mut values {
                    *value = *list.get(usize::try_from(*value).ok()?)?;
                }
                Some(values)
            }
        }
    }
}

fn at_most(n: u32, most: usize) -> Option<usize> {
    let n = n as usize;
    (n <= most).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::super::sequence::Form;
    use super::super::sequence::tests::with_source;
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(values: &[i64], expected: &str) {
        let mut out = Streams::default();
        let integers = plan(values).put(values, &mut out);
        let name = match integers {
            Integers::Direct(_) => "direct".to_string(),
            Integers::Runs { runs, .. } => format!("{runs} runs"),
            Integers::Dictionary { entries, .. } => format!("{entries} entries"),
        };
        assert_eq!(name, expected);
        with_source(&mut out, |source| {
            let (mut taken, mut skipped) = (Place::default(), Place::default());
            assert_eq!(integers.take(values.len(), source, &mut taken).unwrap(), values);
            integers.skip(values.len(), source, &mut skipped).unwrap();
            assert_eq!((taken.symbol, taken.bit), (skipped.symbol, skipped.bit));
            assert_eq!(taken.symbol, source.symbols.len());
        });
    }

    #[test]
    fn long_runs_are_runs() {
        let runs: Vec<i64> = (0..1_000).map(|i| i / 60 * 7_919 % 1_013).collect();
        check(&runs, "17 runs");
    }

    #[test]
    fn few_values_far_apart_are_a_dictionary() {
        let few: Vec<i64> = (0..1_000).map(|i| (i * i % 61 % 8 * 1_234_567_891) ^ 0x5555).collect();
        check(&few, "8 entries");
    }

    proptest! {
        #[test]
        fn lists_and_places_are_those_that_sorting_gives(
            start in any::<i64>(), step in prop_oneof![Just(1i64), Just(7), Just(1 << 20)],
            values in proptest::collection::vec(0i64..60, 2..300)
        ) {
            let values: Vec<i64> = values.iter().map(|v| start.wrapping_add(v * step)).collect();
            let mut list = values.clone();
            list.sort_unstable();
            list.dedup();
            let expected = (list.len() <= values.len() / 2).then_some(list);
            let found = list_and_places(&values);
            prop_assert_eq!(found.as_ref().map(|found| &found.0), expected.as_ref());
            if let Some((list, places)) = found {
                prop_assert_eq!(places.iter().map(|&at| list[at as usize]).collect::<Vec<_>>(), values);
            }
        }
    }

    #[test]
    fn what_wanders_is_direct() {
        check(&(0..1_000).map(|i| i * i % 1_009).collect::<Vec<i64>>(), "direct");
    }

    #[test]
    fn runs_and_places_that_do_not_add_up_are_refused() {
        let sequence = |base, step| Box::new(Sequence { base, step, form: Form::Line });
        let source = Source { symbols: &[], raw: &[] };
        let runs = |lengths| Integers::Runs { runs: 2, values: sequence(1, 0), lengths };
        let places = |places| Integers::Dictionary { entries: 2, list: sequence(1, 1), places };
        for wrong in [
            runs(sequence(4, 0)),
            runs(sequence(6, 0)),
            runs(sequence(-1, 12)),
            places(sequence(2, 0)),
            places(sequence(-1, 0)),
            Integers::Runs { runs: 11, values: sequence(1, 0), lengths: sequence(1, 0) },
        ] {
            assert_eq!(wrong.take(10, source, &mut Place::default()), None, "{wrong:?}");
        }
        assert!(runs(sequence(5, 0)).take(10, source, &mut Place::default()).is_some());
    }

    proptest! {
        #[test]
        fn any_few_integers_come_back(values in proptest::collection::vec((0usize..9, 1usize..20), 0..100),
            list in proptest::collection::vec(any::<i64>(), 9)
        ) {
            let values: Vec<i64> =
                values.iter().flat_map(|(at, times)| std::iter::repeat_n(list[*at], *times)).collect();
            let mut out = Streams::default();
            let integers = plan(&values).put(&values, &mut out);
            with_source(&mut out, |source| {
                assert_eq!(integers.take(values.len(), source, &mut Place::default()).unwrap(), values);
            });
        }
    }
}
