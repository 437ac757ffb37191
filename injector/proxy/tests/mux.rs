//! Many messages on one connection between real sockets.

mod support;

use std::future::poll_fn;
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Duration;

use injector_proxy::http::mux::{Ended, Head, Heads, Link, Lost, Part, Profile, Role, Stream, drive};
use support::{pair, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// More than the largest window of a stream.
const LONG: usize = 10 * 1024 * 1024;

static BODY: LazyLock<Vec<u8>> = LazyLock::new(|| content(0, LONG));

async fn part(stream: &Stream) -> Result<Option<(Part, Vec<u8>)>, Lost> {
    let see = |part: Option<(Part, &[u8])>| part.map(|(part, bytes)| (part, bytes.to_vec()));
    poll_fn(|cx| stream.poll_part(cx, 16 * 1024, see)).await
}

/// Everything up to the end of the stream.
async fn hear(stream: &Stream) -> Result<(Vec<u8>, Vec<u8>), Lost> {
    let (mut head, mut body) = (Vec::new(), Vec::new());
    while let Some((part, bytes)) = part(stream).await? {
        match part {
            Part::Head => head.extend(bytes),
            Part::Data => body.extend(bytes),
            Part::Trailers => panic!("nobody says trailers"),
        }
    }
    Ok((head, body))
}

/// Says a body to its end.
async fn say(stream: &Stream, mut body: &[u8]) -> Result<(), Lost> {
    while !body.is_empty() {
        let room = poll_fn(|cx| stream.poll_room(cx)).await?;
        let (now, later) = body.split_at(room.min(body.len()));
        stream.send(now, later.is_empty());
        body = later;
    }
    Ok(())
}

fn content(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 7 + at / 251 + seed) % 256).unwrap()).collect()
}

