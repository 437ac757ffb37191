//! Carrying bytes between real sockets.

mod support;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use injector_proxy::copy::{MOST, relay};
use socket2::SockRef;
use support::{pair, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A client, a server, and the relay between them.
async fn relayed() -> (TcpStream, TcpStream, JoinHandle<std::io::Result<()>>) {
    let (client, mut near) = pair().await;
    let (mut far, server) = pair().await;
    let task = tokio::spawn(async move { relay(&mut near, &mut far, |_| {}).await });
    (client, server, task)
}

#[tokio::test]
async fn the_client_may_finish_first() {
    let (mut client, mut server, task) = relayed().await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut question = String::new();
    soon(server.read_to_string(&mut question)).await.unwrap();
    assert_eq!(question, "question");
    server.write_all(b"answer after the end").await.unwrap();
    drop(server);
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "answer after the end");
    soon(task).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_server_may_finish_first() {
    let (mut client, mut server, task) = relayed().await;
    server.write_all(b"greeting").await.unwrap();
    server.shutdown().await.unwrap();
    let mut greeting = String::new();
    soon(client.read_to_string(&mut greeting)).await.unwrap();
    assert_eq!(greeting, "greeting");
    client.write_all(b"goodbye").await.unwrap();
    drop(client);
    let mut goodbye = String::new();
    soon(server.read_to_string(&mut goodbye)).await.unwrap();
    assert_eq!(goodbye, "goodbye");
    soon(task).await.unwrap().unwrap();
}

#[tokio::test]
async fn much_passes_whole_both_ways_at_once() {
    let (client, server, task) = relayed().await;
    let bytes: Vec<u8> = (0..8_000_000u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let (ours, theirs) = (exchange(client, bytes.clone()), exchange(server, bytes.clone()));
    let (ours, theirs) = soon(async { tokio::join!(ours, theirs) }).await;
    assert!(ours == bytes && theirs == bytes);
    soon(task).await.unwrap().unwrap();
}

async fn exchange(stream: TcpStream, bytes: Vec<u8>) -> Vec<u8> {
    let (reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move { writer.write_all(&bytes).await });
    let mut answer = Vec::new();
    let reading = async { reader.take(8_000_000).read_to_end(&mut answer).await };
    let (written, read) = tokio::join!(writing, reading);
    written.unwrap().unwrap();
    read.unwrap();
    answer
}

#[tokio::test]
async fn a_slow_reader_stops_the_sender() {
    let (client, mut server, _task) = relayed().await;
    for stream in [&client, &server] {
        SockRef::from(stream).set_recv_buffer_size(64 * 1024).unwrap();
    }
    let (_reader, mut writer) = client.into_split();
    let (chunk, mut sent) = (vec![7; 65536], 0);
    while let Ok(written) = timeout(Duration::from_millis(300), writer.write(&chunk)).await {
        sent += written.unwrap();
        assert!(sent < 64 << 20, "nobody reads, and still it flows");
    }
    // Kernel buffers of four sockets and at most one leftover; then it stands still.
    let mut received = vec![0; sent];
    soon(server.read_exact(&mut received)).await.unwrap();
    assert!(received.iter().all(|byte| *byte == 7));
    soon(writer.write_all(&vec![8; MOST])).await.unwrap();
    let mut more = vec![0; MOST];
    soon(server.read_exact(&mut more)).await.unwrap();
    assert!(more.iter().all(|byte| *byte == 8), "it flows again");
}

#[tokio::test]
async fn slow_readers_cost_little_memory_each() {
    const CONNECTIONS: usize = 100;
    let chunk: Arc<[u8]> = vec![7; 65536].into();
    let before = resident();
    let mut kept = Vec::new();
    for _ in 0..CONNECTIONS {
        let (mut client, server, task) = relayed().await;
        let chunk = Arc::clone(&chunk);
        let sending = tokio::spawn(async move { while client.write_all(&chunk).await.is_ok() {} });
        kept.push((server, task, sending));
    }
    sleep(Duration::from_secs(1)).await;
    let grown = resident().saturating_sub(before);
    // Each flow keeps at most one leftover, of MOST if it had been fast.
    assert!(grown < CONNECTIONS * (MOST + 32 * 1024), "{} KiB a connection", grown / CONNECTIONS / 1024);
}

fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn a_reset_is_told_as_an_error() {
    let (client, mut server, task) = relayed().await;
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(soon(task).await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(soon(server.read(&mut [0; 1])).await.unwrap(), 0, "the socket was dropped with the relay's");
}
