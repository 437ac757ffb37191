//! Our records against other people's: whatever the pieces in which bytes come and go, they arrive, and ends are ends.

mod support;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use injector_proxy::copy::relay;
use injector_proxy::tls::{TlsStream, shake};
use proptest::prelude::*;
use rustls::version::TLS13;
use socket2::SockRef;
use support::pki::{Authority, Leaf, bearer, careless_client, careless_server, identity};
use support::{pair, soon};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Theirs = tokio_rustls::TlsStream<TcpStream>;

/// Our end of a session and that of a plain rustls; `client` says whether ours dialled.
async fn session(client: bool) -> (TlsStream, Theirs) {
    let mut dialling = careless_client(&TLS13, None, None);
    let mut accepting = careless_server(&TLS13, None, bearer(&Authority::new(), &Leaf::of("web")));
    (dialling.enable_secret_extraction, accepting.enable_secret_extraction) = (true, true);
    let (name, (near, far)) = (identity("web").server_name(), pair().await);
    if client {
        let theirs = TlsAcceptor::from(Arc::new(accepting)).accept(far);
        let (ours, theirs) = tokio::join!(Box::pin(shake::client(near, dialling.into(), name)), theirs);
        (ours.unwrap().stream, theirs.unwrap().into())
    } else {
        let theirs = TlsConnector::from(Arc::new(dialling)).connect(name, far);
        let (ours, theirs) = tokio::join!(Box::pin(shake::server(near, accepting.into())), theirs);
        (ours.unwrap().stream, theirs.unwrap().into())
    }
}

/// An application, the relay between it and our end, and the peer.
async fn relayed(client: bool) -> (TcpStream, Theirs, JoinHandle<io::Result<()>>) {
    let (mut ours, theirs) = session(client).await;
    let (application, mut near) = pair().await;
    let task = tokio::spawn(async move {
        let result = relay(&mut near, &mut ours, |_| {}).await;
        if result.is_err() {
            SockRef::from(&near).set_linger(Some(Duration::ZERO)).unwrap();
        }
        result
    });
    (application, theirs, task)
}

/// Bytes that are nowhere the same.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| u32::try_from(at).unwrap().wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// Writes pieces of these lengths, each flushed, and says the end; then reads to the other's end.
async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, pieces: &[usize], read: usize) -> (Vec<u8>, Vec<u8>) {
    let said = noise(pieces.iter().sum());
    let (mut reader, mut writer) = tokio::io::split(stream);
    let writing = async {
        let mut at = 0;
        for piece in pieces {
            writer.write_all(&said[at..at + piece]).await.unwrap();
            writer.flush().await.unwrap();
            at += piece;
        }
        writer.shutdown().await.unwrap();
    };
    let reading = async {
        let (mut heard, mut piece) = (Vec::new(), vec![0; read]);
        loop {
            match reader.read(&mut piece).await.unwrap() {
                0 => return heard,
                count => heard.extend_from_slice(&piece[..count]),
            }
        }
    };
    let ((), heard) = tokio::join!(writing, reading);
    (said, heard)
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    let piece = prop_oneof![4 => 1usize..200, 2 => 16_000usize..17_000, 1 => 200usize..100_000];
    prop::collection::vec(piece, 0..8)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(soon(future))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_arrives_once_in_order(
        client: bool, straight: bool, ours in pieces(), theirs in pieces(), reads in (100usize..70_000, 100usize..70_000),
    ) {
        run(async {
            let ((said, heard), (answered, listened)) = if straight {
                let (near, far) = session(client).await;
                tokio::join!(talk(near, &ours, reads.0), talk(far, &theirs, reads.1))
            } else {
                let (near, far, task) = relayed(client).await;
                let both = tokio::join!(talk(near, &ours, reads.0), talk(far, &theirs, reads.1));
                task.await.unwrap().unwrap();
                both
            };
            assert!(said == listened && answered == heard);
        });
    }
}

