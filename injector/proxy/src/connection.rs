//! What connections of both directions have in common: judged first, carried then, counted, and ended as they should be.

use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tracing::{debug, error, warn};

use crate::copy::{Leg, relay};
use crate::dial::{Failure, tune};
use crate::http::buffer;
use crate::listen::Accepted;
use crate::log::Seldom;
use crate::metrics::{Direction, Opaque, Traffic};
use crate::orig_dst::canonical;
use crate::refuse::{Arrival, Reason, Way, judge};
use crate::tls::{SpiffeId, TlsStream};
use crate::worker::Worker;
use crate::{inbound, outbound};

/// Carries one accepted connection to where it was going, until both sides are done.
pub async fn serve(accepted: Accepted, direction: Direction, worker: Arc<Worker>) {
    let Accepted { stream: client, place: _place, .. } = accepted;
    // Addresses that cannot be asked for belong to a connection that is gone already.
    let (Ok(peer), Ok(local)) = (client.peer_addr(), client.local_addr()) else {
        return worker.metrics.of(direction).refused.of(Reason::NoOriginalDestination).add(1);
    };
    let (peer, local) = (canonical(peer), canonical(local));
    let _ = tune(&client); // fails for a connection that is gone, which whoever reads from it finds out
    match (direction, admit(&client, peer, local, direction, &worker)) {
        (_, Err(reason)) => {
            refuse(&worker, &Refusal { direction, peer, identity: None, destination: None, reason });
            reset(&client);
        }
        (Direction::Outbound, Ok(Way::To(destination))) => {
            Box::pin(outbound::serve(client, peer, destination, &worker)).await;
        }
        (Direction::Inbound, Ok(Way::To(destination))) => {
            Box::pin(inbound::plaintext(client, peer, destination, &worker)).await;
        }
        // The outbound port has no mesh traffic; `judge` says so.
        (_, Ok(Way::Mesh(ip))) => Box::pin(inbound::mesh(client, peer, ip, &worker)).await,
    }
}

/// Where the connection is to be carried, or why not.
fn admit(
    client: &TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    direction: Direction,
    worker: &Worker,
) -> Result<Way, Reason> {
    let original = (worker.original_destination)(client, local);
    let way = judge(&Arrival { direction, peer, local, original, pod_ips: &worker.pod_ips })?;
    match way {
        Way::To(destination) if worker.dials.contains(peer, destination) => Err(Reason::Loop),
        way => Ok(way),
    }
}

/// One end of a connection: something over one TCP connection.
pub trait End: Leg + Send {
    /// The connection underneath.
    fn tcp(&self) -> &TcpStream;
}

impl End for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl End for Box<TlsStream> {
    fn tcp(&self) -> &TcpStream {
        TlsStream::tcp(self)
    }
}

/// A connection that counts as carried until this is dropped, whatever ends it.
#[derive(Debug)]
pub struct Counted<'t>(&'t Traffic);

impl<'t> Counted<'t> {
    /// Counts a connection to `destination`.
    pub fn new(traffic: &'t Traffic, destination: SocketAddr, worker: &Worker) -> Self {
        let declared = worker.opaque_ports.contains(destination.port());
        traffic.connections.of(if declared { Opaque::Declared } else { Opaque::No }).add(1);
        Self(traffic)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.ended.add(1);
    }
}

/// Does something for a client, but no longer than the client is there: one that gave up must not cost a whole timeout.
pub async fn while_there<T>(client: &TcpStream, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        biased;
        done = work => done,
        _ = client.ready(Interest::ERROR) => Err(Failure::ClientGone),
    }
}

/// Carries bytes between two ends that have said something already, which is passed on first.
pub async fn carry_on(
    mut client: impl End,
    mut target: impl End,
    mut from_client: Vec<u8>,
    mut from_target: Vec<u8>,
    traffic: &Traffic,
) {
    let said = async {
        target.write_all(&from_client).await?;
        client.write_all(&from_target).await
    };
    if let Err(error) = said.await {
        debug!(%error, "a connection broke");
        reset(client.tcp());
        return reset(target.tcp());
    }
    traffic.bytes_in.add(from_client.len() as u64);
    traffic.bytes_out.add(from_target.len() as u64);
    // Not to be kept for as long as the connection is.
    buffer::give_back(&mut from_client);
    buffer::give_back(&mut from_target);
    carry(client, target, traffic).await;
}

/// Carries bytes between two ends until both are done; what broke is told to both by a reset.
///
/// Through TLS a reset is an end without `close_notify`: the other proxy reads an error there, and resets in its turn.
pub async fn carry(mut client: impl End, mut target: impl End, traffic: &Traffic) {
    let carried = relay(&mut client, &mut target, |carried| {
        traffic.bytes_in.add(carried.from_opener);
        traffic.bytes_out.add(carried.to_opener);
    });
    if let Err(error) = carried.await {
        debug!(%error, "a connection broke");
        reset(client.tcp());
        reset(target.tcp());
    }
}

/// Counts and tells that a destination could not be reached, and resets the client.
pub fn unreached(client: &TcpStream, destination: SocketAddr, failure: Failure, traffic: &Traffic) {
    traffic.connect_failures.of(failure).add(1);
    debug!(%destination, ?failure, "could not reach a destination");
    reset(client);
}

/// Makes the socket's close a reset: an orderly end would tell the peer that all was said and done.
pub fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// What there is to say of a connection that is refused.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// By which listener it came.
    pub direction: Direction,
    /// Who opened it.
    pub peer: SocketAddr,
    /// Who that is, if it is known.
    pub identity: Option<&'a SpiffeId>,
    /// Where it was going, if that is known.
    pub destination: Option<SocketAddr>,
    /// Why it is refused.
    pub reason: Reason,
}

/// Counts a refusal, and tells of it what somebody can do something about: a few lines of many.
pub fn refuse(worker: &Worker, refusal: &Refusal) {
    static TOLD: Seldom = Seldom::new();
    static LOOP: Once = Once::new();
    let Refusal { direction, peer, identity, destination, reason } = refusal;
    worker.metrics.of(*direction).refused.of(*reason).add(1);
    let (identity, policy) = (identity.map_or("none", SpiffeId::as_str), worker.mesh.inbound_policy.name());
    let destination = destination.map(tracing::field::display);
    match reason {
        Reason::Loop => LOOP.call_once(|| {
            error!(
                uid = rustix::process::getuid().as_raw(),
                "the proxy's own connection was redirected back to it: the redirection rules exempt another user than \
                 this one; the pod must be created again with rules for this uid"
            );
        }),
        Reason::PolicyUnauthenticated | Reason::PolicyOutsideNetworks | Reason::PolicyNobody => {
            if let Some(left_out) = TOLD.line(Instant::now()) {
                let reason = crate::metrics::Labelled::label(*reason);
                warn!(%peer, identity, destination, policy, reason, left_out, "refused a connection by policy");
            }
        }
        Reason::UnknownDestination => {
            if let Some(left_out) = TOLD.line(Instant::now()) {
                warn!(destination, left_out, "refused a connection: nobody told in time where it goes");
            }
        }
        _ => debug!(?direction, %peer, identity, destination, ?reason, "refused a connection"),
    }
}
