//! What the integration tests share.

#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]

pub mod controller;
pub mod issuer;
pub mod pki;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use injector_proxy::config::Networks;
use injector_proxy::discovery::{Directory, Known, Place};
use injector_proxy::identity::MeshFacts;
use injector_proxy::mesh::Mesh;
use injector_proxy::metrics::WorkerMetrics;
use injector_proxy::policy::{Policy, UnknownDestinations};
use injector_proxy::strangers::Strangers;
use injector_proxy::tls::{Configs, Credentials, SpiffeId};
use injector_proxy::worker::{self, Listeners, Worker};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use pki::{Authority, DOMAIN};

/// Connections at once that a rig carries.
pub const MOST: usize = 20;

/// Nothing here takes as long, unless it hangs: the longest wait is for a stream that is tried again after up to 2, 4 and 8 s.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits, but not for ever.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(SOON, future).await.expect("this should have been over by now")
}

/// An address of this machine that is not loopback: the proxy carries nothing to loopback. No packet is sent.
pub fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").expect("these tests need an interface with an address and a default route");
    socket.local_addr().unwrap().ip()
}

/// A worker, and what it is told of where its connections were going.
pub struct Rig {
    pub inbound: SocketAddr,
    pub outbound: SocketAddr,
    pub mesh: Arc<Mesh>,
    pub metrics: Arc<WorkerMetrics>,
    pub stop: watch::Sender<bool>,
    pub finished: oneshot::Receiver<()>,
}

/// What a rig is made from: where connections were going, as if redirection had sent them; none for connections that
/// nobody redirected.
pub struct Setup {
    pub inbound: Option<SocketAddr>,
    pub outbound: Option<SocketAddr>,
    pub configs: Configs,
    pub policy: Policy,
    pub unknown: UnknownDestinations,
    pub networks: Networks,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            inbound: None,
            outbound: None,
            configs: Authority::new().good("alone"),
            policy: Policy::default(),
            unknown: UnknownDestinations::default(),
            networks: Networks::default(),
        }
    }
}

impl Rig {
    /// Everything goes to `destination`, and nobody is there to ask about it.
    pub fn to(destination: SocketAddr) -> Self {
        Self::start(Setup { inbound: Some(destination), outbound: Some(destination), ..Setup::default() })
    }

    pub fn start(setup: Setup) -> Self {
        let bind = |ip| {
            let listener = std::net::TcpListener::bind((ip, 0)).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        };
        let (inbound, outbound) = (bind(own_address()), bind(own_address()));
        let (inbound_at, outbound_at) = (inbound.local_addr().unwrap(), outbound.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        let metrics = Arc::new(WorkerMetrics::default());
        let mesh = Arc::new(mesh(setup.configs, setup.policy, setup.unknown, setup.networks));
        let worker = Worker {
            mesh: Arc::clone(&mesh),
            metrics: Arc::clone(&metrics),
            dials: Arc::default(),
            http: injector_proxy::http::Http::default(),
            strangers: Strangers::new(),
            pod_ips: vec![own_address()],
            opaque_ports: "1-1023".parse().unwrap(),
            original_destination: Arc::new(move |_, local| {
                let redirected = if local == outbound_at { setup.outbound } else { setup.inbound };
                Ok(redirected.unwrap_or(local))
            }),
            most: MOST,
        };
        let listeners = Listeners { inbound: vec![inbound], outbound: vec![outbound] };
        let finished = worker::start(0, worker, listeners, stopped).unwrap();
        Self { inbound: inbound_at, outbound: outbound_at, mesh, metrics, stop, finished }
    }

    /// What is known of a destination from now on.
    pub fn knows(&self, destination: SocketAddr, known: Known) {
        self.mesh.directory.remember([(destination, known)]);
    }
}

/// What every pod is told, with a controller there.
pub fn facts(discovery: Vec<SocketAddr>) -> MeshFacts {
    let server = |account| SpiffeId::new(DOMAIN, "injector-system", account).unwrap();
    MeshFacts {
        trust_domain: DOMAIN.to_owned(),
        identity: Vec::new(),
        issuer: server("injector-identity"),
        discovery,
        discoverer: server("injector-discovery"),
        networks: Networks::default(),
    }
}

/// A mesh whose controller is away.
pub fn mesh(configs: Configs, policy: Policy, unknown: UnknownDestinations, networks: Networks) -> Mesh {
    let directory = Directory::new(Place { trust_domain: DOMAIN.to_owned(), node: "node-1".to_owned() });
    directory.alone();
    let facts = MeshFacts { networks, ..facts(Vec::new()) };
    Mesh {
        credentials: Arc::new(Credentials::new(configs)),
        directory: Arc::new(directory),
        facts: watch::channel(facts).1,
        inbound_policy: policy,
        unknown_destinations: unknown,
    }
}

/// A listener at a free port of this machine's own address.
pub async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((own_address(), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that answers no SYN: a listener that accepts nothing, its backlog full.
pub async fn silent() -> (Vec<TcpStream>, SocketAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::new(own_address(), 0).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(listener); // closing it would answer
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 10, "the backlog does not fill");
    }
    (waiting, address)
}

/// Two ends of one TCP connection over loopback.
pub async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Sends a request as it stands and returns everything until the end.
pub async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}
