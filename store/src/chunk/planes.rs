//! Byte planes: the lowest bytes of all numbers, then their next bytes, and so on.
//!
//! Better than tokens where a long column has an odd distribution: each plane gets a Huffman table of its own.

/// Appends the planes of numbers of `width` bytes, and notes the borders between the planes. What is above the planes is
/// not kept.
pub fn put(numbers: &[u64], width: u8, symbols: &mut Vec<u8>, borders: &mut Vec<usize>) {
    for plane in 0..width {
        if plane > 0 {
            borders.push(symbols.len());
        }
        symbols.extend(numbers.iter().map(|u| (u >> (8 * plane)) as u8));
    }
}

/// Reads the numbers of `width` (1 to 8) planes of one length each.
#[inline]
pub fn read(planes: &[u8], width: u8) -> impl Iterator<Item = u64> {
    let count = planes.len() / usize::from(width);
    let byte = move |i: usize, plane: usize| u64::from(planes[plane * count + i]) << (8 * plane);
    (0..count).map(move |i| (0..usize::from(width)).fold(0, |u, plane| u | byte(i, plane)))
}

/// The same of two planes, which are most of those that are more than one.
#[inline]
pub fn read_two(planes: &[u8]) -> impl Iterator<Item = u64> {
    let (low, high) = planes.split_at(planes.len() / 2);
    low.iter().zip(high).map(|(&low, &high)| u64::from(low) | u64::from(high) << 8)
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
            put(&numbers, width, &mut symbols, &mut borders);
            prop_assert_eq!(borders.len(), usize::from(width) - 1);
            prop_assert_eq!(read(&symbols[1..], width).collect::<Vec<_>>(), &numbers[..]);
            if width == 2 {
                prop_assert_eq!(read_two(&symbols[1..]).collect::<Vec<_>>(), &numbers[..]);
            }
        }
    }
}
