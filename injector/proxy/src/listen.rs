//! Sockets that listen, and the loop that accepts.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;

/// Connections that may wait to be accepted; the kernel takes the smaller of this and net.core.somaxconn (4,096).
const BACKLOG: i32 = 4096;

/// How long to wait after accepting failed for want of descriptors or memory: some connection may end meanwhile, and
/// trying again at once would only burn a core.
const PAUSE: Duration = Duration::from_millis(50);

/// Addresses to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Every address of the pod, v6 and v4.
    Everywhere(u16),
    /// 127.0.0.1 and ::1.
    Loopback(u16),
}

/// The sockets for `at`, bound and listening. A family that the pod does not have is left out; none at all is an error.
///
/// `shared` lets several workers have a socket each at the same address, among which the kernel deals connections out.
/// With a single worker it stays off, so that a second proxy in the pod fails instead of taking half the connections.
pub fn bind(at: At, shared: bool) -> Result<Vec<std::net::TcpListener>, String> {
    let (wanted, fallback): (Vec<SocketAddr>, Option<SocketAddr>) = match at {
        At::Everywhere(port) => {
            (vec![(Ipv6Addr::UNSPECIFIED, port).into()], Some((Ipv4Addr::UNSPECIFIED, port).into()))
        }
        At::Loopback(port) => (vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()], None),
    };
    let mut bound = bind_present(&wanted, shared)?;
    if bound.is_empty() {
        bound = bind_present(fallback.as_slice(), shared)?;
    }
    if bound.is_empty() { Err(format!("cannot listen at {at:?}: the pod has no such address")) } else { Ok(bound) }
}

fn bind_present(addresses: &[SocketAddr], shared: bool) -> Result<Vec<std::net::TcpListener>, String> {
    let mut bound = Vec::with_capacity(addresses.len());
    for &address in addresses {
        match listener(address, shared) {
            Ok(socket) => bound.push(socket),
            Err(error) if is_absent_family(&error) => {}
            Err(error) => return Err(format!("cannot listen at {address}: {error}; nobody else in the pod may")),
        }
    }
    Ok(bound)
}

fn listener(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restarted proxy must not wait for its predecessor's connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// No IPv6 in the kernel, or none on this interface (net.ipv6.conf.lo.disable_ipv6).
fn is_absent_family(error: &io::Error) -> bool {
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A connection that was accepted, with its place in the room, to be kept as long as it is open.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// Who opened it.
    pub peer: SocketAddr,
    /// Its place.
    pub place: OwnedSemaphorePermit,
}

/// Hands every accepted connection to `serve`, and every failure for want of resources to `failed`, until `stop`; then
/// takes what was waiting already, so that closing the socket resets nobody whose connect had succeeded.
///
/// While there is no place in `room`, connections wait in the kernel's backlog.
pub async fn accept(
    listener: TcpListener,
    room: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
    mut serve: impl FnMut(Accepted),
    mut failed: impl FnMut(&io::Error),
) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = next(&listener, &room) => accepted,
        };
        match accepted {
            Ok(accepted) => serve(accepted),
            Err(error) if crate::dial::is_exhaustion(&error) => {
                failed(&error);
                sleep(PAUSE).await;
            }
            Err(_) => {} // that one connection's own network error (accept(2)); the next may be well
        }
    }
    let waiting = async {
        while let Ok(accepted) = next(&listener, &room).await {
            serve(accepted);
        }
    };
    let _ = tokio::time::timeout(Duration::ZERO, waiting).await;
}

async fn next(listener: &TcpListener, room: &Arc<Semaphore>) -> io::Result<Accepted> {
    let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok(Accepted { stream, peer, place })
}
