//! Connections that somebody else opens to this pod: another proxy, with an identity, or anybody, with plain bytes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::warn;

use crate::connection::{Counted, End, Refusal, carry, carry_on, refuse, reset, unreached, while_there};
use crate::dial::{self, Dial};
use crate::http::buffer;
use crate::http::detect::{Guess, guess};
use crate::http::mux::Profile;
use crate::http::{self, Begun, First, Route, Speaker, Speech, Waiting, Watched, Wire};
use crate::log::Seldom;
use crate::metrics::{Direction, Handshake, Labelled as _, Plaintext, Traffic};
use crate::preface::{self, Preface, Protocol};
use crate::refuse::{Reason, judge_port};
use crate::tls::{self, HandshakeFailure, SpiffeId, TlsStream};
use crate::worker::Worker;

/// Time for the preface, which the other proxy sends right after its last message of the handshake.
const PREFACE_TIME: Duration = Duration::from_secs(10);

/// Carries a connection of plain bytes that was redirected here on its way to `destination`.
pub async fn plaintext(client: TcpStream, peer: SocketAddr, destination: SocketAddr, worker: &Arc<Worker>) {
    if let Err(reason) = admit(peer, false, worker) {
        let direction = Direction::Inbound;
        refuse(worker, &Refusal { direction, peer, identity: None, destination: Some(destination), reason });
        return reset(&client);
    }
    let traffic = worker.metrics.of(Direction::Inbound);
    traffic.plaintext.of(Plaintext::UnmeshedClient).add(1);
    let patience = worker.http.learned.patience(destination);
    recognise(client, None, destination, patience, worker).await;
}

/// Carries a connection of another proxy to `ip`, this pod's address that it dialled.
pub async fn mesh(client: TcpStream, peer: SocketAddr, ip: IpAddr, worker: &Arc<Worker>) {
    let traffic = worker.metrics.of(Direction::Inbound);
    // What is only needed for a moment is not kept for as long as the connection is.
    let meeting = Box::pin(meet(client, peer, worker, traffic));
    let Some((client, identity, preface)) = meeting.await else { return };
    let judged = preface.and_then(|preface| Ok((judge_port(ip, preface.port)?, preface.protocol)));
    let refused = |destination, reason| {
        let direction = Direction::Inbound;
        refuse(worker, &Refusal { direction, peer, identity: Some(&identity), destination, reason });
    };
    let (destination, protocol) = match judged {
        Ok(judged) => judged,
        Err(reason) => {
            refused(None, reason);
            return reset(client.tcp());
        }
    };
    let denied = admit(peer, true, worker).inspect_err(|reason| refused(Some(destination), *reason)).is_err();
    let speech = match protocol {
        // Requests are answered; bytes cannot be.
        Protocol::Opaque if denied => return reset(client.tcp()),
        Protocol::Opaque => None,
        Protocol::Http1 => Some(Speech::Http1),
        Protocol::Http2 => Some(Speech::Http2),
    };
    if !denied {
        worker.metrics.peers.add(&identity);
    }
    let Some(speech) = speech else {
        // Its proxy has looked in vain, or was told not to look: the application may speak first. What the client's
        // side says of it is no reason not to look again.
        return Box::pin(recognise(client, Some(identity), destination, Duration::ZERO, worker)).await;
    };
    let _counted = (!denied).then(|| Counted::new(traffic, destination, worker));
    let route = Route::inbound(destination, Some(identity), speech, worker);
    let route = if denied { route.denied() } else { route };
    match speech {
        Speech::Http1 => Box::pin(http::serve_link(client, &route, worker)).await,
        Speech::Http2 => Box::pin(http::serve2(client, &[], Profile::MESH, &route, worker)).await,
    }
}

