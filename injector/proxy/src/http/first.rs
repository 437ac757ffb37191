//! The beginning of a connection of which nobody has said what it carries.
//!
//! Clients of HTTP speak first. So the client's first bytes decide, and who says nothing at once is let through to the
//! server: if that speaks first, it is no HTTP from then on; if the client does after all, its bytes decide. But servers
//! of HTTP/2 may speak before their clients, too (RFC 9113, section 3.4); what they say is the same to everybody, so it is
//! forgotten, and the client is waited for.

use std::collections::HashSet;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::time::timeout;
use tokio_util::io::poll_read_buf;

use super::buffer;
use super::detect::{Guess, MOST_LINE, guess, is_settings};

/// How long a client may be silent before its server is dialled. One that speaks first sends its bytes with the last
/// packet of the connection's handshake, or a scheduler's turn after it.
const PATIENCE: Duration = Duration::from_millis(10);

/// How long bytes that may become a request line may take to become one. A line in several segments is there within it,
/// and whoever has sent a word of something else and waits for an answer does not wait long.
const UNDECIDED_TIME: Duration = PATIENCE;

/// Destinations that are remembered for their servers that speak first: 32 bytes each.
const MOST_LEARNED: usize = 1024;

/// What a client begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// A request of HTTP/1, or what servers might take for one.
    Http1(Vec<u8>),
    /// HTTP/2's preface.
    Http2(Vec<u8>),
    /// Something else; nothing, if it has ended.
    Bytes(Vec<u8>),
    /// Something that does not go on, and could still become a request.
    Undecided(Vec<u8>),
    /// Nothing yet.
    Silence,
}

/// Reads the client's first bytes behind those that have `begun`; waits as long as `patience` for the first one, and then
/// for `UNDECIDED_TIME` until they decide.
pub async fn first(
    client: &mut (impl AsyncRead + Unpin),
    begun: Vec<u8>,
    patience: Option<Duration>,
) -> io::Result<First> {
    let mut bytes = begun;
    if bytes.is_empty() {
        buffer::give_back(&mut bytes);
        bytes = buffer::lend();
        let read = poll_fn(|cx| poll_read_buf(Pin::new(&mut *client), cx, &mut bytes));
        let read = match patience {
            Some(patience) => timeout(patience, read).await,
            None => Ok(read.await),
        };
        match read {
            Ok(Ok(0)) => return Ok(First::Bytes(bytes)),
            Ok(read) => read?,
            Err(_) => {
                buffer::give_back(&mut bytes);
                return Ok(First::Silence);
            }
        };
    }
    let deciding = async {
        while guess(&bytes) == Guess::More {
            bytes.reserve(1);
            if poll_fn(|cx| poll_read_buf(Pin::new(&mut *client), cx, &mut bytes)).await? == 0 {
                return Ok(true);
            }
        }
        Ok::<bool, io::Error>(false)
    };
    let ended = match timeout(UNDECIDED_TIME, deciding).await {
        Ok(ended) => ended?,
        Err(_) => false,
    };
    debug_assert!(bytes.len() <= MOST_LINE + buffer::ROOM);
    Ok(match guess(&bytes) {
        Guess::Http1 => First::Http1(bytes),
        Guess::Http2 => First::Http2(bytes),
        Guess::More if !ended => First::Undecided(bytes),
        Guess::Opaque | Guess::More => First::Bytes(bytes),
    })
}

/// Who spoke first, and the words; none of them if it has ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The client.
    Client(Vec<u8>),
    /// The server.
    Server(Vec<u8>),
    /// The server, which speaks HTTP/2.
    Http2Server,
}

/// Waits until the client or the server speaks. The client is heard first.
pub async fn who_speaks(
    client: &mut (impl AsyncRead + Unpin),
    server: &mut (impl AsyncRead + Unpin),
) -> io::Result<Speaker> {
    poll_fn(|cx| {
        // A buffer for as long as there is something to read.
        let mut bytes = buffer::lend();
        if let Poll::Ready(read) = poll_read_buf(Pin::new(&mut *client), cx, &mut bytes) {
            return Poll::Ready(read.map(|_| Speaker::Client(bytes)));
        }
        if let Poll::Ready(read) = poll_read_buf(Pin::new(&mut *server), cx, &mut bytes) {
            if is_settings(&bytes) {
                buffer::give_back(&mut bytes);
                return Poll::Ready(read.map(|_| Speaker::Http2Server));
            }
            return Poll::Ready(read.map(|_| Speaker::Server(bytes)));
        }
        buffer::give_back(&mut bytes);
        Poll::Pending
    })
    .await
}

