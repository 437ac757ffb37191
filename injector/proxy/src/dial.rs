//! Opens the connection to where a connection was going, and knows again what it opened.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::metrics::Labelled;

/// How long a destination may take to accept. Linux repeats a SYN after 1, 2, 4 s, so four are sent within it; whoever
/// has answered none of them is not there. (The kernel alone would wait 127 s, with the client believing all is well.)
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The application's own keepalives end at the proxy now, so the proxy's must find peers that vanished without a word:
/// after 60 s + 6 × 10 s = 2 min, for one empty segment a minute on an idle connection.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 6;

/// Why a destination could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens there.
    Refused,
    /// No way there.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// This machine has no descriptor, port or memory left for it.
    Resources,
    /// The client went away meanwhile.
    ClientGone,
    /// The destination has no endpoint that may be chosen.
    NoEndpoint,
    /// Who answered was not who had to, or not in a way that could be trusted.
    Handshake,
    /// Anything else the kernel says.
    Other,
}

impl Labelled for Failure {
    const ALL: &'static [Self] = &[
        Self::Refused,
        Self::Unreachable,
        Self::Timeout,
        Self::Resources,
        Self::ClientGone,
        Self::NoEndpoint,
        Self::Handshake,
        Self::Other,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Resources => "resources",
            Self::ClientGone => "client_gone",
            Self::NoEndpoint => "no_endpoint",
            Self::Handshake => "handshake",
            Self::Other => "other",
        }
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused | Kind::ConnectionReset => Self::Refused,
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => Self::Unreachable,
            Kind::TimedOut => Self::Timeout,
            Kind::AddrNotAvailable | Kind::AddrInUse | Kind::OutOfMemory => Self::Resources,
            _ if is_exhaustion(error) => Self::Resources,
            _ => Self::Other,
        }
    }
}

/// Whether the process or the machine is out of descriptors or socket memory.
pub fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errors = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| errors.iter().any(|errno| errno.raw_os_error() == code))
}

/// What a worker has dialled and not yet closed: it must never come back to it as something to carry.
///
/// Eight bytes a connection: a keyed hash of source and destination stands for the pair. A worker knows its own dials;
/// a loop through several workers comes back to each of them soon, for the kernel deals connections out by hash.
#[derive(Debug, Default)]
pub struct Dials {
    keys: RandomState,
    open: Mutex<HashSet<u64>>,
}

impl Dials {
    /// Whether a connection from `source` to `destination` is one of ours.
    pub fn contains(&self, source: SocketAddr, destination: SocketAddr) -> bool {
        self.open().contains(&self.keys.hash_one((source, destination)))
    }

    fn add(self: &Arc<Self>, source: SocketAddr, destination: SocketAddr) -> Dial {
        let key = self.keys.hash_one((source, destination));
        self.open().insert(key);
        Dial { dials: Arc::clone(self), key }
    }

    fn open(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of `Dials`, as long as it is kept.
#[derive(Debug)]
pub struct Dial {
    dials: Arc<Dials>,
    key: u64,
}

impl Drop for Dial {
    fn drop(&mut self) {
        self.dials.open().remove(&self.key);
    }
}

/// Connects to `destination` within `DIAL_TIMEOUT`.
pub async fn dial(destination: SocketAddr, dials: &Arc<Dials>) -> Result<(TcpStream, Dial), Failure> {
    timeout(DIAL_TIMEOUT, connect(destination, dials))
        .await
        .map_err(|_| Failure::Timeout)?
        .map_err(|error| Failure::from(&error))
}

async fn connect(destination: SocketAddr, dials: &Arc<Dials>) -> io::Result<(TcpStream, Dial)> {
    let socket = Socket::new(Domain::for_address(destination), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    tune(&socket)?;
    if let Err(error) = socket.connect(&destination.into())
        && error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error())
    {
        return Err(error);
    }
    // Known before anything else of this worker runs: on loopback the kernel has already queued what came back.
    let source = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let dial = dials.add(source, destination);
    let stream = TcpStream::from_std(socket.into())?;
    stream.writable().await?;
    stream.take_error()?.map_or(Ok((stream, dial)), Err)
}

/// Sets what every carried connection has, on either side: no waiting for more bytes, and keepalives.
pub fn tune<'s>(socket: impl Into<socket2::SockRef<'s>>) -> io::Result<()> {
    let socket = socket.into();
    socket.set_tcp_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)
}
