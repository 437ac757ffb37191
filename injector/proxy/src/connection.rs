//! The path of one connection: judge, dial, carry, count.

use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tracing::{debug, error};

use crate::copy::relay;
use crate::dial::{self, Dial, Failure};
use crate::listen::Accepted;
use crate::metrics::{Direction, Opaque, Traffic};
use crate::orig_dst::canonical;
use crate::refuse::{Arrival, Reason, judge};
use crate::worker::Worker;

/// Carries one accepted connection to where it was going, until both sides are done.
pub async fn serve(accepted: Accepted, direction: Direction, worker: Arc<Worker>) {
    let Accepted { stream: client, place: _place, .. } = accepted;
    let traffic = worker.metrics.of(direction);
    let destination = match admit(&client, direction, &worker) {
        Ok(destination) => destination,
        Err(reason) => {
            traffic.refused.of(reason).add(1);
            tell_refusal(&client, direction, reason);
            return reset(&client);
        }
    };
    let opaque = if worker.opaque_ports.contains(destination.port()) { Opaque::Declared } else { Opaque::No };
    traffic.connections.of(opaque).add(1);
    let _ended = Ended(traffic);
    match reach(&client, destination, &worker).await {
        Ok((target, _dial)) => carry(client, target, traffic).await,
        Err(failure) => {
            traffic.connect_failures.of(failure).add(1);
            debug!(?direction, %destination, ?failure, "could not reach a destination");
            reset(&client);
        }
    }
}

/// Where the connection is to be carried, or why not.
fn admit(client: &TcpStream, direction: Direction, worker: &Worker) -> Result<SocketAddr, Reason> {
    // Addresses that cannot be asked for belong to a connection that is gone already.
    let (Ok(peer), Ok(local)) = (client.peer_addr(), client.local_addr()) else {
        return Err(Reason::NoOriginalDestination);
    };
    let (peer, local) = (canonical(peer), canonical(local));
    let original = (worker.original_destination)(client, local);
    let destination = judge(&Arrival { direction, peer, local, original, pod_ips: &worker.pod_ips })?;
    if worker.dials.contains(peer, destination) { Err(Reason::Loop) } else { Ok(destination) }
}

/// Dials, but no longer than the client is there: one that gave up must not cost a dial's whole timeout.
async fn reach<'w>(
    client: &TcpStream,
    destination: SocketAddr,
    worker: &'w Worker,
) -> Result<(TcpStream, Dial<'w>), Failure> {
    dial::tune(client).map_err(|_| Failure::ClientGone)?;
    tokio::select! {
        biased;
        dialled = dial::dial(destination, &worker.dials) => dialled,
        _ = client.ready(Interest::ERROR) => Err(Failure::ClientGone),
    }
}

async fn carry(mut client: TcpStream, mut target: TcpStream, traffic: &Traffic) {
    let carried = relay(&mut client, &mut target, |carried| {
        traffic.bytes_in.add(carried.from_opener);
        traffic.bytes_out.add(carried.to_opener);
    });
    if let Err(error) = carried.await {
        debug!(%error, "a connection broke");
        reset(&client);
        reset(&target);
    }
}

/// Makes the socket's close a reset: an orderly end would tell the peer that all was said and done.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// A refusal is counted; only a loop is also told, once, for someone must repair the redirection.
fn tell_refusal(client: &TcpStream, direction: Direction, reason: Reason) {
    static LOOP: Once = Once::new();
    let peer = client.peer_addr().ok();
    debug!(?direction, ?peer, ?reason, "refused a connection");
    if reason == Reason::Loop {
        LOOP.call_once(|| {
            error!(
                uid = rustix::process::getuid().as_raw(),
                "the proxy's own connection was redirected back to it: the redirection rules exempt another user than \
                 this one; the pod must be created again with rules for this uid"
            );
        });
    }
}

/// Counts the end of a connection, whatever ends it.
struct Ended<'t>(&'t Traffic);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended.add(1);
    }
}
