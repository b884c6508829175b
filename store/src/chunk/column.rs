//! How the values of one column are written.

use super::decimal::{self, Decimals};
use super::head::{InHead, Reader};
use super::integers::{self, Integers, Planned};
use super::sequence::{Place, Source, Streams};
use bincode::{Decode, Encode};

/// The form of a column's values; how many there are follows from its presence.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Values {
    /// The same bits everywhere, their bytes turned round: short numbers have their zeros at the end.
    Constant(u64),
    /// Those of an earlier column, which has as many and holds its own.
    Same(u32),
    /// Those of such a column, a few excepted.
    Like {
        /// The earlier column.
        column: u32,
        /// Which values differ.
        others: Box<Exceptions>,
    },
    /// Every value is `m / 10^exponent`.
    Decimals {
        /// Decimal places, at most 15.
        exponent: u8,
        /// The `m`.
        mantissas: Integers,
    },
    /// The same, `corrections` units of the last place beside it, and with exceptions.
    NearDecimals {
        /// Decimal places, at most 15.
        exponent: u8,
        /// The `m`.
        mantissas: Integers,
        /// What is to be added to the bits.
        corrections: Box<Integers>,
        /// Values that are no decimals.
        exceptions: Box<Exceptions>,
    },
    /// The bits in total order.
    Bits(Integers),
}

/// Values that stand by themselves.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Exceptions {
    /// How many.
    count: u32,
    /// Where they stand.
    at: Integers,
    /// Their bits in total order.
    bits: Integers,
}

impl InHead for Values {
    fn read(from: &mut Reader<'_>) -> Option<Values> {
        Some(match from.u32()? {
            0 => Values::Constant(from.u64()?),
            1 => Values::Same(from.u32()?),
            2 => Values::Like { column: from.u32()?, others: Box::new(Exceptions::read(from)?) },
            3 => Values::Decimals { exponent: from.byte()?, mantissas: Integers::read(from)? },
            4 => Values::NearDecimals {
                exponent: from.byte()?,
                mantissas: Integers::read(from)?,
                corrections: Box::new(Integers::read(from)?),
                exceptions: Box::new(Exceptions::read(from)?),
            },
            5 => Values::Bits(Integers::read(from)?),
            _ => return None,
        })
    }
}

impl InHead for Exceptions {
    fn read(from: &mut Reader<'_>) -> Option<Exceptions> {
        Some(Exceptions { count: from.u32()?, at: Integers::read(from)?, bits: Integers::read(from)? })
    }
}

/// Memory that choosing needs, used again for every column.
#[derive(Default)]
pub struct Scratch {
    decimals: Decimals,
    ordered: Vec<i64>,
}

/// A form that was chosen for some values.
pub enum Plan {
    /// One value, by its bits.
    Constant(u64),
    /// An earlier column with its exceptions.
    Like(u32, Box<PlannedExceptions>),
    /// Decimals only, as they stand in the scratch.
    Decimals(Planned),
    /// Decimals with corrections and exceptions.
    Near(Box<PlannedNear>),
    /// Ordered bits, as they stand in the scratch.
    Bits(Planned),
}

/// The shortest form by estimate.
pub fn plan(values: &[f64], scratch: &mut Scratch) -> Plan {
    let first = values.first().copied().unwrap_or_default().to_bits();
    if values.iter().all(|v| v.to_bits() == first) {
        return Plan::Constant(first);
    }
    let Scratch { decimals, ordered } = scratch;
    if !decimals.fit(values) {
        order_bits(values, ordered);
        return Plan::Bits(integers::plan(ordered));
    }
    let mantissas = integers::plan(&decimals.mantissas);
    let plan = if decimals.corrections.is_empty() && decimals.exceptions.is_empty() {
        Plan::Decimals(mantissas)
    } else {
        let corrections = integers::plan(&decimals.corrections);
        let exceptions = PlannedExceptions::of(&decimals.exceptions);
        Plan::Near(Box::new(PlannedNear { mantissas, corrections, exceptions }))
    };
    // Only what is long, or full of exceptions, may be shorter as it is.
    const LONG_BITS: u64 = 24;
    if plan.bits() > values.len() as u64 * LONG_BITS {
        order_bits(values, ordered);
        let bits = integers::plan(ordered);
        if bits.bits < plan.bits() {
            return Plan::Bits(bits);
        }
    }
    plan
}

/// `values` as another column's with exceptions; `None` when too many differ.
pub fn plan_like(column: u32, values: &[f64], others: &[f64]) -> Option<Plan> {
    let most = values.len() / 4;
    let mut differing = Vec::new();
    for (i, (v, other)) in values.iter().zip(others).enumerate() {
        if v.to_bits() != other.to_bits() {
            if differing.len() == most {
                return None;
            }
            differing.push((i as i64, *v));
        }
    }
    Some(Plan::Like(column, Box::new(PlannedExceptions::of(&differing))))
}

