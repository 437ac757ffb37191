//! From a request to a connection that can carry it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout;

use super::links::link;
use super::mux::Link;
use super::places::{Key, Place, Waiting};
use super::reason::Reason;
use super::streamed::Speech;
use super::wire::Wire;
use crate::api::endpoints::Target;
use crate::balance::{Load, Open, clock};
use crate::dial::{self, DIAL_TIMEOUT, Failure};
use crate::discovery::{Decision, Endpoint, Group, Known};
use crate::metrics::Direction;
use crate::metrics::requests::{Row, Version, Whom};
use crate::outbound::{MOST_TRIES, time_to_try};
use crate::tls::SpiffeId;
use crate::worker::Worker;

/// Where the requests of a connection go.
#[derive(Clone, Debug)]
pub enum Route {
    /// To one of a destination's endpoints, as discovery says.
    Out {
        /// What was dialled.
        destination: SocketAddr,
    },
    /// To the pod's own application.
    In {
        /// Where it listens.
        to: SocketAddr,
        /// Who asks, if that is known.
        client: Option<SpiffeId>,
        /// Where requests are counted.
        row: Arc<Row>,
        /// Multiplexed connections to the application, which no two clients share: what one of them gives up, floods or
        /// never reads is told to the application, and what it does about it must not hit another. HTTP/1's carry one
        /// request at a time and are shared.
        own: Option<Arc<Place>>,
        /// The client is known, and is not let in: each request is answered so.
        denied: bool,
    },
}

/// A connection that can carry a request, with what must be kept while it does.
#[derive(Debug)]
pub struct Reached {
    /// The endpoint, as this worker knows it.
    pub place: Arc<Place>,
    /// How its load is counted; none for the pod's own application.
    pub load: Option<Arc<Load>>,
    /// The connection.
    pub way: Way,
    /// Counts it as long as it is kept.
    pub open: Option<Open>,
}

/// See `Reached`.
#[derive(Debug)]
pub enum Way {
    /// One that many share.
    Link(Link),
    /// One of HTTP/1 for this request alone; `reused` if it has carried others.
    Wire {
        /// The connection.
        waiting: Waiting,
        /// See above.
        reused: bool,
    },
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// What to tell the client.
    pub reason: Reason,
    /// The endpoint that was tried last.
    pub endpoint: Option<SocketAddr>,
}

impl Route {
    /// To the application at `to`, for a client that speaks so. Its row is looked up once: here.
    pub fn inbound(to: SocketAddr, client: Option<SpiffeId>, speech: Speech, worker: &Worker) -> Self {
        let whom = Whom {
            port: to.port().to_string(),
            peer: client.as_ref().map(SpiffeId::to_string).unwrap_or_default(),
            tls: client.is_some(),
            ..Whom::default()
        };
        let row = worker.metrics.requests.row(Direction::Inbound, version(speech), whom);
        let key = Key { direction: Direction::Inbound, destination: to, endpoint: to, speech };
        let own = (speech == Speech::Http2).then(|| Arc::new(Place::new(key, None, Arc::clone(&row))));
        Self::In { to, client, row, own, denied: false }
    }

    /// The client is gone: connections that were its own end with what is under way.
    pub fn leave(&self) {
        if let Self::In { own: Some(own), .. } = self {
            own.links.leave();
        }
    }

    /// The same for a client that is not let in.
    #[must_use]
    pub fn denied(mut self) -> Self {
        if let Self::In { denied, .. } = &mut self {
            *denied = true;
        }
        self
    }

    /// Where a request is counted that has reached this place.
    pub fn row(&self, place: &Place) -> Arc<Row> {
        match self {
            Self::Out { .. } => Arc::clone(&place.row),
            Self::In { row, .. } => Arc::clone(row),
        }
    }

