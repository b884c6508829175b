//! What log lines that say the same have in common: the line with everything that varies masked.
//!
//! Of a line the first one that is not blank counts, at most [`LINE_BYTES_MAX`] of it: a stack trace is told by its
//! error. From left to right, the first rule that fits takes its letters:
//!
//! 1. a text in quotes (`"…"`, `` `…` ``, `“…”`, `「…」`, and `'…'` where it is no apostrophe) becomes `<str>`;
//! 2. a URL becomes `<url>`;
//! 3. a path (`/…`, `~/…`, `./…`, `../…`, `C:\…`, at the beginning of a word) becomes `<path>`;
//! 4. a word of hexadecimal digits as 8-4-4-4-12 becomes `<uuid>`;
//! 5. `0x…`, and a word of 8 hexadecimal digits or more with a digit and a letter among them, becomes `<hex>`;
//! 6. a word of 16 ASCII letters and digits or more with both among them becomes `<id>`;
//! 7. a run of digits, with `.`, `,` or `:` between digits, becomes `<num>`, also within a word;
//! 8. blanks become one blank.
//!
//! The fingerprint is the 64-bit FNV-1a hash of the line's source, a zero byte and the template.
//! (Fowler, Noll, Vo: <https://datatracker.ietf.org/doc/draft-eastlake-fnv/>)

/// Bytes of a line that count.
pub const LINE_BYTES_MAX: usize = 1_024;

/// Bytes of a template; what is longer is cut.
pub const TEMPLATE_BYTES_MAX: usize = 300;

/// The fingerprint of a source and a template; never 0.
pub fn fingerprint(source: &str, template: &str) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in source.bytes().chain([0]).chain(template.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    (hash as i64).wrapping_add(i64::from(hash == 0))
}

/// The template of a message.
pub fn template(message: &str) -> String {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
    let mut out = String::with_capacity(line.len().min(TEMPLATE_BYTES_MAX + 8));
    let mut rest = line;
    // Of the letter before: a rule for words begins at a word's beginning only.
    let mut in_word = false;
    while !rest.is_empty() && out.len() < TEMPLATE_BYTES_MAX {
        if let Some((mask, length)) = masked(rest, in_word) {
            out.push_str(mask);
            // What follows a mask at once belongs to the same word.
            in_word = true;
            rest = &rest[length..];
            continue;
        }
        let Some(letter) = rest.chars().next() else { break };
        rest = &rest[letter.len_utf8()..];
        if letter.is_whitespace() {
            if !out.ends_with(' ') {
                out.push(' ');
            }
        } else {
            out.push(letter);
        }
        in_word = letter.is_alphanumeric() || letter == '_';
    }
    out.truncate(out.floor_char_boundary(TEMPLATE_BYTES_MAX));
    out
}

/// What `rest` begins with is masked by this, and so many bytes long.
fn masked(rest: &str, in_word: bool) -> Option<(&'static str, usize)> {
    if let Some(length) = quoted(rest, in_word) {
        return Some(("<str>", length));
    }
    if !in_word {
        if let Some(length) = url(rest) {
            return Some(("<url>", length));
        }
        if let Some(length) = path(rest) {
            return Some(("<path>", length));
        }
        if let Some(found) = word(rest) {
            return Some(found);
        }
    }
    number(rest).map(|length| ("<num>", length))
}

fn quoted(rest: &str, in_word: bool) -> Option<usize> {
    let open = rest.chars().next()?;
    let close = match open {
        '"' | '`' => open,
        '\'' if !in_word => open,
        '“' => '”',
        '「' => '」',
        _ => return None,
    };
    let inside = &rest[open.len_utf8()..];
    let mut letters = inside.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            letter if letter == close => {
                // `it's` within '…' does not end it.
                let apostrophe =
                    close == '\'' && letters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
                if !apostrophe {
                    return Some(open.len_utf8() + at + close.len_utf8());
                }
            }
            _ => {}
        }
    }
    None
}

fn url(rest: &str) -> Option<usize> {
    let schemes = ["http://", "https://", "ws://", "wss://", "file://"];
    let scheme = schemes.iter().find(|s| rest.get(..s.len()).is_some_and(|r| r.eq_ignore_ascii_case(s)))?;
    Some(scheme.len() + place(&rest[scheme.len()..]))
}

fn path(rest: &str) -> Option<usize> {
    let begin = ["/", "~/", "./", "../", "~\\", ".\\", "..\\", "\\\\"].iter().find(|b| rest.starts_with(**b));
    let drive = || {
        let bytes = rest.as_bytes();
        let is = bytes.len() > 2
            && bytes[0].is_ascii_alphabetic()
            && bytes[1] == b':'
            && matches!(bytes[2], b'\\' | b'/');
        is.then_some(3)
    };
    let begin = begin.map(|b| b.len()).or_else(drive)?;
    let more = place(&rest[begin..]);
    // A slash alone separates.
    (more > 0).then_some(begin + more)
}

