//! The server: reads its configuration, opens the store, starts both ports, waits for a stop, drains.

mod backup;
mod check;
mod config;
mod healthcheck;
mod import;
mod keys;
mod limits;
mod memory;
mod plan;
mod progress;
mod reset_password;
mod retention;
mod serve;
mod tls;

use std::io::IsTerminal;
use std::process::ExitCode;

use config::{Config, LogFormat, Task};

/// A command that failed while it ran.
const FAILED: u8 = 1;
/// A command line or configuration that cannot be used.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    memory::give_back_soon();
    match config::from_process() {
        Err(faults) => {
            eprintln!("{faults}");
            ExitCode::from(UNUSABLE)
        }
        Ok(Task::Print(text)) => {
            // Nobody reads it any more when this fails.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Task::Healthcheck(config)) => done(healthcheck::run(&config)),
        Ok(Task::Check(config)) => done(check::run(&config.data_dir)),
        Ok(Task::Backup(config, file)) => done(backup::write(&config.data_dir, &file)),
        Ok(Task::Restore(config, file)) => done(backup::restore(&file, &config.data_dir)),
        Ok(Task::ResetPassword(config, username)) => {
            done(reset_password::run(&config.data_dir, username.as_deref()))
        }
        Ok(Task::Import(config, from, zone)) => {
            done(import::run(serve::store_options(&config), &from, &zone, serve::now()))
        }
        Ok(Task::Plan(config, question)) => done(plan::run(&config, &question)),
        Ok(Task::Serve(config)) => {
            log_to_stderr(&config);
            done(serve::run(config))
        }
    }
}

fn done(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("openclaw-watch: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn log_to_stderr(config: &Config) {
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(config.log_level)
        .with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
