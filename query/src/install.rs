//! What to type on a device so that it reports to this server.

use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::origin::host_name;

/// The container's name, its image's, and its volume's.
const NAME: &str = "openclaw-watch-agent";

/// What to type on the device, with the server's address and the key or code.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Install {
    linux: String,
    macos: String,
    windows: String,
    /// For a machine whose agent runs in a container, of an image built by `deploy/Dockerfile` with
    /// `--target agent -t openclaw-watch-agent`.
    docker: String,
}

impl Install {
    /// With a device's own key, for an agent that is there already.
    pub(crate) fn with_key(app: &App, headers: &HeaderMap, key: &str) -> Install {
        Install::of_key(&ingest_server(app, headers), key)
    }

    /// With a one-time code: the scripts of the ingest port download the agent, enrol it and make it a service.
    pub(crate) fn with_code(app: &App, headers: &HeaderMap, code: &str) -> Install {
        Install::of_code(&ingest_server(app, headers), code)
    }

    fn of_key(server: &str, key: &str) -> Install {
        let variables =
            format!("OPENCLAW_WATCH_SERVER={} OPENCLAW_WATCH_API_KEY={}", in_shell(server), in_shell(key));
        let unix = format!("{variables} {NAME}");
        let windows = format!(
            "$env:OPENCLAW_WATCH_SERVER={}; $env:OPENCLAW_WATCH_API_KEY={}; {NAME}.exe",
            in_powershell(server),
            in_powershell(key)
        );
        // By name only: what stands on a command line can be read by every user of the machine.
        let docker =
            format!("{variables} {}", docker_run("-e OPENCLAW_WATCH_SERVER -e OPENCLAW_WATCH_API_KEY "));
        Install { linux: unix.clone(), macos: unix, windows, docker }
    }

    fn of_code(server: &str, code: &str) -> Install {
        let script = |name| format!("{server}/{name}");
        let unix = format!("curl -fsSL {} | sh -s -- {}", in_shell(&script("install.sh")), in_shell(code));
        let windows = format!(
            "& ([scriptblock]::Create((irm {}))) {}",
            in_powershell(&script("install.ps1")),
            in_powershell(code)
        );
        let docker = format!(
            "docker run --rm --network host -v {NAME}:/state {NAME} --env-file /state/openclaw_watch.env \
             enroll {} {} --name \"$(hostname)\" && {}",
            in_shell(server),
            in_shell(code),
            docker_run("")
        );
        Install { linux: unix.clone(), macos: unix, windows, docker }
    }
}

/// Sees the machine's processes and network, reads its disk as far as OpenClaw's folder, and may change nothing on it.
fn docker_run(more: &str) -> String {
    format!(
        "docker run -d --name {NAME} --restart unless-stopped --pid host --network host --read-only --cap-drop ALL \
         --cap-add DAC_READ_SEARCH {more}-v {NAME}:/state -v \"$HOME/.openclaw:/openclaw:ro\" {NAME}"
    )
}

/// What agents report to, as it is configured or as far as this request tells.
fn ingest_server(app: &App, headers: &HeaderMap) -> String {
    let scheme = if app.options.transport.tls.is_some() { "https" } else { "http" };
    match &app.options.ingest_url {
        Some(url) => url.clone(),
        None => {
            format!("{scheme}://{}:{}", host_name(headers).unwrap_or("127.0.0.1"), app.options.ingest_port)
        }
    }
}

/// One word of a POSIX shell, whatever is in it.
fn in_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// One text of PowerShell, whatever is in it.
fn in_powershell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_quote_what_they_are_given() {
        let by_key = Install::of_key("http://nas:38889", "ocw_1");
        assert_eq!(
            by_key.linux,
            "OPENCLAW_WATCH_SERVER='http://nas:38889' OPENCLAW_WATCH_API_KEY='ocw_1' openclaw-watch-agent"
        );
        assert!(by_key.windows.starts_with("$env:OPENCLAW_WATCH_SERVER='http://nas:38889'; "));
        let by_code = Install::of_code("http://nas:38889", "A'B");
        assert_eq!(by_code.linux, r"curl -fsSL 'http://nas:38889/install.sh' | sh -s -- 'A'\''B'");
        assert_eq!(by_code.windows, "& ([scriptblock]::Create((irm 'http://nas:38889/install.ps1'))) 'A''B'");
        assert_eq!(in_shell("a'b$(id)"), r"'a'\''b$(id)'");
    }

    #[test]
    fn a_container_keeps_its_key_off_the_command_line_and_its_settings_in_a_volume() {
        let by_key = Install::of_key("http://nas:38889", "ocw_1").docker;
        let (before, command) = by_key.split_once(" docker run ").unwrap();
        assert!(before.contains("'ocw_1'") && !command.contains("ocw_1"), "{by_key}");
        let by_code = Install::of_code("http://nas:38889", "CODE").docker;
        let (enroll, run) = by_code.split_once(" && ").unwrap();
        assert!(enroll.ends_with("enroll 'http://nas:38889' 'CODE' --name \"$(hostname)\""), "{enroll}");
        assert!(run.contains("-v openclaw-watch-agent:/state ") && !run.contains("CODE"), "{run}");
    }
}
