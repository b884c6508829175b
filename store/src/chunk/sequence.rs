//! A sequence of integers: base and common divisor taken out, the rest as they are or as differences, as tokens, byte
//! planes or plain words.
//!
//! All arithmetic wraps, so that any i64 comes back.

use super::bits::{self, BitWriter};
use super::divisor::Divisor;
use super::head::{InHead, Reader};
use super::{planes, tokens};
use bincode::{Decode, Encode};

/// How a sequence is written; its length is known from elsewhere. `kᵢ` are the numbers the form gives.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Sequence {
    /// The number that `k = 0` stands for.
    pub base: i64,
    /// What `k` counts: `valueᵢ = base + step·kᵢ`.
    pub step: i64,
    /// Where the `kᵢ` are.
    pub form: Form,
}

/// Where the numbers of a sequence are.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Form {
    /// Nowhere: `kᵢ = i`.
    Line,
    /// As tokens with raw bits.
    Tokens(Order),
    /// As so many byte planes (1 to 8), the lowest first.
    Planes(Order, u8),
    /// As words of eight bytes, little endian, so that zstd finds those that come again.
    Plain,
}

/// How the written numbers `u` make the `k`. All but the first begin with `k₀ = 0`, which is not written.
#[derive(Debug, Clone, Copy, PartialEq, Encode, Decode)]
pub enum Order {
    /// `kᵢ = uᵢ`.
    Values,
    /// `kᵢ = kᵢ₋₁ + least + uᵢ`: differences that are nowhere less.
    Rises(i64),
    /// `kᵢ = kᵢ₋₁ + centre + zigzag(uᵢ)`: differences to both sides.
    Steps(i64),
    /// `k₁` is given, then `kᵢ - kᵢ₋₁ = kᵢ₋₁ - kᵢ₋₂ + zigzag(uᵢ)`.
    Slopes(i64),
}

impl InHead for Sequence {
    fn read(from: &mut Reader<'_>) -> Option<Sequence> {
        Some(Sequence { base: from.i64()?, step: from.i64()?, form: Form::read(from)? })
    }
}

impl InHead for Form {
    fn read(from: &mut Reader<'_>) -> Option<Form> {
        Some(match from.u32()? {
            0 => Form::Line,
            1 => Form::Tokens(Order::read(from)?),
            2 => Form::Planes(Order::read(from)?, from.byte()?),
            3 => Form::Plain,
            _ => return None,
        })
    }
}

impl InHead for Order {
    fn read(from: &mut Reader<'_>) -> Option<Order> {
        Some(match from.u32()? {
            0 => Order::Values,
            1 => Order::Rises(from.i64()?),
            2 => Order::Steps(from.i64()?),
            3 => Order::Slopes(from.i64()?),
            _ => return None,
        })
    }
}

/// Where reading stands in the two streams of a chunk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// Byte of the symbols.
    pub symbol: usize,
    /// Bit of the raw bits.
    pub bit: usize,
}

/// The streams of a chunk being written, shared by all its sequences.
#[derive(Default)]
pub struct Streams {
    /// Tokens and planes.
    pub symbols: Vec<u8>,
    /// Where the statistics of the symbols change.
    pub borders: Vec<usize>,
    /// The lower bits of tokens.
    pub raw: BitWriter,
    /// The numbers of the sequence that is being written; memory that serves again for the next.
    numbers: Vec<u64>,
}

impl Streams {
    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.symbols.clear();
        self.borders.clear();
        self.raw.clear();
    }
}

/// The streams of a chunk being read.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Tokens and planes.
    pub symbols: &'a [u8],
    /// The lower bits of tokens, with their padding behind.
    pub raw: &'a [u8],
}

/// Calls back with every number that is written.
#[inline]
pub fn each(values: &[i64], order: Order, base: i64, divisor: &Divisor, mut number: impl FnMut(u64)) {
    let differences = values.windows(2).map(|w| divisor.signed(w[1].wrapping_sub(w[0])));
    match order {
        Order::Values => values.iter().for_each(|v| number(divisor.unsigned(v.wrapping_sub(base) as u64))),
        Order::Rises(least) => differences.for_each(|d| number(d.wrapping_sub(least) as u64)),
        Order::Steps(centre) => differences.for_each(|d| number(zigzag(d.wrapping_sub(centre)))),
        Order::Slopes(first) => {
            let mut slope = first;
            for d in differences.skip(1) {
                number(zigzag(d.wrapping_sub(slope)));
                slope = d;
            }
        }
    }
}

