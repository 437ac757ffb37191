//! Clients of HTTP/1: one request after the other, each to where it goes.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::attempt::{Next, answer};
use super::client1::{Begun, StreamClient, WireClient};
use super::h1::head::Refusal;
use super::http1::{HeadFault, Http1};
use super::links::drive_counted;
use super::message1::Ask;
use super::mux::{Ended, Heads, Link, Profile, Role, Stream};
use super::presence::Presence;
use super::reason::Reason;
use super::route::Route;
use super::streamed::{Speech, Streamed};
use super::wire::Wire;
use crate::connection::{End, reset};
use crate::copy::Leg;
use crate::metrics::{Direction, Traffic};
use crate::tls::TlsStream;
use crate::worker::Worker;

/// How long a head may take once its first byte is there: a large one over a bad radio link has some seconds.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// How long a client may wait with its next request. Servers close sooner, most after a minute; this is for those that
/// are gone without a word, and keepalives find most of them.
const IDLE_TIME: Duration = Duration::from_hours(1);

/// How long a client has to read a last answer while it still sends: closing with unread bytes would reset it (RFC 9112,
/// section 9.6).
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Time to say that a multiplexed connection ends when everything on it has ended.
pub const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// Serves a client of which `begun` was read already, some of which the application may have got already.
pub async fn serve<S: End>(socket: S, begun: Vec<u8>, passed: Option<Begun>, route: &Route, worker: &Arc<Worker>) {
    let http = Http1::new(Wire::new(socket, begun));
    let mut client =
        WireClient { http, current: true, last: false, begun: passed, presence: Presence::default(), tunnelled: false };
    let mut stop = pin!(worker.http.stop.clone().cancelled_owned());
    let traffic = worker.metrics.of(route.direction());
    let next = loop {
        let asked = match request(&mut client, route, traffic, &mut stop).await {
            Ok(Some(ask)) => ask,
            Ok(None) => break Next::Close,
            Err(next) => break next,
        };
        client.last = !asked.keep_alive || worker.http.stop.is_cancelled();
        let next = answer(&mut client, &asked, route, worker).await;
        drop(asked);
        client.http.wire.tally(traffic);
        match next {
            Next::Keep if !client.last => {}
            Next::Keep | Next::Close => break Next::Close,
            Next::Reset => break Next::Reset,
        }
    };
    match next {
        Next::Reset => reset(client.http.wire.socket().tcp()),
        Next::Keep | Next::Close => linger(&mut client).await,
    }
}

/// Serves the connection of another proxy, which carries the requests of many clients.
pub async fn serve_link(mut socket: Box<TlsStream>, route: &Route, worker: &Arc<Worker>) {
    let link = Link::new(Role::Server, Heads::Raw, Profile::MESH);
    let serve = |stream| {
        let (route, worker) = (route.clone(), Arc::clone(worker));
        tokio::spawn(async move { serve_stream(stream, &route, &worker).await });
    };
    drive_until_stop(&link, &mut *socket, &[], serve, worker, route.direction()).await;
    let _ = timeout(GOODBYE_TIME, socket.shutdown()).await;
}

/// Drives a connection on which others open streams, and asks them to open no more when the proxy ends.
pub async fn drive_until_stop(
    link: &Link,
    socket: &mut impl Leg,
    begun: &[u8],
    opened: impl FnMut(Stream),
    worker: &Worker,
    direction: Direction,
) -> Ended {
    let mut driving = pin!(drive_counted(link, socket, begun, opened, worker.metrics.of(direction)));
    tokio::select! {
        biased;
        ended = &mut driving => return ended,
        () = worker.http.stop.cancelled() => link.leave(),
    }
    driving.await
}

/// Serves the one request on a stream that another proxy has opened.
async fn serve_stream(stream: Stream, route: &Route, worker: &Arc<Worker>) {
    let mut client = StreamClient(Streamed::new(stream, Speech::Http1));
    let identity = identity(route);
    let parsed = poll_fn(|cx| client.0.poll_head(cx, |bytes| Ask::parse(bytes, true, identity))).await;
    let refusal = match parsed {
        Ok(Ok(Some((ask, _)))) => {
            answer(&mut client, &ask, route, worker).await;
            return;
        }
        Ok(Ok(None)) => Refusal::RequestLine, // half of a head
        Ok(Err(refusal)) => refusal,
        Err(_) => return,
    };
    worker.metrics.of(route.direction()).refused_requests.of(refusal).add(1);
    client.refuse(refusal.status(), Reason::BadRequest, refusal.text(), false);
}

/// Who asks, as the application is told.
pub fn identity(route: &Route) -> Option<&str> {
    match route {
        Route::In { client, .. } => client.as_ref().map(crate::tls::SpiffeId::as_str),
        Route::Out { .. } => None,
    }
}

/// The next request; none when the client has said all, or says nothing more in time, or the proxy ends.
async fn request<S: End>(
    client: &mut WireClient<S>,
    route: &Route,
    traffic: &Traffic,
    stop: &mut (impl Future<Output = ()> + Unpin),
) -> Result<Option<Ask>, Next> {
    let inbound = matches!(route, Route::In { .. });
    let identity = identity(route);
    let mut begun = !client.http.wire.waiting().is_empty();
    loop {
        let time = if begun { HEAD_TIME } else { IDLE_TIME };
        let request = poll_fn(|cx| {
            // An answer of our own may still be on its way. Who reads none of them gets no more.
            match client.http.wire.poll_flush(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(HeadFault::Gone(error.into())))),
                Poll::Pending if client.http.wire.room() == 0 => return Poll::Pending,
                _ => {}
            }
            let polled = client.poll_request(cx, inbound, identity);
            if polled.is_pending() && !begun {
                if !client.http.wire.waiting().is_empty() {
                    begun = true;
                    return Poll::Ready(None);
                }
                if Pin::new(&mut *stop).poll(cx).is_ready() {
                    return Poll::Ready(Some(Ok(None)));
                }
            }
            polled.map(Some)
        });
        match timeout(time, request).await {
            Ok(None) => {}
            Ok(Some(Ok(ask))) => return Ok(ask),
            Ok(Some(Err(HeadFault::Malformed(refusal)))) => {
                client.last = true;
                traffic.refused_requests.of(refusal).add(1);
                client.refuse(refusal.status(), Reason::BadRequest, refusal.text(), false);
                return Err(Next::Close);
            }
            Ok(Some(Err(HeadFault::Gone(_)))) => return Err(Next::Reset),
            Err(_) => return Ok(None),
        }
    }
}

/// Lets a client read what was said last, and go.
async fn linger<S: End>(client: &mut WireClient<S>) {
    client.http.wire.finish();
    let flush = poll_fn(|cx| client.http.wire.poll_flush(cx));
    if !matches!(timeout(HEAD_TIME, flush).await, Ok(Ok(()))) {
        return;
    }
    let until_end = poll_fn(|cx| {
        while let Poll::Ready(read) = client.http.wire.poll_more(cx) {
            let waiting = client.http.wire.waiting().len();
            client.http.wire.take(waiting);
            if !matches!(read, Ok(1..)) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    });
    let _ = timeout(LINGER_TIME, until_end).await;
}
