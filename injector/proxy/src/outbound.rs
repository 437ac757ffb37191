//! Connections that the pod's application opens: to the endpoint that discovery and the balance say, through a tunnel
//! where that endpoint has a proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::warn;

use crate::balance::{Open, clock};
use crate::connection::{Counted, Refusal, carry_on, refuse, reset, unreached, while_there};
use crate::dial::{self, DIAL_TIMEOUT, Dial, Failure};
use crate::discovery::{Decision, Endpoint, Group, Known, Peer, Protocol as Declared};
use crate::http::mux::Profile;
use crate::http::{self, First, Route, Speaker};
use crate::log::Seldom;
use crate::metrics::{Direction, Handshake, Plaintext, Traffic};
use crate::preface::{Preface, Protocol};
use crate::refuse::Reason;
use crate::tls::{self, Configs, TlsStream};
use crate::worker::Worker;

/// Endpoints that one connection tries before it gives up. One of them may have gone in this moment, two if a node did;
/// three in a row mean that something else is wrong.
pub const MOST_TRIES: usize = 3;

/// How long one of several endpoints may take: SYNs at 0 and 1 s and time for an answer. The last one tried has what is
/// left of `DIAL_TIMEOUT`.
pub const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a connection goes, as far as discovery can say.
enum Goal {
    /// Where it was going, as plain bytes.
    Itself(Plaintext),
    /// To one of these.
    OneOf(Arc<Group>),
}

/// The other end, with what must be kept as long as it is open.
struct Reached {
    far: Far,
    held: (Dial, Option<Open>),
}

enum Far {
    Plain(TcpStream),
    /// In a box, for it is ten times as large.
    Mesh(Box<TlsStream>),
}

impl Far {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Mesh(tls) => tls.tcp(),
        }
    }
}

/// Carries a connection of the application `peer` to `destination`, or to an endpoint of it.
pub async fn serve(client: TcpStream, peer: SocketAddr, destination: SocketAddr, worker: &Arc<Worker>) {
    let direction = Direction::Outbound;
    let traffic = worker.metrics.of(direction);
    // What is only needed for a moment is not kept for as long as the connection is.
    let resolving = Box::pin(async { Ok(resolve(destination, worker).await) });
    let resolved = while_there(&client, resolving).await;
    let Some(goal) = resolved.transpose() else {
        let reason = Reason::UnknownDestination;
        refuse(worker, &Refusal { direction, peer, identity: None, destination: Some(destination), reason });
        return reset(&client);
    };
    let _counted = Counted::new(traffic, destination, worker);
    match goal {
        Ok(Goal::OneOf(group)) if !group.is_opaque() && !worker.opaque_ports.contains(destination.port()) => {
            recognise(client, destination, &group, worker, traffic).await;
        }
        Ok(goal) => match while_there(&client, Box::pin(reach(goal, destination, worker, traffic))).await {
            Ok(reached) => relay(client, reached, Vec::new(), Vec::new(), traffic).await,
            Err(failure) => unreached(&client, destination, failure, traffic),
        },
        Err(failure) => unreached(&client, destination, failure, traffic),
    }
}

/// Finds out what the client speaks, and carries it.
async fn recognise(
    mut client: TcpStream,
    destination: SocketAddr,
    group: &Arc<Group>,
    worker: &Arc<Worker>,
    traffic: &Traffic,
) {
    let patience = match group.protocol {
        Declared::Http | Declared::Http2 => None, // who speaks first is known
        Declared::Undeclared | Declared::Opaque => Some(worker.http.learned.patience(destination)),
    };
    let mut begun = http::first(&mut client, Vec::new(), patience).await;
    let mut reached = None;
    if let Ok(First::Silence) = begun {
        let mut far = match while_there(&client, Box::pin(reach_one(group, worker, traffic))).await {
            Ok(far) => far,
            Err(failure) => return unreached(&client, destination, failure, traffic),
        };
        let speaker = match &mut far.far {
            Far::Plain(server) => http::who_speaks(&mut client, server).await,
            Far::Mesh(server) => http::who_speaks(&mut client, &mut **server).await,
        };
        let Ok(speaker) = speaker else {
            reset(far.far.tcp());
            return reset(&client);
        };
        worker.http.learned.note(destination, &speaker);
        match speaker {
            Speaker::Server(said) => return Box::pin(relay(client, far, Vec::new(), said, traffic)).await,
            Speaker::Client(said) if said.is_empty() => {
                return Box::pin(relay(client, far, Vec::new(), said, traffic)).await;
            }
            Speaker::Http2Server => {
                reset(far.far.tcp());
                begun = http::first(&mut client, Vec::new(), None).await;
            }
            Speaker::Client(said) => {
                begun = http::first(&mut client, said, None).await;
                reached = Some(far);
            }
        }
    }
    let bytes = match begun {
        Ok(First::Http1(bytes)) => {
            return Box::pin(http::serve(client, bytes, None, &Route::Out { destination }, worker)).await;
        }
        Ok(First::Http2(bytes)) => {
            let route = Route::Out { destination };
            return Box::pin(http::serve2(client, &bytes, Profile::APPLICATION, &route, worker)).await;
        }
        // What is undecided the server's proxy will look at again.
        Ok(First::Bytes(bytes) | First::Undecided(bytes)) => bytes,
        Ok(First::Silence) => Vec::new(),
        Err(_) => return reset(&client),
    };
    let reached = match reached {
        Some(reached) => Ok(reached),
        None => while_there(&client, Box::pin(reach_one(group, worker, traffic))).await,
    };
    match reached {
        Ok(reached) => Box::pin(relay(client, reached, bytes, Vec::new(), traffic)).await,
        Err(failure) => unreached(&client, destination, failure, traffic),
    }
}