    /// Where a request is counted that has reached nobody.
    pub fn nowhere(&self, worker: &Worker, speech: Speech) -> Arc<Row> {
        match self {
            Self::In { row, .. } => Arc::clone(row),
            Self::Out { destination } => {
                if let Some(Known::Group(group)) = worker.mesh.directory.look(*destination) {
                    return outbound_row(&group, *destination, None, worker, speech);
                }
                let whom = Whom { port: destination.port().to_string(), ..Whom::default() };
                worker.metrics.requests.row(Direction::Outbound, version(speech), whom)
            }
        }
    }

    /// The direction of what goes this way.
    pub fn direction(&self) -> Direction {
        match self {
            Self::Out { .. } => Direction::Outbound,
            Self::In { .. } => Direction::Inbound,
        }
    }

    /// What the client dialled.
    pub fn destination(&self) -> SocketAddr {
        match self {
            Self::Out { destination } => *destination,
            Self::In { to, .. } => *to,
        }
    }

    /// Finds a connection for a request that has been `tried` at some endpoints in vain.
    pub async fn reach(
        &self,
        worker: &Arc<Worker>,
        speech: Speech,
        tried: &mut Vec<SocketAddr>,
    ) -> Result<Reached, Unreached> {
        match self {
            Self::In { denied: true, .. } => Err(Unreached { reason: Reason::Denied, endpoint: None }),
            Self::In { own: Some(own), .. } => reach_application(Arc::clone(own), worker).await,
            Self::In { to, row, .. } => {
                let key = Key { direction: Direction::Inbound, destination: *to, endpoint: *to, speech };
                // Whose request it is, the route's own row says.
                let place = worker.http.places.get(key, None, || Arc::clone(row));
                reach_application(place, worker).await
            }
            Self::Out { destination } => {
                let directory = &worker.mesh.directory;
                let decision = if let Some(known) = directory.look(*destination) {
                    Decision::Known(known)
                } else {
                    let inside = worker.mesh.is_inside(destination.ip());
                    Box::pin(directory.resolve(*destination, inside)).await
                };
                match decision {
                    Decision::Known(Known::Group(group)) => {
                        reach_one(&group, *destination, worker, speech, tried).await
                    }
                    // It was a Service's or a pod's when the connection was accepted.
                    Decision::Known(Known::NotOurs) | Decision::Unknown => {
                        Err(Unreached { reason: Reason::UnknownDestination, endpoint: None })
                    }
                }
            }
        }
    }
}

async fn reach_application(place: Arc<Place>, worker: &Arc<Worker>) -> Result<Reached, Unreached> {
    let way = match ready(&place, worker) {
        Some(way) => Ok(way),
        None => Box::pin(connect(&place, worker)).await.inspect_err(|failure| count_failure(&place, worker, *failure)),
    };
    let way = way.map_err(|failure| Unreached { reason: failure.into(), endpoint: Some(place.key.endpoint) })?;
    Ok(Reached { place, load: None, way, open: None })
}

