//! The install scripts: what they hold, and what they do in a shell.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::client::send;
use crate::server::Server;

/// An agent that writes down what it is told. Run, it goes on until `$HOME/stop` is there.
const AGENT: &str = r#"#!/bin/sh
echo "$@" >>"$HOME/told"
[ "$1" != run ] || while [ ! -e "$HOME/stop" ]; do sleep 0.05; done
[ "$1" != install ] || [ ! -e "$HOME/no-service" ]
"#;

fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

fn server(folder: &Path, agent: Option<&str>) -> Server {
    let agents = folder.join("agents");
    std::fs::create_dir_all(&agents).unwrap();
    if let Some(agent) = agent {
        std::fs::write(agents.join(format!("openclaw-watch-agent-{}", target())), agent).unwrap();
    }
    Server::start_with(folder, &["--agents-dir", agents.to_str().unwrap()])
}

/// The script as it is on a device with systemd, or without, whatever this machine has.
fn script(server: &Server, systemd: bool) -> Vec<u8> {
    let script = send(&server.ingest, "GET", "/install.sh", &[], b"");
    assert_eq!(script.status, 200);
    let text = String::from_utf8(script.body).unwrap();
    let place = "SYSTEMD=/run/systemd/system\n";
    assert!(text.contains(place));
    text.replace(place, if systemd { "SYSTEMD=/\n" } else { "SYSTEMD=/nowhere\n" }).into_bytes()
}

/// Runs a script as somebody with this home, as root is somebody else in these tests only by name.
fn run(script: &[u8], home: &Path, arguments: &[&str]) -> Output {
    let bin = home.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    // Not root: nothing outside of the home is touched.
    std::fs::write(bin.join("id"), "#!/bin/sh\necho 1000\n").unwrap();
    std::fs::set_permissions(bin.join("id"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-s", "--"]).args(arguments).env_clear().env("HOME", home).env("PATH", path);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[cfg(target_os = "linux")]
#[test]
fn the_script_downloads_verifies_enrols_and_installs() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = server(folder.path(), Some(AGENT));
    let script = script(&server, true);
    let output = run(&script, home.path(), &["CODE-1234", "my name"]);
    assert!(output.status.success(), "{}", said(&output));
    let told = || std::fs::read_to_string(home.path().join("told")).unwrap();
    let enroll = format!("enroll http://{} CODE-1234 --name my name", server.ingest);
    assert_eq!(told().lines().collect::<Vec<_>>(), ["--version", &enroll, "install"]);
    let agent = std::fs::read(home.path().join(".local/bin/openclaw-watch-agent")).unwrap();
    assert!(agent == AGENT.as_bytes());
    let left: Vec<_> = std::fs::read_dir(home.path().join(".local/bin")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");

    // Again without a code: an update.
    assert!(run(&script, home.path(), &[]).status.success());
    assert_eq!(told().lines().skip(3).collect::<Vec<_>>(), ["--version", "install"]);
    std::fs::write(home.path().join("no-service"), "").unwrap();
    let output = run(&script, home.path(), &[]);
    assert!(
        output.status.code() == Some(1)
            && said(&output).contains("is in ")
            && said(&output).contains("start it yourself"),
        "{}",
        said(&output)
    );

    // What is cut off on its way does nothing.
    let (half, _) = script.split_at(script.len() - 12);
    let elsewhere = tempfile::tempdir().unwrap();
    run(half, elsewhere.path(), &["CODE"]);
    assert!(!elsewhere.path().join(".local").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn without_systemd_the_agent_is_started_and_that_is_said() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = server(folder.path(), Some(AGENT));
    let output = run(&script(&server, false), home.path(), &["CODE-1234"]);
    std::fs::write(home.path().join("stop"), "").unwrap();
    let said = said(&output);
    assert!(output.status.success() && said.contains("No systemd runs here"), "{said}");
    let agent = home.path().join(".local/bin/openclaw-watch-agent");
    assert!(said.contains(&format!("    {} run\n", agent.display())), "{said}");
    let told = std::fs::read_to_string(home.path().join("told")).unwrap();
    let enroll = format!("enroll http://{} CODE-1234", server.ingest);
    assert_eq!(told.lines().collect::<Vec<_>>(), ["--version", &enroll, "run"]);

    // One that ends at once is no success.
    let output = run(&script(&server, false), home.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", crate::install::said(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn a_download_that_is_not_what_the_server_has_is_refused() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = server(folder.path(), Some(AGENT));
    let script = script(&server, true);
    let name = format!("openclaw-watch-agent-{}", target());
    std::fs::write(folder.path().join("agents").join(name), "#!/bin/sh\ntouch $HOME/run\n").unwrap();
    let output = run(&script, home.path(), &["CODE"]);
    assert!(
        output.status.code() == Some(1) && said(&output).contains("not what the server has"),
        "{}",
        said(&output)
    );
    assert!(
        !home.path().join("run").exists() && !home.path().join(".local/bin/openclaw-watch-agent").exists()
    );
}

#[test]
fn a_platform_without_an_agent_is_told() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(folder.path().join("agents")).unwrap();
    std::fs::write(folder.path().join("agents/openclaw-watch-agent-riscv64gc-unknown-linux-gnu"), "x")
        .unwrap();
    let server = server(folder.path(), None);
    let script = send(&server.ingest, "GET", "/install.sh", &[], b"");
    // The program of these tests may have an agent of this platform beside it.
    let text = String::from_utf8(script.body).unwrap();
    let (before, rest) = text.split_once("AGENTS='").unwrap();
    let (agents, after) = rest.split_once('\'').unwrap();
    let riscv = agents.lines().find(|line| line.starts_with("riscv64gc-")).unwrap();
    let only = format!("{before}AGENTS='{riscv}'{after}");
    let output = run(only.as_bytes(), home.path(), &["CODE"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let missing = send(&server.ingest, "GET", "/agent/sparc-sun-solaris", &[], b"");
    assert_eq!(missing.status, 404);
    for odd in ["/agent/", "/agent/../x", "/agent/a/b", "/agent/..%2f..%2fetc%2fpasswd"] {
        assert_eq!(send(&server.ingest, "GET", odd, &[], b"").status, 404, "{odd}");
    }
}

#[test]
fn a_forged_host_gets_into_no_script() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), None);
    for path in ["/install.sh", "/install.ps1"] {
        let text = send(&server.ingest, "GET", path, &[], b"");
        let text = String::from_utf8(text.body).unwrap();
        assert!(
            text.contains(&format!("'http://{}'", server.ingest))
                && !text.contains("@URL@")
                && !text.contains("@AGENTS@"),
            "{text}"
        );
        let request = format!("GET {path} HTTP/1.1\r\nhost: x';touch pwned;'\r\nconnection: close\r\n\r\n");
        assert_eq!(crate::client::raw(&server.ingest, request.as_bytes()).unwrap().status, 400);
    }
}
