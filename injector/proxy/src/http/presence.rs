//! Whether a client of HTTP/1 is still there while it is not read from.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::buffer;
use super::side::Gone;
use super::wire::Wire;
use crate::connection::End;

/// How often a connection is looked at that has said more than is read ahead, or all; and how long who has said all is
/// told nothing before it counts as gone. Few programs that close their half go on reading; most are gone.
const LOOK: Duration = Duration::from_mins(1);

/// See the module. When it was begun to wait, and how many bytes the client had been told then.
#[derive(Debug, Default)]
pub struct Presence(Option<(Pin<Box<Sleep>>, u64)>);

impl Presence {
    /// Ready when nobody is there any more. Reads ahead, as long as there is room. In a `tunnel` each half ends for itself,
    /// and only what broke is gone.
    pub fn poll_gone<S: End>(&mut self, cx: &mut Context<'_>, wire: &mut Wire<S>, tunnel: bool) -> Poll<Gone> {
        while !wire.has_ended() {
            if wire.waiting().len() >= buffer::ROOM {
                break;
            }
            if let Err(error) = ready!(wire.poll_more(cx)) {
                return Poll::Ready(error.into());
            }
        }
        loop {
            let told = wire.written();
            let (look, before) = self.0.get_or_insert_with(|| (Box::pin(sleep(LOOK)), told));
            ready!(look.as_mut().poll(cx));
            let silent = *before == told;
            self.0 = None;
            // A reset, or keepalives that nobody answered: the kernel wakes nobody for it who does not read.
            if let Some(error) = wire.socket().broken() {
                return Poll::Ready(error.into());
            }
            if wire.has_ended() && silent && !tunnel {
                return Poll::Ready(Gone::Cut);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    async fn pair() -> (TcpStream, Wire<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (far, Wire::new(listener.accept().await.unwrap().0, Vec::new()))
    }

    async fn gone_within(seconds: u64, wire: &mut Wire<TcpStream>, tunnel: bool) -> Option<Gone> {
        let mut presence = Presence::default();
        let gone = poll_fn(|cx| presence.poll_gone(cx, wire, tunnel));
        timeout(Duration::from_secs(seconds), gone).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_all_is_waited_for_a_minute() {
        let (mut far, mut wire) = pair().await;
        far.shutdown().await.unwrap();
        assert_eq!(poll_fn(|cx| wire.poll_more(cx)).await.unwrap(), 0);
        assert_eq!(gone_within(59, &mut wire, false).await, None);
        assert_eq!(gone_within(61, &mut wire, false).await, Some(Gone::Cut));
        assert_eq!(gone_within(1000, &mut wire, true).await, None, "half of a tunnel");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_told_something_is_there() {
        let (mut far, mut wire) = pair().await;
        far.shutdown().await.unwrap();
        assert_eq!(poll_fn(|cx| wire.poll_more(cx)).await.unwrap(), 0);
        let mut presence = Presence::default();
        for _ in 0..5 {
            let gone = poll_fn(|cx| presence.poll_gone(cx, &mut wire, false));
            assert!(timeout(Duration::from_secs(50), gone).await.is_err());
            poll_fn(|cx| {
                wire.put(cx, b"more")?;
                wire.poll_flush(cx)
            })
            .await
            .unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_gone_behind_what_is_not_read_is_found() {
        let (mut far, mut wire) = pair().await;
        far.write_all(&vec![b'a'; 4 * buffer::ROOM]).await.unwrap();
        assert_eq!(gone_within(300, &mut wire, false).await, None);
        poll_fn(|cx| {
            wire.put(cx, b"an answer that is never read")?;
            wire.poll_flush(cx)
        })
        .await
        .unwrap();
        far.set_zero_linger().unwrap();
        drop(far);
        assert!(matches!(gone_within(61, &mut wire, false).await, Some(Gone::Broken(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_while_it_is_read_is_noticed_at_once() {
        let (far, mut wire) = pair().await;
        far.set_zero_linger().unwrap();
        drop(far);
        assert!(matches!(gone_within(1, &mut wire, false).await, Some(Gone::Broken(_))));
        let (mut far, mut wire) = pair().await;
        far.write_all(b"GET").await.unwrap();
        assert_eq!(gone_within(300, &mut wire, false).await, None);
        let mut byte = [0];
        assert!(timeout(Duration::from_millis(1), far.read(&mut byte)).await.is_err());
    }
}
