//! `openclaw-watch healthcheck`: asks the server of this machine whether it is ready; for containers.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// For connecting, and again for each read and write.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The answer is a short JSON text.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// Succeeds when the server that listens on `web` is ready.
pub fn run(web: SocketAddr) -> anyhow::Result<()> {
    ensure!(web.port() != 0, "`web_listen` has port 0: say which port the server got, with --web-listen");
    let addr = SocketAddr::new(reachable(web.ip()), web.port());
    let answer = ask(addr).with_context(|| format!("the server does not answer on {addr}"))?;
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

fn ask(addr: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
