//! A worker: one thread, one event loop, its own sockets, its own counters. Workers share nothing on the path.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::config::PortSet;
use crate::connection;
use crate::dial::Dials;
use crate::http::Http;
use crate::listen;
use crate::mesh::Mesh;
use crate::metrics::{Direction, WorkerMetrics};
use crate::strangers::Strangers;

/// Nothing on the path recurses or keeps arrays on the stack; 256 KiB is four times what the deepest (TLS) needs, and
/// only touched pages count.
const STACK: usize = 256 * 1024;

/// A full table of descriptors fails twenty times a second; one line in ten seconds says it well enough.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Asks where a connection was going, given its own address: the kernel, or what stands for it in a test.
pub type OriginalDestination = Arc<dyn Fn(&TcpStream, SocketAddr) -> io::Result<SocketAddr> + Send + Sync>;

/// Descriptors that connections must leave for others: the admin port's guests and the probes they ask for (two for each
/// of some 130), listeners, event loops. A pod with little to give keeps a quarter of it.
const RESERVED: u64 = 512;

/// Connections that each of `workers` may carry at once with `descriptors` for the whole process: two for each, so that
/// a flood of them leaves the kubelet's probes a way in.
pub fn connections_each(descriptors: u64, workers: usize) -> usize {
    let pairs = (descriptors - RESERVED.min(descriptors / 4)) / 2 / workers as u64;
    usize::try_from(pairs).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS)
}

/// What the connections of one worker share.
pub struct Worker {
    /// What all workers share.
    pub mesh: Arc<Mesh>,
    /// Its counters.
    pub metrics: Arc<WorkerMetrics>,
    /// What it has dialled.
    pub dials: Arc<Dials>,
    /// Who has connected to it and is not known yet.
    pub strangers: Strangers,
    /// The pod's addresses.
    pub pod_ips: Vec<IpAddr>,
    /// Ports declared opaque.
    pub opaque_ports: PortSet,
    /// Where a connection was going.
    pub original_destination: OriginalDestination,
    /// What requests share.
    pub http: Http,
    /// Connections at once; more wait in the kernel's backlog.
    pub most: usize,
}

/// The sockets that one worker accepts from.
#[derive(Debug)]
pub struct Listeners {
    /// Bound at `INBOUND_PORT`.
    pub inbound: Vec<std::net::TcpListener>,
    /// Bound at `OUTBOUND_PORT`.
    pub outbound: Vec<std::net::TcpListener>,
}

/// Starts a worker on a thread of its own. It accepts until `stop`; the receiver hears when its last connection ended.
pub fn start(
    number: usize,
    worker: Worker,
    listeners: Listeners,
    stop: watch::Receiver<bool>,
) -> io::Result<oneshot::Receiver<()>> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let (finished, receiver) = oneshot::channel();
    thread::Builder::new().name(format!("worker-{number}")).stack_size(STACK).spawn(move || {
        if let Err(error) = runtime.block_on(work(Arc::new(worker), listeners, stop)) {
            error!(%error, "a worker could not begin");
        }
        let _ = finished.send(());
    })?;
    Ok(receiver)
}

async fn work(worker: Arc<Worker>, listeners: Listeners, stop: watch::Receiver<bool>) -> io::Result<()> {
    let (accepting, connections) = (TaskTracker::new(), TaskTracker::new());
    // Each listener that waits for a connection holds a place for it; the others' are not to be missed.
    let waiting = (listeners.inbound.len() + listeners.outbound.len()).saturating_sub(1);
    let room = Arc::new(Semaphore::new(worker.most.saturating_add(waiting).min(Semaphore::MAX_PERMITS)));
    let inbound = listeners.inbound.into_iter().map(|socket| (socket, Direction::Inbound));
    let outbound = listeners.outbound.into_iter().map(|socket| (socket, Direction::Outbound));
    for (socket, direction) in inbound.chain(outbound) {
        let listener = TcpListener::from_std(socket)?;
        let (worker, room, stop) = (Arc::clone(&worker), Arc::clone(&room), stop.clone());
        accepting.spawn(accept(listener, room, stop, direction, worker, connections.clone()));
    }
    let on = Arc::clone(&worker);
    let sweeping = tokio::spawn(async move { on.http.keep(&on.metrics.waiting).await });
    accepting.close();
    accepting.wait().await;
    worker.http.stop.cancel();
    connections.close();
    connections.wait().await;
    sweeping.abort();
    worker.http.leave().await;
    Ok(())
}

async fn accept(
    listener: TcpListener,
    room: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
    direction: Direction,
    worker: Arc<Worker>,
    connections: TaskTracker,
) {
    let mut told = None::<Instant>;
    let serve = |accepted| {
        connections.spawn(connection::serve(accepted, direction, Arc::clone(&worker)));
    };
    let failed = |error: &io::Error| {
        worker.metrics.of(direction).accept_errors.add(1);
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            told = Some(Instant::now());
            error!(?direction, %error, "cannot accept connections; trying again twenty times a second");
        }
    };
    listen::accept(listener, room, stop, serve, failed).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_probes() {
        assert_eq!(connections_each(1_048_576, 1), 524_032);
        assert_eq!(connections_each(1_048_576, 4), 131_008);
        assert_eq!(connections_each(1024, 1), 384);
        assert_eq!(connections_each(4, 8), 1);
        assert!(connections_each(u64::MAX, 1) <= Semaphore::MAX_PERMITS);
    }
}
