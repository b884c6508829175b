//! The life of a server: bind, open, announce, run, drain.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use store::{Health, Store, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::Config;
use crate::healthcheck::reachable;
use crate::{memory, tls};

/// Requests under way may take this long after a stop, then both ports must be done, then the store closes: together
/// under the ten seconds that service managers and containers wait at least.
const REQUESTS_TIMEOUT: Duration = Duration::from_secs(4);
const PORTS_TIMEOUT: Duration = Duration::from_secs(5);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(4);
const _: () = assert!(REQUESTS_TIMEOUT.as_secs() < PORTS_TIMEOUT.as_secs());
const _: () = assert!(PORTS_TIMEOUT.as_secs() + CLOSE_TIMEOUT.as_secs() < 10);
/// How long a thread for calls of the store waits for the next one. What the allocator keeps for a thread goes back when
/// the thread ends. Calls go to the threads in turn, so that with ten seconds, as is usual, some thirty threads would live
/// on for fifteen calls a second, each with some megabytes.
const THREAD_KEEP_ALIVE: Duration = Duration::from_millis(500);
/// How often the store is told the time.
const TICK: Duration = Duration::from_secs(1);

/// Runs the server until it is told to stop.
pub fn run(config: Config) -> anyhow::Result<()> {
    // One core is left to the store, whose threads do most of the work: as many threads here as there are cores would wake
    // each other for every other report. Whatever takes long is done off these threads.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = cores.saturating_sub(1).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_keep_alive(THREAD_KEEP_ALIVE)
        .enable_all()
        .build()?;
    let result = runtime.block_on(serve(config));
    // What still blocks is waiting for a disk; everything that was acknowledged is safe already.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut stop_signal = StopSignal::new().context("cannot listen for signals")?;
    let web = query::bind(config.web_listen).context("web_listen")?;
    let ingest = ingest::bind(config.ingest_listen).context("ingest_listen")?;
    let (web_addr, ingest_addr) = (web.local_addr()?, ingest.local_addr()?);

    let transport = transport(&config)?;
    let options = store_options(&config);
    let opened = tokio::select! {
        opened = blocking(move || Store::open(options, now())) => opened?,
        // Recovery may take long; nothing is lost when it is cut off.
        _ = stop_signal.recv() => return Ok(()),
    };
    let store = Arc::new(opened?);
    let result = async {
        let sign_up_token = match store.has_user()? {
            true => None,
            false => Some(query::new_token().context("the system gave no random numbers")?),
        };
        if let Some(token) = &sign_up_token {
            say(format_args!("Sign up: {}/setup?token={token}", base_url(&config, web_addr)));
        }
        warn_without_tls(&config, web_addr);

        let (stop, stopping) = watch::channel(false);
        let mut web_options = query::Options {
            clock: Arc::new(now),
            sign_up_token,
            public_url: config.public_url.clone(),
            ingest_url: config.public_ingest_url.clone(),
            ingest_port: ingest_addr.port(),
            transport: transport.clone(),
            limits: query::Options::limits(),
        };
        web_options.limits.drain_timeout = REQUESTS_TIMEOUT;
        let mut ingest_options = ingest::Options::new(Arc::new(now));
        ingest_options.transport = transport.clone();
        ingest_options.public_url = config.public_ingest_url.clone();
        ingest_options.agents = agents(&config);
        ingest_options.limits.drain_timeout = REQUESTS_TIMEOUT;
        let mut ports = JoinSet::new();
        let web = query::run(web, store.clone(), web_options, stopping.clone());
        ports.spawn(async move { web.await.context("web port") });
        let ingest = ingest::run(ingest, store.clone(), ingest_options, stopping);
        ports.spawn(async move {
            ingest.await;
            Ok(())
        });
        say(format_args!("Ready: web {web_addr}, ingest {ingest_addr}"));

        let ended_early = tokio::select! {
            signal = stop_signal.recv() => {
                tracing::info!(signal, "stopping");
                None
            }
            ended = ports.join_next() => ended,
            () = tell_the_time(store.clone()) => None,
            () = tls::keep_current(transport.tls) => None,
        };
        // Nobody listens any more when both ports ended by themselves.
        let _ = stop.send(true);
        let drained = async { while ports.join_next().await.is_some() {} };
        if timeout(PORTS_TIMEOUT, drained).await.is_err() {
            tracing::warn!("a port did not end in time");
        }
        match ended_early {
            None => Ok(()),
            Some(ended) => {
                ended.context("a port ended")?.and_then(|()| anyhow::bail!("a port ended by itself"))
            }
        }
    };
    let result = result.await;
    // Also after an error: threads of the store must not be cut off in the middle.
    let closing = store.clone();
    if timeout(CLOSE_TIMEOUT, blocking(move || closing.close())).await.is_err() {
        tracing::warn!("the store did not close in time; what was acknowledged is on disk");
    }
    result
}

