//! Columns that repeat another: a mirror, a rollup of one sample a step, what came in and went out of a loop.

/// Columns that are looked back at: those of one metric and of its neighbour.
const RECENT: usize = 16;

/// Values of a column that are compared before all are.
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
}

impl Samples {
    /// Of these values.
    pub fn of(values: &[f64]) -> Samples {
        let at = |i: usize| values.get((2 * i + 1) * values.len() / (2 * SAMPLES));
        Samples { count: values.len(), bits: std::array::from_fn(|i| at(i).map_or(0, |v| v.to_bits())) }
    }

    /// In how many different values both agree.
    fn agreeing(&self, other: &Samples) -> usize {
        let agree = |i: usize| self.bits[i] == other.bits[i] && !self.bits[..i].contains(&self.bits[i]);
        if self.count == other.count { (0..SAMPLES).filter(|&i| agree(i)).count() } else { 0 }
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
        let agreeing = self.columns.iter().map(|(column, other)| (samples.agreeing(other), *column));
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
