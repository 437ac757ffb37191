//! Connections between two meshed pods, each with a worker of its own, on real sockets.

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use injector_proxy::config::Networks;
use injector_proxy::dial::Failure;
use injector_proxy::discovery::{Endpoint, Group, Known, Peer, Protocol as Declared, Readiness};
use injector_proxy::metrics::{Direction, Handshake, Peers, Plaintext};
use injector_proxy::policy::Policy;
use injector_proxy::preface::{Preface, Protocol};
use injector_proxy::refuse::Reason;
use injector_proxy::tls::{HandshakeFailure, TlsStream, connect};
use support::pki::{Authority, identity};
use support::{Rig, Setup, listen, own_address, silent, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

const CANARY: &[u8] = b"the canary that nobody on the way may hear";

/// The address of a Service, where nobody listens.
fn service() -> SocketAddr {
    "198.51.100.7:80".parse().unwrap()
}

/// An endpoint at `address`, whose proxy, if it has one, is `account` and listens at `port`.
fn endpoint(address: SocketAddr, peer: Option<(&str, u16)>) -> Endpoint {
    let peer = peer.map(|(account, port)| Peer { identity: identity(account), port });
    Endpoint {
        address,
        peer,
        readiness: Readiness::Ready,
        near: false,
        opaque: false,
        workload: None,
        load: Arc::default(),
    }
}

fn group(endpoints: Vec<Endpoint>) -> Known {
    Known::Group(Arc::new(Group::new(None, Declared::Undeclared, endpoints, None, false, None)))
}

/// A client's proxy, a server's proxy, and the application behind it, which is the only endpoint of `service()`.
struct Pair {
    client: Rig,
    server: Rig,
    application: TcpListener,
    at: SocketAddr,
}

impl Pair {
    async fn new() -> Self {
        Self::with(Policy::default()).await
    }

    async fn with(policy: Policy) -> Self {
        let authority = Authority::new();
        let (application, at) = listen().await;
        let server = Rig::start(Setup { configs: authority.good("web"), policy, ..Setup::default() });
        let configs = authority.good("client");
        let client = Rig::start(Setup { outbound: Some(service()), configs, ..Setup::default() });
        client.knows(service(), group(vec![endpoint(at, Some(("web", server.inbound.port())))]));
        Self { client, server, application, at }
    }

    /// A connection of the application to `service()`, and where it comes out.
    async fn connection(&self) -> (TcpStream, TcpStream) {
        let near = TcpStream::connect(self.client.outbound).await.unwrap();
        (near, soon(self.application.accept()).await.unwrap().0)
    }

    async fn refused(&self, reason: Reason) {
        assert_reset(self.client.outbound).await;
        let traffic = self.server.metrics.of(Direction::Inbound);
        until(|| traffic.refused.of(reason).get() == 1).await;
        assert_eq!((traffic.refused.sum(), traffic.connections.sum()), (1, 0));
    }
}

async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn assert_reset(address: SocketAddr) {
    let told = async {
        let mut stream = TcpStream::connect(address).await?;
        let _ = stream.write_all(CANARY).await;
        stream.read(&mut [0; 1]).await
    };
    assert_eq!(soon(told).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

#[tokio::test]
async fn bytes_pass_both_ways_and_each_end_is_its_own() {
    let pair = Pair::new().await;
    let (mut near, mut far) = pair.connection().await;
    assert_eq!(far.peer_addr().unwrap().ip(), own_address());
    near.write_all(b"question").await.unwrap();
    near.shutdown().await.unwrap();
    let mut question = String::new();
    soon(far.read_to_string(&mut question)).await.unwrap();
    assert_eq!(question, "question");
    far.write_all(b"answer after the end").await.unwrap();
    drop(far);
    let mut answer = String::new();
    soon(near.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "answer after the end");
    let peers = Peers::sum([&pair.server.metrics.peers]);
    assert_eq!(peers, [(identity("client").to_string(), 1)].into());
    for (rig, direction) in [(&pair.client, Direction::Outbound), (&pair.server, Direction::Inbound)] {
        let traffic = rig.metrics.of(direction);
        until(|| traffic.open() == 0).await;
        assert_eq!((traffic.bytes_in.get(), traffic.bytes_out.get()), (8, 20));
        assert_eq!(traffic.handshakes.of(Handshake::Full).get(), 1);
        assert_eq!(traffic.plaintext.sum() + traffic.handshake_failures.sum() + traffic.refused.sum(), 0);
    }
}

#[tokio::test]
async fn a_server_may_speak_first_and_end_first() {
    let pair = Pair::new().await;
    let (mut near, mut far) = pair.connection().await;
    far.write_all(b"220 welcome").await.unwrap();
    far.shutdown().await.unwrap();
    let mut greeting = String::new();
    soon(near.read_to_string(&mut greeting)).await.unwrap();
    assert_eq!(greeting, "220 welcome");
    near.write_all(b"goodbye").await.unwrap();
    drop(near);
    let mut goodbye = String::new();
    soon(far.read_to_string(&mut goodbye)).await.unwrap();
    assert_eq!(goodbye, "goodbye");
}

#[tokio::test]
async fn later_connections_resume() {
    let pair = Pair::new().await;
    for _ in 0..3 {
        let (mut near, mut far) = pair.connection().await;
        far.write_all(b"x").await.unwrap();
        soon(near.read_exact(&mut [0])).await.unwrap();
    }
    let handshakes = &pair.client.metrics.of(Direction::Outbound).handshakes;
    assert_eq!((handshakes.of(Handshake::Full).get(), handshakes.of(Handshake::Resumed).get()), (1, 2));
}

#[tokio::test]
async fn much_passes_whole_both_ways_at_once() {
    let pair = Pair::new().await;
    let (near, far) = pair.connection().await;
    let bytes: Arc<[u8]> = (0..6_000_000u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let exchange = |stream: TcpStream| {
        let bytes = Arc::clone(&bytes);
        async move {
            let (mut reader, mut writer) = stream.into_split();
            let all = Arc::clone(&bytes);
            let writing = tokio::spawn(async move {
                writer.write_all(&all).await.unwrap();
                writer.shutdown().await.unwrap();
            });
            let mut answer = Vec::new();
            reader.read_to_end(&mut answer).await.unwrap();
            writing.await.unwrap();
            assert!(answer[..] == bytes[..]);
        }
    };
    soon(async { tokio::join!(exchange(near), exchange(far)) }).await;
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset_either_way() {
    let pair = Pair::new().await;
    let (mut near, far) = pair.connection().await;
    reset(far);
    assert_eq!(soon(near.read(&mut [0; 1])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let (near, mut far) = pair.connection().await;
    reset(near);
    assert_eq!(soon(far.read(&mut [0; 1])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn nothing_of_the_bytes_is_seen_between_the_proxies() {
    let pair = Pair::new().await;
    let (wire, at) = listen().await;
    let other =
        Rig::start(Setup { outbound: Some(service()), configs: Authority::new().good("client"), ..Setup::default() });
    other.knows(service(), group(vec![endpoint(pair.at, Some(("web", at.port())))]));
    let mut near = TcpStream::connect(other.outbound).await.unwrap();
    near.write_all(CANARY).await.unwrap();
    let (mut heard, _) = soon(wire.accept()).await.unwrap();
    let mut bytes = vec![0; 5];
    soon(heard.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(bytes[..3], [22, 3, 1], "a TLS handshake record (RFC 8446, 5.1)");
    heard.write_all(b"HTTP/1.1 400 what is this?\r\n\r\n").await.unwrap();
    let _ = heard.read_to_end(&mut bytes).await;
    assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY));
    assert_eq!(soon(near.read(&mut [0; 1])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let traffic = other.metrics.of(Direction::Outbound);
    assert_eq!(traffic.handshake_failures.of(HandshakeFailure::Broken).get(), 1);
    assert_eq!((traffic.plaintext.sum(), traffic.connect_failures.of(Failure::Handshake).get()), (0, 1));
}

#[tokio::test]
async fn somebody_else_gets_nothing() {
    let pair = Pair::new().await;
    let client =
        Rig::start(Setup { outbound: Some(service()), configs: Authority::new().good("client"), ..Setup::default() });
    client.knows(service(), group(vec![endpoint(pair.at, Some(("web", pair.server.inbound.port())))]));
    assert_reset(client.outbound).await;
    let traffic = client.metrics.of(Direction::Outbound);
    assert_eq!(traffic.handshake_failures.of(HandshakeFailure::OtherRoot).get(), 1);
    assert_eq!((traffic.plaintext.sum(), traffic.connect_failures.of(Failure::Handshake).get()), (0, 1));
    let traffic = pair.server.metrics.of(Direction::Inbound);
    until(|| traffic.refused.of(Reason::Handshake).get() == 1).await;
    assert_eq!(traffic.handshake_failures.sum(), 1);
}

#[tokio::test]
async fn endpoints_that_do_not_answer_are_passed_over() {
    let pair = Pair::new().await;
    let dead = |port| endpoint(SocketAddr::new(own_address(), port), None);
    let client = Rig::start(Setup { outbound: Some(service()), ..Setup::default() });
    client.knows(service(), group(vec![dead(1), dead(2)]));
    assert_reset(client.outbound).await;
    let traffic = client.metrics.of(Direction::Outbound);
    until(|| traffic.open() == 0).await;
    assert_eq!(traffic.connect_failures.of(Failure::Refused).get(), 1);
    // The first is not there, the second is somebody else, the third is the one.
    let (authority, other) = (Authority::new(), "198.51.100.8:80".parse().unwrap());
    let server = Rig::start(Setup { configs: authority.good("web"), ..Setup::default() });
    let impostor = endpoint(SocketAddr::new(own_address(), 3), Some(("db", server.inbound.port())));
    let client = Rig::start(Setup { outbound: Some(other), configs: authority.good("client"), ..Setup::default() });
    let alive = endpoint(pair.at, Some(("web", server.inbound.port())));
    client.knows(other, group(vec![dead(1), impostor, alive]));
    for _ in 0..8 {
        let mut near = TcpStream::connect(client.outbound).await.unwrap();
        let (mut far, _) = soon(pair.application.accept()).await.unwrap();
        far.write_all(b"x").await.unwrap();
        soon(near.read_exact(&mut [0])).await.unwrap();
    }
    assert_eq!(client.metrics.of(Direction::Outbound).connect_failures.sum(), 0);
}

#[tokio::test]
async fn a_silent_endpoint_costs_three_seconds_and_not_ten() {
    let (_full, silent) = silent().await;
    let (application, at) = listen().await;
    let client = Rig::start(Setup { outbound: Some(service()), ..Setup::default() });
    client.knows(service(), group(vec![endpoint(silent, None), endpoint(at, None)]));
    for _ in 0..4 {
        let began = Instant::now();
        let _near = TcpStream::connect(client.outbound).await.unwrap();
        soon(application.accept()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
    let traffic = client.metrics.of(Direction::Outbound);
    until(|| traffic.plaintext.of(Plaintext::UnmeshedEndpoint).get() == 4).await;
}

#[tokio::test]
async fn nobody_there_is_a_reset() {
    let client = Rig::start(Setup { outbound: Some(service()), ..Setup::default() });
    client.knows(service(), group(Vec::new()));
    assert_reset(client.outbound).await;
    let traffic = client.metrics.of(Direction::Outbound);
    until(|| traffic.connect_failures.of(Failure::NoEndpoint).get() == 1).await;
}

#[tokio::test]
async fn a_pod_reaches_itself_through_a_service() {
    let (application, at) = listen().await;
    let rig = Rig::start(Setup { outbound: Some(service()), ..Setup::default() });
    rig.knows(service(), group(vec![endpoint(at, Some(("alone", rig.inbound.port())))]));
    let mut near = TcpStream::connect(rig.outbound).await.unwrap();
    let (mut far, _) = soon(application.accept()).await.unwrap();
    near.write_all(b"me").await.unwrap();
    let mut heard = [0; 2];
    soon(far.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"me");
    assert_eq!(rig.metrics.of(Direction::Inbound).handshakes.sum(), 1);
}

#[tokio::test]
async fn unknown_destinations_are_refused_inside_and_pass_outside() {
    let networks = Networks::parse(["198.51.100.0/24"]).unwrap();
    let client = Rig::start(Setup { outbound: Some(service()), networks, ..Setup::default() });
    let began = Instant::now();
    assert_reset(client.outbound).await;
    assert!((3..4).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let traffic = client.metrics.of(Direction::Outbound);
    assert_eq!(traffic.refused.of(Reason::UnknownDestination).get(), 1);
    assert_eq!(traffic.connections.sum(), 0);
    let (application, at) = listen().await;
    let client = Rig::start(Setup { outbound: Some(at), ..Setup::default() });
    let _near = TcpStream::connect(client.outbound).await.unwrap();
    soon(application.accept()).await.unwrap();
    let traffic = client.metrics.of(Direction::Outbound);
    until(|| traffic.plaintext.of(Plaintext::UnknownDestination).get() == 1).await;
}

#[tokio::test]
async fn the_policy_asks_for_identities() {
    let pair = Pair::with(Policy::AllAuthenticated).await;
    pair.connection().await;
    let plain = Rig::start(Setup { inbound: Some(pair.at), policy: Policy::AllAuthenticated, ..Setup::default() });
    assert_reset(plain.inbound).await;
    let traffic = plain.metrics.of(Direction::Inbound);
    until(|| traffic.refused.of(Reason::PolicyUnauthenticated).get() == 1).await;
    assert_eq!((traffic.connections.sum(), traffic.plaintext.sum()), (0, 0));
}

#[tokio::test]
async fn the_policy_may_let_nobody_in() {
    Pair::with(Policy::Deny).await.refused(Reason::PolicyNobody).await;
    Pair::with(Policy::ClusterAuthenticated).await.refused(Reason::PolicyOutsideNetworks).await;
}

#[tokio::test]
async fn unmeshed_clients_are_counted() {
    let (application, at) = listen().await;
    let server = Rig::start(Setup { inbound: Some(at), ..Setup::default() });
    let _near = TcpStream::connect(server.inbound).await.unwrap();
    soon(application.accept()).await.unwrap();
    let traffic = server.metrics.of(Direction::Inbound);
    until(|| traffic.plaintext.of(Plaintext::UnmeshedClient).get() == 1).await;
}

/// A peer with an identity that says what it likes after the handshake.
async fn peer(says: &[u8]) -> (Rig, TlsStream) {
    let authority = Authority::new();
    let server = Rig::start(Setup { configs: authority.good("web"), ..Setup::default() });
    let tcp = TcpStream::connect(server.inbound).await.unwrap();
    let mut stream = connect(tcp, &identity("web"), &authority.good("client")).await.unwrap();
    stream.write_all(says).await.unwrap();
    (server, stream)
}

#[tokio::test]
async fn our_own_ports_are_no_way_in() {
    for port in [4140, 4143, 4190, 4191] {
        let (server, mut stream) = peer(&Preface { protocol: Protocol::Opaque, port }.encode()).await;
        assert!(soon(stream.read(&mut [0; 1])).await.is_err());
        assert_eq!(server.metrics.of(Direction::Inbound).refused.of(Reason::OwnPort).get(), 1);
    }
}

#[tokio::test]
async fn a_preface_that_is_none_is_refused() {
    for says in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"INJ\x01\x07\0\x1f\x90", b"INJ\x01\0\0\0\0"] {
        let (server, mut stream) = peer(says).await;
        assert!(soon(stream.read(&mut [0; 1])).await.is_err());
        assert_eq!(server.metrics.of(Direction::Inbound).refused.of(Reason::Preface).get(), 1, "{says:?}");
    }
    let (server, mut stream) = peer(b"INJ").await;
    stream.shutdown().await.unwrap();
    until(|| server.metrics.of(Direction::Inbound).refused.of(Reason::Preface).get() == 1).await;
}

#[tokio::test]
async fn a_dead_application_is_told_as_a_reset() {
    let pair = Pair::new().await;
    let Pair { client, server, application, .. } = pair;
    drop(application);
    assert_reset(client.outbound).await;
    let traffic = server.metrics.of(Direction::Inbound);
    assert_eq!(traffic.connect_failures.of(Failure::Refused).get(), 1);
}
