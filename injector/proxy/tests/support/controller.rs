//! A controller as the proxy sees it: real TLS, real HTTP/2, and whatever a test wants to say.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use injector_proxy::api::discovery_server::{Discovery, DiscoveryServer};
use injector_proxy::api::watch_request::Message;
use injector_proxy::api::watch_response::Message as Answer;
use injector_proxy::api::{self, WatchRequest, WatchResponse};
use rustls::version::TLS13;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};
use tower_service::Service as _;

use super::pki::{Authority, DOMAIN, Leaf, bearer, careless_server};
use super::soon;

/// A stream as the controller sees it.
pub struct Session {
    heard: mpsc::Receiver<Message>,
    says: mpsc::Sender<Result<WatchResponse, Status>>,
}

impl Session {
    /// What the proxy says next.
    pub async fn hears(&mut self) -> Message {
        soon(self.heard.recv()).await.expect("the stream has ended")
    }

    /// The destinations that the proxy asks for next.
    pub async fn hears_subscribe(&mut self) -> Vec<SocketAddr> {
        match self.hears().await {
            Message::Subscribe(subscribe) => subscribe.destinations.iter().map(address).collect(),
            other => panic!("expected a Subscribe, got {other:?}"),
        }
    }

    /// What the proxy acknowledges next.
    pub async fn hears_acknowledge(&mut self) -> Vec<(SocketAddr, u64)> {
        match self.hears().await {
            Message::Acknowledge(acknowledge) => {
                let versions = acknowledge.versions.iter();
                versions.map(|one| (address(one.address.as_ref().unwrap()), one.version)).collect()
            }
            other => panic!("expected an Acknowledge, got {other:?}"),
        }
    }

    pub async fn says(&self, answer: Answer) {
        self.says.send(Ok(WatchResponse { message: Some(answer) })).await.unwrap();
    }

    pub async fn says_of(&self, at: SocketAddr, version: u64, state: api::destination::State) {
        let destination = api::Destination { address: Some(wire(at)), version, state: Some(state) };
        self.says(Answer::Destination(destination)).await;
    }
}

fn address(wire: &api::Address) -> SocketAddr {
    let ip: [u8; 4] = wire.ip[..].try_into().expect("an IPv4 address");
    (ip, u16::try_from(wire.port).unwrap()).into()
}

/// An address as a message has it.
pub fn wire(at: SocketAddr) -> api::Address {
    let SocketAddr::V4(v4) = at else { panic!("an IPv4 address") };
    api::Address { ip: v4.ip().octets().to_vec(), port: at.port().into() }
}

/// The controller; dropped, it is gone with all of its connections.
pub struct Controller {
    pub at: SocketAddr,
    sessions: mpsc::Receiver<Session>,
    serving: JoinHandle<()>,
}

impl Controller {
    pub async fn start(authority: &Authority) -> Self {
        Self::at(authority, "127.0.0.1:0".parse().unwrap()).await
    }

    pub async fn at(authority: &Authority, at: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let name = format!("spiffe://{DOMAIN}/ns/injector-system/sa/injector-discovery");
        let leaf = Leaf { uris: vec![name], ..Leaf::of("unused") };
        let config = careless_server(&TLS13, Some("h2"), bearer(authority, &leaf));
        let (sessions, receiver) = mpsc::channel(8);
        let at = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), sessions));
        Self { at, sessions: receiver, serving }
    }

    /// The next stream, after its hello.
    pub async fn session(&mut self) -> (Session, api::Hello) {
        let mut session = soon(self.sessions.recv()).await.expect("the controller serves");
        match session.hears().await {
            Message::Hello(hello) => (session, hello),
            other => panic!("expected a Hello, got {other:?}"),
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, sessions: mpsc::Sender<Session>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let tcp = listener.accept().await.unwrap().0;
        let (acceptor, server) = (acceptor.clone(), DiscoveryServer::new(Fake(Mutex::new(sessions.clone()))));
        connections.spawn(async move {
            let Ok(tls) = acceptor.accept(tcp).await else { return };
            let answer = service_fn(|request: http::Request<hyper::body::Incoming>| {
                let mut server = server.clone();
                async move { server.call(request).await }
            });
            let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), answer).await;
        });
    }
}

struct Fake(Mutex<mpsc::Sender<Session>>);

#[tonic::async_trait]
impl Discovery for Fake {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        let (hears, heard) = mpsc::channel(64);
        let (says, said) = mpsc::channel(64);
        let sessions = self.0.lock().unwrap().clone();
        sessions.send(Session { heard, says }).await.map_err(|_| Status::unavailable("nobody looks"))?;
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                if hears.send(request.message.expect("a message")).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(said))))
    }
}
