//! The service on macOS: a launch agent of a user, or a daemon of the device.

use std::path::{Path, PathBuf};

use super::NAME;
use super::unix::{Plan, Scope, Setup, first_word_of, words};

/// The service's name there.
pub const LABEL: &str = "org.openclaw-watch.agent";

/// What to do for a service of this kind.
pub fn plan(setup: &Setup) -> Plan {
    let user = setup.scope == Scope::User;
    let (file, domain) = (file(user, &setup.home), domain(user));
    let path = file.to_string_lossy().into_owned();
    Plan {
        text: plist(setup),
        // One that is loaded already.
        clear: Some(words(&format!("launchctl bootout {domain}/{LABEL}"))),
        commands: vec![vec!["launchctl".into(), "bootstrap".into(), domain, path]],
        advice: None,
        wish: None,
        file,
    }
}

/// Where the property list is.
pub fn file(user: bool, home: &Path) -> PathBuf {
    let folder = match user {
        true => home.join("Library/LaunchAgents"),
        false => PathBuf::from("/Library/LaunchDaemons"),
    };
    folder.join(format!("{LABEL}.plist"))
}

/// What stops it for good.
pub fn stop(user: bool) -> Vec<Vec<String>> {
    vec![words(&format!("launchctl bootout {}/{LABEL}", domain(user)))]
}

/// What has to be done after its file is gone.
pub fn forget(_: bool) -> Vec<Vec<String>> {
    Vec::new()
}

/// The user that a daemon of this text runs as.
pub fn user_of(plist: &str) -> Option<&str> {
    let (_, rest) = plist.split_once("<key>UserName</key>")?;
    Some(rest.split_once("<string>")?.1.split_once("</string>")?.0)
}

/// How it is.
pub fn state(user: bool) -> String {
    // It prints a page about a service that is loaded, and nothing on its output about any other.
    let ask = words(&format!("launchctl print {}/{LABEL}", domain(user)));
    if first_word_of(&ask).is_some() { "active".into() } else { "inactive".into() }
}

fn domain(user: bool) -> String {
    if user { format!("gui/{}", nix::unistd::Uid::current()) } else { "system".into() }
}

fn plist(setup: &Setup) -> String {
    let text = |path: &Path| escaped(&path.to_string_lossy());
    let (user, log) = match &setup.scope {
        Scope::User => (String::new(), setup.home.join("Library/Logs").join(format!("{NAME}.log"))),
        Scope::System { run_as } => (
            format!("  <key>UserName</key>\n  <string>{}</string>\n", escaped(run_as)),
            PathBuf::from(format!("/Library/Logs/{NAME}.log")),
        ),
    };
    format!(
        "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<plist version=\"1.0\">
<dict>
  <key>Label</key>
  <string>{LABEL}</string>
  <key>ProgramArguments</key>
  <array>
    <string>{}</string>
    <string>--env-file</string>
    <string>{}</string>
  </array>
{user}  <key>EnvironmentVariables</key>
  <dict>
    <key>HOME</key>
    <string>{}</string>
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <true/>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <key>ProcessType</key>
  <string>Background</string>
  <key>Umask</key>
  <integer>63</integer>
  <key>StandardErrorPath</key>
  <string>{}</string>
</dict>
</plist>
",
        text(&setup.program),
        text(&setup.env_file),
        text(&setup.home),
        text(&log),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_s_agent_starts_with_the_session_and_names_are_escaped() {
        let setup = Setup {
            scope: Scope::User,
            program: "/Users/ann/.local/bin/openclaw-watch-agent".into(),
            env_file: "/Users/ann/a<b&c.env".into(),
            state_dir: None,
            home: "/Users/ann".into(),
        };
        let plan = plan(&setup);
        assert_eq!(plan.file, Path::new("/Users/ann/Library/LaunchAgents/org.openclaw-watch.agent.plist"));
        assert!(plan.text.contains("<string>/Users/ann/a&lt;b&amp;c.env</string>"), "{plan}");
        assert!(!plan.text.contains("UserName"), "{plan}");
        assert_eq!(plan.commands[0][..2], ["launchctl", "bootstrap"]);
        assert!(plan.commands[0][2].starts_with("gui/"), "{plan}");
    }

    #[test]
    fn a_daemon_runs_as_the_user_whose_files_it_reads() {
        let setup = Setup {
            scope: Scope::System { run_as: "ann".into() },
            program: "/usr/local/bin/openclaw-watch-agent".into(),
            env_file: "/etc/openclaw-watch/openclaw_watch.env".into(),
            state_dir: None,
            home: "/var/root".into(),
        };
        let plan = plan(&setup);
        assert_eq!(plan.file, Path::new("/Library/LaunchDaemons/org.openclaw-watch.agent.plist"));
        assert!(plan.text.contains("<key>UserName</key>\n  <string>ann</string>"), "{plan}");
        assert_eq!(user_of(&plan.text), Some("ann"));
        assert_eq!(plan.commands[0][2], "system");
    }
}
