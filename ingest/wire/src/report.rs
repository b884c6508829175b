//! What an agent reports.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use bincode::de::read::Reader;
use bincode::de::{BorrowDecoder, Decoder};
use bincode::error::DecodeError;
use bincode::{BorrowDecode, Decode, Encode};

/// Everything an agent says at once.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Report {
    /// Who speaks.
    pub agent: AgentInfo,
    /// What hardly ever changes.
    pub facts: Facts,
    /// The samples.
    pub rows: Rows,
    /// Named conditions, such as `("gateway", "running")`.
    pub states: Vec<(String, String)>,
    /// Token usage events.
    pub usage: Vec<Usage>,
    /// Log lines.
    pub logs: Vec<Log>,
}

/// The agent itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct AgentInfo {
    /// Version of the agent; may be empty.
    pub version: String,
    /// The run of the agent and the number of this report in it. The pair makes a report that is
    /// sent twice count once; without it nothing is de-duplicated.
    pub boot: Option<(BootId, u64)>,
    /// How often it reports, in seconds: what the server judges "offline" by.
    pub interval_s: Option<u32>,
}

/// One run of one agent: random bytes, shown as a UUID.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct BootId(pub [u8; 16]);

/// A text that is no [`BootId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID: 32 hexadecimal digits as 8-4-4-4-12 were expected")]
pub struct BootIdFault;

/// What hardly ever changes about a device. All of it is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Facts {
    /// Name the device gives itself.
    pub hostname: Option<String>,
    /// Operating system and its version.
    pub os: Option<String>,
    /// Processor architecture, such as `x86_64`.
    pub arch: Option<String>,
    /// Kernel version.
    pub kernel: Option<String>,
    /// Processor model.
    pub cpu_model: Option<String>,
    /// Logical processors.
    pub cores: Option<u32>,
    /// Version of OpenClaw.
    pub openclaw_version: Option<String>,
    /// Address the device is seen under from outside.
    pub public_ip: Option<String>,
}

/// Samples in columns: one time per row, one column per metric.
///
/// Every column has a value for every row; [`Presence`] says which of them were measured. Decoding
/// checks that the lengths agree.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Rows {
    /// Time of each row in Unix milliseconds, in the order in which the agent sent them.
    pub t_ms: Vec<i64>,
    /// The metrics.
    pub columns: Vec<Column>,
}

/// One metric over all rows.
#[derive(Clone, Debug, PartialEq, Encode)]
pub struct Column {
    /// Metric name with its labels; see [`crate::name`].
    pub name: String,
    /// Whether the values go up and down or only up.
    pub kind: Kind,
    /// One value per row. Where nothing was measured the number means nothing.
    pub values: Vec<f64>,
    /// Which of the values were measured.
    pub present: Presence,
}

/// As derived, but for the values: those are taken from the bytes at once, not one by one.
impl<Context> Decode<Context> for Column {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Column, DecodeError> {
        Ok(Column {
            name: String::decode(decoder)?,
            kind: Kind::decode(decoder)?,
            values: decode_values(decoder)?,
            present: Presence::decode(decoder)?,
        })
    }
}

impl<'de, Context> BorrowDecode<'de, Context> for Column {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Context>>(
        decoder: &mut D,
    ) -> Result<Column, DecodeError> {
        Column::decode(decoder)
    }
}

fn decode_values<D: Decoder>(decoder: &mut D) -> Result<Vec<f64>, DecodeError> {
    let count = usize::try_from(u64::decode(decoder)?)
        .map_err(|_| DecodeError::Other("there are more values than fit into memory"))?;
    decoder.claim_container_read::<f64>(count)?;
    let wanted = count.saturating_mul(size_of::<f64>());
    // From where they lie, since a frame's content is a slice: a length that is not true takes no memory.
    let bytes =
        decoder.reader().peek_read(wanted).ok_or(DecodeError::UnexpectedEnd { additional: wanted })?;
    let values = bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    decoder.reader().consume(wanted);
    Ok(values)
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A count that only grows, but for restarts.
    Counter,
}

/// Which values of a column were measured.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Presence {
    /// All of them.
    All,
    /// One bit per row, row 0 in the lowest bit of the first word; bits past the last row are 0.
    Bits(Vec<u64>),
}

/// One token usage event.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Usage {
    /// Identifies the event, so that it counts once however often it is sent.
    pub event_id: String,
    /// When, in Unix milliseconds.
    pub t_ms: i64,
    /// OpenClaw's agent that spent the tokens.
    pub agent: String,
    /// Model provider.
    pub provider: String,
    /// Model.
    pub model: String,
    /// Tokens in.
    pub input: u64,
    /// Tokens out.
    pub output: u64,
    /// Tokens read from the cache.
    pub cache_read: u64,
    /// Tokens written to the cache.
    pub cache_write: u64,
    /// Cost in US dollars where known.
    pub cost_usd: Option<f64>,
    /// Where the cost comes from, such as `reported`; empty where there is none.
    pub cost_basis: String,
}

/// One log line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Log {
    /// When, in Unix milliseconds.
    pub t_ms: i64,
    /// `debug`, `info`, `warn`, `error` or `fatal`.
    pub level: String,
    /// What wrote it; may be empty.
    pub source: String,
    /// The text.
    pub message: String,
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.t_ms.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.t_ms.is_empty()
    }

    /// The measured values of one row, in column order.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (&Column, f64)> {
        self.columns.iter().filter_map(move |column| Some((column, column.get(row)?)))
    }
}

impl Column {
    /// The value at `row` if one was measured.
    pub fn get(&self, row: usize) -> Option<f64> {
        if self.present.has(row) { self.values.get(row).copied() } else { None }
    }
}