/// Destinations whose servers have spoken first: nobody waits for their clients any more.
#[derive(Debug, Default)]
pub struct Learned(Mutex<HashSet<SocketAddr>>);

impl Learned {
    /// How long to wait for a client of this destination.
    pub fn patience(&self, destination: SocketAddr) -> Duration {
        if self.set().contains(&destination) { Duration::ZERO } else { PATIENCE }
    }

    /// Takes note of who spoke first.
    pub fn note(&self, destination: SocketAddr, speaker: &Speaker) {
        let mut set = self.set();
        match speaker {
            Speaker::Server(bytes) if !bytes.is_empty() => {
                if set.len() >= MOST_LEARNED
                    && let Some(any) = set.iter().next().copied()
                {
                    set.remove(&any);
                }
                set.insert(destination);
            }
            Speaker::Client(bytes) if !bytes.is_empty() => {
                set.remove(&destination);
            }
            _ => {}
        }
    }

    fn set(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt as _, duplex};

    #[tokio::test(start_paused = true)]
    async fn the_clients_bytes_decide_in_whatever_pieces() {
        for (pieces, expected) in [
            (vec!["GET / HTTP/1.1\r\n"], First::Http1(b"GET / HTTP/1.1\r\n".to_vec())),
            (vec!["GE", "T /", " HTTP/1"], First::Http1(b"GET / HTTP/1".to_vec())),
            (vec!["PRI * HTTP/2.0\r\n\r\nSM", "\r\n\r\n"], First::Http2(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec())),
            (vec!["\x16\x03\x01"], First::Bytes(b"\x16\x03\x01".to_vec())),
            (vec!["EHLO me\r\n"], First::Bytes(b"EHLO me\r\n".to_vec())),
            (vec!["GET"], First::Undecided(b"GET".to_vec())),
        ] {
            let (mut far, mut near) = duplex(100);
            let writing = async {
                for piece in &pieces {
                    far.write_all(piece.as_bytes()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                std::future::pending::<()>().await;
            };
            let decided = tokio::select! {
                decided = first(&mut near, Vec::new(), Some(PATIENCE)) => decided.unwrap(),
                () = writing => unreachable!("it waits for ever"),
            };
            assert_eq!(decided, expected, "{pieces:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_and_so_is_the_end() {
        let (far, mut near) = duplex(100);
        let began = tokio::time::Instant::now();
        assert_eq!(first(&mut near, Vec::new(), Some(PATIENCE)).await.unwrap(), First::Silence);
        assert!(began.elapsed() < Duration::from_millis(12));
        drop(far);
        assert_eq!(first(&mut near, Vec::new(), None).await.unwrap(), First::Bytes(Vec::new()));
    }

    #[tokio::test]
    async fn whoever_speaks_first_is_told_and_learned() {
        let (mut far_client, mut client) = duplex(100);
        let (mut far_server, mut server) = duplex(100);
        let (learned, at) = (Learned::default(), "10.0.0.1:25".parse().unwrap());
        far_server.write_all(b"220 hello").await.unwrap();
        let speaker = who_speaks(&mut client, &mut server).await.unwrap();
        assert_eq!(speaker, Speaker::Server(b"220 hello".to_vec()));
        learned.note(at, &speaker);
        assert_eq!(learned.patience(at), Duration::ZERO);
        far_client.write_all(b"GET").await.unwrap();
        let speaker = who_speaks(&mut client, &mut server).await.unwrap();
        assert_eq!(speaker, Speaker::Client(b"GET".to_vec()));
        learned.note(at, &speaker);
        assert_eq!(learned.patience(at), PATIENCE);
    }

    #[tokio::test]
    async fn a_server_of_http2_is_told_from_others_and_not_learned() {
        let (_far_client, mut client) = duplex(100);
        let (mut far_server, mut server) = duplex(100);
        let (learned, at) = (Learned::default(), "10.0.0.1:80".parse().unwrap());
        far_server.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let speaker = who_speaks(&mut client, &mut server).await.unwrap();
        assert_eq!(speaker, Speaker::Http2Server);
        learned.note(at, &speaker);
        assert_eq!(learned.patience(at), PATIENCE);
    }

    #[test]
    fn what_is_learned_is_bounded() {
        let learned = Learned::default();
        for port in 1..3000 {
            learned.note(([10, 0, 0, 1], port).into(), &Speaker::Server(b"220".to_vec()));
        }
        assert_eq!(learned.set().len(), MOST_LEARNED);
    }
}
