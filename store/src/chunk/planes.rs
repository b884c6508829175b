//! Byte planes: the lowest bytes of all numbers, then their next bytes, and so on.
//!
//! Better than tokens where a long column has an odd distribution: each plane gets a Huffman table of its own.

/// Where planes are being written.
pub struct Writer<'a> {
    planes: &'a mut [u8],
    count: usize,
    at: usize,
}

impl<'a> Writer<'a> {
    /// For `count` numbers of `width` bytes, behind `symbols`; notes the borders between the planes.
    pub fn new(symbols: &'a mut Vec<u8>, borders: &mut Vec<usize>, count: usize, width: u8) -> Writer<'a> {
        let from = symbols.len();
        borders.extend((1..usize::from(width)).map(|plane| from + plane * count));
        symbols.resize(from + count * usize::from(width), 0);
        Writer { planes: &mut symbols[from..], count, at: 0 }
    }

    /// The next number; what is above the planes is not kept.
    #[inline]
    pub fn put(&mut self, u: u64) {
        for (plane, byte) in self.planes.chunks_exact_mut(self.count).zip(u.to_le_bytes()) {
            plane[self.at] = byte;
        }
        self.at += 1;
    }
}

/// Reads the numbers of `width` (1 to 8) planes of one length each.
pub fn take(planes: &[u8], width: u8, mut each: impl FnMut(u64)) {
    let count = planes.len() / usize::from(width);
    match width {
        1 => planes.iter().for_each(|&byte| each(u64::from(byte))),
        2 => {
            let (low, high) = planes.split_at(count);
            low.iter().zip(high).for_each(|(&l, &h)| each(u64::from(l) | u64::from(h) << 8));
        }
        _ => (0..count).for_each(|i| {
            each((0..usize::from(width)).fold(0, |u, p| u | u64::from(planes[p * count + i]) << (8 * p)));
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_numbers_come_back(numbers in proptest::collection::vec(any::<u64>(), 1..50), width in 1u8..=8) {
            let numbers: Vec<u64> = numbers.iter().map(|u| u >> (64 - 8 * u32::from(width))).collect();
            let (mut symbols, mut borders) = (vec![7], vec![]);
            let mut writer = Writer::new(&mut symbols, &mut borders, numbers.len(), width);
            numbers.iter().for_each(|&u| writer.put(u));
            prop_assert_eq!(borders.len(), usize::from(width) - 1);
            let mut found = Vec::new();
            take(&symbols[1..], width, |u| found.push(u));
            prop_assert_eq!(found, numbers);
        }
    }
}
