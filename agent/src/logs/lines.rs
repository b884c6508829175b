//! Lines of a file that grows, each with a bound.

use std::io::{self, BufRead};

/// Bytes of a line that are read. The rest of a longer one is passed over.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A whole line without its end.
    Line {
        /// Its text; what is not UTF-8 is replaced.
        text: String,
        /// Bytes it takes in the file.
        bytes: u64,
    },
    /// The beginning of a line that is too long; what follows has to be passed over.
    Cut {
        /// The beginning.
        text: String,
        /// Bytes it takes in the file.
        bytes: u64,
    },
    /// The file ends here, perhaps in the middle of a line.
    End,
}

/// Reads a line.
pub fn read(from: &mut impl BufRead) -> io::Result<Read> {
    let mut line = Vec::new();
    loop {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            return Ok(Read::End);
        }
        let room = LINE_BYTES_MAX - line.len();
        let newline = bytes.iter().position(|byte| *byte == b'\n');
        match newline.filter(|len| *len <= room) {
            Some(len) => {
                line.extend(&bytes[..len]);
                from.consume(len + 1);
                return Ok(Read::Line { bytes: line.len() as u64 + 1, text: text(&line) });
            }
            None => {
                let len = bytes.len().min(room);
                line.extend(&bytes[..len]);
                from.consume(len);
                if line.len() == LINE_BYTES_MAX {
                    return Ok(Read::Cut { bytes: line.len() as u64, text: text(&line) });
                }
            }
        }
    }
}

/// Passes over the rest of a line. How many bytes that were, and whether its end was there.
pub fn skip(from: &mut impl BufRead, bytes_max: u64) -> io::Result<(u64, bool)> {
    let mut skipped = 0;
    while skipped < bytes_max {
        let bytes = from.fill_buf()?;
        let newline = bytes.iter().position(|byte| *byte == b'\n');
        let len = newline.map_or(bytes.len(), |len| len + 1);
        from.consume(len);
        skipped += len as u64;
        if newline.is_some() || len == 0 {
            return Ok((skipped, newline.is_some()));
        }
    }
    Ok((skipped, false))
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_are_read_whole_or_not_at_all() {
        let mut from = BufReader::with_capacity(3, &b"one\r\n\nt\xffwo\nrest"[..]);
        let mut next = || read(&mut from).unwrap();
        assert_eq!(next(), Read::Line { text: "one".into(), bytes: 5 });
        assert_eq!(next(), Read::Line { text: String::new(), bytes: 1 });
        assert_eq!(next(), Read::Line { text: "t\u{fffd}wo".into(), bytes: 5 });
        assert_eq!(next(), Read::End);
    }

    #[test]
    fn a_line_without_end_is_not_read_into_memory() {
        use std::io::Read as _;
        let huge = io::repeat(b'x').take(200 << 20).chain(&b"\nnext\n"[..]);
        let mut from = BufReader::with_capacity(64 << 10, huge);
        let Read::Cut { text, bytes } = read(&mut from).unwrap() else { panic!("it is too long") };
        assert_eq!((text.len(), bytes), (LINE_BYTES_MAX, LINE_BYTES_MAX as u64));
        let rest = (200 << 20) - LINE_BYTES_MAX as u64 + 1;
        assert_eq!(skip(&mut from, u64::MAX).unwrap(), (rest, true));
        assert_eq!(read(&mut from).unwrap(), Read::Line { text: "next".into(), bytes: 5 });
        assert_eq!(skip(&mut from, u64::MAX).unwrap(), (0, false));
    }
}
