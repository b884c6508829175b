//! TLS of both ports while the server runs: its files are read again when they change, and when told so.

use std::path::PathBuf;
use std::time::Duration;

use query::Tls;
use tokio::time::{MissedTickBehavior, interval};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The chain, the server's own certificate first; PEM.
    pub certificate: PathBuf,
    /// The private key; PEM.
    pub key: PathBuf,
}

/// Loads the files again from time to time and on `SIGHUP`. Never ends.
pub async fn keep_current(tls: Option<Tls>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hang_up = HangUp::new();
    let mut failed = String::new();
    loop {
        let asked = tokio::select! {
            _ = ticks.tick(), if tls.is_some() => false,
            () = hang_up.recv() => true,
        };
        let Some(tls) = tls.clone() else {
            tracing::info!("SIGHUP: there is no certificate to load again");
            continue;
        };
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(changed)) => {
                failed.clear();
                if changed {
                    tracing::info!("the TLS certificate was loaded again");
                } else if asked {
                    tracing::info!("SIGHUP: the TLS certificate is the same as before");
                }
            }
            Ok(Err(error)) => {
                // Once, not each time: while two files are being replaced they do not belong together.
                let error = error.to_string();
                if asked || error != failed {
                    tracing::error!(%error, "the TLS certificate could not be loaded again; the one before stays in use");
                }
                failed = error;
            }
            Err(error) => tracing::error!(%error, "loading the TLS certificate ended early"),
        }
    }
}

/// `SIGHUP`, where there is such a thing. Once it is listened to, it does not end the process.
struct HangUp {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl HangUp {
    fn new() -> HangUp {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let signal = signal(SignalKind::hangup());
            if let Err(error) = &signal {
                tracing::warn!(%error, "cannot listen for SIGHUP");
            }
            HangUp { signal: signal.ok() }
        }
        #[cfg(not(unix))]
        HangUp {}
    }

    async fn recv(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
