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
    /// Turn a one-time code from the page into this device's key, and keep both in openclaw_watch.env
    Enroll {
        /// The server's address for agents, such as https://watch.example.org:38889
        url: String,
        /// The code that the page shows under Add device
        code: String,
        /// The device's name on the page [default: what the device calls itself]
        #[arg(long)]
        name: Option<String>,
    },
    /// Make the agent a service (systemd, launchd or Windows) and start it; again to update it
    Install(InstallArgs),
    /// Stop the service and take it out; settings and reports that were not sent stay
    Uninstall,
    /// Say whether the service runs and what waits to be sent; the exit code is 3 if it does not run
    Status,
    /// Print exactly what the next report contains, what is read for it and who is talked to
    Explain,
    /// Look for what keeps the agent from working, and say what to do; the exit code is 1 if there is
    /// something
    Doctor,
    /// The service itself, started by Windows
    #[cfg(windows)]
    #[command(hide = true)]
    Service,
}

/// How to install the service.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct InstallArgs {
    /// A service of this user [default, unless run by the administrator]
    #[arg(long, conflicts_with_all = ["system", "run_as"])]
    pub user: bool,
    /// A service of the whole device, which runs before anybody signs in
    #[arg(long)]
    pub system: bool,
    /// The user whose OpenClaw it watches, for a service of the whole device [default: the one in
    /// whose home an OpenClaw is]
    #[arg(long, value_name = "NAME")]
    pub run_as: Option<String>,
    /// Print what would be written and run, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}
