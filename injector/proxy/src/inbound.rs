//! Connections that somebody else opens to this pod: another proxy, with an identity, or anybody, with plain bytes.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::warn;

use crate::connection::{Counted, End, Refusal, carry, refuse, reset, unreached, while_there};
use crate::dial;
use crate::log::Seldom;
use crate::metrics::{Direction, Handshake, Labelled as _, Plaintext, Traffic};
use crate::preface::{self, Preface};
use crate::refuse::{Reason, judge_port};
use crate::tls::{self, HandshakeFailure, SpiffeId, TlsStream};
use crate::worker::Worker;

/// Time for the preface, which the other proxy sends right after its last message of the handshake.
const PREFACE_TIME: Duration = Duration::from_secs(10);

/// Carries a connection of plain bytes that was redirected here on its way to `destination`.
pub async fn plaintext(client: TcpStream, peer: SocketAddr, destination: SocketAddr, worker: &Worker) {
    if let Err(reason) = admit(peer, false, worker) {
        let direction = Direction::Inbound;
        refuse(worker, &Refusal { direction, peer, identity: None, destination: Some(destination), reason });
        return reset(&client);
    }
    let traffic = worker.metrics.of(Direction::Inbound);
    traffic.plaintext.of(Plaintext::UnmeshedClient).add(1);
    finish(client, destination, worker, traffic).await;
}

/// Carries a connection of another proxy to `ip`, this pod's address that it dialled.
pub async fn mesh(client: TcpStream, peer: SocketAddr, ip: IpAddr, worker: &Worker) {
    let traffic = worker.metrics.of(Direction::Inbound);
    let Some((client, identity, preface)) = meet(client, peer, worker, traffic).await else { return };
    let destination = match preface {
        Ok(preface) => judge_port(ip, preface.port).and_then(|to| admit(peer, true, worker).map(|()| to)),
        Err(reason) => Err(reason),
    };
    match destination {
        Ok(destination) => {
            worker.metrics.peers.add(&identity);
            finish(client, destination, worker, traffic).await;
        }
        Err(reason) => {
            let direction = Direction::Inbound;
            refuse(worker, &Refusal { direction, peer, identity: Some(&identity), destination: None, reason });
            reset(client.tcp());
        }
    }
}

/// The way in for both, once they may: the application, at the address and port that it was dialled at.
async fn finish(client: impl End, destination: SocketAddr, worker: &Worker, traffic: &Traffic) {
    let _counted = Counted::new(traffic, destination, worker);
    match while_there(client.tcp(), dial::dial(destination, &worker.dials)).await {
        Ok((target, _dial)) => carry(client, target, traffic).await,
        Err(failure) => unreached(client.tcp(), destination, failure, traffic),
    }
}

/// Finds out who dialled, and what for. While that is not known the connection sits on one of few seats, and is sent away
/// when others need it.
async fn meet(
    client: TcpStream,
    peer: SocketAddr,
    worker: &Worker,
    traffic: &Traffic,
) -> Option<(TlsStream, SpiffeId, Result<Preface, Reason>)> {
    let (_seat, sent_away) = worker.strangers.seat(peer.ip());
    let meeting = async {
        let (mut client, identity) = accept(client, peer, worker, traffic).await?;
        let preface = preface(&mut client).await;
        Some((client, identity, preface))
    };
    tokio::select! {
        biased;
        met = meeting => met,
        _ = sent_away => {
            traffic.handshake_failures.of(HandshakeFailure::Crowded).add(1);
            traffic.refused.of(Reason::Handshake).add(1);
            None
        }
    }
}

/// Finds out who dialled. Whoever fails is counted; that it is told is for whoever repairs the other side.
async fn accept(
    client: TcpStream,
    peer: SocketAddr,
    worker: &Worker,
    traffic: &Traffic,
) -> Option<(TlsStream, SpiffeId)> {
    static TOLD: Seldom = Seldom::new();
    match tls::accept(client, &worker.mesh.credentials.current()).await {
        Ok((client, identity)) => {
            traffic.handshakes.of(if client.resumed() { Handshake::Resumed } else { Handshake::Full }).add(1);
            Some((client, identity))
        }
        Err(failure) => {
            traffic.handshake_failures.of(failure).add(1);
            traffic.refused.of(Reason::Handshake).add(1);
            if let Some(left_out) = TOLD.line(Instant::now()) {
                warn!(%peer, reason = failure.label(), left_out, "refused a peer at the mesh port: {failure}");
            }
            None
        }
    }
}

async fn preface(client: &mut TlsStream) -> Result<Preface, Reason> {
    match timeout(PREFACE_TIME, preface::read(client)).await {
        Ok(Ok(preface)) => Ok(preface),
        Ok(Err(_)) | Err(_) => Err(Reason::Preface),
    }
}

fn admit(peer: SocketAddr, authenticated: bool, worker: &Worker) -> Result<(), Reason> {
    let mesh = &worker.mesh;
    mesh.inbound_policy.judge(peer.ip(), authenticated, &mesh.facts.borrow().networks).map_err(Reason::from)
}