/// Waits until a stream may be opened.
async fn open(link: &Link, what: &[u8]) -> Stream {
    loop {
        if let Some(stream) = link.open(Head::Raw(what), false, false) {
            return stream;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Asks for what is said to be said back.
async fn echo(stream: Stream, body: Vec<u8>) -> Result<(), Lost> {
    let (said, heard) = tokio::join!(say(&stream, &body), hear(&stream));
    said?;
    let (head, back) = heard?;
    assert_eq!(head, ANSWER);
    assert!(back == body, "{} bytes came back of {}", back.len(), body.len());
    Ok(())
}

/// Says back what comes, as it comes; or says a long body; or waits until it may answer, or for ever.
async fn serve(stream: Stream, go: Arc<Notify>) -> Result<(), Lost> {
    let Some((Part::Head, what)) = part(&stream).await? else { panic!("a head comes first") };
    match &what[..] {
        b"echo" => {}
        b"long" => {
            stream.say(Head::Raw(ANSWER), false);
            return say(&stream, &BODY).await;
        }
        b"wait" => go.notified().await,
        _ => std::future::pending().await,
    }
    stream.say(Head::Raw(ANSWER), false);
    while let Some((_, bytes)) = part(&stream).await? {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let room = poll_fn(|cx| stream.poll_room(cx)).await?;
            let (now, later) = rest.split_at(room.min(rest.len()));
            stream.send(now, false);
            rest = later;
        }
    }
    stream.send(&[], true);
    Ok(())
}

/// Two ends of a connection, and the tasks that drive them.
struct Linked {
    client: Link,
    server: Link,
    go: Arc<Notify>,
    client_drives: JoinHandle<Ended>,
    server_drives: JoinHandle<Ended>,
}

fn begin(link: &Link, mut socket: TcpStream, go: &Arc<Notify>) -> JoinHandle<Ended> {
    let (link, go) = (link.clone(), go.clone());
    tokio::spawn(async move {
        let serve = |stream| {
            tokio::spawn(serve(stream, go.clone()));
        };
        drive(&link, &mut socket, b"", serve, |_| ()).await
    })
}

async fn linked() -> Linked {
    linked_as(Profile::MESH).await
}

async fn linked_as(profile: Profile) -> Linked {
    let (near, far) = pair().await;
    let client = Link::new(Role::Client, Heads::Raw, profile);
    let server = Link::new(Role::Server, Heads::Raw, profile);
    let go = Arc::new(Notify::new());
    let (client_drives, server_drives) = (begin(&client, near, &go), begin(&server, far, &go));
    Linked { client, server, go, client_drives, server_drives }
}

async fn all_well(mut tasks: JoinSet<Result<(), Lost>>) {
    while let Some(ended) = soon(tasks.join_next()).await {
        ended.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_thousand_messages_share_a_connection() {
    let linked = linked().await;
    let mut tasks = JoinSet::new();
    for number in 0..1000 {
        let link = linked.client.clone();
        let body = content(number, 1 + (number * number * 37) % 50_000);
        tasks.spawn(async move { echo(open(&link, b"echo").await, body).await });
    }
    all_well(tasks).await;
    assert_eq!(linked.client.in_use(), 0);
    linked.client.leave();
    assert_eq!(soon(linked.client_drives).await.unwrap(), Ended::InOrder);
    assert_eq!(soon(linked.server_drives).await.unwrap(), Ended::InOrder);
    assert_eq!(linked.server.in_use(), 0);
}

#[tokio::test]
async fn a_reader_that_stops_does_not_stop_the_others() {
    let linked = linked().await;
    let slow = open(&linked.client, b"long").await;
    slow.send(&[], true);
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let link = linked.client.clone();
        tasks.spawn(async move { echo(open(&link, b"echo").await, content(number, 500_000)).await });
    }
    all_well(tasks).await;
    let (head, body) = soon(hear(&slow)).await.unwrap();
    assert_eq!(head, ANSWER);
    assert!(body == *BODY, "what waited came whole: {} bytes", body.len());
}

#[tokio::test]
async fn many_readers_that_stop_do_not_stop_one_that_goes_on() {
    for profile in [Profile::APPLICATION, Profile::MESH] {
        let linked = linked_as(profile).await;
        let mut stopped = Vec::new();
        for number in 0..150 {
            let slow = open(&linked.client, b"long").await;
            slow.send(&[], true);
            let mut heard = 0;
            // Some were fast before, so that their windows have grown.
            while number < 12 && heard < LONG / 4 {
                heard += soon(part(&slow)).await.unwrap().unwrap().1.len();
            }
            stopped.push(slow);
        }
        let mut saying = JoinSet::new();
        for _ in 0..50 {
            let stream = open(&linked.client, b"hold").await;
            saying.spawn(async move { say(&stream, &BODY).await });
        }
        for number in 0..10 {
            let stream = open(&linked.client, b"echo").await;
            soon(echo(stream, content(number, 1_000_000))).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_is_not_asked_for_a_sign_of_life() {
    let (near, mut far) = pair().await;
    let client = Link::new(Role::Client, Heads::Raw, Profile::APPLICATION);
    let drives = begin(&client, near, &Arc::new(Notify::new()));
    let stream = open(&client, b"hold").await;
    sleep(Duration::from_mins(5)).await;
    assert!(poll_fn(|cx| Poll::Ready(stream.poll_lost(cx))).await.is_pending() && !drives.is_finished());
    client.leave();
    drop(stream);
    assert_eq!(soon(drives).await.unwrap(), Ended::InOrder);
    let mut said = Vec::new();
    far.read_to_end(&mut said).await.unwrap();
    assert!(!said.windows(8).any(|bytes| bytes == b"injector"), "it was asked");
}

/// A connection on which a server, driven by us, has just heard that `far` is there.
async fn served(profile: Profile) -> (Link, TcpStream, JoinHandle<Ended>) {
    let (near, mut far) = pair().await;
    let server = Link::new(Role::Server, Heads::Raw, profile);
    let drives = begin(&server, near, &Arc::new(Notify::new()));
    far.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    (server, far, drives)
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_that_it_has_heard_of_our_leaving_is_left_all_the_same() {
    let (server, _far, drives) = served(Profile::APPLICATION).await;
    let began = Instant::now();
    server.leave();
    assert_eq!(drives.await.unwrap(), Ended::InOrder);
    assert!(began.elapsed() < Duration::from_secs(16), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_is_told_that_we_leave_has_time_to_answer() {
    let (server, mut far, drives) = served(Profile::MESH).await;
    // Just before it is looked at for the second time; it has said nothing since the first.
    sleep(Duration::from_millis(9_900)).await;
    server.leave();
    sleep(Duration::from_millis(200)).await;
    far.write_all(b"\0\0\x08\x06\x01\0\0\0\0leaving!").await.unwrap();
    assert_eq!(soon(drives).await.unwrap(), Ended::InOrder);
}

#[tokio::test]
async fn a_new_connection_takes_as_many_as_there_can_be() {
    let (near, _far) = pair().await;
    let client = Link::new(Role::Client, Heads::Raw, Profile::MESH);
    let _drives = begin(&client, near, &Arc::new(Notify::new()));
    let streams: Vec<_> = (0..1024).map_while(|_| client.open(Head::Raw(b"x"), true, false)).collect();
    assert_eq!(streams.len(), 1024);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_gives_no_sign_of_life_is_found_dead() {
    let (near, mut far) = pair().await;
    let client = Link::new(Role::Client, Heads::Raw, Profile::MESH);
    let drives = begin(&client, near, &Arc::new(Notify::new()));
    let stream = open(&client, b"hold").await;
    let began = Instant::now();
    assert_eq!(soon(poll_fn(|cx| stream.poll_lost(cx))).await, Lost::Silent);
    assert_eq!(drives.await.unwrap(), Ended::Silent);
    assert!((Duration::from_secs(9)..Duration::from_secs(16)).contains(&began.elapsed()), "{:?}", began.elapsed());
    let mut said = Vec::new();
    drop(stream);
    let _ = far.read_to_end(&mut said).await;
    assert!(said.windows(8).any(|bytes| bytes == b"injector"), "it was asked");
    assert!(client.is_leaving() && client.open(Head::Raw(b"x"), true, false).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_is_not() {
    let linked = linked().await;
    let stream = open(&linked.client, b"hold").await;
    sleep(Duration::from_mins(5)).await;
    assert!(!linked.client_drives.is_finished() && !linked.server_drives.is_finished());
    drop(stream);
    echo(open(&linked.client, b"echo").await, content(1, 1000)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_is_closed() {
    let linked = linked().await;
    echo(open(&linked.client, b"echo").await, content(1, 1000)).await.unwrap();
    let began = Instant::now();
    assert_eq!(linked.client_drives.await.unwrap(), Ended::InOrder);
    assert!(began.elapsed() >= Duration::from_secs(110), "{:?}", began.elapsed());
    assert_eq!(soon(linked.server_drives).await.unwrap(), Ended::InOrder);
}

#[tokio::test]
async fn who_leaves_finishes_what_was_begun() {
    for server_leaves in [true, false] {
        let linked = linked().await;
        let mut tasks = JoinSet::new();
        for number in 0..50 {
            let stream = open(&linked.client, b"wait").await;
            tasks.spawn(echo(stream, content(number, 20_000)));
        }
        let leaving = if server_leaves { &linked.server } else { &linked.client };
        leaving.leave();
        // Everybody may answer, however late the request comes.
        let go = linked.go.clone();
        let letting = tokio::spawn(async move {
            loop {
                go.notify_waiters();
                sleep(Duration::from_millis(1)).await;
            }
        });
        all_well(tasks).await;
        letting.abort();
        assert!(linked.client.open(Head::Raw(b"echo"), true, false).is_none());
        assert_eq!(soon(linked.client_drives).await.unwrap(), Ended::InOrder, "server leaves: {server_leaves}");
        assert_eq!(soon(linked.server_drives).await.unwrap(), Ended::InOrder, "server leaves: {server_leaves}");
    }
}

#[tokio::test]
async fn a_socket_that_breaks_takes_its_streams_with_it() {
    let linked = linked().await;
    let streams = [open(&linked.client, b"hold").await, open(&linked.client, b"hold").await];
    echo(open(&linked.client, b"echo").await, content(1, 1000)).await.unwrap();
    linked.server_drives.abort();
    for stream in &streams {
        assert_eq!(soon(hear(stream)).await, Err(Lost::Broken));
        assert_eq!(soon(poll_fn(|cx| stream.poll_room(cx))).await, Err(Lost::Broken));
    }
    assert_eq!(soon(linked.client_drives).await.unwrap(), Ended::Broken);
    assert!(linked.server.is_leaving(), "whoever is not driven any more is over, too");
}
