//! The admin port: `/live`, `/ready`, `/metrics`, the declared probes, and nothing else.
//!
//! Anyone in the cluster can reach it, and the kubelet must get through at any time. So every guest is short-lived (one
//! request a connection, little time and little space for its headers), and seats are given such that one who takes
//! many loses them first (`guests`). It runs on the main thread, apart from the threads that carry connections.

mod guests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::error;

use crate::identity::Status;
use crate::listen::{self, Accepted};
use crate::metrics::Exposition;
use crate::orig_dst::canonical;
use crate::probe::{Outcome, Prober};
use guests::Guests;

/// Time for the whole request head. The kubelet's is one segment.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// Bytes for the whole request head, hyper's minimum: a kubelet's GET has some 150.
const HEAD_BYTES: usize = 8 * 1024;

/// Header lines; the kubelet sends three, Prometheus seven.
const HEADERS: usize = 32;

/// Time for a guest beyond what its probe may take: head, answer, and a wide margin.
const GUEST_MARGIN: Duration = Duration::from_secs(10);

/// What the admin port answers from.
pub struct Admin {
    /// Performs the declared probes.
    pub prober: Prober,
    /// Renders `/metrics`.
    pub exposition: Exposition,
    /// Whether the proxy has a certificate; until then it is not ready, and says what it waits for.
    pub certified: watch::Receiver<Status>,
    /// True once the proxy accepts no more connections.
    pub draining: watch::Receiver<bool>,
}

/// Answers at these sockets, also during the drain, until dropped.
pub async fn serve(sockets: Vec<std::net::TcpListener>, admin: Arc<Admin>) -> io::Result<()> {
    let guests = Arc::new(Guests::new(admin.prober.declared()));
    let (_never, running) = watch::channel(false);
    let mut accepting = JoinSet::new();
    for socket in sockets {
        let (listener, guests, admin) = (TcpListener::from_std(socket)?, Arc::clone(&guests), Arc::clone(&admin));
        let welcome = move |accepted: Accepted| welcome(accepted.stream, accepted.peer, &guests, &admin);
        let room = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)); // who may sit is for `guests` to say
        let failed = |error: &io::Error| error!(%error, "cannot accept at the admin port");
        accepting.spawn(listen::accept(listener, room, running.clone(), welcome, failed));
    }
    while accepting.join_next().await.is_some() {}
    Ok(())
}

fn welcome(stream: TcpStream, peer: SocketAddr, guests: &Arc<Guests>, admin: &Arc<Admin>) {
    let admin = Arc::clone(admin);
    guests.seat(canonical(peer).ip(), async move {
        let time = admin.prober.longest() + HEAD_TIME + GUEST_MARGIN;
        let service = service_fn(|request| answer(request, &admin));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEADERS)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        let _ = timeout(time, connection).await; // a guest's bad request is the guest's affair
    });
}

/// A hook that did not reach the application: the kubelet looks at no status of a hook, so only silence tells it.
#[derive(Debug)]
struct Unreached(String);

impl fmt::Display for Unreached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unreached {}

async fn answer(request: Request<Incoming>, admin: &Admin) -> Result<Response<Full<Bytes>>, Unreached> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    match request.uri().path() {
        "/live" => Ok(text(StatusCode::OK, "live\n")),
        "/ready" if *admin.draining.borrow() => Ok(text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")),
        "/ready" => Ok(readiness(&admin.certified.borrow())),
        "/metrics" => Ok(metrics(admin)),
        path => probe(path, admin).await,
    }
}

fn readiness(status: &Status) -> Response<Full<Bytes>> {
    match status {
        Status::Certified => text(StatusCode::OK, "ready\n"),
        Status::Waiting(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for a certificate: {why}\n")),
    }
}

fn metrics(admin: &Admin) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::OK, admin.exposition.render());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

async fn probe(path: &str, admin: &Admin) -> Result<Response<Full<Bytes>>, Unreached> {
    match admin.prober.perform(path).await {
        None => Ok(text(StatusCode::NOT_FOUND, "not found\n")),
        Some(Outcome::Passed) => Ok(text(StatusCode::OK, "ok\n")),
        Some(Outcome::Failed(reason)) => Ok(text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"))),
        Some(Outcome::Unreached(reason)) => Err(Unreached(reason)),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