/// Appends every number that is written: what [`each`] calls back with.
fn append(values: &[i64], order: Order, base: i64, divisor: &Divisor, numbers: &mut Vec<u64>) {
    if divisor.step() == 1 {
        return append_divided(values, order, base, |d| d, |d| d, numbers);
    }
    append_divided(values, order, base, |d| divisor.unsigned(d), |d| divisor.signed(d), numbers);
}

// A loop for each way, so that what can be done for several numbers at once is.
fn append_divided(
    values: &[i64],
    order: Order,
    base: i64,
    unsigned: impl Fn(u64) -> u64,
    signed: impl Fn(i64) -> i64,
    numbers: &mut Vec<u64>,
) {
    let difference = |two: &[i64; 2]| signed(two[1].wrapping_sub(two[0]));
    match order {
        Order::Values => numbers.extend(values.iter().map(|v| unsigned(v.wrapping_sub(base) as u64))),
        Order::Rises(least) => {
            numbers.extend(values.array_windows().map(|two| difference(two).wrapping_sub(least) as u64));
        }
        Order::Steps(centre) => {
            numbers.extend(values.array_windows().map(|two| zigzag(difference(two).wrapping_sub(centre))));
        }
        Order::Slopes(first) => {
            let mut slope = first;
            numbers.extend(values.array_windows().skip(1).map(|two| {
                let before = std::mem::replace(&mut slope, difference(two));
                zigzag(slope.wrapping_sub(before))
            }));
        }
    }
}

/// A number with its sign in the lowest bit, so that small ones stay small: 0, -1, 1, -2, … become 0, 1, 2, 3, …
#[inline]
pub fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

fn unzigzag(u: u64) -> i64 {
    (u >> 1) as i64 ^ -((u & 1) as i64)
}

impl Order {
    /// How many numbers are written for `count` values.
    fn written(self, count: usize) -> usize {
        match self {
            Order::Values => count,
            Order::Rises(_) | Order::Steps(_) => count.saturating_sub(1),
            Order::Slopes(_) => count.saturating_sub(2),
        }
    }
}

impl Sequence {
    /// Appends the values that this form was chosen for.
    pub fn put(&self, values: &[i64], out: &mut Streams) {
        let Streams { symbols, borders, raw, numbers } = out;
        let mut number = |order| {
            let divisor = Divisor::of_step(self.step);
            numbers.clear();
            append(values, order, self.base, &divisor, numbers);
        };
        match self.form {
            Form::Line => return,
            Form::Tokens(order) => {
                number(order);
                tokens::put(numbers, symbols, raw);
            }
            Form::Planes(order, width) => {
                number(order);
                planes::put(numbers, width, symbols, borders);
            }
            Form::Plain => symbols.extend(values.iter().flat_map(|v| v.to_le_bytes())),
        }
        borders.push(symbols.len());
    }

    /// Steps over the streams of `count` values; `None` when they are not there.
    pub fn skip(&self, count: usize, source: Source, place: &mut Place) -> Option<()> {
        let (symbols, is_tokens) = match self.form {
            Form::Line => return Some(()),
            Form::Tokens(order) => (order.written(count), true),
            Form::Planes(order, width) if (1..=8).contains(&width) => {
                (order.written(count) * usize::from(width), false)
            }
            Form::Planes(..) => return None,
            Form::Plain => (count * 8, false),
        };
        let end = place.symbol.checked_add(symbols)?;
        let symbols = source.symbols.get(place.symbol..end)?;
        place.symbol = end;
        if is_tokens {
            place.bit += tokens::raw_bits_of(symbols)?;
        }
        Some(())
    }

    /// Reads `count` values, whose streams [`Sequence::skip`] has found to be there.
    pub fn take(&self, count: usize, source: Source, place: &mut Place) -> Option<Vec<i64>> {
        let from = *place;
        self.skip(count, source, place)?;
        let symbols = source.symbols.get(from.symbol..place.symbol)?;
        Some(match self.form {
            Form::Line => {
                (0..count as i64).map(|i| self.base.wrapping_add(self.step.wrapping_mul(i))).collect()
            }
            Form::Tokens(order) => match tokens::widest(symbols) {
                0 => self.values(order, count, symbols.iter().map(|&token| u64::from(token))),
                1..=bits::SHORT_MAX => {
                    self.values(order, count, tokens::read_short(symbols, source.raw, from.bit))
                }
                _ => self.values(order, count, tokens::read(symbols, source.raw, from.bit)),
            },
            Form::Planes(order, 1) => self.values(order, count, symbols.iter().map(|&byte| u64::from(byte))),
            Form::Planes(order, 2) => self.values(order, count, planes::read_two(symbols)),
            Form::Planes(order, width) => self.values(order, count, planes::read(symbols, width)),
            Form::Plain => {
                let numbers = symbols.as_chunks::<8>().0.iter().map(|word| i64::from_le_bytes(*word));
                numbers.map(|k| self.base.wrapping_add(self.step.wrapping_mul(k))).collect()
            }
        })
    }

