//! Columns that repeat another: a mirror, a rollup of one sample a step, what came in and went out of a loop.

/// Columns that are looked back at: those of one metric and of its neighbour.
const RECENT: usize = 16;

/// Values of a column that are compared before all are. Their hashes are the bytes of a word.
const SAMPLES: usize = 8;

/// The last columns that hold their own values, by some of these.
#[derive(Default)]
pub struct Recent {
    columns: Vec<(u32, Samples)>,
    next: usize,
}

/// Some values of a column.
#[derive(Clone, Copy, PartialEq)]
pub struct Samples {
    count: usize,
    bits: [u64; SAMPLES],
    /// For each a byte that tells most different ones apart, …
    hashes: u64,
    /// … and the highest bit of that byte when none before it is the same.
    new: u64,
}

impl Samples {
    /// Of these values.
    pub fn of(values: &[f64]) -> Samples {
        let at = |i: usize| values.get((2 * i + 1) * values.len() / (2 * SAMPLES));
        let bits: [u64; SAMPLES] = std::array::from_fn(|i| at(i).map_or(0, |v| v.to_bits()));
        // The highest byte of a product depends on all bits.
        let hashes = bits.map(|bits| (bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8);
        let new = std::array::from_fn(|i| u8::from(!bits[..i].contains(&bits[i])) << 7);
        let (hashes, new) = (u64::from_le_bytes(hashes), u64::from_le_bytes(new));
        Samples { count: values.len(), bits, hashes, new }
    }

    /// In how many different values both agree.
    fn agreeing(&self, other: &Samples) -> usize {
        let agree = |i: usize| self.bits[i] == other.bits[i] && !self.bits[..i].contains(&self.bits[i]);
        if self.count == other.count { (0..SAMPLES).filter(|&i| agree(i)).count() } else { 0 }
    }

    /// May both agree in three different values? Mostly not, which is seen at once.
    fn may_agree(&self, other: &Samples) -> bool {
        const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let differing = self.hashes ^ other.hashes;
        // A byte that is zero is the only one whose highest bit stays unset here.
        let differing = ((differing & LOW_BITS) + LOW_BITS) | differing;
        let same = !differing & self.new;
        let without_one = same & same.wrapping_sub(1);
        self.count == other.count && without_one & without_one.wrapping_sub(1) != 0
    }
}

impl Recent {
    /// Forgets all columns.
    pub fn clear(&mut self) {
        self.columns.clear();
        self.next = 0;
    }

    /// A column that is perhaps equal.
    pub fn equal(&self, samples: &Samples) -> Option<u32> {
        self.columns.iter().find(|(_, other)| other == samples).map(|(column, _)| *column)
    }

    /// A column that perhaps differs in a few values only. One that has few different values is cheap by itself.
    pub fn like(&self, samples: &Samples) -> Option<u32> {
        const AGREEING_MIN: usize = 3;
        let alike = self.columns.iter().filter(|(_, other)| samples.may_agree(other));
        let agreeing = alike.map(|(column, other)| (samples.agreeing(other), *column));
        agreeing.max().filter(|(agreeing, _)| *agreeing >= AGREEING_MIN).map(|(_, column)| column)
    }

    /// Notes a column. One that is the same as an earlier is noted by the number of that.
    pub fn note(&mut self, column: u32, samples: Samples) {
        if self.columns.len() < RECENT {
            self.columns.push((column, samples));
        } else {
            self.columns[self.next % RECENT] = (column, samples);
        }
        self.next += 1;
    }
}
