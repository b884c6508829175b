//! What was acknowledged is there, as it was sent, and nothing else is.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bench::devices::Web;
use serde_json::Value;

use crate::fleet::Sent;

/// Rows that a query gives as they are.
const POINTS_MAX: usize = 5_000;

/// What was found to be otherwise.
#[derive(Debug, Default)]
pub struct Found {
    pub rows: u64,
    /// Acknowledged and not there.
    pub rows_lost: u64,
    /// There, and never sent.
    pub rows_unknown: u64,
    /// There with another value.
    pub rows_changed: u64,
    pub lines: u64,
    pub tokens: u64,
    /// Devices whose lines or tokens are not as acknowledged.
    pub sums_wrong: u64,
}

/// Looks at every device over HTTP.
pub async fn all(web: &mut Web, sent: &[Sent]) -> Result<Found> {
    let usage = web.get("/api/v1/usage?by=device").await?;
    let tokens: BTreeMap<u64, u64> = usage["rows"]
        .as_array()
        .context("there are no rows of usage")?
        .iter()
        .filter_map(|row| Some((row["device"].as_u64()?, row["input"].as_u64()?)))
        .collect();
    let mut found = Found::default();
    for sent in sent {
        let rows = rows(web, sent).await?;
        compare(sent, &rows, &mut found);
        let groups = web.get(&format!("/api/v1/logs/groups?device={}", sent.device)).await?;
        let lines = groups["lines_total"].as_u64().context("there is no number of lines")?;
        let tokens = tokens.get(&sent.device).copied().unwrap_or(0);
        found.lines += lines;
        found.tokens += tokens;
        let (more_lines, more_tokens) = sent.in_doubt.unwrap_or_default();
        let right = (lines == sent.lines && tokens == sent.tokens)
            || (lines == sent.lines + more_lines && tokens == sent.tokens + more_tokens);
        found.sums_wrong += u64::from(!right);
    }
    Ok(found)
}

/// The device's rows by their times.
async fn rows(web: &mut Web, sent: &Sent) -> Result<BTreeMap<i64, u64>> {
    let mut rows = BTreeMap::new();
    // One device reports once a millisecond at most: so many sent rows are so many rows at most.
    for part in sent.rows.chunks(POINTS_MAX / 2) {
        let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
        let path = format!(
            "/api/v1/query?device={}&metric=cpu_percent&from_ms={}&to_ms={}&points={POINTS_MAX}&agg=last",
            sent.device,
            first.0,
            last.0 + 1
        );
        let answer = web.get(&path).await?;
        anyhow::ensure!(answer["step_ms"] == 0, "the rows came back as steps");
        let times = answer["t_ms"].as_array().context("there are no times")?;
        let none = Vec::new();
        let values = answer["series"][0]["last"].as_array().unwrap_or(&none);
        let pairs = times.iter().zip(values);
        rows.extend(pairs.filter_map(|(t, v): (&Value, &Value)| Some((t.as_i64()?, v.as_f64()?.to_bits()))));
    }
    Ok(rows)
}

fn compare(sent: &Sent, rows: &BTreeMap<i64, u64>, found: &mut Found) {
    let known: BTreeMap<i64, u64> = sent.rows.iter().map(|(t, bits, _)| (*t, *bits)).collect();
    found.rows += rows.len() as u64;
    for (t, _, acknowledged) in &sent.rows {
        found.rows_lost += u64::from(*acknowledged && !rows.contains_key(t));
    }
    for (t, bits) in rows {
        match known.get(t) {
            None => found.rows_unknown += 1,
            Some(sent) => found.rows_changed += u64::from(sent != bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_unknown_or_changed_is_counted() {
        let sent = Sent {
            rows: vec![(1, 10, true), (2, 20, true), (3, 30, false), (4, 40, false)],
            ..Sent::default()
        };
        let mut found = Found::default();
        compare(&sent, &BTreeMap::from([(2, 21), (4, 40), (9, 90)]), &mut found);
        let Found { rows, rows_lost, rows_unknown, rows_changed, .. } = found;
        assert_eq!((rows, rows_lost, rows_unknown, rows_changed), (3, 1, 1, 1));
    }
}
