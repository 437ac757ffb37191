//! Carries bytes between two sockets until both are done.
//!
//! One buffer serves a whole worker: bytes are read, sealed or opened where they lie, and written on within one poll, so
//! a connection that waits holds no buffer. Only when a writer takes less than it was given does the flow keep the rest,
//! and it reads nothing more until that is gone: that is the back-pressure, which the kernel's windows carry on to the
//! sender.

mod chunk;
mod leg;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

pub use chunk::Chunk;
pub use leg::{Fill, Leg, poll_put};

/// Bytes of a read at most. Measured (ARCHITECTURE.md): below it system calls cost, above it the second-level cache.
pub const MOST: usize = 256 * 1024;

/// Bytes of a read at first, and after a writer was slow: what a slow reader's flow can come to hold.
pub const LEAST: usize = 16 * 1024;

/// Bytes that one flow may carry before others have their turn: some 0.2 ms of copying at 5 GB/s.
const TURN: usize = 1024 * 1024;

/// How long what one side said may wait for the other to take it once either is broken. Without a proxy the kernel would
/// tell the other of the reset at once; a minute lets a slow client still read an answer that was cut short, and is how
/// long a pair of connections between a peer that is gone and one that never reads may stay.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often a side is looked at that has said all and from which nobody reads any more. The kernel tells of its end (a
/// reset, or keepalives without an answer after two minutes) only those who read or write.
const LOOK: Duration = Duration::from_secs(30);

thread_local! {
    static BUFFER: RefCell<Chunk> = RefCell::new(Chunk::new());
}

/// Lends the thread's one buffer. Not to be asked for again before it is given back.
pub fn with_buffer<T>(use_it: impl FnOnce(&mut Chunk) -> T) -> T {
    BUFFER.with_borrow_mut(use_it)
}

/// Bytes carried since asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Read from the peer that opened the connection.
    pub from_opener: u64,
    /// Written to it.
    pub to_opener: u64,
}

/// Carries bytes both ways between `opener` and `target` until both directions have ended, and tells `tally` how many.
///
/// The end of one direction is passed on as the end of that direction alone (half-close). An error says that a side
/// is broken: the other should hear of it by a reset, not by an orderly end. Needs a runtime with time.
pub async fn relay<A, B>(opener: &mut A, target: &mut B, mut tally: impl FnMut(Carried)) -> io::Result<()>
where
    A: Leg,
    B: Leg,
{
    let (mut forth, mut back) = (Flow::new(), Flow::new());
    let (mut impatience, mut lookout) = (Impatience::default(), Lookout::default());
    poll_fn(|cx| {
        forth.source_reset |= back.sink_was_reset();
        let sent = forth.poll(cx, opener, target);
        back.source_reset |= forth.sink_was_reset();
        let answered = back.poll(cx, target, opener);
        let progress = std::mem::take(&mut forth.written) + back.written > 0;
        tally(Carried { from_opener: std::mem::take(&mut forth.read), to_opener: std::mem::take(&mut back.written) });
        match (sent, answered) {
            (Poll::Ready(Err(Broken::Source(error))), _) => {
                back.tell(cx, opener);
                Poll::Ready(Err(error))
            }
            (_, Poll::Ready(Err(Broken::Source(error)))) => {
                forth.tell(cx, target);
                Poll::Ready(Err(error))
            }
            (Poll::Ready(Err(Broken::Sink(error))), Poll::Pending)
            | (Poll::Pending, Poll::Ready(Err(Broken::Sink(error)))) => {
                impatience.poll(cx, progress).map(|()| Err(error))
            }
            (Poll::Ready(Ok(())), Poll::Pending) => lookout.poll(cx, opener).map(Err),
            (Poll::Pending, Poll::Ready(Ok(()))) => lookout.poll(cx, target).map(Err),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            (Poll::Ready(Err(Broken::Sink(error))), _) | (_, Poll::Ready(Err(Broken::Sink(error)))) => {
                Poll::Ready(Err(error))
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
        }
    })
    .await
}

/// Ends the wait of one flow for a peer that takes nothing, while the other flow is broken.
#[derive(Default)]
struct Impatience(Option<Pin<Box<Sleep>>>);

impl Impatience {
    /// Ready once nothing has moved for `PATIENCE`.
    fn poll(&mut self, cx: &mut Context<'_>, progress: bool) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        if progress {
            sleep.as_mut().reset(Instant::now() + PATIENCE);
        }
        sleep.as_mut().poll(cx)
    }
}

