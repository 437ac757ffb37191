//! The two sides of an exchange, and how a body goes from one to the other.
//!
//! A side is a connection of HTTP/1 or a stream of a multiplexed connection; what is carried between them is the same.

use std::io;
use std::task::{Context, Poll, ready};

use super::mux::Lost;

/// Bytes of a body that are carried before others have their turn: some 0.2 ms of copying.
const TURN: usize = 1024 * 1024;

/// What comes next of a message's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Some of it.
    Data {
        /// The bytes; perhaps none.
        bytes: &'a [u8],
        /// Nothing comes after them.
        last: bool,
    },
    /// It has ended, and these fields follow it: lines of HTTP/1, or a list of HTTP/2, as both sides speak it.
    Trailers(&'a [u8]),
    /// It has ended.
    End,
}

/// Why a side cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It ended in the middle of a message.
    Cut,
    /// It broke.
    Broken(io::ErrorKind),
    /// What it said makes no sense.
    Malformed,
    /// The stream is lost.
    Lost(Lost),
}

impl From<io::Error> for Gone {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.kind())
    }
}

impl From<Lost> for Gone {
    fn from(lost: Lost) -> Self {
        if lost == Lost::Malformed { Self::Malformed } else { Self::Lost(lost) }
    }
}

/// One side of an exchange, once heads have told what bodies follow.
pub trait Side {
    /// Shows `see` what comes next of the body, `most` bytes of it; waits until there is something.
    fn poll_body<R>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        see: impl FnOnce(Body<'_>) -> R,
    ) -> Poll<Result<R, Gone>>;

    /// How many bytes of a body may be put now; waits until there are some.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Gone>>;

    /// Says some of a body, no more than `poll_room` allows; `last`: and that it is all.
    fn put(&mut self, cx: &mut Context<'_>, bytes: &[u8], last: bool) -> Result<(), Gone>;

    /// Says that the body has ended, and what follows it.
    fn finish(&mut self, trailers: &[u8]) -> Result<(), Gone>;

    /// Brings what was put on its way.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;
}

/// Makes a type a side by what it has in a field.
macro_rules! side_of {
    ($type:ty $([$parameter:ident : $bound:path])?, $field:tt) => {
        impl$(<$parameter: $bound>)? $crate::http::side::Side for $type {
            fn poll_body<R>(
                &mut self,
                cx: &mut std::task::Context<'_>,
                most: usize,
                see: impl FnOnce($crate::http::side::Body<'_>) -> R,
            ) -> std::task::Poll<Result<R, $crate::http::side::Gone>> {
                $crate::http::side::Side::poll_body(&mut self.$field, cx, most, see)
            }

            fn poll_room(
                &mut self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<usize, $crate::http::side::Gone>> {
                $crate::http::side::Side::poll_room(&mut self.$field, cx)
            }

            fn put(
                &mut self,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
                last: bool,
            ) -> Result<(), $crate::http::side::Gone> {
                $crate::http::side::Side::put(&mut self.$field, cx, bytes, last)
            }

            fn finish(&mut self, trailers: &[u8]) -> Result<(), $crate::http::side::Gone> {
                $crate::http::side::Side::finish(&mut self.$field, trailers)
            }

            fn poll_flush(
                &mut self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), $crate::http::side::Gone>> {
                $crate::http::side::Side::poll_flush(&mut self.$field, cx)
            }
        }
    };
}
pub(super) use side_of;

/// Which side of a flow is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The one that speaks.
    Source(Gone),
    /// The one that listens.
    Sink(Gone),
}

/// A body on its way.
#[derive(Debug, Default)]
pub struct Flow {
    /// It has ended, and the sink was told.
    said: bool,
    /// And nothing of it is on its way any more.
    done: bool,
    /// Bytes carried.
    pub bytes: u64,
}

impl Flow {
    /// One that has been carried already, for a message without a body.
    pub fn over() -> Self {
        Self { said: true, ..Self::default() }
    }

    /// Whether nothing is left to carry.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Carries what can be carried now.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Side,
        sink: &mut impl Side,
    ) -> Poll<Result<(), Broken>> {
        let mut carried = 0;
        while !self.said {
            let room = ready!(sink.poll_room(cx)).map_err(Broken::Sink)?;
            let mut put = Ok(());
            let mut sinks = Context::from_waker(cx.waker()); // `cx` is the source's meanwhile
            let seen = source.poll_body(cx, room, |body| match body {
                Body::Data { bytes, last } => {
                    put = sink.put(&mut sinks, bytes, last);
                    (bytes.len(), last)
                }
                Body::Trailers(trailers) => {
                    put = sink.finish(trailers);
                    (0, true)
                }
                Body::End => {
                    put = sink.finish(&[]);
                    (0, true)
                }
            });
            let Poll::Ready(seen) = seen else {
                ready!(sink.poll_flush(cx)).map_err(Broken::Sink)?;
                return Poll::Pending;
            };
            let (count, last) = seen.map_err(Broken::Source)?;
            put.map_err(|gone| match gone {
                // It is not what the head promised, which is the fault of whoever said both.
                Gone::Malformed => Broken::Source(gone),
                gone => Broken::Sink(gone),
            })?;
            self.bytes += count as u64;
            self.said = last;
            carried += count;
            if carried >= TURN && !last {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        if !self.done {
            ready!(sink.poll_flush(cx)).map_err(Broken::Sink)?;
            self.done = true;
        }
        Poll::Ready(Ok(()))
    }
}
