//! One spelling for each metric: labels in the order of their names.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;

use wire::name::{self, NameFault};

/// Names that a thread remembers as good; when there are more it begins anew.
const REMEMBERED_MAX: usize = 8_192;

/// The name with its labels sorted, so that `a{y="1",x="2"}` and `a{x="2",y="1"}` are one metric.
///
/// Devices send the same names again and again: each thread remembers those that were found to be good as they are.
pub(crate) fn canonical(name: &str) -> Result<Cow<'_, str>, NameFault> {
    thread_local! {
        static GOOD: RefCell<HashSet<Box<str>, foldhash::fast::RandomState>> = RefCell::default();
    }
    if GOOD.with_borrow(|good| good.contains(name)) {
        return Ok(Cow::Borrowed(name));
    }
    let canonical = sorted(name)?;
    if let Cow::Borrowed(name) = canonical {
        GOOD.with_borrow_mut(|good| {
            if good.len() == REMEMBERED_MAX {
                good.clear();
            }
            good.insert(name.into());
        });
    }
    Ok(canonical)
}

fn sorted(name: &str) -> Result<Cow<'_, str>, NameFault> {
    name::check(name)?;
    let Some((base, labels)) = name.split_once('{') else { return Ok(Cow::Borrowed(name)) };
    let labels = labels.strip_suffix('}').unwrap_or(labels);
    let mut labels = split(labels);
    if labels.is_sorted_by_key(|label| label_name(label)) {
        return Ok(Cow::Borrowed(name));
    }
    labels.sort_unstable_by_key(|label| label_name(label));
    Ok(Cow::Owned(format!("{base}{{{}}}", labels.join(","))))
}

/// Splits `x="1",y="2"` at the commas outside the quotes. The labels were checked.
fn split(labels: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in labels.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(&labels[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&labels[start..]);
    parts
}

fn label_name(label: &str) -> &str {
    label.split_once('=').map_or(label, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(canonical(name).unwrap(), expected);
        assert_eq!(canonical(name).unwrap(), expected, "as it was the first time");
        assert_eq!(canonical(expected).unwrap(), expected, "sorting twice changes nothing more");
    }

    #[test]
    fn labels_are_sorted_by_their_names() {
        check("cpu_percent", "cpu_percent");
        check(r#"a{x="1"}"#, r#"a{x="1"}"#);
        check(r#"a{y="1",x="2"}"#, r#"a{x="2",y="1"}"#);
        check(r#"a{b1="1",b="2",a="3"}"#, r#"a{a="3",b="2",b1="1"}"#);
    }

    #[test]
    fn commas_quotes_and_braces_in_values_stay_where_they_are() {
        check(r#"a{y="1,x=2}",x="{\",\\"}"#, r#"a{x="{\",\\",y="1,x=2}"}"#);
        check("a{y=\"ä,\",x=\"ö\"}", "a{x=\"ö\",y=\"ä,\"}");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", "A", "a{", "a{x=1}", r#"a{x="1"}b"#, r#"a{x="1",x="2"}"#, "a b", "ä"] {
            assert!(canonical(name).is_err(), "{name}");
        }
    }
}
