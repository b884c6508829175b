//! Takes out of a log line what is nobody else's business, before it leaves the device.
//!
//! OpenClaw masks secrets itself before it writes; this is the second lock on the same door. Where it
//! is unsure it takes out too much: identifiers like UUIDs stay, for they say which lines belong
//! together.

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Endings of names whose values are secret, in lower case and without `_`, `-` and `.`.
const SECRET_NAMES: [&str; 24] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "accesskeyid",
    "privatekey",
    "secretkey",
    "signingkey",
    "encryptionkey",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "authkey",
    "signature",
    "sig",
    "otp",
    "pin",
    "jwt",
    "sessionkey",
];
/// Headers whose value goes to the end of the line.
const SECRET_HEADERS: [&str; 2] = ["authorization", "cookie"];
/// Words after which a credential follows.
const SCHEMES: [&str; 4] = ["bearer", "basic", "digest", "negotiate"];
/// Beginnings of keys that their makers gave them.
const KEY_PREFIXES: [&str; 32] = [
    "sk-",
    "sk_",
    "pk-",
    "pk_",
    "rk_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxs-",
    "xapp-",
    "akia",
    "asia",
    "aiza",
    "ya29.",
    "eyj",
    "npm_",
    "hf_",
    "ocw_",
    "sg.",
    "gsk_",
    "xai-",
    "tvly-",
    "pplx-",
    "dop_v1_",
    "whsec_",
];
/// Characters of a word with one of these beginnings, from which on it is a key and not a word.
const KEY_LEN_MIN: usize = 12;
/// Hexadecimal digits that are a key, or may be.
const HEX_LEN_MIN: usize = 32;
/// Characters that look like base64.
const BASE64_LEN_MIN: usize = 32;
/// Digits of a telephone number after its `+`.
const PHONE_DIGITS_MIN: usize = 8;

/// The text without secrets, and with spaces for control characters other than line ends.
pub fn redact(text: &str) -> String {
    let text = text.replace(|c: char| c.is_control() && c != '\n', " ");
    words(&values(&pem(&text)))
}

/// Private keys in PEM form, whole.
fn pem(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("-----BEGIN ") {
        out.push_str(&rest[..at]);
        out.push_str(REDACTED);
        let inside = &rest[at + 11..];
        // Without its end the rest of the line is the key.
        rest = match inside.find("-----END ") {
            Some(end) => inside[end + 9..].split_once("-----").map_or("", |(_, rest)| rest),
            None => "",
        };
    }
    out.push_str(rest);
    out
}

/// Values of `name=value`, `name: value`, `"name":"value"` and `--name value`.
fn values(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let (mut done, mut at) = (0, 0);
    while at < bytes.len() {
        let separator = match bytes[at] {
            b'=' | b':' => 1,
            b'%' if matches!(bytes.get(at + 1..at + 3), Some(b"3D" | b"3d" | b"3A" | b"3a")) => 3,
            b' ' if is_flag(&text[..at]) => 1,
            _ => {
                at += 1;
                continue;
            }
        };
        let name = name_before(&text[..at]);
        at += separator;
        if !is_secret(&name) {
            continue;
        }
        let (start, end) = value(bytes, at, SECRET_HEADERS.iter().any(|header| name.ends_with(header)));
        if text.get(start..).is_some_and(|value| value.starts_with(REDACTED)) {
            at = start + REDACTED.len();
            continue;
        }
        if start < end {
            out.push_str(&text[done..start]);
            out.push_str(REDACTED);
            done = end;
        }
        at = end.max(at);
    }
    out.push_str(&text[done..]);
    out
}

/// The name that a separator comes after, in lower case and without `_`, `-` and `.`.
fn name_before(text: &str) -> String {
    let text = text.trim_end_matches([' ', '"', '\'', '\\', '`']);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let start =
        text.rfind(|c| !is_name(c)).map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    text[start..].chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn is_flag(text: &str) -> bool {
    let word = text.rsplit([' ', '\n']).next().unwrap_or_default();
    word.starts_with("--") && !word.contains(['=', ':'])
}

fn is_secret(name: &str) -> bool {
    SECRET_NAMES.iter().any(|secret| name.ends_with(secret))
}

/// Where a value starts and ends.
fn value(bytes: &[u8], mut start: usize, to_end: bool) -> (usize, usize) {
    let at = |i: usize| bytes.get(i).copied();
    while matches!(at(start), Some(b' ' | b'=' | b'>')) {
        start += 1;
    }
    while at(start) == Some(b'\\') {
        start += 1;
    }
    let quote = at(start).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    if let Some(quote) = quote {
        start += 1;
        let mut end = start;
        while let Some(byte) = at(end) {
            match byte {
                // In a quoted text inside a quoted text the closing quote has a backslash before it.
                b'\\' if at(end + 1) == Some(quote) && at(start.saturating_sub(2)) == Some(b'\\') => break,
                b'\\' => end += 2,
                byte if byte == quote => break,
                _ => end += 1,
            }
        }
        return (start, boundary(bytes, end));
    }
    let ends = |byte: u8| match to_end {
        true => matches!(byte, b'\n' | b'"' | b'\''),
        false => matches!(byte, b' ' | b'\n' | b';' | b'&' | b'"' | b'\'' | b'<' | b'>'),
    };
    let len = |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|byte| !ends(**byte)).count();
    let mut end = start + len(start);
    let word = String::from_utf8_lossy(&bytes[start.min(bytes.len())..end.min(bytes.len())]).to_lowercase();
    if SCHEMES.contains(&word.as_str()) && at(end) == Some(b' ') {
        end += 1 + len(end + 1);
    }
    // A bracket or comma may be part of a secret; at its end it is more likely the text's.
    while end > start && matches!(at(end - 1), Some(b',' | b')' | b']' | b'}')) {
        end -= 1;
    }
    (start, end)
}

