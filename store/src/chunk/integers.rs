//! Runs of i64 as bytes: differences of order 0, 1 or 2, whichever is shortest, as zigzag LEB128.
//!
//! All arithmetic wraps, so that any i64 comes back.

/// The order of differences that was chosen, and the bytes.
pub fn encode(values: &[i64]) -> (u8, Vec<u8>) {
    let order = (0..=2u8).min_by_key(|&order| encoded_bytes(values, order)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(encoded_bytes(values, order));
    for_each_difference(values, order, |d| push_varint(&mut bytes, zigzag(d)));
    (order, bytes)
}

/// Exactly `count` values; `None` when the bytes do not hold just those.
pub fn decode(order: u8, bytes: &[u8], count: usize) -> Option<Vec<i64>> {
    // A value takes a byte at least: a lying count cannot make us allocate more than the bytes that came.
    if order > 2 || bytes.len() < count {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    let mut rest = bytes;
    let (mut previous, mut slope) = (0i64, 0i64);
    for i in 0..count {
        let d = unzigzag(take_varint(&mut rest)?);
        let value = match order {
            0 => d,
            1 => previous.wrapping_add(d),
            _ => {
                slope = if i == 0 { 0 } else { slope.wrapping_add(d) };
                if i == 0 { d } else { previous.wrapping_add(slope) }
            }
        };
        values.push(value);
        previous = value;
    }
    rest.is_empty().then_some(values)
}

fn for_each_difference(values: &[i64], order: u8, mut each: impl FnMut(i64)) {
    let (mut previous, mut slope) = (0i64, 0i64);
    for (i, &value) in values.iter().enumerate() {
        let first = value.wrapping_sub(previous);
        each(match order {
            0 => value,
            1 => first,
            _ if i == 0 => value,
            _ => first.wrapping_sub(slope),
        });
        slope = if i == 0 { 0 } else { first };
        previous = value;
    }
}

fn encoded_bytes(values: &[i64], order: u8) -> usize {
    let mut bytes = 0;
    for_each_difference(values, order, |d| bytes += varint_bytes(zigzag(d)));
    bytes
}

fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

fn unzigzag(u: u64) -> i64 {
    (u >> 1) as i64 ^ -((u & 1) as i64)
}

fn varint_bytes(u: u64) -> usize {
    (64 - (u | 1).leading_zeros() as usize).div_ceil(7)
}

fn push_varint(bytes: &mut Vec<u8>, mut u: u64) {
    while u >= 0x80 {
        bytes.push(u as u8 | 0x80);
        u >>= 7;
    }
    bytes.push(u as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut u = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        u |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(u);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_integers_come_back(values in proptest::collection::vec(any::<i64>(), 0..100)) {
            let (order, bytes) = encode(&values);
            prop_assert_eq!(decode(order, &bytes, values.len()), Some(values));
        }

        #[test]
        fn any_bytes_decode_or_not_but_never_panic(
            order in 0u8..4, bytes in proptest::collection::vec(any::<u8>(), 0..50), count in 0usize..60
        ) {
            let _ = decode(order, &bytes, count);
        }
    }

    #[test]
    fn a_regular_grid_costs_a_byte_a_row() {
        let grid: Vec<i64> = (0..1000).map(|i| 1_795_343_922_420 + 10_000 * i).collect();
        let (order, bytes) = encode(&grid);
        assert_eq!(order, 2);
        assert!(bytes.len() < 1_010, "{}", bytes.len());
    }

    #[test]
    fn a_wrong_count_is_refused() {
        let (order, bytes) = encode(&[1, 2, 3]);
        assert_eq!(decode(order, &bytes, 2), None);
        assert_eq!(decode(order, &bytes, 4), None);
        assert_eq!(decode(order, &bytes, usize::MAX), None);
    }
}
