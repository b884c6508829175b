//! The agent as a service of the system: `install`, `uninstall`, `status`.
//!
//! On Unix what has to be done is decided as a [`unix::Plan`], a value that `--dry-run` shows; then it
//! is done. Whose plan that is, [`systemd`]'s or [`launchd`]'s, is a matter of the platform. Windows has
//! no files for its services: there it is [`windows`].

use std::path::Path;

use anyhow::Context;

use crate::args::{Args, InstallArgs};
use crate::config::{Config, Surroundings};

#[cfg(any(target_os = "macos", all(test, unix)))]
pub mod launchd;
#[cfg(unix)]
mod run_as;
pub mod status;
#[cfg(all(unix, any(not(target_os = "macos"), test)))]
pub mod systemd;
#[cfg(unix)]
pub mod unix;
#[cfg(windows)]
pub mod windows;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

/// The program's name, and the service's where the system has short ones.
pub const NAME: &str = "openclaw-watch-agent";

/// `install`: makes the agent a service and starts it.
pub fn install(args: &Args, install: &InstallArgs, surroundings: &Surroundings) -> anyhow::Result<()> {
    let env_file = surroundings.env_file(args.env_file.as_deref()).context("there is no home folder")?;
    let env_file = std::path::absolute(&env_file).context("--env-file")?;
    let config = settings(&env_file, surroundings)?;
    platform::install(install, surroundings, &env_file, &config)
}

/// `uninstall`: stops the service and takes it out. Settings and what was not sent yet stay.
pub fn uninstall(surroundings: &Surroundings) -> anyhow::Result<()> {
    platform::uninstall(surroundings)
}

/// The services that are installed: whose each is, and the system's word for how it is.
pub fn installed(surroundings: &Surroundings) -> Vec<(&'static str, String)> {
    platform::installed(surroundings)
}

/// The user that the device's service runs as, where that is not everybody's system account.
pub fn runs_as() -> Option<String> {
    platform::runs_as()
}

/// The settings as the service will find them: from the file alone.
fn settings(env_file: &Path, surroundings: &Surroundings) -> anyhow::Result<Config> {
    let args = Args { env_file: Some(env_file.to_path_buf()), ..Args::default() };
    let mut alone = Surroundings { temp_dir: surroundings.temp_dir.clone(), ..Surroundings::default() };
    for name in ["HOME", "USERPROFILE", "LOCALAPPDATA"] {
        alone.env.extend(surroundings.env.get(name).map(|value| (name.to_string(), value.clone())));
    }
    Config::read(&args, &alone, true).map_err(|faults| {
        anyhow::anyhow!(
            "a service has its settings from {} alone, and that cannot work yet:\n  {}\n\
             `{NAME} enroll URL CODE` writes that file",
            env_file.display(),
            faults.join("\n  ")
        )
    })
}
