//! `openclaw-watch healthcheck`: asks the server of this machine whether it is ready; for containers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, bail, ensure};

use crate::config::Config;

/// Succeeds when the server with this configuration is ready.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let web = config.web_listen;
    ensure!(web.port() != 0, "`web_listen` has port 0: say which port the server got, with --web-listen");
    let addr = SocketAddr::new(reachable(web.ip()), web.port());
    let certificate = config.tls.as_ref().map(|tls| tls.certificate.as_path());
    let answer = query::probe(addr, "/readyz", certificate);
    let answer = answer.with_context(|| format!("the server does not answer on {addr}"))?;
    match answer.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some("503") => bail!("the server on {addr} is not ready; its log says why"),
        _ => bail!("something else answers on {addr}"),
    }
}

/// An address to reach a listener by that listens on `ip`.
pub fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    }
}
