//! What tokens cost that came without a price: a table of patterns with dates, and a default for what it does not name.
//!
//! Of the entries that match a provider and a model and whose day has come, the most exact one counts: more letters
//! of the model's pattern first, then of the provider's; of equal ones the one with the latest day. An entry ends
//! where a later one of the same exactness begins.

use crate::types::Timestamp;
use crate::usage::Cost;

/// A price's day begins at midnight UTC, so that no slot and no day of the ledger has two prices. Milliseconds.
pub const PRICE_DAY_MS: i64 = 24 * 3_600_000;

/// Entries of the table at most.
pub const PRICES_MAX: usize = 300;

/// US dollars per million tokens of each kind; finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TokenPrices {
    /// Read as prompt, not from a cache.
    pub input: f64,
    /// Written.
    pub output: f64,
    /// Read from a prompt cache.
    pub cache_read: f64,
    /// Written to a prompt cache.
    pub cache_write: f64,
}

impl TokenPrices {
    /// The same for every kind.
    pub const fn flat(usd: f64) -> TokenPrices {
        TokenPrices { input: usd, output: usd, cache_read: usd, cache_write: usd }
    }

    /// What so many tokens cost, US dollars.
    pub fn cost_usd(&self, tokens: &Tokens) -> f64 {
        let kinds = [
            (tokens.input, self.input),
            (tokens.output, self.output),
            (tokens.cache_read, self.cache_read),
            (tokens.cache_write, self.cache_write),
        ];
        kinds.iter().map(|(tokens, usd)| *tokens as f64 * usd / 1e6).sum()
    }
}

/// Numbers of tokens by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// See [`TokenPrices::input`].
    pub input: u64,
    /// See [`TokenPrices::output`].
    pub output: u64,
    /// See [`TokenPrices::cache_read`].
    pub cache_read: u64,
    /// See [`TokenPrices::cache_write`].
    pub cache_write: u64,
}

impl Tokens {
    /// All kinds together, saturating.
    pub fn total(&self) -> u64 {
        let Tokens { input, output, cache_read, cache_write } = *self;
        input.saturating_add(output).saturating_add(cache_read).saturating_add(cache_write)
    }

    /// Adds others, saturating.
    pub fn add(&mut self, other: &Tokens) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
    }
}

/// One entry of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// Pattern of the provider: `*` stands for any letters, also none; the case of ASCII letters does not count.
    pub provider: String,
    /// Pattern of the model.
    pub model: String,
    /// From when on: a midnight UTC.
    pub from_ms: Timestamp,
    /// The prices.
    pub prices: TokenPrices,
}

/// The whole table.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices {
    /// In any order.
    pub entries: Vec<Price>,
    /// For what no entry matches; `None`: such tokens have no known price.
    pub default: Option<TokenPrices>,
}

impl Default for Prices {
    /// No entry; one dollar per million tokens, so that a new installation shows an order of magnitude, marked as such.
    fn default() -> Prices {
        Prices { entries: Vec::new(), default: Some(TokenPrices::flat(1.0)) }
    }
}

/// What a price is based on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Priced<'a> {
    /// An entry of the table.
    Entry(&'a Price),
    /// The default.
    Default(TokenPrices),
    /// Nothing.
    Unknown,
}

impl Priced<'_> {
    /// What so many tokens cost.
    pub fn cost(&self, tokens: &Tokens) -> Cost {
        match self {
            Priced::Entry(price) => {
                Cost { price_table_usd: price.prices.cost_usd(tokens), ..Cost::default() }
            }
            Priced::Default(prices) => Cost { default_usd: prices.cost_usd(tokens), ..Cost::default() },
            Priced::Unknown => Cost { unknown_tokens: tokens.total(), ..Cost::default() },
        }
    }
}

impl Prices {
    /// The price of a model's tokens at a time.
    pub fn at(&self, provider: &str, model: &str, t: Timestamp) -> Priced<'_> {
        let valid = self.entries.iter().filter(|entry| {
            entry.from_ms <= t && matches(&entry.provider, provider) && matches(&entry.model, model)
        });
        match valid.max_by_key(|entry| entry.rank()) {
            Some(entry) => Priced::Entry(entry),
            None => self.default.map_or(Priced::Unknown, Priced::Default),
        }
    }

    /// The moments within `start..end` at which a price may change, ascending.
    pub fn changes_within(&self, start: Timestamp, end: Timestamp) -> Vec<Timestamp> {
        let mut cuts: Vec<Timestamp> =
            self.entries.iter().map(|entry| entry.from_ms).filter(|t| start < *t && *t < end).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }
}

