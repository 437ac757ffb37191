//! One gRPC connection to the control plane: TCP, TLS to one expected identity, HTTP/2.
//!
//! It ends when it breaks and does not come back: whoever uses it knows when to try again, and where. So one connection
//! is one, without the pool, the queue and the balancer of a general client.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tower_service::Service;

use super::failure::HandshakeFailure;
use super::spiffe::SpiffeId;

/// Time for one address to answer: SYNs at 0, 1 and 3 s.
const DIAL_TIME: Duration = Duration::from_secs(4);
/// Time for TLS and the first frames: a control plane with 2,000 proxies at its door may take seconds for one.
const HELLO_TIME: Duration = Duration::from_secs(10);
/// Time for a ping to come back before the connection counts as dead.
const PING_TIME: Duration = Duration::from_secs(20);

/// Where the control plane is, who must answer there, and how.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// Tried in this order; one of each family, usually.
    pub addresses: &'a [SocketAddr],
    /// Who must answer.
    pub expected: &'a SpiffeId,
    /// Pings after so long without a frame; none: no pings, for a connection of a single request.
    pub ping_after: Option<Duration>,
}

/// Why there is no channel, in words for each address tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached(String);

impl fmt::Display for Unreached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unreached {}

/// Carries gRPC calls; clones share the connection, and it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Channel(SendRequest<Body>);

impl Channel {
    /// What the clients of `api` want beside the channel: scheme and authority of the requests.
    pub fn origin(expected: &SpiffeId) -> Uri {
        let name = expected.dns_name().unwrap_or_else(|| "control-plane".to_owned());
        Uri::builder().scheme("https").authority(name).path_and_query("/").build().expect("a host name is an authority")
    }
}

/// Opens a channel to the first address where the expected one answers.
pub async fn open(target: &Target<'_>, tls: ClientConfig) -> Result<Channel, Unreached> {
    let tls = Arc::new(tls);
    let mut faults = Vec::new();
    for address in target.addresses {
        match reach(*address, target, Arc::clone(&tls)).await {
            Ok(channel) => return Ok(channel),
            Err(fault) => faults.push(format!("{address}: {fault}")),
        }
    }
    Err(Unreached(if faults.is_empty() { "no address is known".to_owned() } else { faults.join("; ") }))
}

async fn reach(address: SocketAddr, target: &Target<'_>, tls: Arc<ClientConfig>) -> Result<Channel, String> {
    let late = |what: &str, time: Duration| format!("{what} after {} s", time.as_secs());
    let tcp = timeout(DIAL_TIME, TcpStream::connect(address)).await.map_err(|_| late("no answer", DIAL_TIME))?;
    let tcp = tcp.map_err(|error| error.to_string())?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let channel = timeout(HELLO_TIME, greet(tcp, target, tls)).await;
    channel.map_err(|_| late("TLS and HTTP/2 not begun", HELLO_TIME))?
}

async fn greet(tcp: TcpStream, target: &Target<'_>, tls: Arc<ClientConfig>) -> Result<Channel, String> {
    let stream = TlsConnector::from(tls)
        .connect(target.expected.server_name(), tcp)
        .await
        .map_err(|error| format!("{}, and {} was expected", HandshakeFailure::of(&error), target.expected))?;
    let mut builder = Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new());
    if let Some(interval) = target.ping_after {
        builder.keep_alive_interval(interval).keep_alive_timeout(PING_TIME).keep_alive_while_idle(true);
    }
    let (requests, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection); // its end is what every call on it hears
    Ok(Channel(requests))
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
