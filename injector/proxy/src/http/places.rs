//! Where requests go: each endpoint with the connections to it that are open and wait for more.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::links::Links;
use super::mux::Link;
use super::streamed::Speech;
use super::wire::Wire;
use crate::dial::Dial;
use crate::discovery::Peer;
use crate::metrics::requests::Row;
use crate::metrics::{Direction, Plaintext};
use crate::worker::Worker;

/// How long a connection of HTTP/1 waits for its next request. The server may close it at any time, and a request that
/// crosses that end on its way is lost; servers give 2 s (gunicorn) and more. Opening another to a pod's own application
/// takes some 50 µs.
const WIRE_IDLE: Duration = Duration::from_millis(1500);

/// Connections of HTTP/1 that wait at one endpoint: as many as a busy client has; more are closed after their request.
const MOST_WAITING: usize = 512;

/// A place that nobody has used for so long is forgotten.
const PLACE_IDLE: Duration = Duration::from_mins(5);

/// How often is looked for what has waited too long.
pub const SWEEP: Duration = Duration::from_secs(1);

/// What makes a place: what was dialled from which side, the endpoint of it, and how both ends speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Which way requests go there: inbound, to the pod's own application.
    pub direction: Direction,
    /// What the application dialled.
    pub destination: SocketAddr,
    /// Where it goes.
    pub endpoint: SocketAddr,
    /// How.
    pub speech: Speech,
}

/// A connection of HTTP/1 between two requests.
#[derive(Debug)]
pub struct Waiting {
    /// The connection.
    pub wire: Wire<TcpStream>,
    /// Ours, as long as it is open.
    pub dial: Dial,
}

/// One endpoint, with the connections to it.
#[derive(Debug)]
pub struct Place {
    /// Where it is.
    pub key: Key,
    /// The proxy in front of it, if it has one.
    pub peer: Option<Peer>,
    /// Where its requests are counted.
    pub row: Arc<Row>,
    /// Multiplexed connections to it.
    pub links: Links,
    waiting: Mutex<Vec<(Waiting, Instant)>>,
}

impl Place {
    /// One without any connection yet.
    pub fn new(key: Key, peer: Option<Peer>, row: Arc<Row>) -> Self {
        Self { key, peer, row, links: Links::default(), waiting: Mutex::default() }
    }

    /// A connection that waits, if there is one that the server has not closed.
    pub fn take(&self) -> Option<Waiting> {
        loop {
            let (waiting, since) = self.waiting().pop()?;
            // The last one is the freshest: if it is too old, so are all.
            if since.elapsed() < WIRE_IDLE && is_alive(waiting.wire.socket()) {
                return Some(waiting);
            }
        }
    }

    /// Lets a connection wait for its next request.
    pub fn keep(&self, wire: Waiting) {
        let mut waiting = self.waiting();
        if waiting.len() < MOST_WAITING {
            waiting.push((wire, Instant::now()));
        }
    }

    /// A multiplexed connection that is open and has room, under the credentials of the moment.
    pub fn ready_link(&self, worker: &Worker) -> Option<Link> {
        let configs = self.peer.is_some().then(|| worker.mesh.credentials.current());
        self.links.find(configs.as_ref())
    }

    /// Counts a connection to it that carries plain bytes, if it is not the pod's own application.
    pub fn count_plaintext(&self, worker: &Worker) {
        if self.key.direction == Direction::Outbound {
            worker.metrics.of(Direction::Outbound).plaintext.of(Plaintext::UnmeshedEndpoint).add(1);
        }
    }

    /// Whether many requests share a connection to it; otherwise each has one for itself.
    pub fn is_shared(&self) -> bool {
        self.peer.is_some() || self.key.speech == Speech::Http2
    }

    /// Connections that wait.
    pub fn count(&self) -> usize {
        self.waiting().len()
    }

    fn sweep(&self, now: Instant) -> bool {
        let mut waiting = self.waiting();
        // They lie in the order in which they came.
        let old = waiting.partition_point(|(_, since)| now - *since >= WIRE_IDLE);
        waiting.drain(..old);
        waiting.is_empty() && self.links.is_empty()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(Waiting, Instant)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a connection that waits has neither ended nor said something that nobody asked for. The event loop has been
/// told of either; this costs a system call only then.
fn is_alive(socket: &TcpStream) -> bool {
    matches!(socket.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// All places of one worker.
#[derive(Debug, Default)]
pub struct Places(Mutex<HashMap<Key, (Arc<Place>, Instant)>>);

impl Places {
    /// The place, made anew with the row that `row` gives if it is not known, or has another proxy in front of it now.
    pub fn get(&self, key: Key, peer: Option<&Peer>, row: impl FnOnce() -> Arc<Row>) -> Arc<Place> {
        let mut places = self.places();
        let now = Instant::now();
        if let Some((place, used)) = places.get_mut(&key)
            && place.peer.as_ref() == peer
        {
            *used = now;
            return Arc::clone(place);
        }
        let place = Arc::new(Place::new(key, peer.cloned(), row()));
        if let Some((former, _)) = places.insert(key, (Arc::clone(&place), now)) {
            former.links.leave();
        }
        place
    }

    /// Closes what has waited too long, and forgets places that nobody uses; how many connections still wait.
    pub fn sweep(&self) -> u64 {
        let (now, mut waiting) = (Instant::now(), 0);
        self.places().retain(|_, (place, used)| {
            let unused = place.sweep(now);
            waiting += place.count() as u64;
            !(unused && now - *used >= PLACE_IDLE)
        });
        waiting
    }

    /// Lets all connections end with what is under way.
    pub fn leave(&self) {
        for (place, _) in self.places().values() {
            place.links.leave();
            place.waiting().clear();
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Key, (Arc<Place>, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
