//! A whole worker on real sockets: what is carried, refused, counted, and how it ends.

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use injector_proxy::dial::Failure;
use injector_proxy::metrics::{Direction, Opaque};
use injector_proxy::refuse::Reason;
use support::{MOST, Rig, Setup, listen, own_address, silent, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn assert_reset(address: SocketAddr) {
    // The reset may come before connect has returned, or after.
    let told = async { TcpStream::connect(address).await?.read(&mut [0; 1]).await };
    assert_eq!(soon(told).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn bytes_and_connections_are_counted() {
    let (server, destination) = listen().await;
    let rig = Rig::to(destination);
    let traffic = rig.metrics.of(Direction::Outbound);
    let mut client = TcpStream::connect(rig.outbound).await.unwrap();
    client.write_all(b"question").await.unwrap();
    let (mut served, _) = soon(server.accept()).await.unwrap();
    soon(served.read_exact(&mut [0; 8])).await.unwrap();
    served.write_all(b"yes").await.unwrap();
    soon(client.read_exact(&mut [0; 3])).await.unwrap();
    until(|| traffic.bytes_out.get() == 3).await;
    assert_eq!((traffic.bytes_in.get(), traffic.open()), (8, 1));
    assert_eq!((traffic.connections.of(Opaque::No).get(), traffic.connections.of(Opaque::Declared).get()), (1, 0));
    drop((client, served));
    until(|| traffic.open() == 0).await;
    assert_eq!(rig.metrics.of(Direction::Inbound).connections.sum(), 0);
}

#[tokio::test]
async fn a_dead_destination_resets_the_client() {
    let (server, destination) = listen().await;
    drop(server);
    let rig = Rig::to(destination);
    assert_reset(rig.inbound).await;
    let traffic = rig.metrics.of(Direction::Inbound);
    until(|| traffic.open() == 0).await;
    assert_eq!(traffic.connect_failures.of(Failure::Refused).get(), 1);
    assert_eq!(traffic.connect_failures.sum(), 1);
}

#[tokio::test]
async fn a_client_that_gives_up_ends_the_dial() {
    let (_full, destination) = silent().await;
    let rig = Rig::to(destination);
    let traffic = rig.metrics.of(Direction::Outbound);
    let client = TcpStream::connect(rig.outbound).await.unwrap();
    until(|| traffic.open() == 1).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(traffic.open(), 1, "nobody has answered, and it waits");
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    until(|| traffic.open() == 0).await;
    assert_eq!(traffic.connect_failures.of(Failure::ClientGone).get(), 1);
}

#[tokio::test]
async fn refusals_reset_and_are_counted() {
    for (destination, reason) in [
        (SocketAddr::new(own_address(), 4191), Reason::OwnPort),
        ("127.0.0.1:80".parse().unwrap(), Reason::Loopback),
        ("192.0.2.1:80".parse().unwrap(), Reason::NotThisPod),
    ] {
        let rig = Rig::to(destination);
        assert_reset(rig.inbound).await;
        let traffic = rig.metrics.of(Direction::Inbound);
        assert_eq!(traffic.refused.of(reason).get(), 1, "{reason:?}");
        assert_eq!((traffic.refused.sum(), traffic.connections.sum()), (1, 0));
    }
    let direct = Rig::start(Setup::default());
    assert_reset(direct.outbound).await;
    assert_eq!(direct.metrics.of(Direction::Outbound).refused.of(Reason::Direct).get(), 1);
}

#[tokio::test]
async fn nothing_open_ends_at_once() {
    let rig = Rig::to(SocketAddr::new(own_address(), 9));
    rig.stop.send_replace(true);
    timeout(Duration::from_secs(1), rig.finished).await.unwrap().unwrap();
}

#[tokio::test]
async fn open_connections_finish_and_new_ones_are_refused() {
    let (server, destination) = listen().await;
    let rig = Rig::to(destination);
    let mut client = TcpStream::connect(rig.inbound).await.unwrap();
    let (mut served, _) = soon(server.accept()).await.unwrap();
    rig.stop.send_replace(true);
    soon(async {
        while TcpStream::connect(rig.inbound).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    client.write_all(b"still here").await.unwrap();
    soon(served.read_exact(&mut [0; 10])).await.unwrap();
    let mut finished = rig.finished;
    assert!(timeout(Duration::from_millis(100), &mut finished).await.is_err(), "a connection is open");
    drop((client, served, server));
    soon(finished).await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let (server, destination) = listen().await;
    let rig = Rig::to(destination);
    let traffic = rig.metrics.of(Direction::Inbound);
    let mut clients = Vec::new();
    for _ in 0..MOST + 5 {
        clients.push(TcpStream::connect(rig.inbound).await.unwrap());
    }
    until(|| traffic.open() == MOST as u64).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(traffic.open(), MOST as u64, "the others wait in the backlog");
    let mut served = Vec::new();
    for _ in 0..MOST {
        served.push(soon(server.accept()).await.unwrap());
    }
    drop((clients.drain(..MOST).collect::<Vec<_>>(), served));
    until(|| traffic.open() == 5).await;
}
