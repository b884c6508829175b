//! A service that is a file and some commands.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail};
use nix::unistd::{Uid, User};

#[cfg(target_os = "macos")]
use super::launchd as manager;
#[cfg(not(target_os = "macos"))]
use super::systemd as manager;
use super::{NAME, run_as};
use crate::args::InstallArgs;
use crate::config::{Config, SYSTEM_ENV_FILE, StateDir, Surroundings, is_root};

/// Whose service it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The device's: it runs from the start on.
    System {
        /// The user it runs as: OpenClaw's, whose files nobody else can read.
        run_as: String,
    },
    /// A user's own.
    User,
}

/// Everything that a plan depends on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whose service it is.
    pub scope: Scope,
    /// Where the program is put.
    pub program: PathBuf,
    /// The file that it reads its settings from.
    pub env_file: PathBuf,
    /// The agent's own folder, where its settings name one.
    pub state_dir: Option<PathBuf>,
    /// The home folder of the user that it runs as.
    pub home: PathBuf,
}

/// What to write and what to run, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The service's file and its text.
    pub file: PathBuf,
    /// The text.
    pub text: String,
    /// A command before everything else, which may fail: it clears away what is there already.
    pub clear: Option<Vec<String>>,
    /// Commands after that, each of which has to succeed.
    pub commands: Vec<Vec<String>>,
    /// What it mostly means if one of them does not.
    pub advice: Option<&'static str>,
    /// One that is nice to have, and what it means if it fails.
    pub wish: Option<(Vec<String>, String)>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}\n{}", self.file.display(), self.text)?;
        let wish = self.wish.iter().map(|(command, _)| command);
        for command in self.clear.iter().chain(&self.commands).chain(wish) {
            writeln!(f, "$ {}", command.join(" "))?;
        }
        Ok(())
    }
}

/// Installs the service.
pub fn install(
    install: &InstallArgs,
    surroundings: &Surroundings,
    env_file: &Path,
    config: &Config,
) -> anyhow::Result<()> {
    let (setup, why) = setup(install, surroundings, env_file, config)?;
    let plan = manager::plan(&setup);
    if let Some(why) = &why {
        eprintln!("{why}");
    }
    if install.dry_run {
        print!("{plan}");
        return Ok(());
    }
    put_program(&setup.program)?;
    give_settings_to(&setup)?;
    act(&plan)?;
    println!("{NAME} runs now and whenever this device starts. How it is: {NAME} status");
    println!("Service {}, program {}", plan.file.display(), setup.program.display());
    Ok(())
}

fn setup(
    install: &InstallArgs,
    surroundings: &Surroundings,
    env_file: &Path,
    config: &Config,
) -> anyhow::Result<(Setup, Option<String>)> {
    let own_home = surroundings.home().context("there is no home folder")?;
    let state_dir = match &config.state_dir {
        StateDir::Asked(path) => Some(path.clone()),
        _ => None,
    };
    let (scope, why) = scope(install, surroundings, config)?;
    let (program, home) = match &scope {
        Scope::System { run_as } => {
            let user = user(run_as)?;
            if let Some(closed) = closed_folder(env_file, &user) {
                bail!(
                    "{run_as} cannot come to the settings in {}: {} is closed to others. Move them to {SYSTEM_ENV_FILE} and \
                     install again with --env-file {SYSTEM_ENV_FILE}",
                    env_file.display(),
                    closed.display(),
                );
            }
            (PathBuf::from("/usr/local/bin"), user.dir)
        }
        Scope::User => (own_home.join(".local").join("bin"), own_home),
    };
    let env_file = env_file.to_path_buf();
    Ok((Setup { scope, program: program.join(NAME), env_file, state_dir, home }, why))
}

fn user(name: &str) -> anyhow::Result<User> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user),
        _ => bail!("there is no user {name:?} on this device"),
    }
}

/// Whose service it is and, where nobody said as whom it runs, why as that user.
fn scope(
    install: &InstallArgs,
    surroundings: &Surroundings,
    config: &Config,
) -> anyhow::Result<(Scope, Option<String>)> {
    if install.user || (!install.system && !is_root()) {
        return Ok((Scope::User, None));
    }
    if !is_root() && !install.dry_run {
        bail!(
            "a service of the whole device is installed by its administrator: use sudo, or leave out --system"
        );
    }
    if let Some(name) = &install.run_as {
        return Ok((Scope::System { run_as: name.clone() }, None));
    }
    let run_as::Choice { name, why } = run_as::choose(surroundings, config)?;
    Ok((Scope::System { run_as: name }, Some(why)))
}

/// Why a user could not come to a file: a folder above it that is closed to others. A folder of the user's
/// own is open, and so is everything to the administrator.
fn closed_folder(file: &Path, user: &User) -> Option<PathBuf> {
    if user.uid.is_root() {
        return None;
    }
    let closed = |folder: &&Path| {
        let enters = |metadata: fs::Metadata| match metadata.uid() == user.uid.as_raw() {
            true => metadata.mode() & 0o100 != 0,
            false if metadata.gid() == user.gid.as_raw() => metadata.mode() & 0o010 != 0,
            false => metadata.mode() & 0o001 != 0,
        };
        fs::metadata(folder).is_ok_and(|metadata| !enters(metadata))
    };
    file.ancestors().skip(1).find(closed).map(Path::to_path_buf)
}

