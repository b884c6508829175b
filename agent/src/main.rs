//! `openclaw-watch-agent`: reads its settings, then does what its command line says.

use std::process::ExitCode;

use agent::args::{Args, Command};
use agent::config::{Config, Surroundings};
use agent::service::status;
use agent::{doctor, enroll, once, run, service};
use anyhow::Context;
use clap::Parser;

/// The exit code for settings that cannot work; clap uses the same for flags it does not know.
const EXIT_SETTINGS: u8 = 2;
/// The exit code of `status` when no agent runs, as service managers have it.
const EXIT_NOT_RUNNING: u8 = 3;

fn main() -> ExitCode {
    let args = Args::parse();
    let surroundings = Surroundings::real();
    let result = match args.command.as_ref().unwrap_or(&Command::Run) {
        Command::Run => {
            return with_settings(&args, &surroundings, true, |config| run::run(config, on_signal));
        }
        Command::Once { print: true } => {
            return with_settings(&args, &surroundings, false, |config| once::print(&config));
        }
        Command::Once { print: false } => {
            return with_settings(&args, &surroundings, true, |config| once::send_once(&config));
        }
        Command::Explain => {
            // Without a server it is explained what would be reported.
            let sends = Config::read(&args, &surroundings, true).is_ok();
            return with_settings(&args, &surroundings, sends, |config| {
                once::explain(&config, &surroundings)
            });
        }
        Command::Enroll { url, code, name } => {
            enroll::enroll(&args, &surroundings, url, code, name.as_deref())
        }
        Command::Install(install) => service::install(&args, install, &surroundings),
        Command::Uninstall => service::uninstall(&surroundings),
        Command::Status => {
            let (text, runs) = status::status(&args, &surroundings);
            print!("{text}");
            return if runs { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NOT_RUNNING) };
        }
        Command::Doctor => {
            let good = doctor::examine(&args, &surroundings, &mut std::io::stdout());
            return if good { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        #[cfg(windows)]
        Command::Service => service::windows::serve(),
    };
    ended(result)
}

/// Reads the settings and does something with them; `sends` is whether a server and a key are needed.
fn with_settings(
    args: &Args,
    surroundings: &Surroundings,
    sends: bool,
    act: impl FnOnce(Config) -> anyhow::Result<()>,
) -> ExitCode {
    match Config::read(args, surroundings, sends) {
        Ok(config) => ended(act(config)),
        Err(faults) => {
            for fault in faults {
                eprintln!("openclaw-watch-agent: {fault}");
            }
            ExitCode::from(EXIT_SETTINGS)
        }
    }
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("openclaw-watch-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Calls `stop` when the system or a person asks for it.
fn on_signal(stop: Box<dyn Fn() + Send>) -> anyhow::Result<()> {
    ctrlc::set_handler(stop).context("cannot listen for a stop signal")
}