/// Finds out what a connection carries, and carries it. The application is dialled when the client has been silent for so
/// long, since it may have to speak first.
async fn recognise(
    mut client: impl End,
    identity: Option<SpiffeId>,
    destination: SocketAddr,
    patience: Duration,
    worker: &Arc<Worker>,
) {
    let traffic = worker.metrics.of(Direction::Inbound);
    if worker.opaque_ports.contains(destination.port()) {
        return finish(client, destination, worker, traffic).await;
    }
    let _counted = Counted::new(traffic, destination, worker);
    let mut begun = http::first(&mut client, Vec::new(), Some(patience)).await;
    let mut dialled = None;
    if let Ok(First::Silence) = begun {
        let (mut target, dial) = match while_there(client.tcp(), Box::pin(dial::dial(destination, &worker.dials))).await
        {
            Ok(dialled) => dialled,
            Err(failure) => return unreached(client.tcp(), destination, failure, traffic),
        };
        let Ok(speaker) = http::who_speaks(&mut client, &mut target).await else {
            reset(&target);
            return reset(client.tcp());
        };
        worker.http.learned.note(destination, &speaker);
        match speaker {
            // A request after all would have gone through unchecked.
            Speaker::Server(said) => {
                let client = Watched::new(client, &[]);
                return Box::pin(carry_on(client, target, Vec::new(), said, traffic)).await;
            }
            Speaker::Http2Server => {
                reset(&target);
                begun = http::first(&mut client, Vec::new(), None).await;
            }
            Speaker::Client(said) if said.is_empty() => {
                return Box::pin(carry_on(client, target, said, Vec::new(), traffic)).await;
            }
            Speaker::Client(said) => {
                begun = http::first(&mut client, said, None).await;
                dialled = Some((target, dial));
            }
        }
    }
    let (bytes, undecided) = match begun {
        Ok(First::Http1(bytes)) => {
            let route = Route::inbound(destination, identity, Speech::Http1, worker);
            return Box::pin(http::serve(client, bytes, None, &route, worker)).await;
        }
        Ok(First::Http2(bytes)) => {
            let route = Route::inbound(destination, identity, Speech::Http2, worker);
            return Box::pin(http::serve2(client, &bytes, Profile::APPLICATION, &route, worker)).await;
        }
        Ok(First::Bytes(bytes)) => (bytes, false),
        Ok(First::Undecided(bytes)) => (bytes, true),
        Ok(First::Silence) => (Vec::new(), false),
        Err(_) => return reset(client.tcp()),
    };
    let target = match dialled {
        Some(dialled) => Ok(dialled),
        None => while_there(client.tcp(), Box::pin(dial::dial(destination, &worker.dials))).await,
    };
    match target {
        Ok(target) if undecided => {
            Box::pin(undecided_yet(client, target, bytes, (destination, identity), worker)).await;
        }
        Ok((target, _dial)) => Box::pin(carry_on(client, target, bytes, Vec::new(), traffic)).await,
        Err(failure) => unreached(client.tcp(), destination, failure, traffic),
    }
}

/// Passes bytes on that could still become a request, and carries the request if they do: the application has got nothing
/// but the beginning of its first line then.
async fn undecided_yet(
    mut client: impl End,
    (mut target, dial): (TcpStream, Dial),
    mut said: Vec<u8>,
    (destination, identity): (SocketAddr, Option<SpiffeId>),
    worker: &Arc<Worker>,
) {
    let traffic = worker.metrics.of(Direction::Inbound);
    let broken = |client: &TcpStream, target: &TcpStream| {
        reset(client);
        reset(target);
    };
    if target.write_all(&said).await.is_err() {
        return broken(client.tcp(), &target);
    }
    loop {
        let more = match http::who_speaks(&mut client, &mut target).await {
            Ok(Speaker::Client(more)) => more,
            // No server answers the beginning of a request; who is answered all the same is watched.
            Ok(Speaker::Server(answer)) => {
                traffic.bytes_in.add(said.len() as u64);
                let client = Watched::new(client, &said);
                buffer::give_back(&mut said);
                return Box::pin(carry_on(client, target, Vec::new(), answer, traffic)).await;
            }
            // Half of a preface went through, or half of something that this server does not know.
            Ok(Speaker::Http2Server) | Err(_) => return broken(client.tcp(), &target),
        };
        let all = [&said[..], &more].concat();
        match guess(&all) {
            Guess::More if !more.is_empty() => match target.write_all(&more).await {
                Ok(()) => said = all,
                Err(_) => return broken(client.tcp(), &target),
            },
            Guess::Http1 => {
                let waiting = Waiting { wire: Wire::new(target, Vec::new()), dial };
                let begun = Some(Begun { waiting, said });
                let route = Route::inbound(destination, identity, Speech::Http1, worker);
                return Box::pin(http::serve(client, all, begun, &route, worker)).await;
            }
            // Half of a preface went through, and what follows it may not.
            Guess::Http2 => return broken(client.tcp(), &target),
            Guess::Opaque | Guess::More => {
                traffic.bytes_in.add(said.len() as u64);
                buffer::give_back(&mut said);
                return Box::pin(carry_on(client, target, more, Vec::new(), traffic)).await;
            }
        }
    }
}

/// Carries bytes to the application, at the address and port that it was dialled at.
async fn finish(client: impl End, destination: SocketAddr, worker: &Worker, traffic: &Traffic) {
    let _counted = Counted::new(traffic, destination, worker);
    match while_there(client.tcp(), Box::pin(dial::dial(destination, &worker.dials))).await {
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
) -> Option<(Box<TlsStream>, SpiffeId, Result<Preface, Reason>)> {
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
) -> Option<(Box<TlsStream>, SpiffeId)> {
    static TOLD: Seldom = Seldom::new();
    match tls::accept(client, &worker.mesh.credentials.current()).await {
        Ok((client, identity)) => {
            traffic.handshakes.of(if client.resumed() { Handshake::Resumed } else { Handshake::Full }).add(1);
            Some((Box::new(client), identity)) // it is moved about a good deal
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
