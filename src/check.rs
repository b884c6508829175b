//! `openclaw-watch check`: is everything in the data folder sound?

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::bail;
use store::Checked;

/// Prints what was found; fails when something is wrong.
pub fn run(data_dir: &Path) -> anyhow::Result<()> {
    let checked = store::check(data_dir)?;
    // Nobody reads it any more when this fails; the exit code still tells.
    let _ = std::io::stdout().lock().write_all(report(&checked).as_bytes());
    match checked.faults_total {
        0 => Ok(()),
        1 => bail!("{} has 1 fault", data_dir.display()),
        faults => bail!("{} has {faults} faults", data_dir.display()),
    }
}

fn report(checked: &Checked) -> String {
    let mut text = String::new();
    for fault in &checked.faults {
        let _ = writeln!(text, "{fault}");
    }
    let more = checked.faults_total - checked.faults.len() as u64;
    if more > 0 {
        let _ = writeln!(text, "… and {more} more");
    }
    let Checked { chunks, samples, rollups, groups, metrics, set_aside, .. } = checked;
    let _ = writeln!(
        text,
        "Sound: {chunks} chunks with {samples} values, {rollups} rollup rows equal to their raw rows, {groups} groups not \
         sealed yet, {metrics} metrics"
    );
    if *set_aside > 0 {
        let _ = writeln!(text, "Set aside as damaged before: {set_aside}");
    }
    text
}
