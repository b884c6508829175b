//! The command line: what can be typed, and what it asks for.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Config, FILE, FILE_VARIABLE, Task};
use crate::keys::KEYS;
use crate::plan;

/// All commands and flags.
pub fn command() -> Command {
    let settings = KEYS.iter().map(|key| {
        let default = key.default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
        let help = format!("{}{default} [env: {}]", key.help, key.variable());
        Arg::new(key.name).long(key.flag).value_name(key.value).help(help).global(true)
    });
    Command::new("openclaw-watch")
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .args(settings)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help(format!("Configuration file [default: {FILE}, if it is there] [env: {FILE_VARIABLE}]"))
                .global(true),
        )
        .arg(
            Arg::new("print_config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print the effective configuration and where each setting comes from")
                .global(true),
        )
        .subcommand(Command::new("serve").about("Run the server; this is what happens without a command"))
        .subcommand(Command::new("healthcheck").about("Ask the running server whether it is ready"))
        .subcommand(Command::new("check").about(
            "Verify everything in the data folder while no server runs on it; writes nothing, ends with 1 on faults",
        ))
        .subcommand(
            Command::new("backup")
                .about("Copy everything in the data folder into one file, while the server runs or not")
                .arg(file("The backup to write; it must not be there yet")),
        )
        .subcommand(
            Command::new("restore")
                .about("Fill the data folder from a backup; there must be no data in it yet")
                .arg(file("The backup to read")),
        )
        .subcommand(
            Command::new("import")
                .about(
                    "Take over the older Python server's SQLite database, devices, history and errors, while no server \
                     runs on the data folder; importing twice changes nothing",
                )
                .arg(file("The older server's database"))
                .arg(
                    Arg::new("tz")
                        .long("tz")
                        .value_name("ZONE")
                        .help("IANA zone of times that are written without one [default: UTC]"),
                ),
        )
        .subcommand(plan::command())
        .subcommand(
            Command::new("reset-password")
                .about("Give an account a new password and end its sessions, while the server runs or not")
                .arg(Arg::new("username").value_name("USERNAME").help("Whose; may be left out where there is one administrator")),
        )
}

fn file(help: &'static str) -> Arg {
    Arg::new("file").value_name("FILE").required(true).value_parser(clap::value_parser!(PathBuf)).help(help)
}

/// What is asked for, to be done with this configuration.
pub fn task(matches: &ArgMatches, config: Config) -> Task {
    match matches.subcommand() {
        Some(("healthcheck", _)) => Task::Healthcheck(config),
        Some(("check", _)) => Task::Check(config),
        Some(("backup", of)) => Task::Backup(config, file_of(of)),
        Some(("restore", of)) => Task::Restore(config, file_of(of)),
        Some(("import", of)) => {
            let zone = of.get_one::<String>("tz").cloned();
            Task::Import(config, file_of(of), zone.unwrap_or_else(|| "UTC".into()))
        }
        Some(("plan", of)) => Task::Plan(config, plan::Question::of(of)),
        Some(("reset-password", of)) => {
            Task::ResetPassword(config, of.get_one::<String>("username").cloned())
        }
        _ => Task::Serve(config),
    }
}

/// The file that a command is told.
fn file_of(of: &ArgMatches) -> PathBuf {
    of.get_one::<PathBuf>("file").cloned().expect("clap lets no command without its file pass")
}