/// The nearest place at or after `at` where a character starts.
fn boundary(bytes: &[u8], at: usize) -> usize {
    let mut at = at.min(bytes.len());
    while bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
        at += 1;
    }
    at
}

/// Words that are secrets by their looks.
fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_scheme = false;
    let in_word = |c: char| c.is_ascii_alphanumeric() || "_-.+/=:@%~".contains(c) || !c.is_ascii();
    while let Some(first) = rest.chars().next() {
        let len = match in_word(first) {
            true => rest.find(|c| !in_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, after) = rest.split_at(len);
        rest = after;
        if !in_word(first) {
            after_scheme &= first == ' ';
            out.push_str(word);
        } else if std::mem::take(&mut after_scheme) && is_credential(word) {
            out.push_str(REDACTED);
        } else {
            after_scheme = SCHEMES.contains(&word.to_ascii_lowercase().as_str());
            redact_word(word, &mut out);
        }
    }
    out
}

/// Whether what comes after "Bearer" is a credential, and not the rest of a sentence.
fn is_credential(word: &str) -> bool {
    word.len() >= 16
        || (word.len() >= 6 && word.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase()))
}

fn redact_word(word: &str, out: &mut String) {
    // An address: what stands before the @ is credentials in a URL and a person in an e-mail address.
    if let Some((scheme, rest)) = word.split_once("://") {
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        out.push_str(scheme);
        out.push_str("://");
        if host.len() < authority.len() {
            out.push_str(REDACTED);
            out.push('@');
        }
        out.push_str(host);
        return path.split_inclusive('/').for_each(|part| {
            let (part, slash) = part.strip_suffix('/').map_or((part, ""), |part| (part, "/"));
            redact_part(part, out);
            out.push_str(slash);
        });
    }
    if is_address(word) {
        return out.push_str("[e-mail]");
    }
    if is_base64(word) {
        return out.push_str(REDACTED);
    }
    for part in word.split_inclusive(['=', ':', '/', '@']) {
        let end = part.len() - usize::from(part.ends_with(['=', ':', '/', '@']));
        // A bot's token is its number, a colon and its key.
        redact_part(&part[..end], out);
        out.push_str(&part[end..]);
    }
}

fn redact_part(part: &str, out: &mut String) {
    let digits = part.strip_prefix('+').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let lower = part.to_ascii_lowercase();
    let by_name = part.len() >= KEY_LEN_MIN && KEY_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
    let hex = part.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() >= HEX_LEN_MIN);
    match () {
        () if digits >= PHONE_DIGITS_MIN => out.push_str("[phone]"),
        () if by_name || hex || is_base64(part) => out.push_str(REDACTED),
        () => out.push_str(part),
    }
}

fn is_address(word: &str) -> bool {
    word.split_once('@').is_some_and(|(person, host)| {
        !person.is_empty()
            && !person.ends_with(['/', ':', '='])
            && host.split_once('.').is_some_and(|(name, rest)| {
                !name.is_empty() && rest.starts_with(|c: char| c.is_ascii_alphabetic())
            })
    })
}

/// Long and as mixed as only chance writes. A path has more slashes, a name no digits.
fn is_base64(word: &str) -> bool {
    // Inside a word it is an assignment.
    let word = word.trim_end_matches('=');
    let count = |is: fn(&u8) -> bool| word.bytes().filter(is).count();
    let alphabet = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'_' | b'-');
    let (upper, lower, digits) =
        (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase), count(u8::is_ascii_digit));
    word.len() >= BASE64_LEN_MIN
        && count(alphabet) == word.len()
        && upper > 0
        && digits > 0
        && (lower > 0 || upper + digits == word.len())
        && count(|b| *b == b'/') * 16 <= word.len()
}

#[cfg(test)]
mod tests;
