//! What the integration tests share.

#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]

pub mod issuer;
pub mod pki;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use injector_proxy::dial::Dials;
use injector_proxy::metrics::WorkerMetrics;
use injector_proxy::worker::{self, Listeners, Worker};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// Connections at once that a rig carries.
pub const MOST: usize = 20;

/// Nothing here takes as long, unless it hangs.
pub const SOON: Duration = Duration::from_secs(10);

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

/// A worker whose connections all go to `destination`, as if redirection had sent them.
pub struct Rig {
    pub inbound: SocketAddr,
    pub outbound: SocketAddr,
    pub metrics: Arc<WorkerMetrics>,
    pub stop: watch::Sender<bool>,
    pub finished: oneshot::Receiver<()>,
}

impl Rig {
    pub fn to(destination: SocketAddr) -> Self {
        Self::with(move |_| destination)
    }

    /// `destination` is told the address at which a connection was accepted.
    pub fn with(destination: impl Fn(SocketAddr) -> SocketAddr + Send + Sync + 'static) -> Self {
        let bind = |ip| {
            let listener = std::net::TcpListener::bind((ip, 0)).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        };
        let (inbound, outbound) = (bind(own_address()), bind(own_address()));
        let (stop, stopped) = watch::channel(false);
        let metrics = Arc::new(WorkerMetrics::default());
        let worker = Worker {
            metrics: Arc::clone(&metrics),
            dials: Dials::default(),
            pod_ips: vec![own_address()],
            opaque_ports: "1-1023".parse().unwrap(),
            original_destination: Arc::new(move |_, local| Ok(destination(local))),
            most: MOST,
        };
        let (inbound_at, outbound_at) = (inbound.local_addr().unwrap(), outbound.local_addr().unwrap());
        let listeners = Listeners { inbound: vec![inbound], outbound: vec![outbound] };
        let finished = worker::start(0, worker, listeners, stopped).unwrap();
        Self { inbound: inbound_at, outbound: outbound_at, metrics, stop, finished }
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
