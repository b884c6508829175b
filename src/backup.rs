//! `openclaw-watch backup` and `restore`.

use std::io::{IsTerminal, Write};
use std::path::Path;

/// Writes a backup of `data_dir` to `file` and says how large it is.
pub fn write(data_dir: &Path, file: &Path) -> anyhow::Result<()> {
    let mut progress = Progress::new();
    let done = store::backup(data_dir, file, |share| progress.show(share));
    // Also after an error, which is told on this line.
    progress.end();
    let done = done?;
    say(format_args!("{}: {} bytes of data in {} bytes", file.display(), done.data_bytes, done.file_bytes));
    Ok(())
}

/// Fills `data_dir` from the backup `file`.
pub fn restore(file: &Path, data_dir: &Path) -> anyhow::Result<()> {
    let done = store::restore(file, data_dir)?;
    say(format_args!("{}: {} bytes of data, all of it sound", data_dir.display(), done.data_bytes));
    Ok(())
}

/// One line on standard output.
fn say(line: std::fmt::Arguments<'_>) {
    // Nobody reads it any more when this fails; what was to be done is done.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A share of work on a terminal, in whole percents; nothing elsewhere.
pub struct Progress {
    shown: Option<u32>,
    terminal: bool,
}

impl Progress {
    /// Shows nothing yet.
    pub fn new() -> Progress {
        Progress { shown: None, terminal: std::io::stderr().is_terminal() }
    }

    /// `share`: 0 to 1.
    pub fn show(&mut self, share: f64) {
        let percent = (share * 100.0).clamp(0.0, 100.0) as u32;
        if self.terminal && self.shown != Some(percent) {
            eprint!("\r{percent:3} %");
            self.shown = Some(percent);
        }
    }

    /// Takes it off the terminal.
    pub fn end(&mut self) {
        if self.shown.take().is_some() {
            eprint!("\r     \r");
        }
    }
}