/// Puts this program to where the service finds it, whatever becomes of the one that is running.
fn put_program(to: &Path) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("this program's own path is not known")?;
    let same = |a: &Path, b: &Path| a.canonicalize().ok().is_some_and(|a| b.canonicalize().ok() == Some(a));
    if same(&own, to) {
        return Ok(());
    }
    let put = || -> io::Result<()> {
        let folder = to.parent().ok_or_else(|| io::Error::other("it has no folder"))?;
        fs::create_dir_all(folder)?;
        // A program that is running cannot be written over, and can be replaced.
        let beside = to.with_extension("new");
        fs::copy(&own, &beside)?;
        fs::set_permissions(&beside, Permissions::from_mode(0o755))?;
        fs::rename(&beside, to)
    };
    put().with_context(|| format!("the program cannot be put to {}", to.display()))
}

/// The settings hold the key: they belong to the user that the service runs as, and to nobody else.
fn give_settings_to(setup: &Setup) -> anyhow::Result<()> {
    let own = || -> anyhow::Result<()> {
        if let Scope::System { run_as } = &setup.scope {
            let user = user(run_as)?;
            std::os::unix::fs::chown(&setup.env_file, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        fs::set_permissions(&setup.env_file, Permissions::from_mode(0o600))?;
        Ok(())
    };
    own().with_context(|| format!("{} cannot be given to the service's user", setup.env_file.display()))
}

fn act(plan: &Plan) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(plan.file.parent().unwrap_or(Path::new("/")))?;
        fs::write(&plan.file, &plan.text)
    };
    write().with_context(|| format!("cannot write {}", plan.file.display()))?;
    if let Some(clear) = &plan.clear {
        let _ = run(clear);
    }
    for command in &plan.commands {
        match (run(command), plan.advice) {
            (Err(error), Some(advice)) => bail!("{error:#}; {advice}"),
            (result, _) => result?,
        }
    }
    if let Some((command, otherwise)) = &plan.wish
        && let Err(error) = run(command)
    {
        println!("Note: {otherwise} ({error:#})");
    }
    Ok(())
}

/// Runs a command of the system; its own words are part of the error.
fn run(command: &[String]) -> anyhow::Result<()> {
    let line = command.join(" ");
    let output = output(command).with_context(|| format!("cannot run `{line}`"))?;
    if output.status.success() {
        return Ok(());
    }
    let says = String::from_utf8_lossy(&output.stderr);
    bail!("`{line}` fails ({}): {}", output.status, says.trim())
}

/// Takes the service out, the user's and the device's.
pub fn uninstall(surroundings: &Surroundings) -> anyhow::Result<()> {
    let home = surroundings.home().unwrap_or_default();
    let mut found = false;
    for user in [true, false] {
        let file = manager::file(user, &home);
        if !file.exists() {
            continue;
        }
        found = true;
        for command in manager::stop(user) {
            // One that does not run, or was never enabled, is as good as stopped.
            if let Err(error) = run(&command) {
                println!("Note: {error:#}");
            }
        }
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        manager::forget(user).iter().try_for_each(|command| run(command))?;
        println!("Removed {}", file.display());
    }
    if !found {
        bail!("there is no service {NAME} of this user or of this device");
    }
    println!("The program, its settings and reports that were not sent are left as they are.");
    Ok(())
}

/// The services that are installed: whose each is, and the word of the system for how it is.
pub fn installed(surroundings: &Surroundings) -> Vec<(&'static str, String)> {
    let home = surroundings.home().unwrap_or_default();
    let there = [(true, "service of this user"), (false, "service of this device")];
    let there = there.into_iter().filter(|(user, _)| manager::file(*user, &home).exists());
    there.map(|(user, whose)| (whose, manager::state(user))).collect()
}

/// The user that the device's service runs as; nothing where there is none.
pub fn runs_as() -> Option<String> {
    let text = fs::read_to_string(manager::file(false, Path::new(""))).ok()?;
    manager::user_of(&text).map(str::to_string)
}

/// A line as a command: its words are separated by spaces.
pub fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_string).collect()
}

/// What a command says first on its output, whatever its exit code; nothing if it cannot be run.
pub fn first_word_of(command: &[String]) -> Option<String> {
    let output = output(command).ok()?;
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().map(str::to_string)
}

fn output(command: &[String]) -> io::Result<Output> {
    let (program, args) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    // Who became this user by `su` has no word of where its service manager listens; it listens all the same.
    let runtime_dir = Path::new("/run/user").join(Uid::current().to_string());
    if runtime_dir.is_dir() {
        command.env("XDG_RUNTIME_DIR", runtime_dir);
    }
    command.args(args).output()
}
