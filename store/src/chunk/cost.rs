//! What a byte stream will cost after zstd has given it a Huffman table, in bits.

/// Bits behind the point of [`log2`].
const POINT: u32 = 16;

/// log2(1 + i/256), with [`POINT`] bits behind the point.
const FRACTIONS: [u16; 256] = fractions();

const fn fractions() -> [u16; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        // Squaring a number doubles its logarithm: each squaring gives one more bit of it.
        let mut x = (256 + i as u64) << 24;
        let mut bit = 1u16 << (POINT - 1);
        while bit > 0 {
            x = (x * (x >> 2)) >> 30;
            if x >= 2 << 32 {
                x >>= 1;
                table[i] |= bit;
            }
            bit >>= 1;
        }
        i += 1;
    }
    table
}

/// log2 with 16 bits behind the point; 0 for 0.
const fn log2(n: u32) -> u64 {
    let n = if n == 0 { 1 } else { n };
    let whole = n.ilog2();
    let fraction = ((n as u64) << 32 >> (whole + 24)) & 0xff;
    ((whole as u64) << POINT) + FRACTIONS[fraction as usize] as u64
}

/// `n·log2(n)` of the counts that mostly occur, with [`POINT`] bits behind the point.
static WEIGHTED: [u32; 1024] = weighted();

const fn weighted() -> [u32; 1024] {
    let mut table = [0; 1024];
    let mut n = 1;
    while n < 1024 {
        table[n] = (n as u64 * log2(n as u32)) as u32;
        n += 1;
    }
    table
}

fn weight(count: u32) -> u64 {
    match WEIGHTED.get(count as usize) {
        Some(weight) => u64::from(*weight),
        None => u64::from(count) * log2(count),
    }
}

/// Bits that symbols with these counts take, their Huffman table included.
pub fn symbols(counts: &[u32]) -> u64 {
    Sums::of(counts).bits()
}

/// What counts of symbols sum up to.
#[derive(Clone, Copy)]
pub struct Sums {
    total: u32,
    most: u32,
    distinct: u32,
    weights: u64,
}

impl Sums {
    /// No symbol.
    pub const NONE: Sums = Sums { total: 0, most: 0, distinct: 0, weights: 0 };

    /// Of these counts.
    pub fn of(counts: &[u32]) -> Sums {
        let mut sums = Sums::NONE;
        for &count in counts {
            sums.total += count;
            sums.most = sums.most.max(count);
            sums.weights += weight(count);
            sums.distinct += u32::from(count > 0);
        }
        sums
    }

    /// One more of a symbol that there were `before` of.
    #[inline]
    pub fn add_to(&mut self, before: u32) {
        self.total += 1;
        self.most = self.most.max(before + 1);
        self.distinct += u32::from(before == 0);
        self.weights += weight(before + 1) - weight(before);
    }

    /// Bits that these symbols take, their Huffman table included.
    pub fn bits(&self) -> u64 {
        let (total, distinct) = (u64::from(self.total), u64::from(self.distinct));
        if distinct <= 1 {
            return distinct * 8;
        }
        let entropy = (total * log2(self.total)).saturating_sub(self.weights) >> POINT;
        // A Huffman code has no symbol below one bit, and is a little worse than the entropy. Where one symbol rules,
        // zstd finds its runs: then each of the others costs the end of a run.
        const RUN_BITS: u64 = 24;
        let least = total.min(u64::from(self.total - self.most) * RUN_BITS);
        let codes = (entropy + entropy / 128).max(least);
        (codes + table(distinct)).min(total * 8)
    }
}

/// Bits of a Huffman table, as measured: the weights are compressed too.
fn table(distinct: u64) -> u64 {
    24 + distinct * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_within_a_hundredth() {
        for n in 1..10_000u32 {
            let found = log2(n) as f64 / f64::from(1 << POINT);
            let wanted = f64::from(n).log2();
            assert!((found - wanted).abs() < 0.01, "{n}: {found} for {wanted}");
        }
        assert_eq!(log2(0), 0);
    }

    #[test]
    fn even_symbols_cost_their_bits_and_one_symbol_next_to_nothing() {
        let even = symbols(&[1000; 16]);
        assert!((64_000..64_800).contains(&even), "{even}");
        assert_eq!(symbols(&[0, 5_000, 0]), 8);
        assert_eq!(symbols(&[]), 0);
    }

    #[test]
    fn a_symbol_that_rules_costs_less_than_a_bit() {
        assert!(symbols(&[1_000, 2]) < 200);
        assert!(symbols(&[1_000, 200]) > 1_200);
    }

    #[test]
    fn counting_on_gives_what_counting_anew_gives() {
        let (mut counts, mut sums) = ([0u32; 7], Sums::NONE);
        for i in 0..9_000usize {
            let symbol = i * i % 11 % 7;
            sums.add_to(counts[symbol]);
            counts[symbol] += 1;
            assert_eq!(sums.bits(), symbols(&counts), "after {i}");
        }
    }

    #[test]
    fn nothing_costs_more_than_a_byte_a_symbol() {
        assert_eq!(symbols(&[1; 256]), 2_048);
    }
}