/// Looks now and then after a side that has said all, while the other still speaks.
#[derive(Default)]
struct Lookout(Option<Pin<Box<Sleep>>>);

impl Lookout {
    /// Ready once that side is broken.
    fn poll(&mut self, cx: &mut Context<'_>, silent: &impl Leg) -> Poll<io::Error> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep(LOOK)));
        while sleep.as_mut().poll(cx).is_ready() {
            if let Some(error) = silent.broken() {
                return Poll::Ready(error);
            }
            sleep.as_mut().reset(Instant::now() + LOOK);
        }
        Poll::Pending
    }
}

/// Which side of a flow broke.
enum Broken {
    /// It cannot be read any more, so nobody is there for what flows to it either.
    Source(io::Error),
    /// It cannot be written any more. What it said before that may still be unread, so the other flow goes on until
    /// it finds its end: a server that answers early and resets would lose its answer otherwise.
    Sink(io::Error),
}

/// Where one direction stands.
enum State {
    /// Nothing is kept; read next.
    Reading,
    /// The writer was slow: this is left, from `at` on. It stands for `count` bytes: fewer, if it is sealed.
    Leftover { bytes: Box<[u8]>, at: usize, count: usize },
    /// The source has ended; the sink must hear of it.
    Ending,
    /// All said.
    Done,
    /// The sink is broken. What still comes is read and dropped, until it `ended`: a source that waits for us to take
    /// its bytes may never come to read what the other flow has for it.
    Deaf { broken: io::ErrorKind, ended: bool },
}

/// One direction of a connection.
struct Flow {
    state: State,
    /// Bytes of the next read at most: doubles while reads come full and are written whole.
    allowance: usize,
    /// The kernel tells of a reset once: a write that heard of it leaves the next read to find an orderly end.
    source_reset: bool,
    /// A sink may keep what it took, a preface perhaps from before the relay; it must not keep it while we wait.
    unflushed: bool,
    read: u64,
    written: u64,
}

impl Flow {
    fn new() -> Self {
        Self { state: State::Reading, allowance: LEAST, source_reset: false, unflushed: true, read: 0, written: 0 }
    }

    /// Whether the sink was reset before it had ended: after its end (CLOSE_WAIT) Linux says EPIPE instead, and what it
    /// said is whole (tcp_reset in net/ipv4/tcp_input.c).
    fn sink_was_reset(&self) -> bool {
        matches!(self.state, State::Deaf { broken: io::ErrorKind::ConnectionReset, .. })
    }

