//! Size-class tokens: a number as one byte that says how large it is, and its lower bits as they are.
//!
//! Numbers below 16 are their own token. A larger one with its highest bit at `h` has token `2·h + 8 + n`, `n` being
//! the bit below the highest, and the `h - 1` bits below that follow in the bit stream. The tokens are few and uneven,
//! so a short Huffman table does them well; the lower bits are noise that no table would shorten.

use super::bits::{self, BitWriter};

/// How many tokens there are.
pub const TOKENS: usize = 136;

/// Numbers below this are their own token.
pub const SMALL: u64 = 16;

/// Raw bits that follow each token; unknown tokens have none.
pub const WIDTHS: [u8; 256] = widths();

const BASES: [u64; 256] = bases();

const fn widths() -> [u8; 256] {
    let mut table = [0; 256];
    let mut token = SMALL as usize;
    while token < TOKENS {
        table[token] = ((token - 8) / 2 - 1) as u8;
        token += 1;
    }
    table
}

const fn bases() -> [u64; 256] {
    let mut table = [0; 256];
    let mut token = 0;
    while token < SMALL as usize {
        table[token] = token as u64;
        token += 1;
    }
    while token < TOKENS {
        table[token] = (2 + token as u64 % 2) << WIDTHS[token];
        token += 1;
    }
    table
}

/// The tokens of the numbers that mostly occur.
static COMMON: [u8; 4096] = common();

const fn common() -> [u8; 4096] {
    let mut table = [0; 4096];
    let mut u = 0;
    while u < 4096 {
        table[u] = computed(u as u64);
        u += 1;
    }
    table
}

/// The token of a number.
#[inline]
pub fn token(u: u64) -> u8 {
    match COMMON.get(u as usize) {
        Some(token) => *token,
        None => computed(u),
    }
}

const fn computed(u: u64) -> u8 {
    if u < SMALL {
        return u as u8;
    }
    let highest = u.ilog2();
    (2 * highest + 6 + (u >> (highest - 1)) as u32) as u8
}

/// Bits that follow these tokens, by their counts.
pub fn raw_bits(counts: &[u32]) -> u64 {
    counts.iter().zip(WIDTHS).map(|(&count, width)| u64::from(count) * u64::from(width)).sum()
}

/// Appends the tokens of numbers and their raw bits.
pub fn put(numbers: &[u64], symbols: &mut Vec<u8>, raw: &mut BitWriter) {
    if numbers.iter().fold(0, |any, u| any | u) < SMALL {
        return symbols.extend(numbers.iter().map(|u| *u as u8));
    }
    let from = symbols.len();
    symbols.extend(numbers.iter().map(|u| token(*u)));
    raw.extend(numbers.iter().zip(&symbols[from..]).map(|(u, token)| {
        let width = WIDTHS[usize::from(*token)];
        (u & ((1 << width) - 1), u32::from(width))
    }));
}

/// Bits that follow these tokens; `None` when one of them is none.
pub fn raw_bits_of(symbols: &[u8]) -> Option<usize> {
    let largest = largest(symbols);
    if u64::from(largest) < SMALL {
        return Some(0);
    }
    // What `WIDTHS` says, as arithmetic that is done for many symbols at once; so many fit 16 bits.
    const BLOCK: usize = 512;
    const _: () = assert!(BLOCK * (u8::MAX as usize / 2 - 5) <= u16::MAX as usize);
    let width = |symbol: u8| if u64::from(symbol) < SMALL { 0 } else { (symbol - 10) / 2 };
    let bits_of = |block: &[u8]| block.iter().map(|&symbol| u16::from(width(symbol))).sum::<u16>();
    let is_all = usize::from(largest) < TOKENS;
    is_all.then(|| symbols.chunks(BLOCK).map(|block| usize::from(bits_of(block))).sum())
}

fn largest(symbols: &[u8]) -> u8 {
    symbols.iter().fold(0, |most, &symbol| most.max(symbol))
}

/// Most bits that follow one of these tokens.
pub fn widest(symbols: &[u8]) -> u32 {
    u32::from(WIDTHS[usize::from(largest(symbols))])
}

/// Reads the numbers of these tokens, whose lower bits begin at bit `at`. The tokens are known to be tokens.
#[inline]
pub fn read(symbols: &[u8], raw: &[u8], at: usize) -> impl Iterator<Item = u64> {
    read_with(symbols, at, |at, width| bits::read(raw, at, width))
}

/// The same where no number has more than [`bits::SHORT_MAX`] lower bits, as mostly.
#[inline]
pub fn read_short(symbols: &[u8], raw: &[u8], at: usize) -> impl Iterator<Item = u64> {
    read_with(symbols, at, |at, width| bits::read_short(raw, at, width))
}

#[inline]
fn read_with(symbols: &[u8], mut at: usize, read: impl Fn(usize, u32) -> u64) -> impl Iterator<Item = u64> {
    symbols.iter().map(move |&symbol| {
        let width = u32::from(WIDTHS[usize::from(symbol)]);
        let number = BASES[usize::from(symbol)] + read(at, width);
        at += width as usize;
        number
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_numbers_come_back(numbers in proptest::collection::vec((any::<u64>(), 0u32..64), 0..200)) {
            let numbers: Vec<u64> = numbers.iter().map(|(u, shift)| u >> shift).collect();
            let (mut symbols, mut raw) = (Vec::new(), BitWriter::default());
            put(&numbers, &mut symbols, &mut raw);
            let mut bytes = raw.finish().to_vec();
            prop_assert_eq!(raw_bits_of(&symbols).unwrap().div_ceil(8), bytes.len());
            bytes.extend([0; bits::PADDING]);
            prop_assert_eq!(read(&symbols, &bytes, 0).collect::<Vec<_>>(), &numbers[..]);
            if widest(&symbols) <= bits::SHORT_MAX {
                prop_assert_eq!(read_short(&symbols, &bytes, 0).collect::<Vec<_>>(), numbers);
            }
        }
    }

    #[test]
    fn tokens_ascend_with_the_numbers() {
        let numbers = [0, 1, 15, 16, 23, 24, 31, 32, 47, 48, 1 << 32, u64::MAX];
        assert_eq!(numbers.map(token), [0, 1, 15, 16, 16, 17, 17, 18, 18, 19, 72, 135]);
    }

    #[test]
    fn the_raw_bits_of_many_tokens_are_those_of_each() {
        let symbols: Vec<u8> = (0..5_000).map(|i| (i * i % TOKENS) as u8).collect();
        let each = symbols.iter().map(|&symbol| usize::from(WIDTHS[usize::from(symbol)]));
        assert_eq!(raw_bits_of(&symbols), Some(each.sum()));
        assert_eq!(raw_bits_of(&[u8::MAX; 5_000]), None);
        // As many as there can be in a block, each as wide as can be.
        let widest = [TOKENS as u8 - 1; 1_024];
        assert_eq!(raw_bits_of(&widest), Some(1_024 * usize::from(WIDTHS[TOKENS - 1])));
    }

    #[test]
    fn unknown_tokens_are_found() {
        assert_eq!(raw_bits_of(&[3, TOKENS as u8]), None);
    }
}
