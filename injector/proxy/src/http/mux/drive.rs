//! The task that reads and writes a multiplexed connection's socket.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::state::{Course, Role};
use super::stream::Lost;
use super::{Link, Stream};
use crate::copy::{Leg, MOST, with_buffer};
use crate::http::buffer::Queue;
use crate::http::h2::frame::Code;

/// Bytes that are read before others have their turn, as in a relay.
const TURN: usize = 1024 * 1024;

/// How often a connection is looked at: another proxy that streams wait for and that has said nothing meanwhile is asked
/// for a sign of life, and has as long again to give one. Of an application only the kernel's keepalives ask that.
const LOOK: Duration = Duration::from_secs(5);

/// A connection that we opened and that nobody has used for so long is closed. Opening it again costs half a
/// millisecond; keeping it costs 10 KiB at both ends.
const IDLE: Duration = Duration::from_mins(2);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// After its last stream.
    InOrder,
    /// The peer broke the rules.
    Violation(Code),
    /// The peer gave no sign of life.
    Silent,
    /// The socket broke, or ended with streams under way.
    Broken,
}

/// What is to be counted while a connection is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// So many bytes came.
    Read(usize),
    /// So many bytes went.
    Wrote(usize),
    /// A stream was given up for what the peer did on it.
    Fault(Code),
}

/// What drives a connection.
struct Driver<'l, L, C> {
    link: &'l Link,
    leg: &'l mut L,
    count: C,
    /// Frames that the socket has not taken yet.
    writing: Queue,
    /// The peer has said all: nothing comes any more.
    deaf: bool,
    look: Pin<Box<Sleep>>,
    used: Instant,
    /// It was leaving when it was looked at last.
    leaving: bool,
    /// All was said when it was looked at last, but for what the socket does not take.
    done: bool,
    ended: Option<Ended>,
}

/// Reads and writes until the connection is over, and hands the streams that the peer opens to `opened`. What was read
/// already has `begun`. `count` is told what is to be counted.
pub async fn drive<L: Leg>(
    link: &Link,
    leg: &mut L,
    begun: &[u8],
    mut opened: impl FnMut(Stream),
    count: impl FnMut(Event),
) -> Ended {
    let mut driver = Driver {
        link,
        leg,
        count,
        writing: Queue::default(),
        deaf: false,
        look: Box::pin(sleep(LOOK)),
        used: Instant::now(),
        leaving: false,
        done: false,
        ended: None,
    };
    let _over = Over(link);
    let taken = link.state().receive(begun, std::time::Instant::now());
    driver.came(begun.len());
    if let Err(code) = taken {
        driver.end(Ended::Violation(code));
    }
    poll_fn(|cx| driver.poll(cx, &mut opened)).await
}

/// Tells whoever uses streams of a connection that nobody drives it any more, however that came about.
struct Over<'l>(&'l Link);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.state().end(Lost::Broken);
    }
}

impl<L: Leg, C: FnMut(Event)> Driver<'_, L, C> {
    fn poll(&mut self, cx: &mut Context<'_>, opened: &mut impl FnMut(Stream)) -> Poll<Ended> {
        if self.ended.is_none()
            && let Poll::Ready(ended) = self.read(cx)
        {
            self.end(ended);
        }
        self.hand_out(opened);
        if let Poll::Ready(ended) = self.look(cx) {
            return Poll::Ready(ended);
        }
        match self.write(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(self.ended.unwrap_or(Ended::Broken)),
            Poll::Pending => {
                self.link.state().wait_for_news(cx);
                return Poll::Pending;
            }
        }
        let mut state = self.link.state();
        if let Some(ended) = self.ended {
            return Poll::Ready(ended);
        }
        if state.is_done() && !state.has_news() {
            return Poll::Ready(Ended::InOrder);
        }
        state.wait_for_news(cx);
        Poll::Pending
    }

    /// Reads what there is. Ready: nothing more is to be read.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let mut carried = 0;
        while !self.deaf {
            let (link, leg) = (self.link, &mut *self.leg);
            let read = with_buffer(|chunk| {
                leg.poll_fill(cx, chunk, MOST, false).map(|fill| {
                    let now = std::time::Instant::now();
                    let mut state = link.state();
                    let taken = chunk.pieces().try_for_each(|piece| state.receive(piece, now));
                    (fill, taken)
                })
            });
            let Poll::Ready((fill, taken)) = read else { return Poll::Pending };
            self.came(fill.as_ref().map_or(0, |fill| fill.bytes));
            if let Err(code) = taken {
                return Poll::Ready(Ended::Violation(code));
            }
            match fill {
                Ok(fill) if fill.bytes > 0 => carried += fill.bytes,
                Ok(_) => self.deaf = true,
                Err(_) => return Poll::Ready(Ended::Broken),
            }
            if carried >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        // Who uses a stream that is over may not have had time to hear of it.
        let over = self.link.state().streams.values().all(super::stream::Stream::is_over);
        Poll::Ready(if over { Ended::InOrder } else { Ended::Broken })
    }

    /// Counts what came, and what it did.
    fn came(&mut self, bytes: usize) {
        (self.count)(Event::Read(bytes));
        let faults = std::mem::take(&mut self.link.state().faults);
        for code in faults {
            (self.count)(Event::Fault(code));
        }
    }

    fn end(&mut self, ended: Ended) {
        let mut state = self.link.state();
        match ended {
            Ended::Violation(code) => state.fail(code),
            Ended::Silent => state.end(Lost::Silent),
            Ended::InOrder | Ended::Broken => state.end(Lost::Broken),
        }
        self.ended = Some(ended);
    }

    fn hand_out(&self, opened: &mut impl FnMut(Stream)) {
        let ids = self.link.state().take_opened();
        for id in ids {
            opened(Stream { link: self.link.clone(), id, code: Code::Cancel });
        }
    }

    /// Writes what there is to say.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.writing.is_empty() {
                let mut state = self.link.state();
                if !state.has_news() {
                    drop(state);
                    return Pin::new(&mut *self.leg).poll_flush(cx);
                }
                self.writing = state.take_out().into();
            }
            match Pin::new(&mut *self.leg).poll_write(cx, self.writing.waiting()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.writing.take(count);
                    (self.count)(Event::Wrote(count));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Looks after a peer that says nothing or reads nothing, and after a connection that nobody uses. Ready: what is
    /// left to be said will never be read.
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        while self.look.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            self.look.as_mut().reset(now + LOOK);
            let mut state = self.link.state();
            let done = self.ended.is_some() || state.is_done();
            if std::mem::replace(&mut self.done, done) && done {
                return Poll::Ready(self.ended.unwrap_or(Ended::Broken));
            }
            if self.ended.is_some() {
                continue;
            }
            // Who does not answer that it has heard of our leaving has had time to hear of it.
            let leaving = state.course == Course::Leaving;
            if std::mem::replace(&mut self.leaving, leaving) {
                state.drain();
            }
            let heard = std::mem::take(&mut state.heard);
            if state.in_use() > 0 || state.pinged {
                self.used = now;
                match (heard, state.pinged) {
                    (true, _) => state.pinged = false,
                    (false, _) if !state.profile.proxy => {}
                    (false, false) => state.ping(),
                    (false, true) => {
                        drop(state);
                        self.end(Ended::Silent);
                    }
                }
            } else if state.role == Role::Client && now - self.used >= IDLE {
                state.leave();
            }
        }
        Poll::Pending
    }
}
