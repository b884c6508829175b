//! How a device gets its agent: a script for its shell, with this server's address in it, and the agents themselves.
//!
//! The script comes over the same connection as the agents; the checksums in it tell a broken download, and TLS tells
//! whether the server is the one that was meant.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use front::{ApiError, Body, Peer, Request, Response};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::serve::Ingest;

const SH: &str = include_str!("install/install.sh");
const PS1: &str = include_str!("install/install.ps1");

/// What the agents' files are called before their platform.
const PREFIX: &str = "openclaw-watch-agent";
/// An agent larger than this is none.
const AGENT_BYTES_MAX: u64 = 64 << 20;
/// Downloads at a time: each holds its agent in memory.
const DOWNLOADS_MAX: usize = 8;
/// Agents of one server.
const AGENTS_MAX: usize = 32;

/// The agents that this server has.
#[derive(Debug, Clone)]
pub struct Agents(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Files called `openclaw-watch-agent-TARGET`, with `.exe` for Windows.
    folder: Option<PathBuf>,
    /// The agent of this machine's own platform.
    own: Option<PathBuf>,
    sums: Mutex<HashMap<PathBuf, (Stamp, String)>>,
    downloads: Semaphore,
}

/// When a file was changed, and its length.
type Stamp = (SystemTime, u64);

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Agent {
    target: String,
    sha256: String,
    path: PathBuf,
}

impl Default for Agents {
    fn default() -> Agents {
        Agents::new(None, None)
    }
}

impl Agents {
    /// Those in a folder, and one for this machine's own platform, where it is there. Both are looked at anew with each
    /// request, so agents may be added and replaced while the server runs.
    pub fn new(folder: Option<PathBuf>, own: Option<PathBuf>) -> Agents {
        let downloads = Semaphore::new(DOWNLOADS_MAX);
        Agents(Arc::new(Inner { folder, own, sums: Mutex::default(), downloads }))
    }

