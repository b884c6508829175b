//! The service on Linux: a unit of the device or of a user.

use std::path::{Path, PathBuf};

use super::NAME;
use super::unix::{Plan, Scope, Setup, first_word_of, words};

/// What the agent never needs is taken from it. It reads other folders and the processes of OpenClaw's
/// user, writes into its own folder, and speaks TCP; the network's figures come over netlink.
const HARDENING: &str = "\
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
";

/// What a user's own service manager cannot take away. No `PrivateTmp`: OpenClaw's logs are there.
const HARDENING_SYSTEM: &str = "\
CapabilityBoundingSet=
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RemoveIPC=yes
";

/// What to do for a service of this kind.
pub fn plan(setup: &Setup) -> Plan {
    let user = setup.scope == Scope::User;
    let systemctl = |line: &str| words(&format!("systemctl {}{line}", if user { "--user " } else { "" }));
    Plan {
        file: file(user, &setup.home),
        text: unit(setup),
        // One that runs already is started anew: it may be an older program.
        commands: vec![
            systemctl("daemon-reload"),
            systemctl(&format!("enable {NAME}.service")),
            systemctl(&format!("restart {NAME}.service")),
        ],
        clear: None,
        advice: user.then_some(
            "this user's service manager has to be there: sign in as this user itself and not by su, or install \
             for the whole device with sudo",
        ),
        wish: user.then(|| {
            (words("loginctl enable-linger"), "the agent runs only while this user is signed in".to_string())
        }),
    }
}

/// Where the unit is.
pub fn file(user: bool, home: &Path) -> PathBuf {
    let folder = match user {
        true => home.join(".config/systemd/user"),
        false => PathBuf::from("/etc/systemd/system"),
    };
    folder.join(format!("{NAME}.service"))
}

/// What stops it for good.
pub fn stop(user: bool) -> Vec<Vec<String>> {
    let user = if user { "--user " } else { "" };
    vec![words(&format!("systemctl {user}disable --now {NAME}.service"))]
}

/// What has to be done after its file is gone.
pub fn forget(user: bool) -> Vec<Vec<String>> {
    vec![words(&format!("systemctl {}daemon-reload", if user { "--user " } else { "" }))]
}

/// The user that a unit of this text runs as.
pub fn user_of(unit: &str) -> Option<&str> {
    unit.lines().find_map(|line| line.strip_prefix("User="))
}

/// How it is: `active`, `failed` and other words of systemd's.
pub fn state(user: bool) -> String {
    let ask = words(&format!("systemctl {}is-active {NAME}.service", if user { "--user " } else { "" }));
    first_word_of(&ask).unwrap_or_else(|| "unknown: systemctl does not answer".into())
}

/// The unit's text.
fn unit(setup: &Setup) -> String {
    let (program, env_file) = (quoted(&setup.program), quoted(&setup.env_file));
    let mut unit = format!(
        "\
[Unit]
Description=OpenClaw Watch agent
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={program} --env-file {env_file}
Restart=always
RestartSec=5
# Settings that cannot work do not work when tried again.
RestartPreventExitStatus=2
"
    );
    match &setup.scope {
        Scope::User => {}
        Scope::System { run_as } => {
            unit += &format!("User={run_as}\n");
            match &setup.state_dir {
                Some(path) => unit += &format!("ReadWritePaths={}\n", quoted(path)),
                None => {
                    unit += &format!("StateDirectory={NAME}\nStateDirectoryMode=0700\n");
                    unit += &format!("Environment=OPENCLAW_WATCH_STATE_DIR=%S/{NAME}\n");
                }
            }
        }
    }
    unit += HARDENING;
    if setup.scope != Scope::User {
        unit += HARDENING_SYSTEM;
    }
    let target = if setup.scope == Scope::User { "default.target" } else { "multi-user.target" };
    unit += &format!("\n[Install]\nWantedBy={target}\n");
    unit
}

/// A path as a word of a unit: `%` and `$` would be replaced, and a space would end it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('%', "%%").replace('$', "$$");
    if text.chars().any(|char| char.is_whitespace() || matches!(char, '"' | '\\' | '\'')) {
        return format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(scope: Scope) -> Setup {
        Setup {
            scope,
            program: "/usr/local/bin/openclaw-watch-agent".into(),
            env_file: "/etc/openclaw-watch/openclaw_watch.env".into(),
            state_dir: None,
            home: "/home/ann".into(),
        }
    }

    #[test]
    fn the_unit_in_the_deploy_folder_is_the_one_that_is_installed() {
        let text = unit(&setup(Scope::System { run_as: "openclaw".into() }));
        let kept = include_str!("../../../deploy/systemd/openclaw-watch-agent.service");
        let kept: String =
            kept.lines().skip_while(|line| !line.starts_with('[')).map(|line| format!("{line}\n")).collect();
        assert_eq!(text, kept);
        assert_eq!(user_of(&text), Some("openclaw"));
    }

    #[test]
    fn a_user_s_unit_needs_no_rights_of_the_device() {
        let plan = plan(&setup(Scope::User));
        assert_eq!(plan.file, Path::new("/home/ann/.config/systemd/user/openclaw-watch-agent.service"));
        assert!(plan.commands.iter().all(|command| command[..2] == ["systemctl", "--user"]), "{plan}");
        for line in ["User=", "ProtectSystem=", "CapabilityBoundingSet=", "StateDirectory="] {
            assert!(!plan.text.contains(line), "{line} in {plan}");
        }
        assert!(
            plan.text.contains("\nNoNewPrivileges=yes\n") && plan.text.contains("WantedBy=default.target")
        );
    }

    #[test]
    fn a_folder_of_its_own_stays_writable_and_names_are_escaped() {
        let setup = Setup {
            state_dir: Some("/data/100% watch".into()),
            env_file: "/etc/a b/$x.env".into(),
            ..setup(Scope::System { run_as: "ann".into() })
        };
        let text = unit(&setup);
        assert!(text.contains("\nReadWritePaths=\"/data/100%% watch\"\n"), "{text}");
        assert!(text.contains(" --env-file \"/etc/a b/$$x.env\"\n"), "{text}");
        assert!(!text.contains("StateDirectory"), "{text}");
    }
}
