//! Multiplexed connections to one endpoint: opened when they are needed, shared by whoever needs one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

use super::mux::{Ended, Event, Heads, Link, Profile, Role, Stream, drive};
use super::places::Place;
use super::streamed::Speech;
use crate::copy::Leg;
use crate::dial::{self, DIAL_TIMEOUT, Failure};
use crate::metrics::Traffic;
use crate::outbound::tunnel;
use crate::preface::Protocol;
use crate::tls::Configs;
use crate::worker::Worker;

/// Connections to one endpoint at once: 8 x 1,024 streams. More than 8,000 requests that one endpoint has not answered
/// are better told so.
const MOST: usize = 8;

/// What an opening comes to.
type Opening = watch::Receiver<Option<Result<Link, Failure>>>;

/// See the module.
#[derive(Debug, Default)]
pub struct Links(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    open: Vec<(Link, Option<Arc<Configs>>)>,
    opening: Option<Opening>,
}

impl Links {
    /// Whether there is none that gets streams, or may.
    pub fn is_empty(&self) -> bool {
        let mut inner = self.inner();
        inner.open.retain(|(link, _)| !link.is_leaving());
        inner.open.is_empty() && inner.opening.is_none()
    }

    /// Opens no more streams on any of them.
    pub fn leave(&self) {
        for (link, _) in self.inner().open.drain(..) {
            link.leave();
        }
    }

    /// One with room for a stream, if there is one. Connections under credentials that were replaced get no more.
    pub fn find(&self, current: Option<&Arc<Configs>>) -> Option<Link> {
        let mut inner = self.inner();
        inner.open.retain(|(link, configs)| {
            let same = configs.as_ref().map(Arc::as_ptr) == current.map(Arc::as_ptr);
            if !same {
                link.leave();
            }
            same && !link.is_leaving()
        });
        inner.open.iter().map(|(link, _)| link).find(|link| link.room() > 0).cloned()
    }

    /// The opening that is under way, or a new one.
    fn opening(&self, begin: impl FnOnce(watch::Sender<Option<Result<Link, Failure>>>)) -> Result<Opening, Failure> {
        let mut inner = self.inner();
        if let Some(opening) = &inner.opening {
            return Ok(opening.clone());
        }
        if inner.open.len() >= MOST {
            return Err(Failure::Resources);
        }
        let (sender, receiver) = watch::channel(None);
        inner.opening = Some(receiver.clone());
        drop(inner);
        begin(sender);
        Ok(receiver)
    }

    fn opened(&self, opened: Option<(&Link, Option<Arc<Configs>>)>) {
        let mut inner = self.inner();
        inner.opening = None;
        inner.open.extend(opened.map(|(link, configs)| (link.clone(), configs)));
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new connection to the place, where none has room for a stream; whoever else waits for one shares it.
pub async fn link(place: &Arc<Place>, worker: &Arc<Worker>) -> Result<Link, Failure> {
    let configs = place.peer.is_some().then(|| worker.mesh.credentials.current());
    let mut opening = place.links.opening(|sender| {
        let (place, on) = (Arc::clone(place), Arc::clone(worker));
        worker.http.tasks.spawn(open(place, on, configs, sender));
    })?;
    let opened = opening.wait_for(Option::is_some).await.map_err(|_| Failure::Other)?;
    opened.clone().unwrap_or(Err(Failure::Other))
}

/// Opens a connection, tells whoever waits for it, and drives it to its end.
async fn open(
    place: Arc<Place>,
    worker: Arc<Worker>,
    configs: Option<Arc<Configs>>,
    sender: watch::Sender<Option<Result<Link, Failure>>>,
) {
    let endpoint = place.key.endpoint;
    let traffic = worker.metrics.of(place.key.direction);
    let reaching = async {
        match (&place.peer, &configs) {
            (Some(peer), Some(configs)) => {
                let at = SocketAddr::new(endpoint.ip(), peer.port);
                let (tcp, dial) = dial::dial(at, &worker.dials).await?;
                let protocol = match place.key.speech {
                    Speech::Http1 => Protocol::Http1,
                    Speech::Http2 => Protocol::Http2,
                };
                let tls = tunnel(tcp, endpoint, peer, protocol, configs, traffic).await?;
                Ok((Reached::Mesh(Box::new(tls)), dial))
            }
            _ => dial::dial(endpoint, &worker.dials).await.map(|(tcp, dial)| (Reached::Plain(tcp), dial)),
        }
    };
    // Whoever waits for it waits as long as there is time to try it; it may be the only one that there is.
    let reached = timeout(DIAL_TIMEOUT, reaching).await.unwrap_or(Err(Failure::Timeout));
    let (mut reached, _dial) = match reached {
        Ok(reached) => reached,
        Err(failure) => {
            place.links.opened(None);
            traffic.connect_failures.of(failure).add(1);
            let _ = sender.send(Some(Err(failure)));
            return;
        }
    };
    let profile = if place.peer.is_some() {
        Profile::MESH
    } else {
        place.count_plaintext(&worker);
        Profile::APPLICATION
    };
    let link = Link::new(Role::Client, heads(place.key.speech), profile);
    place.links.opened(Some((&link, configs)));
    let _ = sender.send(Some(Ok(link.clone())));
    drop(sender);
    let began = Instant::now();
    let ended = match &mut reached {
        // A server opens no streams.
        Reached::Plain(tcp) => drive_counted(&link, tcp, &[], drop, traffic).await,
        Reached::Mesh(tls) => drive_counted(&link, &mut **tls, &[], drop, traffic).await,
    };
    debug!(%endpoint, ?ended, seconds = began.elapsed().as_secs(), "a connection that carried requests ended");
}

/// Drives a connection, and counts it: as long as it is open, what the peer does wrong, and, of one that the peer has
/// opened, the bytes.
pub async fn drive_counted(
    link: &Link,
    leg: &mut impl Leg,
    begun: &[u8],
    opened: impl FnMut(Stream),
    traffic: &Traffic,
) -> Ended {
    let _open = traffic.links.hold();
    let ours = link.role() == Role::Client;
    let ended = drive(link, leg, begun, opened, |event| match event {
        Event::Fault(code) => traffic.faults.of(code).add(1),
        Event::Read(_) | Event::Wrote(_) if ours => {}
        Event::Read(count) => traffic.bytes_in.add(count as u64),
        Event::Wrote(count) => traffic.bytes_out.add(count as u64),
    })
    .await;
    if let Ended::Violation(code) = ended {
        traffic.violations.of(code).add(1);
    }
    ended
}

enum Reached {
    Plain(tokio::net::TcpStream),
    Mesh(Box<crate::tls::TlsStream>),
}

/// How heads are written in that speech.
pub fn heads(speech: Speech) -> Heads {
    match speech {
        Speech::Http1 => Heads::Raw,
        Speech::Http2 => Heads::hpack(),
    }
}
