//! Metric names: `cpu_percent`, `disk_used{mount="/data"}`.

use crate::bounds::NAME_BYTES_MAX;

/// Bytes of a name before its labels.
pub const BASE_BYTES_MAX: usize = 64;
/// Bytes of a label's name.
pub const LABEL_BYTES_MAX: usize = 32;
/// Bytes of a label's value, escapes not counted.
pub const VALUE_BYTES_MAX: usize = 128;

/// Why a text is no metric name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// One of the parts has too many bytes.
    #[error("{part} is longer than {max} bytes")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// How long it may be.
        max: usize,
    },
    /// Something else was expected.
    #[error("at byte {at}: expected {expected}")]
    Expected {
        /// Where, in bytes.
        at: usize,
        /// What.
        expected: &'static str,
    },
    /// A label that is there already.
    #[error("at byte {at}: the label is there twice")]
    Twice {
        /// Where the second one starts, in bytes.
        at: usize,
    },
}

/// Whether `name` is `[a-z][a-z0-9_.]{0,63}`, optionally followed by `{label="value",…}`.
///
/// A label is `[a-z][a-z0-9_]{0,31}`; a value has at most 128 bytes and no control character, with
/// `"` and `\` escaped by `\`. Labels may come in any order, each once.
pub fn check(name: &str) -> Result<(), NameFault> {
    if name.is_empty() {
        return Err(NameFault::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameFault::TooLong { part: "the name with its labels", max: NAME_BYTES_MAX });
    }
    let mut rest = Rest { name, at: 0 };
    rest.word(|byte| matches!(byte, b'_' | b'.'), "a letter a to z", "the name", BASE_BYTES_MAX)?;
    if rest.peek().is_none() {
        return Ok(());
    }
    rest.take(b'{', "a letter a to z, a digit, '_', '.' or '{'")?;
    let mut labels = Vec::new();
    loop {
        let at = rest.at;
        let label = rest.word(|byte| byte == b'_', "a label: a letter a to z", "a label", LABEL_BYTES_MAX)?;
        if labels.contains(&label) {
            return Err(NameFault::Twice { at });
        }
        labels.push(label);
        rest.take(b'=', "'=' after the label")?;
        rest.take(b'"', "'\"' before the value")?;
        rest.value()?;
        if rest.peek() == Some(b'}') {
            break;
        }
        rest.take(b',', "',' or '}' after the value")?;
    }
    rest.at += 1;
    if rest.peek().is_some() {
        return Err(NameFault::Expected { at: rest.at, expected: "nothing after '}'" });
    }
    Ok(())
}

/// `base{label="value"}` for any `value`: what a name cannot hold is left out, what is too long is
/// cut. The result passes [`check`] when `base` and `label` are valid.
pub fn labelled(base: &str, label: &str, value: &str) -> String {
    let mut name = format!("{base}{{{label}=\"");
    let mut value_bytes = 0;
    for char in value.chars().filter(|char| !char.is_control()) {
        let escape = usize::from(matches!(char, '"' | '\\'));
        value_bytes += char.len_utf8();
        if value_bytes > VALUE_BYTES_MAX || name.len() + escape + char.len_utf8() + 2 > NAME_BYTES_MAX {
            break;
        }
        if escape == 1 {
            name.push('\\');
        }
        name.push(char);
    }
    name.push_str("\"}");
    name
}

