//! As whom a service of the whole device runs: OpenClaw's files can be read by their owner only.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::unistd::{Uid, User};

use crate::config::{Config, OpenClawPlaces, Surroundings};

/// A user of this device, and the state folders of OpenClaw in that user's home folder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Person {
    name: String,
    folders: Vec<PathBuf>,
}

/// Whom the service is to run as, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The user's name.
    pub name: String,
    /// A sentence for the person who installs it.
    pub why: String,
}

/// The owner of OpenClaw's state folder: the one that the settings name, else the one that is found in
/// somebody's home folder.
pub fn choose(surroundings: &Surroundings, config: &Config) -> anyhow::Result<Choice> {
    if let Some(folder) = config.openclaw.asked.first() {
        return owner(folder);
    }
    let sudo_user = surroundings.env.get("SUDO_USER").filter(|name| !name.is_empty());
    let mut homes = homes(&fs::read_to_string("/etc/passwd").unwrap_or_default());
    // Users whom a directory service knows are not in that file.
    if let Some(name) = sudo_user
        && let Ok(Some(user)) = User::from_name(name)
        && !homes.iter().any(|(known, _)| known == name)
    {
        homes.push((user.name, user.dir));
    }
    let people: Vec<Person> = homes
        .into_iter()
        .map(|(name, home)| {
            let places = OpenClawPlaces { home: Some(home), ..OpenClawPlaces::default() };
            Person { name, folders: places.transcripts() }
        })
        .filter(|person| !person.folders.is_empty())
        .collect();
    decide(&people, sudo_user.map(String::as_str))
}

fn owner(folder: &Path) -> anyhow::Result<Choice> {
    let shown = folder.display();
    let metadata = fs::metadata(folder)
        .with_context(|| format!("the settings name {shown} as OpenClaw's folder, which cannot be seen"))?;
    match User::from_uid(Uid::from_raw(metadata.uid())) {
        Ok(Some(user)) => {
            let why = format!("It runs as {}, who owns {shown}.", user.name);
            Ok(Choice { name: user.name, why })
        }
        _ => bail!(
            "{shown} belongs to user number {}, who has no name here: give one with --run-as",
            metadata.uid()
        ),
    }
}

fn decide(people: &[Person], sudo_user: Option<&str>) -> anyhow::Result<Choice> {
    let chosen = match people {
        [only] => Some(only),
        several => several.iter().find(|person| Some(person.name.as_str()) == sudo_user),
    };
    if let Some(Person { name, folders }) = chosen {
        let folder = folders.first().map(|folder| folder.display().to_string()).unwrap_or_default();
        return Ok(Choice {
            name: name.clone(),
            why: format!("It runs as {name}, whose OpenClaw is in {folder}."),
        });
    }
    if !people.is_empty() {
        let names: Vec<_> = people.iter().map(|person| person.name.as_str()).collect();
        bail!(
            "several users have an OpenClaw here ({}), and a service reads that of one: say whose with --run-as, \
             or let each of them install a service of their own with --user",
            names.join(", ")
        );
    }
    let name = sudo_user.unwrap_or("root").to_string();
    let why = format!(
        "It runs as {name} and reports this device's own figures: no user has an OpenClaw here. When one does, \
         install again with --run-as and that user's name."
    );
    Ok(Choice { name, why })
}

/// Names and home folders in a text like `/etc/passwd`.
fn homes(passwd: &str) -> Vec<(String, PathBuf)> {
    let home = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, _, _, home, _] = fields[..] else { return None };
        // Numbers in between belong to services, some of which have a folder of others as their home; OpenClaw
        // may have a user of its own among them.
        uid.parse::<u32>().ok()?;
        (home.starts_with('/') && home != "/").then(|| (name.to_string(), PathBuf::from(home)))
    };
    let mut homes: Vec<(String, PathBuf)> = Vec::new();
    for (name, home) in passwd.lines().filter_map(home) {
        if !homes.iter().any(|(_, known)| *known == home) {
            homes.push((name, home));
        }
    }
    homes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is chosen where these users (`name` or `name=folder`) have an OpenClaw, and a word of the reason.
    #[track_caller]
    fn check(people: &str, sudo_user: Option<&str>, expected: &str, says: &str) {
        let person = |name: &str| Person {
            name: name.into(),
            folders: vec![format!("/home/{name}/.openclaw").into()],
        };
        let people: Vec<_> = people.split_whitespace().map(person).collect();
        let (name, why) = match decide(&people, sudo_user) {
            Ok(choice) => (choice.name, choice.why),
            Err(error) => (String::new(), error.to_string()),
        };
        assert_eq!(name, expected, "{why}");
        assert!(why.contains(says), "{says}: {why}");
    }

    #[test]
    fn a_service_runs_as_the_user_whose_openclaw_is_here() {
        check("ann", None, "ann", "/home/ann/.openclaw");
        check("ann", Some("bob"), "ann", "whose OpenClaw");
        check("root", Some("bob"), "root", "whose OpenClaw");
        check("ann bob", Some("bob"), "bob", "/home/bob/.openclaw");
        check("ann bob", Some("eve"), "", "(ann, bob)");
        check("ann root", None, "", "--run-as");
        check("", Some("bob"), "bob", "no user has an OpenClaw here");
        check("", None, "root", "no user has an OpenClaw here");
    }

    #[test]
    fn homes_are_those_of_users_each_once() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nsync:x:4:65534:sync:/:/bin/sync\nbroken:x:y\n\
                      ann:x:1000:1000:Ann,,,:/home/ann:/bin/zsh\nann2:x:1001:1000::/home/ann:/bin/zsh\n\
                      openclaw:x:998:998::/var/lib/openclaw:/usr/sbin/nologin\nbad:x:no:1::/home/bad:/bin/sh\n";
        let found = homes(passwd);
        let show: Vec<_> = found.iter().map(|(name, home)| format!("{name} {}", home.display())).collect();
        assert_eq!(show, ["root /root", "ann /home/ann", "openclaw /var/lib/openclaw"]);
    }

    #[test]
    fn the_folder_that_the_settings_name_decides() {
        let folder = tempfile::tempdir().unwrap();
        let own = User::from_uid(Uid::effective()).unwrap().unwrap().name;
        let choice = owner(folder.path()).unwrap();
        assert_eq!(choice.name, own);
        let error = owner(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("cannot be seen"), "{error}");
    }
}