impl Presence {
    /// Whether the value at `row` was measured.
    pub fn has(&self, row: usize) -> bool {
        match self {
            Presence::All => true,
            Presence::Bits(words) => words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1),
        }
    }
}

/// Makes [`Rows`] from rows that need not all have the same metrics.
#[derive(Clone, Debug, Default)]
pub struct RowsBuilder {
    rows: Rows,
    columns: HashMap<String, usize>,
    /// One set of words per column; kept apart because most columns turn out to be complete.
    bits: Vec<Vec<u64>>,
}

impl RowsBuilder {
    /// Number of rows so far.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row yet.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of columns so far.
    pub fn columns(&self) -> usize {
        self.rows.columns.len()
    }

    /// Adds a row. Of a name that comes twice the last value counts; of a metric's kinds the first.
    pub fn push<'a>(&mut self, t_ms: i64, values: impl IntoIterator<Item = (&'a str, Kind, f64)>) {
        self.add(t_ms, values.into_iter().map(|(name, kind, value)| (name, value, move || kind)));
    }

    /// The same where a metric's kind is asked when its name comes first.
    pub fn push_of<'a>(
        &mut self,
        t_ms: i64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
        kind: impl Fn(&str) -> Kind,
    ) {
        self.add(t_ms, values.into_iter().map(|(name, value)| (name, value, || kind(name))));
    }

    fn add<'a, K: FnOnce() -> Kind>(&mut self, t_ms: i64, values: impl Iterator<Item = (&'a str, f64, K)>) {
        let row = self.rows.t_ms.len();
        self.rows.t_ms.push(t_ms);
        for (place, (name, value, kind)) in values.enumerate() {
            // Mostly each row says the same metrics in the same order.
            let is_there = self.rows.columns.get(place).is_some_and(|column| column.name == name);
            let at = if is_there { place } else { self.column(name, kind) };
            let column = &mut self.rows.columns[at];
            column.values.resize(row + 1, 0.0);
            column.values[row] = value;
            self.bits[at].resize(row / 64 + 1, 0);
            self.bits[at][row / 64] |= 1 << (row % 64);
        }
    }

    fn column(&mut self, name: &str, kind: impl FnOnce() -> Kind) -> usize {
        if let Some(&at) = self.columns.get(name) {
            return at;
        }
        let at = self.rows.columns.len();
        self.columns.insert(name.to_string(), at);
        self.rows.columns.push(Column {
            name: name.to_string(),
            kind: kind(),
            values: Vec::new(),
            present: Presence::All,
        });
        self.bits.push(Vec::new());
        at
    }

    /// The rows, with columns in the order in which their names first came.
    pub fn finish(mut self) -> Rows {
        let rows = self.rows.t_ms.len();
        for (column, mut bits) in self.rows.columns.iter_mut().zip(self.bits) {
            column.values.resize(rows, 0.0);
            bits.resize(rows.div_ceil(64), 0);
            let measured: u32 = bits.iter().map(|word| word.count_ones()).sum();
            column.present = if measured as usize == rows { Presence::All } else { Presence::Bits(bits) };
        }
        self.rows
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootId({self})")
    }
}

impl FromStr for BootId {
    type Err = BootIdFault;

    fn from_str(text: &str) -> Result<Self, BootIdFault> {
        let text = text.as_bytes();
        if text.len() != 36 || [8, 13, 18, 23].iter().any(|&at| text[at] != b'-') {
            return Err(BootIdFault);
        }
        let mut digits = text.iter().filter(|&&byte| byte != b'-');
        let mut id = [0; 16];
        for byte in &mut id {
            for _ in 0..2 {
                let digit = digits.next().and_then(|&digit| char::from(digit).to_digit(16));
                // Two digits fit: each is below 16.
                *byte = *byte << 4 | digit.ok_or(BootIdFault)? as u8;
            }
        }
        if digits.next().is_some() { Err(BootIdFault) } else { Ok(BootId(id)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_id_reads_what_it_shows() {
        let id = BootId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xff]);
        assert_eq!(id.to_string(), "00010203-0405-0607-0809-0a0b0c0d0eff");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn boot_id_refuses_other_texts() {
        for text in [
            "",
            "00010203-0405-0607-0809-0a0b0c0d0ef",
            "00010203-0405-0607-0809-0a0b0c0d0efff",
            "000102030405-0607-0809-0a0b0c0d0eff--",
            "00010203-0405-0607-0809-0a0b0c0d0efg",
            "0001020--0405-0607-0809-0a0b0c0d0eff",
            "ä0010203-0405-0607-0809-0a0b0c0d0ef",
        ] {
            assert_eq!(text.parse::<BootId>(), Err(BootIdFault), "{text}");
        }
    }

    #[test]
    fn builder_marks_what_was_measured() {
        let mut builder = RowsBuilder::default();
        builder.push(10, [("a", Kind::Gauge, 1.0)]);
        builder.push(20, [("b", Kind::Counter, 2.0), ("a", Kind::Gauge, 3.0)]);
        builder.push(30, [("a", Kind::Gauge, 4.0), ("a", Kind::Gauge, 5.0)]);
        let rows = builder.finish();
        assert_eq!(rows.t_ms, [10, 20, 30]);
        assert_eq!(rows.columns.len(), 2);
        assert_eq!(rows.columns[0].values, [1.0, 3.0, 5.0]);
        assert_eq!(rows.columns[0].present, Presence::All);
        assert_eq!(rows.columns[1].kind, Kind::Counter);
        assert_eq!(rows.columns[1].present, Presence::Bits(vec![0b010]));
        assert_eq!((0..3).map(|row| rows.columns[1].get(row)).collect::<Vec<_>>(), [None, Some(2.0), None]);
    }
}