    /// Blocks: the files are read when they changed.
    fn list(&self) -> Vec<Agent> {
        let mut agents = Vec::new();
        for entry in self.0.folder.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten() {
            let name = entry.file_name();
            let target = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_prefix('-'));
            if let Some(target) = target.map(|target| target.strip_suffix(".exe").unwrap_or(target)) {
                agents.extend(self.agent(target, entry.path()));
            }
        }
        agents.sort_by(|a, b| a.target.cmp(&b.target));
        agents.truncate(AGENTS_MAX);
        if let Some(own) = &self.0.own
            && !agents.iter().any(|agent| agent.target == own_target())
        {
            agents.extend(self.agent(&own_target(), own.clone()));
        }
        agents
    }

    /// `None`: there is no such file, or it is no agent.
    fn agent(&self, target: &str, path: PathBuf) -> Option<Agent> {
        let plain = target.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
        let metadata = std::fs::metadata(&path).ok()?;
        if !plain || target.is_empty() || !metadata.is_file() || metadata.len() > AGENT_BYTES_MAX {
            return None;
        }
        let stamp = (metadata.modified().ok()?, metadata.len());
        let known = self.0.sums.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
        let sha256 = match known {
            Some((before, sum)) if before == stamp => sum,
            _ => {
                let sum = hex(&Sha256::digest(read(&path).ok()?));
                let mut sums = self.0.sums.lock().unwrap_or_else(PoisonError::into_inner);
                // Files that are gone: there are never many.
                if sums.len() > 2 * AGENTS_MAX {
                    sums.clear();
                }
                sums.insert(path.clone(), (stamp, sum.clone()));
                sum
            }
        };
        Some(Agent { target: target.to_string(), sha256, path })
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(AGENT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// This machine's own platform, as the Rust compiler calls it.
fn own_target() -> String {
    let rest = match std::env::consts::OS {
        "linux" if cfg!(target_env = "musl") => "unknown-linux-musl",
        "linux" => "unknown-linux-gnu",
        "macos" => "apple-darwin",
        "windows" if cfg!(target_env = "msvc") => "pc-windows-msvc",
        "windows" => "pc-windows-gnu",
        other => other,
    };
    format!("{}-{rest}", std::env::consts::ARCH)
}

/// `GET /install.sh`
pub(crate) async fn shell(ingest: &Ingest, request: Request, peer: Peer) -> Result<Response, ApiError> {
    script(ingest, &request, peer, SH, "text/x-shellscript; charset=utf-8").await
}

/// `GET /install.ps1`
pub(crate) async fn powershell(ingest: &Ingest, request: Request, peer: Peer) -> Result<Response, ApiError> {
    script(ingest, &request, peer, PS1, "text/plain; charset=utf-8").await
}

async fn script(
    ingest: &Ingest,
    request: &Request,
    peer: Peer,
    template: &str,
    media: &'static str,
) -> Result<Response, ApiError> {
    let url = match &ingest.options.public_url {
        Some(url) => url.clone(),
        None => asked(request.headers(), peer)?,
    };
    let agents = ingest.options.agents.clone();
    let listed = {
        let _turn = turn(&agents)?;
        tokio::task::spawn_blocking({
            let agents = agents.clone();
            move || agents.list()
        })
        .await
        .map_err(|_| ApiError::internal())?
    };
    let list: Vec<String> = listed.iter().map(|agent| format!("{} {}", agent.target, agent.sha256)).collect();
    // Nothing in either can end the quotes it stands in: addresses and platforms are plain.
    let text = template.replace("@URL@", &url).replace("@AGENTS@", &list.join("\n"));
    Ok(answer(request.method(), Bytes::from(text), media))
}

/// `GET /agent/{target}`
pub(crate) async fn agent(ingest: &Ingest, request: Request, _peer: Peer) -> Result<Response, ApiError> {
    let agents = ingest.options.agents.clone();
    let target = request.uri().path().rsplit('/').next().unwrap_or_default().to_string();
    let turn = turn(&agents)?;
    let for_reading = agents.clone();
    let found = tokio::task::spawn_blocking(move || {
        let agent = for_reading.list().into_iter().find(|agent| agent.target == target)?;
        read(&agent.path).ok().map(|bytes| (agent, bytes))
    });
    let Some((agent, bytes)) = found.await.map_err(|_| ApiError::internal())? else {
        return Err(ApiError::not_found("This server has no agent for that platform."));
    };
    drop(turn);
    let mut response = answer(request.method(), Bytes::from(bytes), "application/octet-stream");
    let name = agent.path.file_name().and_then(|name| name.to_str()).unwrap_or(PREFIX);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

fn turn(agents: &Agents) -> Result<tokio::sync::SemaphorePermit<'_>, ApiError> {
    agents
        .0
        .downloads
        .try_acquire()
        .map_err(|_| ApiError::unavailable("Too many devices are being set up.", 5))
}

fn answer(method: &Method, bytes: Bytes, media: &'static str) -> Response {
    let bytes = if method == Method::HEAD { Bytes::new() } else { bytes };
    let mut response = Response::new(Body::new(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The address this request was sent to; only plain ones may get into a script.
fn asked(headers: &HeaderMap, peer: Peer) -> Result<String, ApiError> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if host.is_empty() || host.len() > 300 || !host.chars().all(plain) {
        return Err(ApiError::bad_request("The header `Host` is missing or not a plain one."));
    }
    let scheme = if peer.secure { "https" } else { "http" };
    Ok(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_found_by_their_names_and_looked_at_again_when_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("openclaw-watch-agent-x86_64-unknown-linux-musl", "a");
        write("openclaw-watch-agent-x86_64-pc-windows-msvc.exe", "b");
        write("openclaw-watch-agent-$(id)", "c");
        write("openclaw-watch-agent", "d");
        write("README", "e");
        let agents = Agents::new(Some(folder.path().to_path_buf()), Some(folder.path().join("README")));
        let told = || {
            let list = agents.list().into_iter();
            list.map(|agent| format!("{} {}", agent.target, &agent.sha256[..8])).collect::<Vec<_>>()
        };
        let own = format!("{} 3f79bb7b", own_target());
        assert_eq!(told(), ["x86_64-pc-windows-msvc 3e23e816", "x86_64-unknown-linux-musl ca978112", &own]);
        write("openclaw-watch-agent-x86_64-pc-windows-msvc.exe", "longer");
        assert_ne!(told()[0], "x86_64-pc-windows-msvc 3e23e816");
        assert_eq!(Agents::default().list(), []);
    }

    #[test]
    fn only_a_plain_address_gets_into_a_script() {
        let of = |host: &str, secure| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            asked(&headers, Peer { addr: "127.0.0.1:1".parse().unwrap(), secure }).ok()
        };
        assert_eq!(of("nas.lan:38889", false).as_deref(), Some("http://nas.lan:38889"));
        assert_eq!(of("[fe80::1]", true).as_deref(), Some("https://[fe80::1]"));
        for odd in ["", "a'b", "$(id)", "a b", "a;b", "a\"b", "a`b`", "a/b", "a\\b", "a@b"] {
            assert_eq!(of(odd, false), None, "{odd}");
        }
    }
}
