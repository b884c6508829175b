//! Reading what the head says of columns.
//!
//! The bytes are those of bincode, which writes them; see `FORMAT.md`. Opening a chunk goes through all of its columns:
//! with bincode that took two fifths of the instructions that zstd takes to unpack a rollup chunk, so it takes one.

/// What stands in a head.
pub trait InHead: Sized {
    /// The next one; `None`: it is not one.
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

/// Where reading stands.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From `at` on.
    pub fn new(bytes: &'a [u8], at: usize) -> Reader<'a> {
        Reader { bytes, at }
    }

    /// Where it stands.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next byte.
    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        let [byte] = self.array()?;
        Some(byte)
    }

    /// A number of up to 32 bits, or the number of a variant.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        match self.byte()? {
            small @ 0..251 => Some(small.into()),
            251 => Some(u16::from_le_bytes(self.array()?).into()),
            252 => Some(u32::from_le_bytes(self.array()?)),
            _ => None,
        }
    }

    /// A number of up to 64 bits.
    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        match self.byte()? {
            small @ 0..251 => Some(small.into()),
            251 => Some(u16::from_le_bytes(self.array()?).into()),
            252 => Some(u32::from_le_bytes(self.array()?).into()),
            253 => Some(u64::from_le_bytes(self.array()?)),
            _ => None,
        }
    }

    /// The same with its sign.
    #[inline]
    pub fn i64(&mut self) -> Option<i64> {
        let u = self.u64()?;
        Some((u >> 1) as i64 ^ -((u & 1) as i64))
    }

    #[inline]
    fn array<const BYTES: usize>(&mut self) -> Option<[u8; BYTES]> {
        let found = self.bytes.get(self.at..)?.first_chunk()?;
        self.at += BYTES;
        Some(*found)
    }
}
