//! `doctor`: what keeps the agent from working, and what to do about it.
//!
//! Each part is looked at in the order in which it is needed; what depends on one that fails is not
//! looked at, because it would only say the same in other words.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use ureq::Agent;
use wire::{ErrorBody, JSON_CONTENT_TYPE};

use crate::args::Args;
use crate::calendar::http_date;
use crate::clock::{Offset, WRONG_MS};
use crate::config::server::{Server, is_public};
use crate::config::{Config, Destination, StateDir, Surroundings, is_root};
use crate::openclaw::Watcher;
use crate::openclaw::judge::Gateway;
use crate::openclaw::usage::{Cursors, Reader, State};
use crate::run::unix_ms;
use crate::service::{installed, runs_as, status::runs};
use crate::state_dir;
use crate::uplink::http;

/// How long connecting to one address, and one request, may take.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Requests that the clock is measured with: each narrows it.
const CLOCK_REQUESTS: usize = 4;
/// A clock that is off by less is good enough for charts.
const CLOCK_GOOD_MS: i64 = 2_000;

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works, and somebody should know.
    Note,
    Bad,
}

/// Writes down what is found.
struct Doctor<'a> {
    output: &'a mut dyn Write,
    good: bool,
}

/// Looks at everything, and writes what it finds. Whether nothing keeps the agent from working.
pub fn examine(args: &Args, surroundings: &Surroundings, output: &mut dyn Write) -> bool {
    let mut doctor = Doctor { output, good: true };
    let config = doctor.settings(args, surroundings);
    if let Some(config) = &config {
        doctor.state_dir(config);
        if let Some(destination) = &config.destination {
            doctor.server(destination);
        }
        doctor.openclaw(config);
    }
    doctor.service(surroundings);
    doctor.good
}

