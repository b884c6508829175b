//! Which form of a sequence is the shortest, by estimate: one pass for the ranges, some windows for the order, one pass
//! for the tokens.

use super::divisor::Divisor;
use super::sequence::{Form, Order, Sequence, each};
use super::{cost, tokens};

/// A form that was chosen, and about how many bits it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The form.
    pub sequence: Sequence,
    /// Bits.
    pub bits: u64,
}

/// The range of numbers of one order.
#[derive(Clone, Copy)]
struct Span {
    least: i64,
    most: i64,
}

impl Span {
    const NONE: Span = Span { least: i64::MAX, most: i64::MIN };

    #[inline]
    fn add(&mut self, v: i64) {
        self.least = self.least.min(v);
        self.most = self.most.max(v);
    }

    fn width(self) -> u64 {
        self.most.wrapping_sub(self.least) as u64
    }
}

/// What one pass over the values tells.
struct Profile {
    values: Span,
    first: Span,
    second: Span,
    /// Every bit of the differences to the first value.
    differing: u64,
}

fn profile(values: &[i64]) -> Profile {
    let (start, mut previous) = (values[0], values[0]);
    let mut slope = values[1].wrapping_sub(values[0]);
    let mut p = Profile {
        values: Span { least: start, most: start },
        first: Span::NONE,
        second: Span { least: 0, most: 0 },
        differing: 0,
    };
    for &v in &values[1..] {
        let d = v.wrapping_sub(previous);
        p.values.add(v);
        p.first.add(d);
        p.second.add(d.wrapping_sub(slope));
        p.differing |= v.wrapping_sub(start) as u64;
        (previous, slope) = (v, d);
    }
    p
}

/// The shortest form by estimate.
pub fn plan(values: &[i64]) -> Plan {
    // base, step and form: what stands in the chunk's head.
    const HEAD_BITS: u64 = 48;
    let line = |base, step| Plan { sequence: Sequence { base, step, form: Form::Line }, bits: HEAD_BITS };
    match values {
        [] => return line(0, 0),
        [one] => return line(*one, 0),
        _ => {}
    }
    let p = profile(values);
    if p.first.width() == 0 {
        return line(values[0], p.first.least);
    }
    let divisor = Divisor::of(values, p.values.least, p.differing);
    let count = values.len() as u64;
    let order = best_order(values, &p, &divisor);
    let base = if order == Order::Values { p.values.least } else { values[0] };
    // So many tell what all of a long sequence costs.
    let counts = Counts::of_windows(16, values, order, base, &divisor);
    let (mut form, mut bits) = (Form::Tokens(order), counts.bits());
    // A table for bytes is larger than one for tokens: many values must share it. Small numbers are their own tokens.
    const PLANES_VALUES_MIN: u64 = 64;
    if count >= PLANES_VALUES_MIN
        && (tokens::SMALL..1 << 16).contains(&counts.most)
        && let Some((width, planes)) = plane_bits(values, order, base, &divisor)
        && planes < bits
    {
        (form, bits) = (Form::Planes(order, width), planes);
    }
    // Noise in every bit: whole words are hardly longer, and zstd can find those that come again.
    const NOISE_BITS: u64 = 63;
    if bits >= count * NOISE_BITS {
        return Plan {
            sequence: Sequence { base: 0, step: 1, form: Form::Plain },
            bits: count * 64 + HEAD_BITS,
        };
    }
    Plan { sequence: Sequence { base, step: divisor.step(), form }, bits: bits + HEAD_BITS }
}

/// How many byte planes hold these numbers, and their bits; `None`: more than two.
fn plane_bits(values: &[i64], order: Order, base: i64, divisor: &Divisor) -> Option<(u8, u64)> {
    let (mut low, mut high, mut most) = ([0u32; 256], [0u32; 256], 0);
    each(values, order, base, divisor, |u| {
        low[u as usize & 0xff] += 1;
        high[(u >> 8) as usize & 0xff] += 1;
        most |= u;
    });
    let width = if most < 1 << 8 { 1 } else { 2 };
    (most < 1 << 16).then(|| (width, cost::symbols(&low) + cost::symbols(&high)))
}

/// The order whose tokens are shortest, by some of the values.
fn best_order(values: &[i64], p: &Profile, divisor: &Divisor) -> Order {
    let orders = orders(values, p, divisor);
    let (mut best, mut least) = (orders[0].unwrap_or(Order::Values), u64::MAX);
    for order in orders.into_iter().flatten() {
        let bits = Counts::of_windows(4, values, order, p.values.least, divisor).bits();
        if bits < least {
            (best, least) = (order, bits);
        }
    }
    best
}

/// The orders worth counting: one is left out when the ranges show that it loses.
fn orders(values: &[i64], p: &Profile, divisor: &Divisor) -> [Option<Order>; 3] {
    let first = Span { least: divisor.signed(p.first.least), most: divisor.signed(p.first.most) };
    // Where the range is small every number is its own token, whatever the sign.
    let order1 = if first.width() < tokens::SMALL || first.least >= 0 {
        Order::Rises(first.least)
    } else {
        Order::Steps(middle(values, divisor))
    };
    let far = p.values.width() / 64 > p.first.width();
    let curved = values.len() > 2 && p.second.width() < p.first.width();
    let slope = || divisor.signed(values[1].wrapping_sub(values[0]));
    [Some(order1), (!far).then_some(Order::Values), curved.then(|| Order::Slopes(slope()))]
}

