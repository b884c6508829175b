//! The common divisor of all differences, and exact division by it without dividing.

/// A power of two times an odd number.
pub struct Divisor {
    shift: u32,
    odd: u64,
    /// `odd · inverse = 1` in 64 bits: dividing what is divisible is a multiplication.
    inverse: u64,
}

impl Divisor {
    /// Of two values or more, the smallest being `least`. `differing` has every bit in which a difference is not zero.
    pub fn of(values: &[i64], least: i64, differing: u64) -> Divisor {
        let shift = differing.trailing_zeros().min(62);
        let away = |v: i64| v.wrapping_sub(least) as u64 >> shift;
        // A few values tell when there is none, which is the usual case.
        let some = (0..16).map(|i| values[i * (values.len() - 1) / 15]);
        let mut common = 0u64;
        for v in some.chain(values.iter().copied()) {
            if common.is_power_of_two() {
                break;
            }
            if common == 0 {
                common = away(v);
            } else if !away(v).is_multiple_of(common) {
                common = gcd(common, away(v));
            }
        }
        let odd = (common >> common.trailing_zeros().min(63)).max(1);
        Divisor { shift, odd, inverse: inverse(odd) }
    }

    /// As a sequence keeps it.
    pub fn step(&self) -> i64 {
        (self.odd << self.shift) as i64
    }

    /// From what a sequence keeps; not 0.
    pub fn of_step(step: i64) -> Divisor {
        let shift = step.trailing_zeros().min(62);
        let odd = step as u64 >> shift;
        Divisor { shift, odd, inverse: inverse(odd) }
    }

    /// A difference, divided.
    #[inline]
    pub fn signed(&self, difference: i64) -> i64 {
        (difference >> self.shift).wrapping_mul(self.inverse as i64)
    }

    /// A difference that is not negative, divided; it may need all 64 bits.
    #[inline]
    pub fn unsigned(&self, difference: u64) -> u64 {
        (difference >> self.shift).wrapping_mul(self.inverse)
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The inverse of an odd number modulo 2^64. Each round doubles the bits that are right; three are to begin with.
fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    for _ in 0..5 {
        x = x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)));
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_divisible_is_divided(divisor in 1u64..1 << 40, k in -(1i64 << 20)..1 << 20) {
            let by = Divisor::of_step(divisor as i64);
            prop_assert_eq!(by.step(), divisor as i64);
            prop_assert_eq!(by.signed(divisor as i64 * k), k);
            prop_assert_eq!(by.unsigned(divisor * k.unsigned_abs()), k.unsigned_abs());
        }
    }
}
