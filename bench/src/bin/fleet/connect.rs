//! What both modes are told: where the server is and whose keys to use.

use std::path::PathBuf;

use anyhow::Result;
use bench::client::Server;
use bench::devices::{Web, read_keys};
use bench::process::{Usage, folder_bytes};
use clap::Args;

/// Where to play, and as whom.
#[derive(Args, Debug)]
pub struct Connect {
    /// Address of the ingest port; only this machine's own addresses are accepted
    #[arg(long, default_value = "http://127.0.0.1:38889")]
    server: String,
    /// File with one device key a line; the alternative to --web
    #[arg(long, required_unless_present = "web", conflicts_with = "web")]
    keys: Option<PathBuf>,
    /// Address of the web port: signs in there and adds the devices fleet-0001, fleet-0002, …
    #[arg(long, requires = "username", requires = "password")]
    web: Option<String>,
    /// Account for --web
    #[arg(long)]
    username: Option<String>,
    /// Its password
    #[arg(long, env = "FLEET_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Delete the devices that --web added when done, with all their data
    #[arg(long, requires = "web")]
    pub cleanup: bool,
    /// Process id of the server: shows its CPU time and memory (Linux)
    #[arg(long)]
    server_pid: Option<u32>,
    /// Data folder of the server: shows the bytes on disk
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// What the server had used and stored at a moment, as far as it was asked for.
pub struct Look {
    pub usage: Option<Usage>,
    pub bytes: Option<u64>,
}

impl Connect {
    /// The ingest port.
    pub fn server(&self) -> Result<Server> {
        Server::parse(&self.server)
    }

    /// Signed in, and a key a device.
    pub async fn keys(&self, devices: u32) -> Result<(Option<Web>, Vec<String>)> {
        let mut web = match &self.web {
            Some(address) => {
                let (username, password) = (self.username.as_deref(), self.password.as_deref());
                Some(Web::sign_in(address, username.unwrap_or_default(), password.unwrap_or_default()).await?)
            }
            None => None,
        };
        let keys = match (&mut web, &self.keys) {
            (Some(web), _) => web.add_devices(devices).await?,
            (None, Some(path)) => read_keys(path, devices)?,
            (None, None) => Vec::new(),
        };
        Ok((web, keys))
    }

    /// Looks at the server.
    pub fn look(&self) -> Result<Look> {
        Ok(Look {
            usage: self.server_pid.map(Usage::of).transpose()?,
            bytes: self.data_dir.as_deref().map(folder_bytes).transpose()?,
        })
    }
}