/// How far a path or a URL goes: to a blank or what closes or ends it.
fn place(rest: &str) -> usize {
    let ends = |letter: char| {
        letter.is_whitespace()
            || matches!(
                letter,
                '"' | '\''
                    | '`'
                    | '<'
                    | '>'
                    | '('
                    | ')'
                    | '['
                    | ']'
                    | '{'
                    | '}'
                    | ','
                    | ';'
                    | '|'
                    | '，'
                    | '。'
                    | '；'
                    | '）'
            )
    };
    let length = rest.find(ends).unwrap_or(rest.len());
    // A full stop or colon at the end belongs to the sentence.
    rest[..length].trim_end_matches(['.', ':', '!', '?']).len()
}

/// Rules 4 to 6.
fn word(rest: &str) -> Option<(&'static str, usize)> {
    let bytes = rest.as_bytes();
    if is_uuid(bytes) {
        return Some(("<uuid>", 36));
    }
    if rest.starts_with("0x") {
        let digits = bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        return (digits > 0).then_some(("<hex>", 2 + digits));
    }
    let length = bytes.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    let word = &bytes[..length];
    let ends = rest[length..].chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '_');
    let mixed = word.iter().any(u8::is_ascii_digit) && word.iter().any(u8::is_ascii_alphabetic);
    if !ends || !mixed {
        return None;
    }
    if length >= 8 && word.iter().all(u8::is_ascii_hexdigit) {
        return Some(("<hex>", length));
    }
    (length >= 16).then_some(("<id>", length))
}

fn is_uuid(bytes: &[u8]) -> bool {
    let right = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    bytes.len() >= 36
        && bytes[..36].iter().enumerate().all(right)
        && !bytes.get(36).is_some_and(u8::is_ascii_alphanumeric)
}

fn number(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    if !bytes.first()?.is_ascii_digit() {
        return None;
    }
    let mut length = 1;
    loop {
        match (bytes.get(length), bytes.get(length + 1)) {
            (Some(digit), _) if digit.is_ascii_digit() => length += 1,
            (Some(b'.' | b',' | b':'), Some(digit)) if digit.is_ascii_digit() => length += 2,
            _ => return Some(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        assert_eq!(template(message), expected);
    }

    #[test]
    fn what_varies_is_masked() {
        check("request 17 took 12.5ms", "request <num> took <num>ms");
        check("listening on 192.168.1.2:18789 since 10:00:01", "listening on <num> since <num>");
        check("worker3 of job-12 died", "worker<num> of job-<num> died");
        check("run 3f2504e0-4f89-11d3-9a0c-0305e82c3301 failed", "run <uuid> failed");
        check("at 0x7ffe12 in deadbeef01, commit 1193c46a9b", "at <hex> in <hex>, commit <hex>");
        check("key sk4Jx8aQ9ZkLm2Pq7 expired", "key <id> expired");
        check(r#"cannot read "a \"b\" c" or 'd'"#, "cannot read <str> or <str>");
        check("open /var/lib/x y.db: no such file", "open <path> y.db: no such file");
        check("open /var/lib/x.db: no such file", "open <path>: no such file");
        check(r"open C:\Users\ann\x.json, ~/.openclaw.", "open <path>, <path>.");
        check("GET https://api.example.com/v1/x?y=1 (429)", "GET <url> (<num>)");
    }

    #[test]
    fn what_does_not_vary_stays() {
        check("don't and/or can't", "don't and/or can't");
        check("the facade added decades", "the facade added decades");
        check("a / b", "a / b");
        check("unfinished \"quote", "unfinished \"quote");
        check("  two\t blanks ", "two blanks");
        check("", "");
    }

    #[test]
    fn chinese_lines_are_masked_too() {
        check("网关在12秒后崩溃：“超时”", "网关在<num>秒后崩溃：<str>");
        check("无法打开「配置」，路径 /etc/x。重试", "无法打开<str>，路径 <path>。重试");
    }

    #[test]
    fn a_stack_trace_is_told_by_its_error() {
        check("\n\nTypeError: x is 3\n    at f (/a/b.js:1:2)\n    at g", "TypeError: x is <num>");
    }

    #[test]
    fn long_and_odd_lines_are_bounded() {
        for odd in ["x".repeat(100_000), "'\\".repeat(5_000), "\"'`".repeat(5_000), "密9".repeat(5_000)] {
            let found = template(&odd);
            assert!(found.len() <= TEMPLATE_BYTES_MAX, "{}", found.len());
        }
        check("\\", "\\");
        check("'\\", "'\\");
    }

    #[test]
    fn a_fingerprint_is_always_the_same() {
        // Known values of FNV-1a: https://datatracker.ietf.org/doc/draft-eastlake-fnv/
        assert_eq!(fingerprint("", ""), 0xaf63_bd4c_8601_b7df_u64 as i64);
        assert_ne!(fingerprint("a", "b"), fingerprint("ab", ""));
    }
}