impl Doctor<'_> {
    fn say(&mut self, verdict: Verdict, what: &str, text: &str, fix: &str) {
        let word = match verdict {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Bad => "FAIL",
        };
        self.good &= verdict != Verdict::Bad;
        // A report that cannot be written has nobody to read it.
        let _ = writeln!(self.output, "{word:<5} {what:<9} {}", text.replace(char::is_control, " "));
        if !fix.is_empty() {
            let _ = writeln!(self.output, "{:<15} → {fix}", "");
        }
    }

    fn settings(&mut self, args: &Args, surroundings: &Surroundings) -> Option<Config> {
        match Config::read(args, surroundings, true) {
            Ok(config) => {
                let from = match &config.env_file {
                    Some(path) => path.display().to_string(),
                    None => "flags and environment".into(),
                };
                self.say(Verdict::Good, "settings", &format!("complete, from {from}"), "");
                if let Some(path) = &config.env_file {
                    self.readable_by_others(path);
                }
                Some(config)
            }
            Err(faults) => {
                let fix =
                    "openclaw-watch-agent enroll URL CODE writes them; the code is on the page, Add device";
                for (i, fault) in faults.iter().enumerate() {
                    self.say(Verdict::Bad, "settings", fault, if i + 1 == faults.len() { fix } else { "" });
                }
                // The rest can be looked at without a server.
                Config::read(args, surroundings, false).ok()
            }
        }
    }

    fn readable_by_others(&mut self, path: &Path) {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
            if mode & 0o077 != 0 {
                let text = format!("other users of this device can read the key in {}", path.display());
                self.say(Verdict::Note, "settings", &text, &format!("chmod 600 {}", path.display()));
            }
        }
        #[cfg(not(unix))]
        let _ = path;
    }

    fn state_dir(&mut self, config: &Config) {
        let Some(path) = config.state_dir.path() else {
            let text = "there is no place for the agent's own files: reports are kept in memory only";
            return self.say(Verdict::Note, "folder", text, "set OPENCLAW_WATCH_STATE_DIR");
        };
        let shown = path.display();
        if let Some(pid) = state_dir::holder(path) {
            return self.say(Verdict::Good, "folder", &format!("{shown}, in use by process {pid}"), "");
        }
        // As if it was asked for: any other one would be gone without.
        let held = state_dir::hold(&StateDir::Asked(path.to_path_buf()));
        match held
            .and_then(|_| state_dir::try_to_write(path).with_context(|| format!("state folder {shown}")))
        {
            Ok(()) => self.say(Verdict::Good, "folder", &format!("{shown} can be written to"), ""),
            Err(error) => {
                let fix =
                    "run this as the user that the agent runs as, make room, or set OPENCLAW_WATCH_STATE_DIR";
                self.say(Verdict::Bad, "folder", &format!("{error:#}"), fix);
            }
        }
    }

    fn server(&mut self, to: &Destination) {
        let Some(addresses) = self.addresses(&to.server) else { return };
        if !to.server.is_https() && addresses.iter().any(|address| is_public(address.ip())) {
            let text =
                format!("{} is a public address without TLS: the key can be read on the way", to.server);
            self.say(
                Verdict::Note,
                "tls",
                &text,
                "put a proxy with a certificate in front of the server, and use https://",
            );
        }
        if !self.port(&to.server, &addresses) {
            return;
        }
        let client = http::client(to.ca.as_deref());
        if self.answer(&client, to) {
            self.clock(&client, to);
            self.key(&client, to);
        }
    }

    fn addresses(&mut self, server: &Server) -> Option<Vec<SocketAddr>> {
        let (host, port) = server.host_and_port();
        match (host, port).to_socket_addrs().map(|addresses| addresses.collect::<Vec<_>>()) {
            Ok(addresses) if !addresses.is_empty() => {
                let list: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
                self.say(Verdict::Good, "name", &format!("{host} is {}", list.join(", ")), "");
                Some(addresses)
            }
            Ok(_) => {
                self.say(
                    Verdict::Bad,
                    "name",
                    &format!("{host} has no address"),
                    "check the name in OPENCLAW_WATCH_SERVER",
                );
                None
            }
            Err(error) => {
                let fix = "check the name in OPENCLAW_WATCH_SERVER, and this device's network and DNS";
                self.say(Verdict::Bad, "name", &format!("{host}: {error}"), fix);
                None
            }
        }
    }

    fn port(&mut self, server: &Server, addresses: &[SocketAddr]) -> bool {
        let (_, port) = server.host_and_port();
        let mut errors = Vec::new();
        for address in addresses {
            match TcpStream::connect_timeout(address, WAIT_MAX) {
                Ok(_) => {
                    self.say(Verdict::Good, "port", &format!("{address} is open"), "");
                    return true;
                }
                Err(error) => errors.push(format!("{address}: {error}")),
            }
        }
        let fix = format!(
            "is the server running, is {port} its port for agents (usually 38889), and does a firewall let this device through?"
        );
        self.say(Verdict::Bad, "port", &errors.join("; "), &fix);
        false
    }

    fn answer(&mut self, client: &Agent, to: &Destination) -> bool {
        match client.get(to.server.health_url()).config().timeout_global(Some(WAIT_MAX)).build().call() {
            Ok(response) if response.status().as_u16() == 200 => {
                let how = if to.server.is_https() { "over TLS" } else { "without TLS" };
                self.say(Verdict::Good, "server", &format!("{} answers {how}", to.server), "");
                true
            }
            Ok(response) => {
                let text = format!("{} answers {}", to.server.health_url(), response.status().as_u16());
                self.say(
                    Verdict::Bad,
                    "server",
                    &text,
                    "the address has to be the server's for agents, usually with port 38889",
                );
                false
            }
            Err(error) => {
                let text = error.to_string();
                let (what, fix) = match certificate_fix(&text) {
                    Some(fix) => ("tls", fix),
                    None if to.server.is_https() => (
                        "tls",
                        "does the server speak TLS on this port? If not, use http:// in its own network",
                    ),
                    None => ("server", "does the server speak TLS on this port? Then use https://"),
                };
                self.say(Verdict::Bad, what, &text, fix);
                false
            }
        }
    }

    fn clock(&mut self, client: &Agent, to: &Destination) {
        let mut offset = Offset::default();
        for _ in 0..CLOCK_REQUESTS {
            let (sent_ms, sent) = (unix_ms(), Instant::now());
            let answer =
                client.get(to.server.health_url()).config().timeout_global(Some(WAIT_MAX)).build().call();
            let now = Instant::now();
            let date = answer.as_ref().ok().and_then(|response| response.headers().get("Date"));
            if let Some(date_s) = date.and_then(|date| http_date(date.to_str().ok()?)) {
                offset.observe(date_s, sent_ms, now.saturating_duration_since(sent), now);
            }
        }
        let Some((ms, error_ms)) = offset.ms() else {
            return self.say(Verdict::Note, "clock", "the server does not say what time it is", "");
        };
        let (behind, seconds) = (ms > 0, ms.unsigned_abs() as f64 / 1_000.0);
        let text = format!(
            "{seconds:.1} s {} the server's (± {:.1} s)",
            if behind { "behind" } else { "ahead of" },
            error_ms as f64 / 1_000.0
        );
        let fix = "set this device's clock by the network: `timedatectl set-ntp true`, or the system's date settings";
        match ms.saturating_abs().saturating_sub(error_ms) {
            off if off <= CLOCK_GOOD_MS => self.say(Verdict::Good, "clock", &text, ""),
            off if off > WRONG_MS => {
                let text = format!("{text}: samples get the server's time, OpenClaw's logs and jobs do not");
                self.say(Verdict::Bad, "clock", &text, fix);
            }
            _ => self.say(Verdict::Note, "clock", &text, fix),
        }
    }

    /// Asks with an empty report, which no server stores: a key that it knows makes it complain about
    /// that instead.
    fn key(&mut self, client: &Agent, to: &Destination) {
        let request = client
            .post(to.server.report_url())
            .config()
            .timeout_global(Some(WAIT_MAX))
            .build()
            .header("Authorization", format!("Bearer {}", to.key))
            .header("Content-Type", JSON_CONTENT_TYPE);
        let (status, body) = match request.send(&b""[..]) {
            Ok(response) => {
                let (head, mut body) = response.into_parts();
                (head.status.as_u16(), http::read(&mut body))
            }
            Err(error) => return self.say(Verdict::Bad, "key", &error.to_string(), ""),
        };
        let error = serde_json::from_slice::<ErrorBody>(&body).map(|body| body.error.message);
        match (status, error) {
            (400 | 422, Ok(_)) => self.say(Verdict::Good, "key", "the server knows this device", ""),
            (401, Ok(_)) => {
                let fix = "make a new one on the device's page (New key), or enroll again";
                self.say(Verdict::Bad, "key", "the server does not know this device key", fix);
            }
            (status, Ok(message)) => {
                self.say(Verdict::Note, "key", &format!("cannot be checked now: {status}, {message}"), "");
            }
            (status, Err(_)) => {
                let text = format!(
                    "{} answers {status}, not as an OpenClaw Watch server does",
                    to.server.report_url()
                );
                let fix = "the address has to be the server's for agents, usually with port 38889";
                self.say(Verdict::Bad, "server", &text, fix);
            }
        }
    }

    fn openclaw(&mut self, config: &Config) {
        let folders = config.openclaw.transcripts();
        if folders.is_empty() {
            let text = "not found: this device's own figures are reported";
            let fix = match runs_as().filter(|name| is_root() && name != "root") {
                Some(name) => {
                    format!(
                        "the service runs as {name}: `sudo -u {name} openclaw-watch-agent doctor` sees what it sees"
                    )
                }
                None => {
                    "run the agent as the user that runs OpenClaw, or name its folder with OPENCLAW_STATE_DIR"
                        .to_string()
                }
            };
            return self.say(Verdict::Note, "openclaw", text, &fix);
        }
        let list: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        self.say(Verdict::Good, "openclaw", &list.join(", "), "");
        let view = Watcher::new(config.openclaw.clone()).look(Instant::now());
        let verdict = match view.gateway {
            Gateway::Running | Gateway::Starting => Verdict::Good,
            _ => Verdict::Note,
        };
        let version = view.version.unwrap_or_default();
        self.say(verdict, "gateway", &format!("{} {version}", view.gateway.as_str()), "");
        let mut reader = Reader::new(config.openclaw.clone(), Cursors::new(""));
        reader.read(Instant::now());
        let faults = reader.faults();
        match reader.state(Instant::now()) {
            Some(State::Unreadable(_) | State::UnknownSchema) => {
                for (path, fault) in faults {
                    self.say(Verdict::Bad, "usage", &format!("{}: {fault}", path.display()), fault.fix());
                }
            }
            Some(State::None) => self.say(Verdict::Note, "usage", "no transcript with usage in it yet", ""),
            Some(state) => self.say(Verdict::Good, "usage", &format!("can be read ({})", state.as_str()), ""),
            None => {}
        }
    }

    fn service(&mut self, surroundings: &Surroundings) {
        let services = installed(surroundings);
        if services.is_empty() {
            let fix = "openclaw-watch-agent install";
            return self.say(
                Verdict::Note,
                "service",
                "not installed: the agent ends with this session",
                fix,
            );
        }
        for (whose, state) in services {
            let good = runs(&state);
            let fix = if good {
                ""
            } else {
                "openclaw-watch-agent install starts it again; its log says why it stopped"
            };
            let verdict = if good { Verdict::Good } else { Verdict::Bad };
            self.say(verdict, "service", &format!("{state} ({whose})"), fix);
        }
    }
}

/// What to do about a certificate that is not believed; nothing if an error is about something else.
pub fn certificate_fix(error: &str) -> Option<&'static str> {
    if !error.to_lowercase().contains("certificate") {
        return None;
    }
    Some(if error.contains("Expired") || error.contains("NotValidYet") {
        "the certificate is not valid at this time: renew it, or set this device's clock"
    } else if error.contains("NotValidForName") {
        "the certificate is for another name: use that name in the server's address"
    } else {
        "its authority is not known here: give the authority's certificate with --ca-file or OPENCLAW_WATCH_CA_FILE"
    })
}