    /// Turns written numbers back into `count` values. Each order has a loop of its own.
    #[inline]
    fn values(&self, order: Order, count: usize, numbers: impl Iterator<Item = u64>) -> Vec<i64> {
        let (base, step) = (self.base, self.step);
        let mut values = Vec::with_capacity(count);
        if order != Order::Values && count > 0 {
            values.push(base);
        }
        let mut last = base;
        let mut rise = |k: i64| {
            last = last.wrapping_add(step.wrapping_mul(k));
            last
        };
        match order {
            Order::Values => values.extend(numbers.map(|u| base.wrapping_add(step.wrapping_mul(u as i64)))),
            Order::Rises(least) => values.extend(numbers.map(|u| rise(least.wrapping_add(u as i64)))),
            Order::Steps(centre) => values.extend(numbers.map(|u| rise(centre.wrapping_add(unzigzag(u))))),
            Order::Slopes(first) => {
                if count > 1 {
                    values.push(rise(first));
                }
                let mut slope = first;
                values.extend(numbers.map(|u| {
                    slope = slope.wrapping_add(unzigzag(u));
                    rise(slope)
                }));
            }
        }
        values
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::bits::PADDING;
    use super::super::choose::plan;
    use super::*;
    use proptest::prelude::*;

    /// The streams as they are read.
    pub fn with_source<T>(out: &mut Streams, read: impl FnOnce(Source) -> T) -> T {
        let mut raw = out.raw.finish().to_vec();
        raw.extend([0; PADDING]);
        read(Source { symbols: &out.symbols, raw: &raw })
    }

    /// Values come back in this form.
    #[track_caller]
    pub fn come_back(sequence: &Sequence, values: &[i64]) {
        let mut out = Streams::default();
        // What stands before must not matter.
        out.symbols.push(5);
        out.raw.extend([(1, 3)].into_iter());
        sequence.put(values, &mut out);
        with_source(&mut out, |source| {
            let start = Place { symbol: 1, bit: 3 };
            let mut place = start;
            assert_eq!(sequence.take(values.len(), source, &mut place).unwrap(), values, "{sequence:?}");
            assert_eq!(place.symbol, source.symbols.len());
            assert_eq!(place.bit.div_ceil(8), source.raw.len() - PADDING);
            let mut skipped = start;
            sequence.skip(values.len(), source, &mut skipped).unwrap();
            assert_eq!((skipped.symbol, skipped.bit), (place.symbol, place.bit));
        });
    }

    #[test]
    fn forms_that_are_not_there_are_refused() {
        let source = Source { symbols: &[1, 200, 3], raw: &[0; PADDING] };
        for form in [
            Form::Tokens(Order::Values),
            Form::Planes(Order::Values, 0),
            Form::Planes(Order::Values, 9),
            Form::Planes(Order::Values, 3),
            Form::Plain,
        ] {
            let sequence = Sequence { base: 0, step: 1, form };
            assert_eq!(sequence.take(2, source, &mut Place::default()), None, "{sequence:?}");
        }
    }

    proptest! {
        #[test]
        fn any_integers_come_back_in_every_form(
            values in proptest::collection::vec((any::<i64>(), 0u32..64), 0..150)
        ) {
            let values: Vec<i64> = values.iter().map(|(v, shift)| v >> shift).collect();
            come_back(&plan(&values).sequence, &values);
            let first = values.first().copied().unwrap_or_default();
            for (base, order) in [
                (values.iter().copied().min().unwrap_or_default(), Order::Values),
                (first, Order::Rises(-3)),
                (first, Order::Steps(77)),
                (first, Order::Slopes(values.get(1).map_or(0, |v| v.wrapping_sub(first)))),
            ] {
                come_back(&Sequence { base, step: 1, form: Form::Tokens(order) }, &values);
                come_back(&Sequence { base, step: 1, form: Form::Planes(order, 8) }, &values);
            }
            come_back(&Sequence { base: 0, step: 1, form: Form::Plain }, &values);
        }
    }
}