    /// Carries what can be carried now from `source` to `sink`.
    fn poll(&mut self, cx: &mut Context<'_>, source: &mut impl Leg, sink: &mut impl Leg) -> Poll<Result<(), Broken>> {
        let mut carried = 0;
        loop {
            match &mut self.state {
                State::Reading => {
                    carried += ready!(self.carry(cx, source, sink)?);
                    if carried >= TURN {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                State::Leftover { bytes, at, count } => match ready!(sink.poll_put(cx, &[IoSlice::new(&bytes[*at..])]))
                {
                    Ok(0) => self.state = deaf(io::ErrorKind::WriteZero),
                    Ok(taken) => {
                        *at += taken;
                        let whole = *at == bytes.len();
                        let told = if whole { *count } else { taken.min(*count) };
                        *count -= told;
                        self.written += told as u64;
                        if whole {
                            self.state = State::Reading;
                        }
                    }
                    Err(error) => self.state = deaf(error.kind()),
                },
                State::Ending => {
                    // A sink that is gone already has no need to hear it.
                    let _ = ready!(Pin::new(&mut *sink).poll_shutdown(cx));
                    self.state = State::Done;
                }
                State::Done => return Poll::Ready(Ok(())),
                State::Deaf { broken, ended } => {
                    let broken = *broken;
                    if !*ended {
                        *ended = discard(cx, source)?;
                    }
                    return Poll::Ready(Err(Broken::Sink(broken.into())));
                }
            }
        }
    }

    /// Reads once and writes it on; the count of bytes read. Leaves `Reading` at the end or when the sink is slow.
    fn carry<S: Leg>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Leg,
        sink: &mut S,
    ) -> Poll<Result<usize, Broken>> {
        with_buffer(|chunk| {
            let Poll::Ready(fill) = source.poll_fill(cx, chunk, self.allowance, S::CUT) else {
                return self.flush(cx, sink);
            };
            let fill = fill.map_err(Broken::Source)?;
            self.read += fill.bytes as u64;
            if fill.bytes > 0 {
                self.write(cx, sink, chunk, fill);
            } else if self.source_reset {
                return Poll::Ready(Err(Broken::Source(io::ErrorKind::ConnectionReset.into())));
            } else {
                self.state = State::Ending;
            }
            Poll::Ready(Ok(fill.bytes))
        })
    }

    /// Before a wait for the source. Pending, unless the sink turns out to be broken.
    fn flush(&mut self, cx: &mut Context<'_>, sink: &mut impl Leg) -> Poll<Result<usize, Broken>> {
        if self.unflushed {
            match ready!(Pin::new(sink).poll_flush(cx)) {
                Ok(()) => self.unflushed = false,
                Err(error) => {
                    self.state = deaf(error.kind());
                    return Poll::Ready(Ok(0));
                }
            }
        }
        Poll::Pending
    }

    fn write(&mut self, cx: &mut Context<'_>, sink: &mut impl Leg, chunk: &mut Chunk, fill: Fill) {
        self.unflushed = true;
        let written = sink.seal(chunk).and_then(|()| chunk.write(|slices| sink.poll_put(cx, slices)));
        match written {
            Err(error) => self.state = deaf(error.kind()),
            Ok((_, left)) if left.is_empty() => {
                self.written += fill.bytes as u64;
                if fill.full {
                    self.allowance = (self.allowance * 2).min(MOST);
                }
            }
            Ok((taken, bytes)) => {
                let told = taken.min(fill.bytes);
                self.written += told as u64;
                self.allowance = LEAST;
                self.state = State::Leftover { bytes, at: 0, count: fill.bytes - told };
            }
        }
    }

    /// Tells the sink that it is not listened to any more, unless a record to it stands half written.
    fn tell(&self, cx: &mut Context<'_>, sink: &mut impl Leg) {
        if matches!(self.state, State::Reading) {
            sink.tell(cx);
        }
    }
}

fn deaf(broken: io::ErrorKind) -> State {
    State::Deaf { broken, ended: false }
}

/// Reads what is there and drops it; whether the source has ended. No more than a turn, then again.
fn discard(cx: &mut Context<'_>, source: &mut impl Leg) -> Result<bool, Broken> {
    with_buffer(|chunk| {
        let mut dropped = 0;
        while dropped < TURN {
            match source.poll_fill(cx, chunk, MOST, false) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Err(error)) => return Err(Broken::Source(error)),
                Poll::Ready(Ok(fill)) if fill.bytes == 0 => return Ok(true),
                Poll::Ready(Ok(fill)) => dropped += fill.bytes,
            }
        }
        cx.waker().wake_by_ref();
        Ok(false)
    })
}

#[cfg(test)]
mod tests;
