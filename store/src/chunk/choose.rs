//! Which form of a sequence is the shortest, by estimate: one pass for the ranges, some windows for the order, one pass
//! for the tokens.

use super::divisor::Divisor;
use super::sequence::{Form, Order, Sequence, each, zigzag};
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
    /// Every bit of the differences to the first value.
    differing: u64,
}

impl Profile {
    fn of(values: &[i64]) -> Profile {
        let (start, mut previous) = (values[0], values[0]);
        let mut p = Profile { values: Span { least: start, most: start }, first: Span::NONE, differing: 0 };
        for &v in &values[1..] {
            p.values.add(v);
            p.first.add(v.wrapping_sub(previous));
            p.differing |= v.wrapping_sub(start) as u64;
            previous = v;
        }
        p
    }

    /// The largest number that is written, or more.
    fn most(&self, order: Order, divisor: &Divisor) -> u64 {
        let width = self.values.width().max(self.first.width());
        // Differences that wrapped round are no multiples and nowhere between the least and the most.
        if width > i64::MAX as u64 {
            return u64::MAX;
        }
        match order {
            Order::Values => divisor.unsigned(self.values.width()),
            Order::Rises(_) => divisor.unsigned(self.first.width()),
            Order::Steps(centre) => {
                let of = |difference: i64| zigzag(divisor.signed(difference).wrapping_sub(centre));
                of(self.first.least).max(of(self.first.most))
            }
            // Two differences are no farther apart than any two.
            Order::Slopes(_) => zigzag(divisor.unsigned(self.first.width()) as i64),
        }
    }
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
    let p = Profile::of(values);
    if p.first.width() == 0 {
        return line(values[0], p.first.least);
    }
    let divisor = Divisor::of(values, p.values.least, p.differing);
    let count = values.len() as u64;
    let (order, few) = best_order(values, &p, &divisor);
    let base = if order == Order::Values { p.values.least } else { values[0] };
    let mut bits = match few {
        Some(bits) if values.len() <= ORDER_WINDOWS * WINDOW_VALUES => bits,
        _ => token_bits(TOLD_BY_WINDOWS, values, order, base, &divisor),
    };
    let mut form = Form::Tokens(order);
    // A table for bytes is larger than one for tokens: many values must share it. Small numbers are their own tokens.
    const PLANES_VALUES_MIN: u64 = 64;
    let most = p.most(order, &divisor);
    if count >= PLANES_VALUES_MIN && (tokens::SMALL..1 << 16).contains(&most) {
        let width = if most < 1 << 8 { 1 } else { 2 };
        let planes = plane_bits(values, order, base, &divisor, most);
        if planes < bits {
            (form, bits) = (Form::Planes(order, width), planes);
        }
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

/// Bits of the byte planes of numbers, the largest of which is `most`, below 2^16; by some of a long sequence.
fn plane_bits(values: &[i64], order: Order, base: i64, divisor: &Divisor, most: u64) -> u64 {
    let (mut low, mut high) = ([0u32; 256], [0u32; 256]);
    each_window(TOLD_BY_WINDOWS, values, |window| {
        each(window, order, base, divisor, |u| {
            low[u as usize & 0xff] += 1;
            high[(u >> 8) as usize & 0xff] += 1;
        });
    });
    let (low, high) = (&mut low[..=most.min(0xff) as usize], &mut high[..=(most >> 8) as usize]);
    scale(low, values.len());
    scale(high, values.len());
    cost::symbols(low) + cost::symbols(high)
}

/// Windows of a long sequence by which its orders are compared, by which is told what all of it costs, and how many values
/// each has.
const ORDER_WINDOWS: usize = 4;
const TOLD_BY_WINDOWS: usize = 16;
const WINDOW_VALUES: usize = 64;

/// The order whose tokens are shortest by some of the values; and their bits, if there was more than one to choose from.
fn best_order(values: &[i64], p: &Profile, divisor: &Divisor) -> (Order, Option<u64>) {
    let orders = orders(values, p, divisor);
    if let [Some(only), None, None] = orders {
        return (only, None);
    }
    let counted = orders
        .into_iter()
        .flatten()
        .map(|order| (order, token_bits(ORDER_WINDOWS, values, order, p.values.least, divisor)));
    let best = counted.min_by_key(|(_, bits)| *bits);
    best.map_or((Order::Values, None), |(order, bits)| (order, Some(bits)))
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
    let curved = values.len() > 2 && is_curved(values);
    let slope = || divisor.signed(values[1].wrapping_sub(values[0]));
    [Some(order1), (!far).then_some(Order::Values), curved.then(|| Order::Slopes(slope()))]
}

/// Do the differences differ less from each other than the values do? By some of a long sequence.
fn is_curved(values: &[i64]) -> bool {
    let (mut first, mut second) = (Span::NONE, Span::NONE);
    each_window(ORDER_WINDOWS, values, |window| {
        let mut slope = window[1].wrapping_sub(window[0]);
        for two in window.windows(2) {
            let difference = two[1].wrapping_sub(two[0]);
            first.add(difference);
            second.add(difference.wrapping_sub(slope));
            slope = difference;
        }
    });
    second.width() < first.width()
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

/// Bits that numbers take as tokens; by so many windows of a long sequence, as if all of it were like them.
fn token_bits(windows: usize, values: &[i64], order: Order, base: i64, divisor: &Divisor) -> u64 {
    let (mut counts, mut any) = ([0u32; tokens::TOKENS], 0);
    each_window(windows, values, |window| {
        each(window, order, base, divisor, |u| {
            counts[usize::from(tokens::token(u))] += 1;
            any |= u;
        });
    });
    let counts = &mut counts[..=usize::from(tokens::token(any))];
    scale(counts, values.len());
    cost::symbols(counts) + tokens::raw_bits(counts)
}

/// Calls back with so many windows of a long sequence, with all of a shorter one.
fn each_window(windows: usize, values: &[i64], mut look: impl FnMut(&[i64])) {
    if values.len() <= windows * WINDOW_VALUES {
        return look(values);
    }
    for window in 0..windows {
        let from = (values.len() - WINDOW_VALUES) * window / (windows - 1);
        look(&values[from..from + WINDOW_VALUES]);
    }
}

/// Turns what was counted of some of `all` numbers into what is to be expected of them all.
fn scale(counts: &mut [u32], all: usize) {
    let counted = counts.iter().sum::<u32>().max(1) as usize;
    // All of a short sequence, but for the one or two numbers that are not written.
    if counted + 2 < all {
        counts.iter_mut().for_each(|count| *count = (*count as usize * all / counted) as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sequence::tests::come_back;
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn no_number_is_larger_than_the_most(
            values in proptest::collection::vec((any::<i64>(), 0u32..64), 2..40),
            step in 1i64..40
        ) {
            let values: Vec<i64> = values.iter().map(|(v, shift)| (v >> shift).wrapping_mul(step)).collect();
            let p = Profile::of(&values);
            let divisor = Divisor::of(&values, p.values.least, p.differing);
            for order in orders(&values, &p, &divisor).into_iter().flatten() {
                let (most, mut found) = (p.most(order, &divisor), 0);
                each(&values, order, p.values.least, &divisor, |u| found = found.max(u));
                let is_near = matches!(order, Order::Slopes(_)) || most == u64::MAX || found == most;
                prop_assert!(found <= most && is_near, "{found} where {most} is the most: {order:?}");
            }
        }
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
