//! How the values of one column are written.

use super::integers;
use bincode::{Decode, Encode};

/// Decimal places that are looked for at most: 10^15 keeps every decimal of 15 digits.
const EXPONENT_MAX: u8 = 15;

/// Mantissas stay below this, where every integer is an f64.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;

/// 10^e, exact for every e used here.
const POWERS: [f64; EXPONENT_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The form of a column's values. A new form is a new variant at the end.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Encoding {
    /// The same bits at every row.
    Constant(u64),
    /// Every value is `m / 10^exponent`; the mantissas as differences of `order`.
    Decimal {
        /// Decimal places.
        exponent: u8,
        /// Order of the differences.
        order: u8,
        /// See [`integers`].
        bytes: Vec<u8>,
    },
    /// The bits as they are, little endian.
    Bits(Vec<u8>),
}

impl Encoding {
    /// The shortest form of these values.
    pub fn of(values: &[f64]) -> Encoding {
        if let Some(first) = values.first()
            && values.iter().all(|v| v.to_bits() == first.to_bits())
        {
            return Encoding::Constant(first.to_bits());
        }
        if let Some((exponent, mantissas)) = decimals(values) {
            let (order, bytes) = integers::encode(&mantissas);
            if bytes.len() <= values.len() * 8 {
                return Encoding::Decimal { exponent, order, bytes };
            }
        }
        Encoding::Bits(values.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect())
    }

    /// Exactly `count` values; `None` when the bytes do not hold just those.
    pub fn decode(&self, count: usize) -> Option<Vec<f64>> {
        match self {
            Encoding::Constant(bits) => Some(vec![f64::from_bits(*bits); count]),
            Encoding::Decimal { exponent, order, bytes } => {
                let power = *POWERS.get(*exponent as usize)?;
                let mantissas = integers::decode(*order, bytes, count)?;
                Some(mantissas.into_iter().map(|m| m as f64 / power).collect())
            }
            Encoding::Bits(bytes) => (bytes.len() == count * 8).then(|| {
                bytes.as_chunks::<8>().0.iter().map(|b| f64::from_bits(u64::from_le_bytes(*b))).collect()
            }),
        }
    }
}

/// The smallest exponent at which every value is a decimal, and the mantissas.
fn decimals(values: &[f64]) -> Option<(u8, Vec<i64>)> {
    let mut exponent = 0;
    for &v in values {
        while mantissa(v, exponent).is_none() {
            exponent += 1;
            if exponent > EXPONENT_MAX {
                return None;
            }
        }
    }
    // A value that fitted an earlier exponent can be too large for the final one.
    let mantissas = values.iter().map(|&v| mantissa(v, exponent)).collect::<Option<Vec<i64>>>()?;
    Some((exponent, mantissas))
}

/// `m` such that `m / 10^exponent` is `v` bit for bit. Division, because multiplying by 10^-e is not exact.
fn mantissa(v: f64, exponent: u8) -> Option<i64> {
    let power = POWERS[exponent as usize];
    let scaled = v * power;
    if scaled.is_nan() || scaled.abs() >= MANTISSA_MAX {
        return None;
    }
    let m = scaled.round_ties_even() as i64;
    // Through the integer: it has no -0.0, so that one is found not to fit.
    ((m as f64 / power).to_bits() == v.to_bits()).then_some(m)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], expected: &str) {
        let encoding = Encoding::of(values);
        let name = match &encoding {
            Encoding::Constant(_) => "constant".to_string(),
            Encoding::Decimal { exponent, order, .. } => format!("decimal {exponent} order {order}"),
            Encoding::Bits(_) => "bits".to_string(),
        };
        assert_eq!(name, expected);
        let back: Vec<u64> = encoding.decode(values.len()).unwrap().iter().map(|v| v.to_bits()).collect();
        assert_eq!(back, values.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
    }

    #[test]
    fn percentages_are_decimals() {
        check(&[12.5, 13.1, 99.9, 0.0], "decimal 1 order 0");
    }

    #[test]
    fn counters_are_decimals_of_order_one_or_two() {
        check(&[1e9, 1e9 + 100.0, 1e9 + 200.0, 1e9 + 300.0, 1e9 + 400.0], "decimal 0 order 2");
    }

    #[test]
    fn a_negative_zero_stays_one() {
        check(&[0.0, -0.0], "bits");
    }

    #[test]
    fn a_quotient_keeps_its_bits() {
        check(&[1.0 / 3.0, 2.0 / 3.0], "bits");
    }

    #[test]
    fn a_large_value_beside_a_fine_one_keeps_its_bits() {
        check(&[9e15, 0.001], "bits");
    }

    #[test]
    fn nothing_is_nothing() {
        check(&[], "decimal 0 order 0");
    }
}
