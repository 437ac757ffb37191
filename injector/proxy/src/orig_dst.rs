//! Where a redirected connection was going, as the kernel's connection tracking remembers it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::SockRef;

/// The destination before REDIRECT (`SO_ORIGINAL_DST`, `IP6T_SO_ORIGINAL_DST`), in canonical form: never v4-mapped.
///
/// `local` is the accepted socket's own address and says which family to ask for: a v4 connection to a dual-stack
/// listener is a v6 socket, and its destination is remembered with the v4 table. A connection that nothing
/// redirected has `local` for an answer, or an error where the kernel does not track it.
pub fn original_destination(socket: &impl AsFd, local: SocketAddr) -> io::Result<SocketAddr> {
    let socket = SockRef::from(socket);
    let address = match canonical(local) {
        SocketAddr::V4(_) => socket.original_dst_v4()?,
        SocketAddr::V6(_) => socket.original_dst_v6()?,
    };
    address.as_socket().map(canonical).ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
}

/// The same address with a v4-mapped v6 address (`::ffff:10.0.0.1`) written as the v4 one that it is.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address, // keeps a link-local address's scope
        ip => SocketAddr::new(ip, address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_become_v4_and_scopes_stay() {
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:80".parse().unwrap();
        assert_eq!(canonical(mapped), "10.0.0.1:80".parse().unwrap());
        let scoped: SocketAddr = "[fe80::1%2]:80".parse().unwrap();
        assert_eq!(canonical(scoped), scoped);
    }
}
