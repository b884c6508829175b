//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Watches this device and the OpenClaw on it, and reports to an OpenClaw Watch server.
///
/// Each setting is taken from its flag, else from the environment, else from a file named
/// openclaw_watch.env: in the current folder, beside the program, in /etc/openclaw-watch or in
/// ~/.config/openclaw-watch, the first that exists.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "openclaw-watch-agent", version)]
pub struct Args {
    /// What to do; without a command: run
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Server address, such as https://watch.example.org:38889 [env: OPENCLAW_WATCH_SERVER, NAS_URL]
    #[arg(long, value_name = "URL", global = true)]
    pub server: Option<String>,

    /// This device's key [env: OPENCLAW_WATCH_API_KEY, API_KEY]; a flag can be seen by other users of
    /// the device, the environment and the file cannot
    #[arg(long, value_name = "KEY", global = true)]
    pub api_key: Option<String>,

    /// Seconds between reports, 1 to 3600 [env: OPENCLAW_WATCH_INTERVAL, REPORT_INTERVAL] [default: 10]
    #[arg(long, value_name = "SECONDS", global = true)]
    pub interval: Option<String>,

    /// Seconds between samples, 1 to 30, at most the interval [env: OPENCLAW_WATCH_SAMPLE_INTERVAL]
    /// [default: 5, or the interval if that is shorter]
    #[arg(long, value_name = "SECONDS", global = true)]
    pub sample_interval: Option<String>,

    /// Folder for the agent's own files; one agent at a time uses it [env: OPENCLAW_WATCH_STATE_DIR]
    /// [default: the user's state folder]
    #[arg(long, value_name = "DIR", global = true)]
    pub state_dir: Option<PathBuf>,

    /// Megabytes of reports that are kept on disk while the server is away, 8 to 1024 and at most 100000
    /// reports; 0 keeps them in memory only [env: OPENCLAW_WATCH_SPOOL_MB] [default: 64]
    #[arg(long, value_name = "MB", global = true)]
    pub spool_mb: Option<String>,

    /// Least level of the gateway's log lines that are reported, redacted: debug, info, warn, error,
    /// fatal, or off for none [env: OPENCLAW_WATCH_LOG_LEVEL] [default: warn]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log_level: Option<String>,

    /// OpenClaw's state folder, once for each gateway of this device [env: OPENCLAW_STATE_DIR]
    /// [default: ~/.openclaw, those of profiles, ~/.openclaw-NAME, and those of older versions]
    #[arg(long, value_name = "DIR", global = true)]
    pub openclaw_state_dir: Vec<PathBuf>,

    /// Certificates (PEM) to trust instead of the built-in ones, for a server with its own
    /// authority [env: OPENCLAW_WATCH_CA_FILE]
    #[arg(long, value_name = "FILE", global = true)]
    pub ca_file: Option<PathBuf>,

    /// File to read settings from instead of looking for openclaw_watch.env
    #[arg(long, value_name = "FILE", global = true)]
    pub env_file: Option<PathBuf>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Sample and report until stopped
    Run,
    /// Make one report and send it
    Once {
        /// Write the report as JSON to standard output and send nothing; needs no server and no key
        #[arg(long)]
        print: bool,
    },
}
