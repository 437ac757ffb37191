//! One end of a connection of HTTP/1, message by message: where bodies begin and end (RFC 9112, sections 6 and 7).

use std::task::{Context, Poll, ready};

use super::h1::body::{self, Chunked, Progress};
use super::h1::head::worth_parsing;
use super::side::{Body, Gone, Side};
use super::wire::Wire;
use crate::connection::End;

/// Bytes of a chunk's size and line ends, at most, that `put` adds.
const CHUNK_FRAME: usize = 20;

/// What of the body that is read comes next.
#[derive(Debug)]
pub enum Reading {
    /// Nothing.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Box<Chunked>),
    /// Whatever comes until the peer has said all.
    UntilEnd,
}

/// What of the body that is written comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Nothing.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Whatever comes; its end is the end of what we say.
    UntilEnd,
}

/// A connection, and where in its messages we are.
#[derive(Debug)]
pub struct Http1<S> {
    /// The connection.
    pub wire: Wire<S>,
    /// What comes.
    pub reading: Reading,
    /// What goes.
    pub writing: Writing,
    /// How much of what waits was parsed in vain: there is more to a head.
    parsed: usize,
}

impl<S: End> Http1<S> {
    /// Between messages.
    pub fn new(wire: Wire<S>) -> Self {
        Self { wire, reading: Reading::Nothing, writing: Writing::Nothing, parsed: 0 }
    }

    /// Shows what is there to `parse`, which says how long the head is that it found, and more as long as it found none.
    /// None: the peer has said all, and not one byte of a head.
    pub fn poll_head<R, E>(
        &mut self,
        cx: &mut Context<'_>,
        mut parse: impl FnMut(&[u8]) -> Result<Option<(R, usize)>, E>,
    ) -> Poll<Result<Option<R>, HeadFault<E>>> {
        loop {
            let waiting = self.wire.waiting();
            if !waiting.is_empty() && worth_parsing(waiting, self.parsed) {
                if let Some((head, length)) = parse(waiting).map_err(HeadFault::Malformed)? {
                    self.wire.take(length);
                    self.parsed = 0;
                    return Poll::Ready(Ok(Some(head)));
                }
                self.parsed = waiting.len();
            }
            let count = ready!(self.wire.poll_more(cx)).map_err(|error| HeadFault::Gone(error.into()))?;
            if count == 0 {
                let none = self.wire.waiting().is_empty();
                return Poll::Ready(if none { Ok(None) } else { Err(HeadFault::Gone(Gone::Cut)) });
            }
        }
    }

    /// Whether the connection may carry another message when this one is over.
    pub fn is_between(&self) -> bool {
        matches!((&self.reading, self.writing), (Reading::Nothing, Writing::Nothing))
    }

    fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Gone>> {
        if self.wire.waiting().is_empty() {
            return Poll::Ready(Ok(ready!(self.wire.poll_more(cx))? > 0));
        }
        Poll::Ready(Ok(true))
    }

    fn poll_chunk<R>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        see: impl FnOnce(Body<'_>) -> R,
    ) -> Poll<Result<R, Gone>> {
        loop {
            if !ready!(self.poll_some(cx))? {
                return Poll::Ready(Err(Gone::Cut));
            }
            let Reading::Chunked(chunked) = &mut self.reading else { return Poll::Ready(Err(Gone::Malformed)) };
            let waiting = self.wire.waiting();
            // The decoder gives no more than it was shown.
            let step = chunked.decode(&waiting[..waiting.len().min(most)]).map_err(|_| Gone::Malformed)?;
            if step.state == Progress::Ended {
                let seen = match chunked.trailers() {
                    [] => see(Body::End),
                    trailers => see(Body::Trailers(trailers)),
                };
                self.reading = Reading::Nothing;
                self.wire.take(step.consumed);
                return Poll::Ready(Ok(seen));
            }
            if !step.data.is_empty() {
                let seen = see(Body::Data { bytes: &waiting[step.data], last: false });
                self.wire.take(step.consumed);
                return Poll::Ready(Ok(seen));
            }
            self.wire.take(step.consumed);
        }
    }
}

/// Why there is no head.
#[derive(Debug)]
pub enum HeadFault<E> {
    /// What came is none.
    Malformed(E),
    /// The peer is gone.
    Gone(Gone),
}

impl<S: End> Side for Http1<S> {
    fn poll_body<R>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        see: impl FnOnce(Body<'_>) -> R,
    ) -> Poll<Result<R, Gone>> {
        match self.reading {
            Reading::Nothing => Poll::Ready(Ok(see(Body::End))),
            Reading::Chunked(_) => self.poll_chunk(cx, most, see),
            Reading::UntilEnd => {
                if !ready!(self.poll_some(cx))? {
                    self.reading = Reading::Nothing;
                    return Poll::Ready(Ok(see(Body::End)));
                }
                let count = self.wire.waiting().len().min(most);
                let seen = see(Body::Data { bytes: &self.wire.waiting()[..count], last: false });
                self.wire.take(count);
                Poll::Ready(Ok(seen))
            }
            Reading::Length(left) => {
                if left > 0 && !ready!(self.poll_some(cx))? {
                    return Poll::Ready(Err(Gone::Cut));
                }
                let count = self.wire.waiting().len().min(most).min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - count as u64;
                let seen = see(Body::Data { bytes: &self.wire.waiting()[..count], last: left == 0 });
                self.reading = if left == 0 { Reading::Nothing } else { Reading::Length(left) };
                self.wire.take(count);
                Poll::Ready(Ok(seen))
            }
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Gone>> {
        loop {
            match self.wire.room() {
                0..=CHUNK_FRAME => ready!(self.wire.poll_flush(cx))?,
                room => return Poll::Ready(Ok(room - CHUNK_FRAME)),
            }
        }
    }

    fn put(&mut self, cx: &mut Context<'_>, bytes: &[u8], last: bool) -> Result<(), Gone> {
        match self.writing {
            // For chunks, none would be the last one.
            Writing::Nothing | Writing::Chunked if bytes.is_empty() => {}
            Writing::Nothing => return Err(Gone::Malformed), // a body where the head promised none
            Writing::Length(left) => {
                let left = left.checked_sub(bytes.len() as u64).ok_or(Gone::Malformed)?;
                self.writing = Writing::Length(left);
                self.wire.put(cx, bytes)?;
            }
            Writing::Chunked => {
                body::chunk_head(bytes.len(), self.wire.out());
                self.wire.put(cx, bytes)?;
                self.wire.out().extend_from_slice(body::CHUNK_END);
            }
            Writing::UntilEnd => self.wire.put(cx, bytes)?,
        }
        if last { self.finish(&[]) } else { Ok(()) }
    }

    fn finish(&mut self, trailers: &[u8]) -> Result<(), Gone> {
        match self.writing {
            Writing::Length(1..) => return Err(Gone::Malformed), // less than the head promised
            Writing::Chunked if trailers.is_empty() => body::last_chunk(&[], self.wire.out()),
            Writing::Chunked => {
                let trailers = body::trailers(trailers).ok_or(Gone::Malformed)?;
                body::last_chunk(&trailers, self.wire.out());
            }
            Writing::UntilEnd => self.wire.finish(),
            Writing::Nothing | Writing::Length(0) => {}
        }
        self.writing = Writing::Nothing;
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.wire.poll_flush(cx).map_err(Gone::from)
    }
}
