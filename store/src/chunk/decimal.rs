//! Decimals: `m / 10^e` with one `e` for the whole column, checked bit for bit.
//!
//! Division, because multiplying by 10^-e is not exact. Both operands are whole f64, so the quotient is the double
//! nearest to the decimal, which is what parsing the decimal gives.

/// Decimal places that are looked for at most: 10^15 keeps every decimal of 15 digits.
pub const EXPONENT_MAX: u8 = 15;

/// A value this many units in the last place beside a decimal is written as that decimal and the distance.
pub const CORRECTION_MAX: i64 = 32;

/// 10^e, exact for every e used here.
const POWERS: [f64; EXPONENT_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Adding this rounds to a whole number, which then stands in the lowest bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Below this the rounding is exact.
const ROUNDED_MAX: f64 = 2_251_799_813_685_248.0;

/// 10^e; `None` past the last.
pub fn power(exponent: u8) -> Option<f64> {
    POWERS.get(exponent as usize).copied()
}

/// Values as decimals.
#[derive(Default)]
pub struct Decimals {
    /// Decimal places.
    pub exponent: u8,
    /// One per value; at an exception that of the value before.
    pub mantissas: Vec<i64>,
    /// Units in the last place to add, one per value; empty when every value is a decimal.
    pub corrections: Vec<i64>,
    /// Values that are no decimals, and where they stand.
    pub exceptions: Vec<(i64, f64)>,
}

impl Decimals {
    /// Fits `values`; false when so few of them are decimals that it is not worth it.
    pub fn fit(&mut self, values: &[f64]) -> bool {
        self.corrections.clear();
        self.exceptions.clear();
        let Some(exponent) = guess(values.len(), |i, n| values[i * values.len() / n]) else { return false };
        self.exponent = exponent;
        if self.exact(values) {
            return true;
        }
        // The values that missed tell whether more places would have been better.
        let missed: Vec<f64> = values
            .iter()
            .zip(&self.mantissas)
            .filter(|(v, m)| !is(**v, **m, exponent))
            .map(|(v, _)| *v)
            .collect();
        if let Some(finer) = guess_finer(values.len(), &missed, exponent) {
            self.exponent = finer;
            if self.exact(values) {
                return true;
            }
        }
        self.correct(values);
        self.exceptions.len() <= values.len() / 2
    }

    /// Mantissas of all values; false when one of them is no decimal of that many places.
    fn exact(&mut self, values: &[f64]) -> bool {
        self.mantissas.clear();
        self.mantissas.resize(values.len(), 0);
        let power = POWERS[self.exponent as usize];
        if self.exponent == 0 {
            rounded(values, &mut self.mantissas) || whole(values, &mut self.mantissas)
        } else {
            scaled(values, power, &mut self.mantissas)
        }
    }

    fn correct(&mut self, values: &[f64]) {
        let power = POWERS[self.exponent as usize];
        let mut previous = 0;
        self.corrections.resize(values.len(), 0);
        for (i, &v) in values.iter().enumerate() {
            match near(v, power) {
                Some((m, correction)) => {
                    self.mantissas[i] = m;
                    self.corrections[i] = correction;
                    previous = m;
                }
                None => {
                    self.mantissas[i] = previous;
                    self.exceptions.push((i as i64, v));
                }
            }
        }
    }
}

/// Whole numbers that rounding leaves as they are; several at a time, which [`whole`] cannot do.
fn rounded(values: &[f64], mantissas: &mut [i64]) -> bool {
    let mut all = true;
    for (m, &v) in mantissas.iter_mut().zip(values) {
        let rounded = v + ROUNDER;
        *m = rounded.to_bits().wrapping_sub(ROUNDER.to_bits()) as i64;
        // -0.0 becomes 0.0 here and is found not to fit; NaN is below nothing.
        all &= ((rounded - ROUNDER).to_bits() == v.to_bits()) & (v.abs() < ROUNDED_MAX);
    }
    all
}

/// Whole numbers, also those that only an i64 holds.
fn whole(values: &[f64], mantissas: &mut [i64]) -> bool {
    let mut all = true;
    for (m, &v) in mantissas.iter_mut().zip(values) {
        *m = v as i64;
        // Through the integer: it has no -0.0, so that one is found not to fit.
        all &= (*m as f64).to_bits() == v.to_bits();
    }
    all
}

fn scaled(values: &[f64], power: f64, mantissas: &mut [i64]) -> bool {
    let mut all = true;
    for (m, &v) in mantissas.iter_mut().zip(values) {
        let x = v * power;
        let rounded = x + ROUNDER;
        *m = rounded.to_bits().wrapping_sub(ROUNDER.to_bits()) as i64;
        // -0.0 becomes 0.0 here and is found not to fit; NaN is below nothing.
        all &= (((rounded - ROUNDER) / power).to_bits() == v.to_bits()) & (x.abs() < ROUNDED_MAX);
    }
    all
}

fn is(v: f64, m: i64, exponent: u8) -> bool {
    (m as f64 / POWERS[exponent as usize]).to_bits() == v.to_bits()
}

/// The decimal at `v` or close to it, and the distance in units of the last place.
fn near(v: f64, power: f64) -> Option<(i64, i64)> {
    let x = v * power;
    let m = if x.abs() < ROUNDED_MAX {
        (x + ROUNDER).to_bits().wrapping_sub(ROUNDER.to_bits()) as i64
    } else if power == 1.0 {
        v as i64
    } else {
        return None;
    };
    let correction = (v.to_bits() as i64).wrapping_sub((m as f64 / power).to_bits() as i64);
    (correction.unsigned_abs() <= CORRECTION_MAX as u64).then_some((m, correction))
}

/// Adds a correction; the counterpart of what [`Decimals`] takes away.
#[inline]
pub fn corrected(v: f64, correction: i64) -> f64 {
    f64::from_bits((v.to_bits() as i64).wrapping_add(correction) as u64)
}

/// Places the values have, by how many of some samples have them; the last entry counts those that are no decimals.
fn places_of(samples: impl Iterator<Item = f64>) -> [u32; EXPONENT_MAX as usize + 2] {
    let mut counts = [0; EXPONENT_MAX as usize + 2];
    for v in samples {
        let found = POWERS
            .iter()
            .position(|&power| near(v, power).is_some_and(|(m, correction)| correction == 0 || rare(m)));
        counts[found.unwrap_or(counts.len() - 1)] += 1;
    }
    counts
}

/// Decimals of this size are so far apart that nothing comes near one by chance.
fn rare(m: i64) -> bool {
    m.unsigned_abs() < 1 << 38
}

/// Samples that are looked at for the exponent.
const SAMPLES: usize = 32;

/// What a value that is no decimal costs beside the others, bits.
const EXCEPTION_BITS: u32 = 72;

fn guess(count: usize, sample: impl Fn(usize, usize) -> f64) -> Option<u8> {
    let n = count.min(SAMPLES);
    if n == SAMPLES {
        // Where none of some from everywhere is a decimal, half of all are hardly decimals, as they must be.
        let [.., no_decimals] = places_of((0..SAMPLES).step_by(4).map(|i| sample(i, n)));
        if no_decimals as usize == SAMPLES / 4 {
            return None;
        }
    }
    let counts = places_of((0..n).map(|i| sample(i, n)));
    let exponent = cheapest(&counts, n as u32, n as u32)?;
    // One in eight must be a decimal, or the attempt is wasted.
    let fitting: u32 = counts[..=exponent as usize].iter().sum();
    (fitting * 8 >= n as u32).then_some(exponent)
}

fn guess_finer(count: usize, missed: &[f64], exponent: u8) -> Option<u8> {
    let n = missed.len().min(SAMPLES);
    let counts = places_of((0..n).map(|i| missed[i * missed.len() / n]));
    let everyone = (count * n / missed.len().max(1)) as u32;
    cheapest(&counts, n as u32, everyone).filter(|&finer| finer > exponent)
}

/// The exponent at which `everyone`'s places and the exceptions among the samples cost least.
fn cheapest(counts: &[u32; EXPONENT_MAX as usize + 2], samples: u32, everyone: u32) -> Option<u8> {
    let mut left = samples;
    (0..=EXPONENT_MAX).min_by_key(|&e| {
        left -= counts[e as usize];
        // A decimal place is 3.3 bits.
        everyone * u32::from(e) * 10 / 3 + left * EXCEPTION_BITS
    })
}