/// The median of some differences: the centre of them all, near enough.
fn middle(values: &[i64], divisor: &Divisor) -> i64 {
    const SAMPLES: usize = 15;
    let mut some = [0i64; SAMPLES];
    let last = values.len() - 1;
    for (i, d) in some.iter_mut().enumerate() {
        let at = i * last / SAMPLES;
        *d = values[at + 1].wrapping_sub(values[at]);
    }
    some.sort_unstable();
    divisor.signed(some[SAMPLES / 2])
}

/// How often each token comes.
struct Counts {
    tokens: [u32; tokens::TOKENS],
    most: u64,
}

impl Counts {
    const NONE: Counts = Counts { tokens: [0; tokens::TOKENS], most: 0 };

    /// Of so many windows of a long sequence, as if all of it were like them; of all of a shorter one.
    fn of_windows(windows: usize, values: &[i64], order: Order, base: i64, divisor: &Divisor) -> Counts {
        const WINDOW_VALUES: usize = 64;
        let mut counts = Counts::NONE;
        if values.len() <= windows * WINDOW_VALUES {
            counts.add(values, order, base, divisor);
            return counts;
        }
        for window in 0..windows {
            let from = (values.len() - WINDOW_VALUES) * window / (windows - 1);
            counts.add(&values[from..from + WINDOW_VALUES], order, base, divisor);
        }
        let counted = counts.tokens.iter().sum::<u32>().max(1);
        for count in &mut counts.tokens {
            *count = (u64::from(*count) * values.len() as u64 / u64::from(counted)) as u32;
        }
        counts
    }

    fn add(&mut self, values: &[i64], order: Order, base: i64, divisor: &Divisor) {
        each(values, order, base, divisor, |u| {
            self.tokens[usize::from(tokens::token(u))] += 1;
            self.most |= u;
        });
    }

    fn bits(&self) -> u64 {
        let end = usize::from(tokens::token(self.most)) + 1;
        cost::symbols(&self.tokens[..end]) + tokens::raw_bits(&self.tokens[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::super::sequence::tests::come_back;
    use super::*;

    #[track_caller]
    fn check(values: &[i64], expected: &str) {
        let Sequence { base, step, form } = plan(values).sequence;
        assert_eq!(format!("{base} + {step} {form:?}"), expected);
        come_back(&Sequence { base, step, form }, values);
    }

    fn noise(count: usize, range: i64) -> Vec<i64> {
        let mut x = 1u64;
        let next = |_| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((x ^ x >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1) as i64 % range
        };
        (0..count).map(next).collect()
    }

    fn sums(values: &[i64]) -> Vec<i64> {
        values
            .iter()
            .scan(0i64, |sum, v| {
                *sum += v;
                Some(*sum)
            })
            .collect()
    }

    #[test]
    fn what_is_regular_is_a_line() {
        check(&[], "0 + 0 Line");
        check(&[-7], "-7 + 0 Line");
        check(&[4; 100], "4 + 0 Line");
        check(&[1_000, 900, 800, 700], "1000 + -100 Line");
        check(&[i64::MIN, i64::MAX], "-9223372036854775808 + -1 Line");
    }

    #[test]
    fn noise_is_written_as_it_is_and_without_what_is_common() {
        check(&noise(300, 12), "0 + 1 Tokens(Values)");
        let pages: Vec<i64> = noise(300, 12).iter().map(|v| 1_000_001 + 4096 * 3 * v).collect();
        check(&pages, "1000001 + 12288 Tokens(Values)");
    }

    fn order(values: &[i64]) -> Order {
        let sequence = plan(values).sequence;
        come_back(&sequence, values);
        match sequence.form {
            Form::Tokens(order) | Form::Planes(order, _) => order,
            Form::Line | Form::Plain => panic!("{sequence:?}"),
        }
    }

    #[test]
    fn what_grows_is_written_as_rises_and_what_wanders_as_steps() {
        let rises: Vec<i64> = noise(300, 900).iter().map(|v| v + 5_000).collect();
        assert!(matches!(order(&sums(&rises)), Order::Rises(5_000..5_010)));
        let steps: Vec<i64> = noise(300, 2_000).iter().map(|v| v - 1_000).collect();
        assert!(matches!(order(&sums(&steps)), Order::Steps(-500..500)));
    }

    #[test]
    fn what_speeds_up_is_written_as_slopes() {
        let steps: Vec<i64> = noise(300, 7).iter().map(|v| v - 3).collect();
        assert!(matches!(order(&sums(&sums(&steps))), Order::Slopes(_)));
    }

    #[test]
    fn odd_distributions_are_byte_planes() {
        let few: Vec<i64> = noise(2_000, 10).iter().map(|v| v * v * v * 70).collect();
        let odd: Vec<i64> = few.iter().enumerate().map(|(i, v)| if i == 9 { 50_003 } else { *v }).collect();
        check(&odd, "0 + 1 Planes(Values, 2)");
    }

    #[test]
    fn noise_in_every_bit_is_plain() {
        let words: Vec<i64> = noise(600, i64::MAX).chunks(2).map(|two| two[0] ^ two[1] << 1).collect();
        check(&words, "0 + 1 Plain");
    }

    #[test]
    fn a_lonely_multiple_does_not_hide_the_common_divisor() {
        let mut sparse = vec![0; 400];
        (sparse[37], sparse[301]) = (35 * 7, 35 * 12);
        let sequence = plan(&sparse).sequence;
        assert_eq!(sequence.step, 35);
        come_back(&sequence, &sparse);
    }
}
