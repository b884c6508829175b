//! Numbers of any width, one after the other, lowest bit first.

/// Zero bytes that stand behind the bits when they are read, so that a whole word can be loaded anywhere.
pub const PADDING: usize = 16;

/// Bits being written.
#[derive(Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    /// The bits that do not fill a byte yet, and how many they are.
    open: u64,
    filled: u32,
}

impl BitWriter {
    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.open, self.filled) = (0, 0);
    }

    /// Appends numbers, each with its width in bits: at most 64, and above them it is zero.
    pub fn extend(&mut self, numbers: impl Iterator<Item = (u64, u32)>) {
        // Not in memory that the vector could be thought to change.
        let (mut open, mut filled) = (self.open, self.filled);
        for (value, width) in numbers {
            debug_assert!(width == 64 || value >> width == 0);
            open |= value << filled;
            let end = filled + width;
            if end < 64 {
                filled = end;
                continue;
            }
            self.bytes.extend_from_slice(&open.to_le_bytes());
            // What went beyond the word; a shift by 64 is none at all.
            open = if filled == 0 { 0 } else { value >> (64 - filled) };
            filled = end - 64;
        }
        (self.open, self.filled) = (open, filled);
    }

    /// The bytes; the bits that are missing to a whole byte are zero.
    pub fn finish(&mut self) -> &[u8] {
        let left = self.filled.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.open.to_le_bytes()[..left]);
        (self.open, self.filled) = (0, 0);
        &self.bytes
    }
}

/// The `width` bits (at most 64) at bit `at`. There are [`PADDING`] bytes behind the last bit.
#[inline]
pub fn read(bytes: &[u8], at: usize, width: u32) -> u64 {
    let low = word(bytes, at >> 3) >> (at & 7);
    let all =
        if width + (at as u32 & 7) > 64 { low | word(bytes, (at >> 3) + 8) << (64 - (at & 7)) } else { low };
    all & mask(width)
}

/// Bits that [`read_short`] reads at most: so many are within one word wherever they begin.
pub const SHORT_MAX: u32 = 57;

/// As [`read`], for at most [`SHORT_MAX`] bits.
#[inline]
pub fn read_short(bytes: &[u8], at: usize, width: u32) -> u64 {
    debug_assert!(width <= SHORT_MAX);
    word(bytes, at >> 3) >> (at & 7) & ((1 << width) - 1)
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk::<8>).map_or(0, |word| u64::from_le_bytes(*word))
}

#[inline]
fn mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_of_any_width_come_back(
            numbers in proptest::collection::vec((any::<u64>(), 0u32..=64), 0..200)
        ) {
            let mut writer = BitWriter::default();
            writer.extend(numbers.iter().map(|(value, width)| (value & mask(*width), *width)));
            let mut bytes = writer.finish().to_vec();
            let total: u32 = numbers.iter().map(|n| n.1).sum();
            prop_assert_eq!(bytes.len(), total.div_ceil(8) as usize);
            bytes.extend([0; PADDING]);
            let mut at = 0;
            for (value, width) in &numbers {
                prop_assert_eq!(read(&bytes, at, *width), value & mask(*width));
                at += *width as usize;
            }
        }
    }

    #[test]
    fn the_lowest_bit_comes_first() {
        let mut writer = BitWriter::default();
        writer.extend([(0b1, 1), (0b10, 2), (0b1_1111, 5), (0xab, 8), (1, 1)].into_iter());
        assert_eq!(writer.finish(), [0b1111_1101, 0xab, 1]);
    }
}