/// Tries endpoints until one can be reached. Nothing has been said to any of them yet.
async fn reach_one(
    group: &Arc<Group>,
    destination: SocketAddr,
    worker: &Arc<Worker>,
    speech: Speech,
    tried: &mut Vec<SocketAddr>,
) -> Result<Reached, Unreached> {
    let mut last = None;
    let mut until = None;
    // Where every endpoint has failed to carry the request, but none to be reached, one of them may still: it was a
    // connection that ended, and the next one is a new one.
    if !tried.is_empty() && tried.len() >= group.candidates() {
        tried.clear();
    }
    while tried.len() < MOST_TRIES
        && let Some(endpoint) = group.choose_healthy(tried)
    {
        let (load, open) = (Arc::clone(&endpoint.load), endpoint.open());
        let key = Key { direction: Direction::Outbound, destination, endpoint: endpoint.address, speech };
        let place = worker
            .http
            .places
            .get(key, endpoint.peer.as_ref(), || outbound_row(group, endpoint.address, Some(endpoint), worker, speech));
        if let Some(way) = ready(&place, worker) {
            return Ok(Reached { place, load: Some(load), way, open: Some(open) });
        }
        let until = *until.get_or_insert_with(|| Instant::now() + DIAL_TIMEOUT);
        let connecting = Box::pin(connect(&place, worker)); // seldom: not to be a part of every request
        let connected = timeout(time_to_try(until, tried.len() + 1, group), connecting).await;
        match connected.unwrap_or(Err(Failure::Timeout)) {
            Ok(way) => return Ok(Reached { place, load: Some(load), way, open: Some(open) }),
            Err(failure) => {
                count_failure(&place, worker, failure);
                if failure != Failure::Resources {
                    load.failed(clock());
                    unhealthy(&load, &place.row, false);
                }
                tried.push(endpoint.address);
                last = Some((failure, endpoint.address));
            }
        }
    }
    Err(match last {
        Some((failure, endpoint)) => Unreached { reason: failure.into(), endpoint: Some(endpoint) },
        None if group.candidates() > tried.len() => Unreached { reason: Reason::Ejected, endpoint: None },
        None => Unreached { reason: Reason::NoEndpoint, endpoint: None },
    })
}

/// Takes note of a failure that is the endpoint's own, an answer or none, and counts if it is put out for it.
pub fn unhealthy(load: &Load, row: &Row, answered: bool) {
    if load.health.failed(answered, clock()) {
        row.ejections.add(1);
    }
}

/// A connection that is there already.
fn ready(place: &Place, worker: &Worker) -> Option<Way> {
    if place.is_shared() {
        return place.ready_link(worker).map(Way::Link);
    }
    place.take().map(|waiting| Way::Wire { waiting, reused: true })
}

/// A new connection, where `ready` has none.
async fn connect(place: &Arc<Place>, worker: &Arc<Worker>) -> Result<Way, Failure> {
    if place.is_shared() {
        return link(place, worker).await.map(Way::Link);
    }
    let (tcp, dial) = dial::dial(place.key.endpoint, &worker.dials).await?;
    place.count_plaintext(worker);
    Ok(Way::Wire { waiting: Waiting { wire: Wire::new(tcp, Vec::new()), dial }, reused: false })
}

/// Counts that a connection could not be opened. Whoever opens a shared one counts it, for all who wait for it.
fn count_failure(place: &Place, worker: &Worker, failure: Failure) {
    if !place.is_shared() {
        worker.metrics.of(place.key.direction).connect_failures.of(failure).add(1);
    }
}

/// Which HTTP is spoken so.
pub fn version(speech: Speech) -> Version {
    match speech {
        Speech::Http1 => Version::Http1,
        Speech::Http2 => Version::Http2,
    }
}

/// The row of a destination's endpoint, or of the destination itself, that is at this address.
fn outbound_row(
    group: &Group,
    at: SocketAddr,
    endpoint: Option<&Endpoint>,
    worker: &Worker,
    speech: Speech,
) -> Arc<Row> {
    let (namespace, service, port) = match &group.target {
        Some(Target::Service(service)) => (service.namespace.clone(), service.name.clone(), service.port.clone()),
        Some(Target::Pod(pod)) => (pod.namespace.clone(), String::new(), String::new()),
        None => Default::default(),
    };
    let workload = endpoint.and_then(|endpoint| endpoint.workload.as_ref());
    let peer = endpoint.and_then(|endpoint| endpoint.peer.as_ref());
    let whom = Whom {
        namespace,
        service,
        port: if port.is_empty() { at.port().to_string() } else { port },
        workload_kind: workload.map(|workload| workload.kind.to_string()).unwrap_or_default(),
        workload: workload.map(|workload| workload.name.to_string()).unwrap_or_default(),
        peer: peer.map(|peer| peer.identity.to_string()).unwrap_or_default(),
        tls: peer.is_some(),
    };
    worker.metrics.requests.row(Direction::Outbound, version(speech), whom)
}
