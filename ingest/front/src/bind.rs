//! Binding a port, with an error that says what to do.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections the system holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Why a port could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program listens there.
    #[error("{addr} is taken by another program; stop that one or choose another port")]
    Taken {
        /// The address that was asked for.
        addr: SocketAddr,
    },
    /// The system does not allow it.
    #[error("this user may not listen on {addr}; choose a port above 1023")]
    NotAllowed {
        /// The address that was asked for.
        addr: SocketAddr,
    },
    /// No such address here.
    #[error("this machine does not have the address {ip}; use one of its own, or 0.0.0.0 for all of them", ip = addr.ip())]
    NotHere {
        /// The address that was asked for.
        addr: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {addr}: {source}")]
    Other {
        /// The address that was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Binds `addr` and listens. Needs a tokio runtime around it.
///
/// # Errors
/// See [`BindError`].
pub fn bind(addr: SocketAddr) -> Result<TcpListener, BindError> {
    listen(addr).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { addr },
        io::ErrorKind::PermissionDenied => BindError::NotAllowed { addr },
        io::ErrorKind::AddrNotAvailable => BindError::NotHere { addr },
        _ => BindError::Other { addr, source },
    })
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // On Unix a restarted server gets its port although old connections are still winding down; on Windows the
    // same option would let two servers share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = first.local_addr().unwrap();
        let error = bind(addr).unwrap_err();
        assert!(matches!(error, BindError::Taken { .. }));
        assert_eq!(
            error.to_string(),
            format!("{addr} is taken by another program; stop that one or choose another port")
        );
    }

    #[tokio::test]
    async fn a_foreign_address_is_named() {
        // 192.0.2.0/24 is reserved for documentation: no machine has it.
        let error = bind("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(matches!(error, BindError::NotHere { .. }), "{error}");
    }
}
