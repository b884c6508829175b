//! The web port: REST for people and scripts, the built page, the live feed.
//!
//! One table (`routes`) names every route with the rule of who may use it; nothing is answered that is not in it,
//! but for the page's files. Reads come from the store, which blocks: such calls go to the blocking pool, a bounded
//! number at a time. Nothing here writes samples.

mod accept;
mod accounts;
mod activity;
mod app;
mod call;
mod csv;
mod days;
mod devices;
mod enroll;
#[doc(hidden)]
pub mod fuzz;
mod history;
mod install;
mod lists;
mod live;
mod logs;
mod metrics;
mod model;
mod openapi;
mod origin;
mod packed;
mod page;
mod params;
mod password;
mod paths;
mod prices;
mod routes;
mod secret;
mod settings;
mod status;
mod storage;
mod summary;
mod tries;
mod usage;

pub use front::{BindError, Proxies, Tls, Transport, bind, probe};
pub use openapi::openapi_document;
pub use password::{Unfit, hash_password};
pub use secret::new_token;

use std::sync::Arc;

use store::{Store, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The server's clock: Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the web port must know.
#[derive(Clone)]
pub struct Options {
    /// Tells the time.
    pub clock: Clock,
    /// What the one-time sign-up link carries; of use only while there is no account. See [`new_token`].
    pub sign_up_token: Option<String>,
    /// What people type to get here, without a path: `https://watch.example.org`. With `https` the cookie is
    /// `Secure`, so signing in works by TLS only.
    pub public_url: Option<String>,
    /// What agents report to; `None`: the host a browser used to get here, with [`Options::ingest_port`].
    pub ingest_url: Option<String>,
    /// See [`Options::ingest_url`].
    pub ingest_port: u16,
    /// How people get here.
    pub transport: front::Transport,
    /// What one client may do.
    pub limits: front::Limits,
}

impl Options {
    /// Limits that suit the web port: small bodies, and far fewer connections than the agents need.
    pub fn limits() -> front::Limits {
        front::Limits {
            body_bytes_max: 64 << 10,
            decoded_bytes_max: 64 << 10,
            connections_max: 2_048,
            connections_per_address_max: 512,
            ..front::Limits::default()
        }
    }
}

/// Why the web port could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The accounts cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// No random numbers.
    #[error("the system gave no random numbers: {0}")]
    Random(#[from] std::io::Error),
}

/// Serves the web port until `stop` becomes true, then finishes what is under way, the live sockets included.
///
/// # Errors
/// It could not start; once it serves, it ends by `stop` only.
pub async fn run(
    listener: TcpListener,
    store: Arc<Store>,
    options: Options,
    stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let (limits, transport) = (options.limits.clone(), options.transport.clone());
    let app = app::App::start(store, options, stop.clone()).await?;
    let handler = {
        let app = app.clone();
        move |request, peer| routes::answer(app.clone(), request, peer)
    };
    front::serve(listener, limits, transport, handler, stop).await;
    app.live.drained().await;
    Ok(())
}