impl Price {
    fn rank(&self) -> (bool, usize, bool, usize, Timestamp) {
        let exact = |pattern: &str| (!pattern.contains('*'), pattern.chars().filter(|c| *c != '*').count());
        let (model, provider) = (exact(&self.model), exact(&self.provider));
        (model.0, model.1, provider.0, provider.1, self.from_ms)
    }
}

/// Does the pattern match the whole text? Takes at most pattern × text steps.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when the letters after the last `*` turn out not to match: one more letter belongs to it.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(letter) if letter.eq_ignore_ascii_case(&text[t]) => {
                (p, t) = (p + 1, t + 1);
            }
            _ => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    (p, t) = (after_star, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_match(pattern: &str, text: &str, expected: bool) {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        check_match("*", "", true);
        check_match("*", "anything", true);
        check_match("claude-*", "Claude-Opus-4", true);
        check_match("*opus*", "claude-opus-4", true);
        check_match("a*b*c", "a1b2b3c", true);
        check_match("a*b*c", "a1c2b", false);
        check_match("gpt", "gpt-5", false);
        check_match("", "x", false);
        check_match("模*", "模型", true);
        check_match(&"*a".repeat(200), &"a".repeat(10_000), true);
        check_match(&format!("{}b", "*a".repeat(200)), &"a".repeat(10_000), false);
    }

    const DAY: i64 = PRICE_DAY_MS;

    /// `provider model from usd`, one a line.
    fn table(text: &str) -> Prices {
        let entry = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Price {
                provider: words[0].into(),
                model: words[1].into(),
                from_ms: words[2].parse::<i64>().unwrap() * DAY,
                prices: TokenPrices::flat(words[3].parse().unwrap()),
            }
        };
        Prices { entries: text.lines().map(entry).collect(), default: None }
    }

    #[track_caller]
    fn check(prices: &Prices, model: &str, day: i64, expected: Option<f64>) {
        let (provider, model) = model.split_once('/').unwrap();
        let found = match prices.at(provider, model, day * DAY) {
            Priced::Entry(price) => Some(price.prices.input),
            Priced::Default(_) | Priced::Unknown => None,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_most_exact_entry_counts_from_its_day_on() {
        let prices =
            table("* * 0 1\nacme * 0 2\nacme m-* 10 3\nacme m-large 20 4\n* m-large 0 5\nacme m-* 30 6");
        check(&prices, "other/x", 0, Some(1.0));
        check(&prices, "acme/x", 100, Some(2.0));
        check(&prices, "acme/m-small", 9, Some(2.0));
        check(&prices, "acme/m-small", 10, Some(3.0));
        check(&prices, "acme/m-small", 30, Some(6.0));
        check(&prices, "acme/m-large", 19, Some(5.0));
        check(&prices, "acme/m-large", 40, Some(4.0));
        check(&prices, "acme/x", -1, None);
    }

    #[test]
    fn without_an_entry_the_default_counts_and_without_it_tokens_are_told() {
        let tokens = Tokens { input: 1_000_000, output: 500_000, ..Tokens::default() };
        let cost = Prices::default().at("p", "m", 0).cost(&tokens);
        assert_eq!(cost, Cost { default_usd: 1.5, ..Cost::default() });
        let cost = table("").at("p", "m", 0).cost(&tokens);
        assert_eq!(cost, Cost { unknown_tokens: 1_500_000, ..Cost::default() });
    }

    #[test]
    fn each_kind_has_its_own_price() {
        let prices = TokenPrices { input: 3.0, output: 15.0, cache_read: 0.3, cache_write: 3.75 };
        let tokens = Tokens { input: 1_000, output: 200, cache_read: 10_000, cache_write: 400 };
        assert!((prices.cost_usd(&tokens) - 0.0105).abs() < 1e-12);
    }

    #[test]
    fn changes_within_a_range_are_told_once_and_in_order() {
        let prices = table("a * 3 1\nb * 1 1\nc * 3 1\nd * 9 1");
        assert_eq!(prices.changes_within(DAY, 9 * DAY), [3 * DAY]);
        assert_eq!(prices.changes_within(0, 10 * DAY), [DAY, 3 * DAY, 9 * DAY]);
    }
}
