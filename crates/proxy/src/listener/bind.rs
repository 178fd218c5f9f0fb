//! Binding addresses.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {protocol} (--{}-port, --bind-address): {source}; {}", .protocol.to_ascii_lowercase(), mend(.source, *.address))]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// `HTTP` or `HTTPS`.
    pub protocol: &'static str,
    /// What the system says.
    pub source: io::Error,
}

fn mend(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another process listens on port {}: stop it (`ss -ltnp` shows it) or choose another port",
                address.port()
            )
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need the capability NET_BIND_SERVICE, or choose a higher port".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address".to_owned(),
        _ => "check the address and the limits of this process".to_owned(),
    }
}

/// Sockets for all workers.
pub(super) struct Bound {
    /// For each worker, one socket per address.
    pub(super) sockets: Vec<Vec<TcpListener>>,
    /// What was bound, with the ports that the system chose.
    pub(super) addresses: Vec<SocketAddr>,
}

/// Binds every address once for every worker.
pub(super) fn all(
    addresses: &[SocketAddr],
    protocol: &'static str,
    workers: usize,
    backlog: u32,
) -> Result<Bound, BindError> {
    let mut bound = Bound { sockets: (0..workers).map(|_| Vec::new()).collect(), addresses: Vec::new() };
    for &address in addresses {
        let failed = |source| BindError { address, protocol, source };
        // `SO_REUSEPORT` would share the port silently with a process of the same user that uses it too, an earlier
        // instance of this one for instance, and half of the connections would go there. A plain bind notices.
        let address = listen(address, false, backlog).and_then(|probe| probe.local_addr()).map_err(failed)?;
        for sockets in &mut bound.sockets {
            sockets.push(listen(address, true, backlog).map_err(failed)?);
        }
        bound.addresses.push(address);
    }
    Ok(bound)
}

fn listen(address: SocketAddr, shared: bool, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier process that linger in TIME_WAIT are no reason to fail.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // Else `[::]` would take the IPv4 port as well, and `0.0.0.0` beside it would fail.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // Accepted connections inherit both: the second finds out about clients that vanished behind an idle tunnel.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15)),
    )?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn workers_share_a_port_and_nobody_else_does() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = all(&[any], "HTTP", 3, 16).unwrap();
        assert_eq!(bound.sockets.len(), 3);
        let address = bound.addresses[0];
        assert!(bound.sockets.iter().all(|sockets| sockets[0].local_addr().unwrap() == address));

        let error = all(&[address], "HTTPS", 1, 16).err().unwrap();
        let text = error.to_string();
        assert!(text.contains(&address.to_string()) && text.contains("--https-port"), "{text}");
        assert!(text.contains("choose another port"), "{text}");

        drop(bound);
        assert!(all(&[address], "HTTP", 1, 16).is_ok());
    }

    #[test]
    fn both_families_have_the_same_port() {
        let v4 = all(&[SocketAddr::from(([127, 0, 0, 1], 0))], "HTTP", 1, 16).unwrap();
        let port = v4.addresses[0].port();
        let v6 = all(&[SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port))], "HTTP", 1, 16);
        // A machine without IPv6 has nothing to test here.
        if let Err(error) = v6 {
            assert_ne!(error.source.kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn foreign_addresses_are_named() {
        let error = all(&[SocketAddr::from(([192, 0, 2, 1], 0))], "HTTP", 1, 16).err().unwrap();
        assert!(error.to_string().contains("no interface"), "{error}");
    }
}
