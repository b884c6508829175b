//! Mutations: the simple ones of every fuzzer, and numbers at which lengths and counts break.

use bench::rng::Rng;

/// Bytes of an input at most: what a corpus holds, a few times over.
const BYTES_MAX: usize = 64 << 10;

/// Extremes, as bincode, JSON and query strings write them.
const ODD: [&[u8]; 20] = [
    &[0xff; 8],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xfb, 0xff, 0xff],
    &[0xfc, 0xff, 0xff, 0xff, 0xff],
    &[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0x80],
    &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
    b"-1",
    b"1e999",
    b"9223372036854775808",
    b"253402300799999",
    b"NaN",
    b"null",
    b"[[[[",
    b"{\"",
    b"\\u0000",
    b"\\ud800",
    b"%00",
    b"%ff",
    b"\xf0\x9f\x92\xa5",
];

fn below(rng: &mut Rng, most: usize) -> usize {
    (rng.next() % most.max(1) as u64) as usize
}

/// A seed with some changes.
pub fn mutated(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = corpus[below(rng, corpus.len())].clone();
    for _ in 0..1 + below(rng, 6) {
        change(&mut bytes, corpus, rng);
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut Rng) {
    // What stands in front says how the rest is to be read: half of all changes are made there.
    let len = if rng.once_in(2) { bytes.len().min(64) } else { bytes.len() };
    let at = below(rng, len + 1).min(bytes.len());
    let end = (at + 1 + below(rng, 16)).min(bytes.len());
    match rng.next() % 8 {
        0 if at < bytes.len() => bytes[at] ^= 1 << (rng.next() % 8),
        1 if at < bytes.len() => bytes[at] = rng.next() as u8,
        2 => drop(bytes.drain(at..end)),
        3 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part.repeat(1 + below(rng, 20)));
        }
        4 => {
            let odd = ODD[below(rng, ODD.len())];
            bytes.splice(at..at, odd.iter().copied());
        }
        5 => {
            let odd = ODD[below(rng, ODD.len())];
            let end = (at + odd.len()).min(bytes.len());
            bytes.splice(at..end, odd.iter().copied());
        }
        6 => bytes.truncate(at),
        _ => {
            let other = &corpus[below(rng, corpus.len())];
            let from = below(rng, other.len() + 1).min(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}
