//! Finds single values in OpenClaw's configuration, which is JSON5, without understanding the rest.
//!
//! Comments, single quotes, bare keys, trailing commas and whatever later versions add are passed
//! over. A text that is broken gives what was found before the break.

/// Nesting that is followed. Deeper ones are no configuration.
const DEPTH_MAX: usize = 64;

/// The text of the string, number or word at `path` in the object that `text` is. Of a key that comes
/// twice the last one counts.
pub fn lookup(text: &str, path: &[&str]) -> Option<String> {
    let mut found = None;
    let mut inside: Vec<Level> = Vec::new();
    let (mut key, mut after_colon): (Option<String>, bool) = (None, false);
    let mut tokens = Tokens { text };
    while let Some(token) = tokens.next() {
        // Whether what follows is the value of a key on the path: then it is either the next level or,
        // at the end of the path, the value itself.
        let on_path = match inside.last() {
            None => true,
            Some(level) => {
                level.on_path && after_colon && path.get(inside.len() - 1).copied() == key.as_deref()
            }
        };
        match token {
            Token::Open(object) => {
                if inside.len() == DEPTH_MAX {
                    break;
                }
                inside.push(Level { object, on_path: on_path && object });
                (key, after_colon) = (None, false);
            }
            Token::Close => {
                inside.pop();
                (key, after_colon) = (None, false);
            }
            Token::Comma => (key, after_colon) = (None, false),
            Token::Colon => after_colon = true,
            Token::Scalar(scalar) => {
                if inside.last().is_some_and(|level| level.object) && !after_colon {
                    key = Some(scalar);
                } else {
                    if on_path && !inside.is_empty() && inside.len() == path.len() {
                        found = Some(scalar);
                    }
                    (key, after_colon) = (None, false);
                }
            }
        }
    }
    found
}

struct Level {
    object: bool,
    on_path: bool,
}

enum Token {
    Open(bool),
    Close,
    Comma,
    Colon,
    Scalar(String),
}

struct Tokens<'a> {
    text: &'a str,
}

impl Tokens<'_> {
    fn next(&mut self) -> Option<Token> {
        self.skip_blank();
        let mut chars = self.text.chars();
        let first = chars.next()?;
        let token = match first {
            '{' => Token::Open(true),
            '[' => Token::Open(false),
            '}' | ']' => Token::Close,
            ',' => Token::Comma,
            ':' => Token::Colon,
            '"' | '\'' => return self.string(first),
            _ => {
                let ends = |c: char| {
                    c.is_whitespace() || matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '"' | '\'' | '/')
                };
                let len = self.text[first.len_utf8()..]
                    .find(ends)
                    .map_or(self.text.len(), |len| len + first.len_utf8());
                let (word, rest) = self.text.split_at(len);
                self.text = rest;
                return Some(Token::Scalar(word.to_string()));
            }
        };
        self.text = chars.as_str();
        Some(token)
    }

    fn skip_blank(&mut self) {
        loop {
            let text = self.text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            self.text = if let Some(comment) = text.strip_prefix("//") {
                comment.split_once('\n').map_or("", |(_, rest)| rest)
            } else if let Some(comment) = text.strip_prefix("/*") {
                comment.split_once("*/").map_or("", |(_, rest)| rest)
            } else {
                self.text = text;
                return;
            };
        }
    }

    fn string(&mut self, quote: char) -> Option<Token> {
        let mut string = String::new();
        let mut chars = self.text[1..].chars();
        loop {
            match chars.next()? {
                char if char == quote => break,
                // Which character an escape stands for matters to no value looked for here.
                '\\' => string.push(chars.next()?),
                char => string.push(char),
            }
        }
        self.text = chars.as_str();
        Some(Token::Scalar(string))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn port(text: &str, expected: Option<&str>) {
        assert_eq!(lookup(text, &["gateway", "port"]).as_deref(), expected, "{text}");
    }

    #[test]
    fn the_value_is_found_in_json_and_json5() {
        port(r#"{"gateway":{"port":19000}}"#, Some("19000"));
        port(r#"{"a":{"port":1},"gateway":{"bind":"lan","port":19000,"x":[1]},"port":2}"#, Some("19000"));
        port("{ gateway: { port: 19000, }, }", Some("19000"));
        port("// { gateway: { port: 1 } }\n{ 'gateway': /* { */ { \"port\": '19000' } }", Some("19000"));
        port("\u{feff}{gateway:{tls:{port:1},list:[{port:2}],port:0x4A38}}", Some("0x4A38"));
        port(r#"{"say":"\"gateway\":{\"port\":1}","gateway":{"port":3}}"#, Some("3"));
        port(r#"{"gateway":{"port":1},"gateway":{"port":2}}"#, Some("2"));
        port("{gateway:{port:19000//x\n}}", Some("19000"));
    }

    #[test]
    fn other_places_are_not_it() {
        port("", None);
        port("{}", None);
        port("[{\"gateway\":{\"port\":1}}]", None);
        port(r#"{"x":{"gateway":{"port":1}}}"#, None);
        port(r#"{"gateway":[{"port":1}]}"#, None);
        port(r#"{"gateway":{"port":{"value":1}}}"#, None);
        port(r#"{"gateway":"port","port":1}"#, None);
        port(r#"["gateway","port",1]"#, None);
        port("gateway: port", None);
    }

    #[test]
    fn broken_texts_end_the_search() {
        for text in ["{", "}}}}", "\"", "'\\", "/*", "//", "{gateway:{port", "{gateway:{port:", ":::,,,"] {
            port(text, None);
        }
        port("{gateway:{port:1", Some("1"));
        port(&"[".repeat(100_000), None);
        port("{gateway:{port:ü", Some("ü"));
    }
}