/// Carries bytes to what was reached, after those that both sides have said already.
async fn relay(client: TcpStream, reached: Reached, from_client: Vec<u8>, from_far: Vec<u8>, traffic: &Traffic) {
    let Reached { far, held: _held } = reached;
    match far {
        Far::Plain(target) => carry_on(client, target, from_client, from_far, traffic).await,
        Far::Mesh(target) => carry_on(client, target, from_client, from_far, traffic).await,
    }
}

/// None: nobody told in time, and such connections do not pass.
async fn resolve(destination: SocketAddr, worker: &Worker) -> Option<Goal> {
    let mesh = &worker.mesh;
    let inside = mesh.is_inside(destination.ip());
    match mesh.directory.resolve(destination, inside).await {
        Decision::Known(Known::NotOurs) => Some(Goal::Itself(Plaintext::NotOurs)),
        Decision::Known(Known::Group(group)) => Some(Goal::OneOf(group)),
        Decision::Unknown => {
            let pass = mesh.unknown_destinations.pass(inside);
            pass.then_some(Goal::Itself(Plaintext::UnknownDestination))
        }
    }
}

async fn reach(goal: Goal, destination: SocketAddr, worker: &Worker, traffic: &Traffic) -> Result<Reached, Failure> {
    match goal {
        Goal::OneOf(group) => reach_one(&group, worker, traffic).await,
        Goal::Itself(reason) => {
            let (target, dial) = dial::dial(destination, &worker.dials).await?;
            traffic.plaintext.of(reason).add(1);
            Ok(Reached { far: Far::Plain(target), held: (dial, None) })
        }
    }
}

/// Tries endpoints until one answers. Not a byte of the application's has been sent yet, so nothing is done twice.
async fn reach_one(group: &Group, worker: &Worker, traffic: &Traffic) -> Result<Reached, Failure> {
    let until = Instant::now() + DIAL_TIMEOUT;
    let (mut tried, mut last) = (Vec::new(), Failure::NoEndpoint);
    while tried.len() < MOST_TRIES
        && let Some(endpoint) = group.choose(&tried)
    {
        tried.push(endpoint.address);
        let time = time_to_try(until, tried.len(), group);
        let began = Instant::now();
        match timeout(time, reach_endpoint(endpoint, worker, traffic)).await.unwrap_or(Err(Failure::Timeout)) {
            Ok(reached) => {
                endpoint.load.answered(began.elapsed(), clock());
                return Ok(reached);
            }
            Err(failure) => {
                endpoint.load.failed(clock());
                last = failure;
            }
        }
    }
    Err(last)
}

/// How long the `nth` endpoint of the group may take, if all of them together have `until` then.
pub fn time_to_try(until: Instant, nth: usize, group: &Group) -> Duration {
    let left = until.saturating_duration_since(Instant::now());
    let alone = nth == MOST_TRIES || group.candidates() <= nth;
    if alone { left } else { left.min(TRY_TIMEOUT) }
}

async fn reach_endpoint(endpoint: &Endpoint, worker: &Worker, traffic: &Traffic) -> Result<Reached, Failure> {
    let open = Some(endpoint.open());
    if let Some(peer) = &endpoint.peer {
        let (tcp, dial) = dial::dial(SocketAddr::new(endpoint.address.ip(), peer.port), &worker.dials).await?;
        let configs = worker.mesh.credentials.current();
        let tunnel = tunnel(tcp, endpoint.address, peer, Protocol::Opaque, &configs, traffic).await?;
        Ok(Reached { far: Far::Mesh(Box::new(tunnel)), held: (dial, open) })
    } else {
        let (target, dial) = dial::dial(endpoint.address, &worker.dials).await?;
        traffic.plaintext.of(Plaintext::UnmeshedEndpoint).add(1);
        Ok(Reached { far: Far::Plain(target), held: (dial, open) })
    }
}

/// Makes a connection to an endpoint's proxy one to its application that carries `protocol`. Whatever fails here, plain
/// bytes are no way out: the endpoint is known to have a proxy, and who answers in another's name must get nothing.
pub async fn tunnel(
    tcp: TcpStream,
    endpoint: SocketAddr,
    peer: &Peer,
    protocol: Protocol,
    configs: &Configs,
    traffic: &Traffic,
) -> Result<TlsStream, Failure> {
    static TOLD: Seldom = Seldom::new();
    let mut stream = match tls::connect(tcp, &peer.identity, configs).await {
        Ok(stream) => stream,
        Err(failure) => {
            traffic.handshake_failures.of(failure).add(1);
            if let Some(left_out) = TOLD.line(Instant::now()) {
                warn!(%endpoint, expected = %peer.identity, left_out, "no mutual TLS with an endpoint: {failure}");
            }
            return Err(Failure::Handshake);
        }
    };
    traffic.handshakes.of(if stream.resumed() { Handshake::Resumed } else { Handshake::Full }).add(1);
    let preface = Preface { protocol, port: endpoint.port() };
    let said = async {
        stream.write_all(&preface.encode()).await?;
        stream.flush().await
    };
    said.await.map_err(|error| Failure::from(&error))?;
    Ok(stream)
}
