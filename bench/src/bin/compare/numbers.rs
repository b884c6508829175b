//! Numbers of an answer, bit for bit as they were printed: JSON parsers may be off by the last bit.

use std::str::FromStr;

use anyhow::{Context, Result};

/// The numbers of the first list of that name in a text of JSON.
pub fn list<T: FromStr>(json: &str, name: &str) -> Result<Vec<T>> {
    let (_, list) =
        json.split_once(&format!("\"{name}\":[")).with_context(|| format!("there is no list {name}"))?;
    let (list, _) = list.split_once(']').with_context(|| format!("the list {name} has no end"))?;
    let numbers = list.split(',').map(str::trim).filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().ok().with_context(|| format!("{name}: {number}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_as_printed() {
        let text = r#"{"metric":{"a":"b"},"values":[0.30000000000000004, 1e3],"timestamps":[1800000000000,2],"no":[]}"#;
        assert_eq!(list::<f64>(text, "values").unwrap(), [0.1 + 0.2, 1_000.0]);
        assert_eq!(list::<i64>(text, "timestamps").unwrap(), [1_800_000_000_000, 2]);
        assert!(list::<i64>(text, "no").unwrap().is_empty());
        assert!(list::<i64>(text, "values").is_err());
        assert!(list::<i64>(text, "others").is_err());
    }
}
