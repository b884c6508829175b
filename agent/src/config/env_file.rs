//! `openclaw_watch.env`: lines of `KEY=VALUE`.

use std::collections::BTreeMap;

/// Bytes of an env file that are read.
pub const ENV_FILE_BYTES_MAX: u64 = 64 << 10;

/// The settings of a text, and which lines are none.
///
/// Empty lines and those that start with `#` are skipped, `export ` before a key is allowed. A value
/// may stand in single quotes (taken as it is) or double quotes (`\"`, `\\`, `\$` and `` \` `` are
/// escapes); without quotes it ends at ` #`. Of a key that comes twice the last one counts.
///
/// A fault names the line but does not repeat it: it may hold a key.
pub fn parse(text: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let mut settings = BTreeMap::new();
    let mut faults = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (i, line) in text.lines().enumerate() {
        match parse_line(line.trim()) {
            Ok(None) => {}
            Ok(Some((key, value))) => drop(settings.insert(key.to_string(), value)),
            Err(message) => faults.push(format!("line {}: {message}", i + 1)),
        }
    }
    (settings, faults)
}

fn parse_line(line: &str) -> Result<Option<(&str, String)>, &'static str> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (key, value) = line.split_once('=').ok_or("not KEY=VALUE")?;
    let key = key.strip_prefix("export ").unwrap_or(key).trim();
    let good = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    if key.is_empty() || key.starts_with(|first: char| first.is_ascii_digit()) || !key.bytes().all(good) {
        return Err("a key has only letters, digits and '_'");
    }
    Ok(Some((key, parse_value(value.trim())?)))
}

fn parse_value(value: &str) -> Result<String, &'static str> {
    let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        let end = [" #", "\t#"].iter().filter_map(|comment| value.find(comment)).min();
        return Ok(value[..end.unwrap_or(value.len())].trim_end().to_string());
    };
    let mut text = String::new();
    let mut chars = value[1..].chars();
    loop {
        match chars.next().ok_or("the closing quote is missing")? {
            char if char == quote => break,
            '\\' if quote == '"' => match chars.next().ok_or("the closing quote is missing")? {
                escaped @ ('"' | '\\' | '$' | '`') => text.push(escaped),
                // As in a shell, any other backslash is one: Windows paths stay readable.
                other => text.extend(['\\', other]),
            },
            char => text.push(char),
        }
    }
    let rest = chars.as_str().trim_start();
    if rest.is_empty() || rest.starts_with('#') { Ok(text) } else { Err("text after the closing quote") }
}

/// The text with these settings in place of all that have one of the names in `without`; every other
/// line stays as it is.
pub fn with_settings(text: &str, settings: &[(&str, &str)], without: &[&str]) -> String {
    let goes = |line: &str| {
        let key = match parse_line(line.trim()) {
            Ok(Some((key, _))) => key.to_string(),
            _ => return false,
        };
        without.contains(&key.as_str()) || settings.iter().any(|(name, _)| *name == key)
    };
    let mut new: String = text.lines().filter(|line| !goes(line)).map(|line| format!("{line}\n")).collect();
    for (name, value) in settings {
        new.push_str(&format!("{name}={}\n", quoted(value)));
    }
    new
}

/// A value as [`parse`] and a shell read it back.
fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=[]".contains(&byte);
    if value.bytes().all(plain) {
        return value.to_string();
    }
    let mut text = String::from('"');
    for char in value.chars() {
        if matches!(char, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(char);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<&str, &str>) {
        let (settings, faults) = parse(line);
        match expected {
            Ok(value) => {
                assert_eq!(settings.get("KEY").map(String::as_str), Some(value), "{line}");
                assert!(faults.is_empty(), "{faults:?}");
            }
            Err(message) => {
                assert_eq!(faults, [format!("line 1: {message}")], "{line}");
                assert!(settings.is_empty());
            }
        }
    }

    #[test]
    fn values_are_read_as_a_shell_would() {
        check("KEY=value", Ok("value"));
        check("  KEY = value  ", Ok("value"));
        check("export KEY=value", Ok("value"));
        check("KEY=", Ok(""));
        check("KEY=a=b==", Ok("a=b=="));
        check("KEY=http://nas:8080/#top", Ok("http://nas:8080/#top"));
        check("KEY=value # a comment", Ok("value"));
        check("KEY=\"a # b\" # a comment", Ok("a # b"));
        check("KEY='it\\n is $x'", Ok("it\\n is $x"));
        check(r#"KEY="say \"hi\" \\ \$5""#, Ok(r#"say "hi" \ $5"#));
        check(r#"KEY="C:\Users\x""#, Ok(r"C:\Users\x"));
        check("KEY=a\nKEY=b", Ok("b"));
        check("\u{feff}KEY=value\r\n", Ok("value"));
        check("# KEY=no\n\nKEY=yes", Ok("yes"));
    }

    #[test]
    fn faults_name_the_line_and_not_its_text() {
        check("sk-secret", Err("not KEY=VALUE"));
        check("=value", Err("a key has only letters, digits and '_'"));
        check("KEY A=value", Err("a key has only letters, digits and '_'"));
        check("1KEY=value", Err("a key has only letters, digits and '_'"));
        check("KEY=\"value", Err("the closing quote is missing"));
        check("KEY='value' more", Err("text after the closing quote"));
    }

    #[test]
    fn settings_take_the_place_of_older_ones_and_leave_the_rest() {
        let text =
            "# mine\nNAS_URL=http://old\nREPORT_INTERVAL=60\nexport OPENCLAW_WATCH_SERVER='x'\nnonsense";
        let settings =
            [("OPENCLAW_WATCH_SERVER", "https://nas:38889"), ("OPENCLAW_WATCH_CA_FILE", "/a b/$c\\.pem")];
        let new = with_settings(text, &settings, &["NAS_URL"]);
        assert_eq!(
            new,
            "# mine\nREPORT_INTERVAL=60\nnonsense\nOPENCLAW_WATCH_SERVER=https://nas:38889\n\
             OPENCLAW_WATCH_CA_FILE=\"/a b/\\$c\\\\.pem\"\n"
        );
        let (read, _) = parse(&new);
        for (name, value) in settings {
            assert_eq!(read[name], value);
        }
        assert_eq!(with_settings(&new, &settings, &[]), new, "once more changes nothing");
    }
}