impl Plan {
    /// About how many bits it takes.
    pub fn bits(&self) -> u64 {
        match self {
            Plan::Constant(_) => 0,
            Plan::Like(_, others) => others.bits(),
            Plan::Decimals(integers) | Plan::Bits(integers) => integers.bits,
            Plan::Near(near) => near.mantissas.bits + near.corrections.bits + near.exceptions.bits(),
        }
    }

    /// Appends the values it was made for, with the scratch it was made with.
    pub fn put(self, scratch: &Scratch, out: &mut Streams) -> Values {
        let decimals = &scratch.decimals;
        match self {
            Plan::Constant(bits) => Values::Constant(bits.swap_bytes()),
            Plan::Like(column, others) => Values::Like { column, others: Box::new(others.put(out)) },
            Plan::Decimals(mantissas) => Values::Decimals {
                exponent: decimals.exponent,
                mantissas: mantissas.put(&decimals.mantissas, out),
            },
            Plan::Near(near) => Values::NearDecimals {
                exponent: decimals.exponent,
                mantissas: near.mantissas.put(&decimals.mantissas, out),
                corrections: Box::new(near.corrections.put(&decimals.corrections, out)),
                exceptions: Box::new(near.exceptions.put(out)),
            },
            Plan::Bits(bits) => Values::Bits(bits.put(&scratch.ordered, out)),
        }
    }
}

fn order_bits(values: &[f64], ordered: &mut Vec<i64>) {
    ordered.clear();
    ordered.extend(values.iter().map(|v| total_order(v.to_bits() as i64)));
}