/// The peer takes new keys and asks us to; both directions go on.
async fn rekeyed(client: bool) {
    let (mut application, mut theirs, _task) = relayed(client).await;
    for round in 0..40u8 {
        match &mut theirs {
            Theirs::Client(stream) => stream.get_mut().1.refresh_traffic_keys().unwrap(),
            Theirs::Server(stream) => stream.get_mut().1.refresh_traffic_keys().unwrap(),
        }
        theirs.write_all(&[round; 100]).await.unwrap();
        theirs.flush().await.unwrap();
        let mut heard = [0; 100];
        soon(application.read_exact(&mut heard)).await.unwrap();
        assert_eq!(heard, [round; 100]);
        application.write_all(&heard).await.unwrap();
        soon(theirs.read_exact(&mut heard)).await.unwrap();
        assert_eq!(heard, [round; 100]);
    }
}

#[tokio::test]
async fn keys_change_while_bytes_flow() {
    rekeyed(true).await;
    rekeyed(false).await;
}

#[tokio::test]
async fn either_direction_may_end_first() {
    let (mut application, mut theirs, task) = relayed(true).await;
    application.write_all(b"question").await.unwrap();
    application.shutdown().await.unwrap();
    let mut question = String::new();
    soon(theirs.read_to_string(&mut question)).await.unwrap();
    assert_eq!(question, "question");
    theirs.write_all(b"answer after the end").await.unwrap();
    theirs.shutdown().await.unwrap();
    let mut answer = String::new();
    soon(application.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "answer after the end");
    soon(task).await.unwrap().unwrap();
    let (mut application, mut theirs, task) = relayed(false).await;
    theirs.shutdown().await.unwrap();
    assert_eq!(soon(application.read(&mut [0])).await.unwrap(), 0);
    application.write_all(b"still here").await.unwrap();
    drop(application);
    let mut last = String::new();
    soon(theirs.read_to_string(&mut last)).await.unwrap();
    assert_eq!(last, "still here");
    soon(task).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_end_stays_an_end() {
    let (mut ours, mut theirs) = session(true).await;
    theirs.write_all(b"last words").await.unwrap();
    theirs.shutdown().await.unwrap();
    soon(ours.read_exact(&mut [0; 10])).await.unwrap();
    for _ in 0..3 {
        assert_eq!(soon(ours.read(&mut [0; 10])).await.unwrap(), 0, "nothing of before comes again");
    }
}

#[tokio::test]
async fn a_cut_is_no_end() {
    let (mut application, mut theirs, task) = relayed(true).await;
    theirs.write_all(b"half of what").await.unwrap();
    theirs.flush().await.unwrap();
    soon(application.read_exact(&mut [0; 12])).await.unwrap();
    // The transport says that it ended, TLS does not.
    SockRef::from(theirs.get_ref().0).shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(soon(task).await.unwrap().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(soon(application.read(&mut [0])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_reset_is_told_as_one() {
    let (mut application, theirs, task) = relayed(true).await;
    SockRef::from(theirs.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
    drop(theirs);
    assert_eq!(soon(task).await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(soon(application.read(&mut [0])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_peer_hears_what_was_wrong_with_its_records() {
    let (mut application, mut theirs, task) = relayed(true).await;
    theirs.write_all(b"fine").await.unwrap();
    theirs.flush().await.unwrap();
    // Somebody on the way adds a record of his own, behind a good one.
    SockRef::from(theirs.get_ref().0).send(&[&[23, 3, 3, 0, 40][..], &[1; 40]].concat()).unwrap();
    soon(application.read_exact(&mut [0; 4])).await.unwrap();
    assert_eq!(soon(task).await.unwrap().unwrap_err().kind(), ErrorKind::InvalidData);
    let heard = soon(theirs.read(&mut [0])).await.unwrap_err();
    let heard = heard.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
    assert_eq!(heard, Some(rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
}

#[tokio::test]
async fn a_slow_reader_stops_the_sender() {
    let (application, mut theirs, _task) = relayed(true).await;
    let (_reader, mut writer) = application.into_split();
    let (piece, mut sent) = (noise(65536), 0);
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(300), writer.write(&piece)).await {
        sent += written.unwrap();
        assert!(sent < 64 << 20, "nobody reads, and still it flows");
    }
    // The sockets' buffers and one chunk are full; then all of it arrives.
    soon(theirs.read_exact(&mut vec![0; sent])).await.unwrap();
}