struct Rest<'a> {
    name: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn peek(&self) -> Option<u8> {
        self.name.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), NameFault> {
        if self.peek() != Some(byte) {
            return Err(NameFault::Expected { at: self.at, expected });
        }
        self.at += 1;
        Ok(())
    }

    fn word(
        &mut self,
        other: impl Fn(u8) -> bool,
        expected: &'static str,
        part: &'static str,
        max: usize,
    ) -> Result<&'a str, NameFault> {
        let start = self.at;
        if !self.peek().is_some_and(|byte| byte.is_ascii_lowercase()) {
            return Err(NameFault::Expected { at: start, expected });
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || other(byte);
        while self.peek().is_some_and(&allowed) {
            self.at += 1;
        }
        if self.at - start > max {
            return Err(NameFault::TooLong { part, max });
        }
        // Only ASCII was passed over, so these are character boundaries.
        Ok(&self.name[start..self.at])
    }

    /// The value after its opening quote, with the closing one.
    fn value(&mut self) -> Result<(), NameFault> {
        let mut bytes = 0;
        let mut escaped = false;
        let start = self.at;
        for (i, char) in self.name[start..].char_indices() {
            self.at = start + i;
            match char {
                _ if char.is_control() => {
                    return Err(NameFault::Expected { at: self.at, expected: "no control character" });
                }
                '"' | '\\' if escaped => escaped = false,
                _ if escaped => {
                    return Err(NameFault::Expected { at: self.at, expected: "'\"' or '\\' after '\\'" });
                }
                '\\' => {
                    escaped = true;
                    continue;
                }
                '"' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => {}
            }
            bytes += char.len_utf8();
            if bytes > VALUE_BYTES_MAX {
                return Err(NameFault::TooLong { part: "a label's value", max: VALUE_BYTES_MAX });
            }
        }
        Err(NameFault::Expected { at: self.name.len(), expected: "'\"' after the value" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_the_contract_are_good() {
        for name in [
            "cpu_percent",
            "load1",
            "a",
            "openclaw.tokens",
            "cpu_core_percent{core=\"0\"}",
            "disk_used{mount=\"/data\"}",
            "disk_used{mount=\"C:\\\\\"}",
            "x{b=\"\",a=\"say \\\"hi\\\", {ok}\"}",
            "t{sensor=\"Öl – 温度\"}",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        assert_eq!(check(&"a".repeat(64)), Ok(()));
        assert_eq!(check(&format!("a{{b=\"{}\"}}", "v".repeat(128))), Ok(()));
    }

    #[track_caller]
    fn bad(name: &str, message: &str) {
        assert_eq!(check(name).expect_err(name).to_string(), message, "{name}");
    }

    #[test]
    fn other_names_say_where_they_are_bad() {
        bad("", "the name is empty");
        bad("Cpu", "at byte 0: expected a letter a to z");
        bad("1a", "at byte 0: expected a letter a to z");
        bad("cpu percent", "at byte 3: expected a letter a to z, a digit, '_', '.' or '{'");
        bad("cpu\u{e4}", "at byte 3: expected a letter a to z, a digit, '_', '.' or '{'");
        bad("<script>", "at byte 0: expected a letter a to z");
        bad("a{}", "at byte 2: expected a label: a letter a to z");
        bad("a{b}", "at byte 3: expected '=' after the label");
        bad("a{b=c}", "at byte 4: expected '\"' before the value");
        bad("a{b.c=\"\"}", "at byte 3: expected '=' after the label");
        bad("a{b=\"c}", "at byte 7: expected '\"' after the value");
        bad("a{b=\"c\\", "at byte 7: expected '\"' after the value");
        bad("a{b=\"c\"", "at byte 7: expected ',' or '}' after the value");
        bad("a{b=\"c\",}", "at byte 8: expected a label: a letter a to z");
        bad("a{b=\"c\"} ", "at byte 8: expected nothing after '}'");
        bad("a{b=\"\\n\"}", "at byte 6: expected '\"' or '\\' after '\\'");
        bad("a{b=\"\n\"}", "at byte 5: expected no control character");
        bad("a{b=\"1\",b=\"2\"}", "at byte 8: the label is there twice");
        bad(&"a".repeat(65), "the name is longer than 64 bytes");
        bad(&format!("a{{{}=\"\"}}", "b".repeat(33)), "a label is longer than 32 bytes");
        bad(&format!("a{{b=\"{}\"}}", "v".repeat(129)), "a label's value is longer than 128 bytes");
        bad(&"a".repeat(257), "the name with its labels is longer than 256 bytes");
    }

    #[test]
    fn labelled_escapes_and_cuts() {
        assert_eq!(labelled("disk_used", "mount", "C:\\\n"), "disk_used{mount=\"C:\\\\\"}");
        let name = labelled("t", "sensor", &"\\".repeat(300));
        assert_eq!(check(&name), Ok(()));
        assert!(name.len() > NAME_BYTES_MAX - 3, "cut no more than needed: {}", name.len());
    }

    proptest! {
        #[test]
        fn labelled_names_are_always_good(value in any::<String>()) {
            prop_assert_eq!(check(&labelled("temperature_celsius", "sensor", &value)), Ok(()));
        }

        #[test]
        fn no_text_panics(text in "[a-c{}=\",\\\\\u{0}-\u{2ff}]{0,40}") {
            let _ = check(&text);
        }
    }
}
