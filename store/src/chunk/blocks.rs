//! One zstd frame whose blocks end where the statistics change, so that each part has a Huffman table of its own.
//!
//! Any zstd decoder reads it: flushing ends a block, and the frame stays one.

use super::cost::Sums;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective::{ZSTD_e_end, ZSTD_e_flush};
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective};

/// The level that looks for matches with one table of hashes. What it misses is 0.1 % of the bytes of rollups and nothing
/// of raw chunks; level 3 made merging a tenth slower.
const LEVEL: i32 = 1;
/// Tokens are noise: matches of 3 to 5 bytes cost more than the bytes.
const MATCH_BYTES_MIN: u32 = 7;

/// A compressor, used again for every chunk.
pub struct Compressor {
    context: CCtx<'static>,
    cuts: Vec<usize>,
}

impl Default for Compressor {
    fn default() -> Compressor {
        let mut context = CCtx::create();
        for parameter in [CParameter::CompressionLevel(LEVEL), CParameter::MinMatch(MATCH_BYTES_MIN)] {
            context.set_parameter(parameter).expect("both are within zstd's bounds");
        }
        Compressor { context, cuts: Vec::new() }
    }
}

impl Compressor {
    /// Appends `plain` to `out`, blocks ending at some of the ascending `borders`.
    pub fn compress(&mut self, plain: &[u8], borders: &[usize], out: &mut Vec<u8>) {
        choose_cuts(plain, borders, &mut self.cuts);
        // A block has a header of three bytes; the frame's is within the bound.
        out.reserve(zstd_safe::compress_bound(plain.len()) + 3 * (self.cuts.len() + 1));
        let at = out.len();
        let context = &mut self.context;
        // The size in the frame's header, and parameters for it: without, they would be those for large inputs.
        let started = context
            .reset(ResetDirective::SessionOnly)
            .and_then(|_| context.set_pledged_src_size(Some(plain.len() as u64)));
        started.expect("a context at its beginning takes a size");
        let mut output = OutBuffer::around_pos(out, at);
        let mut from = 0;
        for (to, how) in self.cuts.iter().map(|&cut| (cut, ZSTD_e_flush)).chain([(plain.len(), ZSTD_e_end)]) {
            let mut input = InBuffer::around(&plain[from..to]);
            while context.compress_stream2(&mut output, &mut input, how).expect("there is room for all of it")
                > 0
            {}
            from = to;
        }
    }
}

/// Bytes of a frame, which are to be `expected` many, with room for `more` behind them. `None` when it is damaged.
pub fn decompress(context: &mut DCtx<'_>, frame: &[u8], expected: usize, more: usize) -> Option<Vec<u8>> {
    // A block of four bytes gives 128 KiB at most: a lying length cannot make us allocate more than that.
    const BLOCK_BYTES_MAX: usize = 128 << 10;
    if expected > (frame.len() / 4 + 1).saturating_mul(BLOCK_BYTES_MAX)
        || zstd_safe::get_frame_content_size(frame).ok().flatten() != Some(expected as u64)
    {
        return None;
    }
    let mut plain = Vec::with_capacity(expected + more);
    let found = context.decompress(&mut plain, frame).ok()?;
    (found == expected).then_some(plain)
}

/// Fewer bytes than this are counted one by one.
const FEW: usize = 256;

/// How often each byte comes.
struct Histogram {
    counts: [u32; 256],
    sums: Sums,
}

impl Histogram {
    const EMPTY: Histogram = Histogram { counts: [0; 256], sums: Sums::NONE };

    /// Counts bytes one by one: what few bytes need, where a look at all 256 counts would take longer.
    fn count(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let count = &mut self.counts[usize::from(byte)];
            self.sums.add_to(*count);
            *count += 1;
        }
    }

    /// Forgets all bytes, which are these.
    fn clear(&mut self, bytes: &[u8]) {
        if bytes.len() < FEW {
            bytes.iter().for_each(|&byte| self.counts[usize::from(byte)] = 0);
        } else {
            self.counts = [0; 256];
        }
        self.sums = Sums::NONE;
    }

    fn add(&mut self, counts: &[u32; 256]) {
        self.counts.iter_mut().zip(counts).for_each(|(count, more)| *count += more);
        self.sums = Sums::of(&self.counts);
    }
}

fn counts(bytes: &[u8]) -> [u32; 256] {
    // Two: equal neighbours would wait for each other's increment.
    let mut counts = [[0u32; 256]; 2];
    let (pairs, rest) = bytes.as_chunks::<2>();
    for pair in pairs {
        counts[0][usize::from(pair[0])] += 1;
        counts[1][usize::from(pair[1])] += 1;
    }
    rest.iter().for_each(|&byte| counts[0][usize::from(byte)] += 1);
    let [mut counts, others] = counts;
    counts.iter_mut().zip(others).for_each(|(count, other)| *count += other);
    counts
}

/// Bits that a block costs beside its symbols and table: its headers, and what zstd saves where small blocks share one.
const BLOCK_BITS: u64 = 96;

/// Goes through the parts once: a part joins the block before it unless a table of its own pays.
fn choose_cuts(plain: &[u8], borders: &[usize], cuts: &mut Vec<usize>) {
    cuts.clear();
    let (mut block, mut part) = (Histogram::EMPTY, Histogram::EMPTY);
    let mut block_from = 0;
    let mut from = 0;
    for &to in borders.iter().chain([&plain.len()]) {
        if to == from {
            continue;
        }
        let bytes = &plain[from..to];
        let block_bits = block.sums.bits();
        if bytes.len() < FEW {
            part.count(bytes);
            block.count(bytes);
        } else {
            part.add(&counts(bytes));
            block.add(&part.counts);
        }
        if from > 0 && block.sums.bits() > block_bits + part.sums.bits() + BLOCK_BITS {
            cuts.push(from);
            block.clear(&plain[block_from..to]);
            (block, part) = (part, block);
            block_from = from;
        } else {
            part.clear(bytes);
        }
        from = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> (Vec<u8>, Vec<usize>) {
        let mut x = 1u32;
        let mut noise = |of: u8| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 16) as u8 % of
        };
        let mut plain: Vec<u8> = (0..2_000).map(|_| noise(4)).collect();
        plain.extend((0..2_000).map(|_| noise(4)));
        plain.extend((0..2_000).map(|_| 100 + noise(30)));
        (plain, vec![2_000, 4_000])
    }

    #[test]
    fn blocks_end_where_another_table_pays() {
        let (plain, borders) = parts();
        let mut cuts = Vec::new();
        choose_cuts(&plain, &borders, &mut cuts);
        assert_eq!(cuts, [4_000]);
    }

    #[test]
    fn frames_come_back_and_a_context_serves_again() {
        let (plain, borders) = parts();
        let mut compressor = Compressor::default();
        let mut context = DCtx::create();
        for end in [plain.len(), 10, 0, 5_000] {
            let borders: Vec<usize> = borders.iter().copied().filter(|&b| b < end).collect();
            let mut frame = vec![1, 2];
            compressor.compress(&plain[..end], &borders, &mut frame);
            let found = decompress(&mut context, &frame[2..], end, 7).unwrap();
            assert_eq!(found, &plain[..end]);
            assert_eq!(decompress(&mut context, &frame[2..], end + 1, 7), None);
        }
    }

    #[test]
    fn a_length_no_frame_can_have_is_refused_before_memory_is_taken() {
        let mut frame = Vec::new();
        Compressor::default().compress(&[0; 1000], &[], &mut frame);
        // Memory for that much would end the test.
        assert_eq!(decompress(&mut DCtx::create(), &frame, 1 << 62, 0), None);
    }
}
