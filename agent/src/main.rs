//! `openclaw-watch-agent`: reads its settings, then samples and reports until it is told to stop.

use std::process::ExitCode;

use agent::args::{Args, Command};
use agent::config::{Config, Surroundings};
use agent::run;
use clap::Parser;

/// The exit code for settings that cannot work; clap uses the same for flags it does not know.
const EXIT_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let sends = !matches!(args.command, Some(Command::Once { print: true }));
    let config = match Config::read(&args, &Surroundings::real(), sends) {
        Ok(config) => config,
        Err(faults) => {
            for fault in faults {
                eprintln!("openclaw-watch-agent: {fault}");
            }
            return ExitCode::from(EXIT_SETTINGS);
        }
    };
    let result = match args.command {
        None | Some(Command::Run) => run::run(config),
        Some(Command::Once { print: true }) => run::print(&config),
        Some(Command::Once { print: false }) => run::send_once(&config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("openclaw-watch-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}
