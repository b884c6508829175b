//! `enroll`: a one-time code becomes this device's key, in the file that settings are read from.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ureq::Agent;
use wire::ErrorBody;

use crate::args::Args;
use crate::config::env_file::{ENV_FILE_BYTES_MAX, with_settings};
use crate::config::server::Server;
use crate::config::{Surroundings, check_key, read_ca};
use crate::doctor::certificate_fix;
use crate::uplink::http;
use crate::uplink::warn_if_readable;

/// How long the server may take.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Characters of a code; the server's are shorter.
const CODE_CHARS_MAX: usize = 256;
/// Characters of a device's name.
const NAME_CHARS_MAX: usize = 64;
/// Settings that enrolling makes void, besides those it writes.
const OLDER: [&str; 2] = ["NAS_URL", "API_KEY"];

#[derive(Serialize)]
struct Request<'a> {
    code: &'a str,
    name: &'a str,
    platform: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    device_id: Value,
    api_key: String,
}

/// Enrolls this device with the server at `url`.
pub fn enroll(
    args: &Args,
    surroundings: &Surroundings,
    url: &str,
    code: &str,
    name: Option<&str>,
) -> anyhow::Result<()> {
    let server = Server::parse(url).map_err(|fault| anyhow::anyhow!("{url}: {fault}"))?;
    let code = code.trim();
    if code.is_empty() || code.chars().count() > CODE_CHARS_MAX || code.contains(char::is_control) {
        bail!("{code:?} is no enrolment code; the page shows one under Add device");
    }
    let name = match name {
        Some(name) => name.trim().to_string(),
        None => sysinfo::System::host_name().unwrap_or_default(),
    };
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        bail!("a device's name has 1 to {NAME_CHARS_MAX} characters: give one with --name");
    }
    let ca_path = args.ca_file.as_deref().map(std::path::absolute).transpose().context("--ca-file")?;
    let ca = ca_path.as_deref().map(read_ca).transpose().map_err(anyhow::Error::msg)?;
    let path = surroundings.env_file(args.env_file.as_deref());
    let path =
        path.context("there is no home folder to write the settings to: give a file with --env-file")?;
    // A code works once: whatever can go wrong here goes wrong before it is spent.
    let file =
        NewFile::begin(&path).with_context(|| format!("settings cannot be written to {}", path.display()))?;

    warn_if_readable(&server);
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let request = Request { code, name: &name, platform: &platform };
    let answer = post(&http::client(ca.as_deref()), &server, &request)?;
    let key = check_key("the key that the server gave", &answer.api_key).map_err(anyhow::Error::msg)?;

    let server = server.to_string();
    let mut settings = vec![("OPENCLAW_WATCH_SERVER", server.as_str()), ("OPENCLAW_WATCH_API_KEY", &key)];
    let ca_path = ca_path.as_deref().map(|path| path.to_string_lossy().into_owned());
    settings.extend(ca_path.as_deref().map(|path| ("OPENCLAW_WATCH_CA_FILE", path)));
    file.finish(&settings).with_context(|| {
        format!(
            "the device was enrolled as {}, and its key cannot be written to {}: make room there, and take \
             a new key on the device's page",
            answer.device_id,
            path.display()
        )
    })?;
    let mut output = io::stdout().lock();
    // Without its name: one that was chosen with the code comes before this device's own.
    writeln!(output, "Enrolled as device {}. Settings: {}", answer.device_id, path.display())?;
    for name in ["OPENCLAW_WATCH_SERVER", "OPENCLAW_WATCH_API_KEY", "NAS_URL", "API_KEY"] {
        if surroundings.env.contains_key(name) {
            writeln!(output, "Note: {name} is set in the environment here and comes before that file.")?;
        }
    }
    writeln!(output, "Next: openclaw-watch-agent install")?;
    Ok(())
}

fn post(client: &Agent, server: &Server, request: &Request<'_>) -> anyhow::Result<Answer> {
    let body = serde_json::to_vec(request)?;
    let post = client.post(server.enroll_url()).config().timeout_global(Some(REQUEST_MAX)).build();
    let response = match post.header("Content-Type", wire::JSON_CONTENT_TYPE).send(&body[..]) {
        Ok(response) => response,
        Err(error) => {
            let error = error.to_string();
            let fix = certificate_fix(&error)
                .unwrap_or("is it running, and is this its address for agents, usually with port 38889?");
            bail!("{server} cannot be reached: {error}: {fix}")
        }
    };
    let (head, mut body) = response.into_parts();
    let (status, body) = (head.status.as_u16(), http::read(&mut body));
    if status == 201 {
        return serde_json::from_slice(&body)
            .with_context(|| format!("the answer of {server} is not an OpenClaw Watch server's"));
    }
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(body) => bail!("{server} answers {status}: {}", body.error.message),
        Err(_) => bail!(
            "{server} answers {status}, not as an OpenClaw Watch server does: the address has to be the one \
             for agents, usually with port 38889"
        ),
    }
}

/// A file that takes another's place when it is complete, readable for its owner only.
struct NewFile {
    path: PathBuf,
    beside: PathBuf,
    file: File,
    before: String,
}

impl NewFile {
    fn begin(path: &Path) -> io::Result<NewFile> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let mut before = String::new();
        match File::open(path) {
            Ok(file) => {
                file.take(ENV_FILE_BYTES_MAX).read_to_string(&mut before)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let beside = path.with_extension("env.new");
        // What an earlier try left there may be readable for others.
        let _ = fs::remove_file(&beside);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&beside)?;
        #[cfg(unix)]
        if let Ok(metadata) = fs::metadata(path) {
            use std::os::unix::fs::MetadataExt;
            // An administrator may do this for the user that the agent runs as.
            std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
        }
        Ok(NewFile { path: path.to_path_buf(), beside, file, before })
    }

    fn finish(mut self, settings: &[(&str, &str)]) -> io::Result<()> {
        self.file.write_all(with_settings(&self.before, settings, &OLDER).as_bytes())?;
        self.file.sync_all()?;
        fs::rename(&self.beside, &self.path)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After `finish` there is none.
        let _ = fs::remove_file(&self.beside);
    }
}