/// Bits of doubles so that they ascend as the doubles do; its own inverse.
fn total_order(bits: i64) -> i64 {
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// Decimals, corrections and exceptions with their forms.
pub struct PlannedNear {
    mantissas: Planned,
    corrections: Planned,
    exceptions: PlannedExceptions,
}

/// Exceptions with their forms.
pub struct PlannedExceptions {
    at: (Vec<i64>, Planned),
    bits: (Vec<i64>, Planned),
}

impl PlannedExceptions {
    fn of(exceptions: &[(i64, f64)]) -> PlannedExceptions {
        let at: Vec<i64> = exceptions.iter().map(|e| e.0).collect();
        let bits: Vec<i64> = exceptions.iter().map(|e| total_order(e.1.to_bits() as i64)).collect();
        let plans = (integers::plan(&at), integers::plan(&bits));
        PlannedExceptions { at: (at, plans.0), bits: (bits, plans.1) }
    }

    fn bits(&self) -> u64 {
        self.at.1.bits + self.bits.1.bits
    }

    fn put(self, out: &mut Streams) -> Exceptions {
        Exceptions {
            count: self.at.0.len() as u32,
            at: self.at.1.put(&self.at.0, out),
            bits: self.bits.1.put(&self.bits.0, out),
        }
    }
}

impl Exceptions {
    fn skip(&self, values: usize, source: Source, place: &mut Place) -> Option<()> {
        let count = (self.count as usize <= values).then_some(self.count as usize)?;
        self.at.skip(count, source, place)?;
        self.bits.skip(count, source, place)
    }

    /// Puts the exceptions where they belong.
    fn take(&self, values: &mut [f64], source: Source, place: &mut Place) -> Option<()> {
        let at = self.at.take(self.count as usize, source, place)?;
        for (at, bits) in at.into_iter().zip(self.bits.take(self.count as usize, source, place)?) {
            *values.get_mut(usize::try_from(at).ok()?)? = f64::from_bits(total_order(bits) as u64);
        }
        Some(())
    }
}

impl Values {
    /// The earlier column without which these cannot be read.
    pub fn other(&self) -> Option<u32> {
        match self {
            Values::Same(column) | Values::Like { column, .. } => Some(*column),
            _ => None,
        }
    }

    /// Steps over the streams of `count` values; `None` when they are not there.
    pub fn skip(&self, count: usize, source: Source, place: &mut Place) -> Option<()> {
        match self {
            Values::Constant(_) | Values::Same(_) => Some(()),
            Values::Like { others, .. } => others.skip(count, source, place),
            Values::Decimals { mantissas, .. } => mantissas.skip(count, source, place),
            Values::NearDecimals { mantissas, corrections, exceptions, .. } => {
                mantissas.skip(count, source, place)?;
                corrections.skip(count, source, place)?;
                exceptions.skip(count, source, place)
            }
            Values::Bits(bits) => bits.skip(count, source, place),
        }
    }

    /// Reads `count` values; `other` are those of the column that [`Values::other`] names.
    pub fn take(&self, count: usize, other: Vec<f64>, source: Source, mut place: Place) -> Option<Vec<f64>> {
        match self {
            Values::Constant(bits) => Some(vec![f64::from_bits(bits.swap_bytes()); count]),
            Values::Same(_) => Some(other),
            Values::Like { others, .. } => {
                let mut values = other;
                others.take(&mut values, source, &mut place)?;
                Some(values)
            }
            Values::Decimals { exponent, mantissas } => {
                let power = decimal::power(*exponent)?;
                let mantissas = mantissas.take(count, source, &mut place)?.into_iter();
                // A division takes longer than all else of a value.
                Some(if *exponent == 0 {
                    mantissas.map(|m| m as f64).collect()
                } else {
                    mantissas.map(|m| m as f64 / power).collect()
                })
            }
            Values::NearDecimals { exponent, mantissas, corrections, exceptions } => {
                let power = decimal::power(*exponent)?;
                let mantissas = mantissas.take(count, source, &mut place)?;
                let corrections = corrections.take(count, source, &mut place)?;
                let both = mantissas.into_iter().zip(corrections);
                let mut values: Vec<f64> =
                    both.map(|(m, c)| decimal::corrected(m as f64 / power, c)).collect();
                exceptions.take(&mut values, source, &mut place)?;
                Some(values)
            }
            Values::Bits(bits) => {
                let ordered = bits.take(count, source, &mut place)?;
                Some(ordered.into_iter().map(|b| f64::from_bits(total_order(b) as u64)).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sequence::tests::with_source;
    use super::*;

    #[track_caller]
    fn check(values: &[f64], expected: &str) {
        let (mut scratch, mut out) = (Scratch::default(), Streams::default());
        let stored = plan(values, &mut scratch).put(&scratch, &mut out);
        let name = match &stored {
            Values::Constant(_) => "constant".to_string(),
            Values::Same(_) | Values::Like { .. } => "like another".to_string(),
            Values::Decimals { exponent, .. } => format!("decimals {exponent}"),
            Values::NearDecimals { exponent, exceptions, .. } => {
                format!("near decimals {exponent}, {} exceptions", exceptions.count)
            }
            Values::Bits(_) => "bits".to_string(),
        };
        assert_eq!(name, expected);
        let back = with_source(&mut out, |source| {
            stored.take(values.len(), Vec::new(), source, Place::default()).unwrap()
        });
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(values));
    }

    /// Hundred values, one of which is another.
    fn with(value: f64) -> Vec<f64> {
        let mut values: Vec<f64> = (0..100).map(|i| f64::from(i * i % 83) / 10.0).collect();
        values[61] = value;
        values
    }

    #[test]
    fn percentages_are_decimals() {
        check(&[12.5, 13.1, 99.9, 0.0], "decimals 1");
        check(&with(5.5), "decimals 1");
    }

    #[test]
    fn counters_are_decimals_beyond_what_a_double_counts_too() {
        check(&[1e9, 1e9 + 100.0, 1e9 + 200.0, 1e9 + 300.0, 1e9 + 400.0], "decimals 0");
        let far = (1u64 << 60) as f64;
        check(&(0..100).map(|i| far + f64::from(i * i) * 4096.0).collect::<Vec<_>>(), "decimals 0");
    }

    #[test]
    fn what_is_no_decimal_is_an_exception() {
        for odd in
            [-0.0, f64::NAN, f64::from_bits(0xfff8_0000_dead_beef), f64::INFINITY, 1e300, 1e-300, 1.0 / 3.0]
        {
            check(&with(odd), "near decimals 1, 1 exceptions");
        }
    }

    #[test]
    fn finer_decimals_that_were_not_sampled_are_decimals_if_they_are_many() {
        let mut values: Vec<f64> = (0..1_000).map(|i| f64::from(i * i % 83) / 10.0).collect();
        (0..1_000).filter(|i| i % 5 == 2).for_each(|i| values[i] += 0.25);
        check(&values, "decimals 2");
    }

    #[test]
    fn rounding_noise_is_a_correction() {
        let values: Vec<f64> = (0..200).map(|i| f64::from(i * i % 997) * 0.001).collect();
        assert!(values.iter().any(|v| format!("{v}").len() > 10));
        check(&values, "near decimals 3, 0 exceptions");
    }

    #[test]
    fn quotients_and_noise_are_bits() {
        check(&(1..200).map(|i| 1.0 / f64::from(i)).collect::<Vec<_>>(), "bits");
        check(&[0.0, -0.0], "bits");
        check(&[1.0 / 3.0, -2.0 / 3.0], "bits");
    }

    #[test]
    fn one_value_and_none_are_constant() {
        check(&[], "constant");
        check(&[f64::NAN; 7], "constant");
    }
}