/// The agents of the configured folder, or of the one next to this program, where its own platform's may be too.
fn agents(config: &Config) -> ingest::Agents {
    let next_to_us = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_path_buf()));
    let folder = config.agents_dir.clone().or_else(|| Some(next_to_us.as_ref()?.join("agents")));
    let own =
        next_to_us.map(|folder| folder.join(format!("openclaw-watch-agent{}", std::env::consts::EXE_SUFFIX)));
    ingest::Agents::new(folder, own)
}

/// How clients get here; a certificate that cannot be used is told before anything is opened.
fn transport(config: &Config) -> anyhow::Result<query::Transport> {
    let load = |files: &tls::Files| query::Tls::load(&files.certificate, &files.key);
    let tls = config.tls.as_ref().map(load).transpose().context("TLS")?;
    Ok(query::Transport { tls, proxies: config.trusted_proxies.clone() })
}

/// Tells the store the time once a second, and the log when the store's health changes. Never ends.
async fn tell_the_time(store: Arc<Store>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Health::Ready;
    loop {
        ticks.tick().await;
        let ticking = store.clone();
        let ticked = blocking(move || {
            ticking.tick(now());
            memory::give_back();
            ticking.health()
        });
        let Ok(health) = ticked.await else { continue };
        match &health {
            _ if health == before => {}
            Health::Ready => tracing::info!("the store works again"),
            Health::Failing(why) => tracing::error!(%why, "the store takes reports, and something fails"),
            Health::ReadOnly(why) => tracing::error!(%why, "the store takes no reports; reading goes on"),
        }
        before = health;
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("a call of the store ended early")
}

/// How the store of a configuration is opened.
pub fn store_options(config: &Config) -> store::Options {
    store::Options {
        dir: config.data_dir.clone(),
        retention: config.retention,
        fixed: config.fixed.clone(),
        limits: config.limits,
        frames: Some(Arc::new(ingest::read_frame)),
        on_replay: crate::progress::on_terminal(),
        on_rest: Some(memory::give_back),
    }
}

/// The time of the system's clock.
pub fn now() -> Timestamp {
    // Before 1970 there is nothing to tell.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::try_from(since_1970.as_millis()).unwrap_or(Timestamp::MAX)
}

/// One line for people and scripts on standard output.
fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        tracing::warn!("nobody reads standard output");
    }
}

fn base_url(config: &Config, web: SocketAddr) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let here = || format!("{scheme}://{}", SocketAddr::new(reachable(web.ip()), web.port()));
    config.public_url.clone().unwrap_or_else(here)
}

fn warn_without_tls(config: &Config, web: SocketAddr) {
    let https = config.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    if !https && config.tls.is_none() && !web.ip().is_loopback() {
        tracing::warn!(
            "the web port {web} can be reached from other machines without TLS: passwords and device keys cross the \
             network readable for everybody on the way. Set tls_cert and tls_key, or put a TLS proxy before it and \
             set public_url to its https address, or listen on 127.0.0.1 only"
        );
    }
}

/// `SIGTERM` and Ctrl-C.
struct StopSignal {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignal {
    fn new() -> std::io::Result<StopSignal> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(StopSignal {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        }
        #[cfg(not(unix))]
        Ok(StopSignal {})
    }

    /// Resolves to the signal's name.
    async fn recv(&mut self) -> &'static str {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
        #[cfg(not(unix))]
        {
            // An error means that no signal will ever come.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            "Ctrl-C"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_an_address_one_can_open() {
        let config = |url: Option<&str>| Config {
            data_dir: "d".into(),
            web_listen: "0.0.0.0:0".parse().unwrap(),
            ingest_listen: "0.0.0.0:0".parse().unwrap(),
            public_url: url.map(str::to_string),
            public_ingest_url: None,
            agents_dir: None,
            tls: None,
            trusted_proxies: query::Proxies::default(),
            retention: store::Retention::default(),
            fixed: Vec::new(),
            limits: store::Limits::default(),
            log_level: tracing::level_filters::LevelFilter::OFF,
            log_format: crate::config::LogFormat::Text,
        };
        let base = |url, addr: &str| base_url(&config(url), addr.parse().unwrap());
        assert_eq!(base(None, "0.0.0.0:7"), "http://127.0.0.1:7");
        assert_eq!(base(None, "[::]:7"), "http://[::1]:7");
        assert_eq!(base(None, "192.168.1.2:7"), "http://192.168.1.2:7");
        assert_eq!(base(Some("https://w.example"), "0.0.0.0:7"), "https://w.example");
    }
}
