//! A stream of a multiplexed connection as a side of an exchange.

use std::cell::RefCell;
use std::task::{Context, Poll, ready};

use super::attempt::Verdict;
use super::h2::fields::Fields;
use super::h2::frame::Code;
use super::h2::message;
use super::mux::{Head, Lost, Part, Stream};
use super::side::{Body, Gone, Side};

/// What heads and trailers on a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speech {
    /// HTTP/1's own bytes.
    Http1,
    /// Lists of HTTP/2.
    Http2,
}

thread_local! {
    /// Room for the list that is looked at, one at a time.
    static FIELDS: RefCell<Fields> = RefCell::new(Fields::new());
}

/// Shows a list of HTTP/2 as it lies in a stream's inbox; None if it is none.
pub fn with_fields<R>(bytes: &[u8], see: impl FnOnce(&Fields) -> Option<R>) -> Option<R> {
    FIELDS.with_borrow_mut(|fields| {
        fields.refill(bytes)?;
        see(fields)
    })
}

/// See the module.
#[derive(Debug)]
pub struct Streamed {
    /// The stream.
    pub stream: Stream,
    speech: Speech,
    /// Trailers that are said here are without what only the mesh may say.
    pub strip_mesh: bool,
    /// The peer has said all, and all of it was taken.
    heard: bool,
    /// The status of gRPC in the trailers that came.
    pub grpc_status: Option<u8>,
}

impl Streamed {
    /// Of a stream on which both ends speak this way.
    pub fn new(stream: Stream, speech: Speech) -> Self {
        Self { stream, speech, strip_mesh: false, heard: false, grpc_status: None }
    }

    /// Shows the next head to `see`; waits until there is one.
    pub fn poll_head<R>(&mut self, cx: &mut Context<'_>, see: impl FnOnce(&[u8]) -> R) -> Poll<Result<R, Gone>> {
        let seen = self.stream.poll_part(cx, 0, |part| match part {
            Some((Part::Head, bytes)) => Ok(see(bytes)),
            Some(_) => Err(Gone::Malformed),
            None => Err(Gone::Cut),
        });
        Poll::Ready(ready!(seen)?)
    }

    /// After a request that was answered nothing is given up, whatever of it was still to come.
    pub fn done(&mut self, verdict: &Verdict) {
        if matches!(verdict, Verdict::Answered(..)) {
            self.stream.give_up_with(Code::NoError);
        }
    }

    /// Ready when the stream is lost.
    pub fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<Lost> {
        self.stream.poll_lost(cx)
    }
}

impl Side for Streamed {
    fn poll_body<R>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        see: impl FnOnce(Body<'_>) -> R,
    ) -> Poll<Result<R, Gone>> {
        if self.heard {
            return Poll::Ready(Ok(see(Body::End)));
        }
        let (heard, grpc_status, speech) = (&mut self.heard, &mut self.grpc_status, self.speech);
        let seen = self.stream.poll_part(cx, most, |part| match part {
            Some((Part::Data, bytes)) => Ok(see(Body::Data { bytes, last: false })),
            Some((Part::Trailers, bytes)) => {
                *heard = true;
                if speech == Speech::Http2 {
                    *grpc_status = with_fields(bytes, |fields| message::check_trailers(fields).ok()?.grpc_status);
                }
                Ok(see(Body::Trailers(bytes)))
            }
            Some((Part::Head, _)) => Err(Gone::Malformed), // a second head
            None => {
                *heard = true;
                Ok(see(Body::End))
            }
        });
        Poll::Ready(ready!(seen)?)
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Gone>> {
        self.stream.poll_room(cx).map_err(Gone::from)
    }

    fn put(&mut self, _: &mut Context<'_>, bytes: &[u8], last: bool) -> Result<(), Gone> {
        self.stream.send(bytes, last);
        Ok(())
    }

    fn finish(&mut self, trailers: &[u8]) -> Result<(), Gone> {
        match self.speech {
            _ if trailers.is_empty() => self.stream.send(&[], true),
            Speech::Http1 => self.stream.say(Head::Raw(trailers), true),
            Speech::Http2 => {
                let mut fields = Fields::read(trailers).ok_or(Gone::Malformed)?;
                if self.strip_mesh {
                    let all = std::mem::take(&mut fields);
                    message::forward(&all, true, None, &mut fields);
                }
                if fields.is_empty() {
                    self.stream.send(&[], true);
                } else {
                    self.stream.say(Head::Fields(&fields), true);
                }
            }
        }
        Ok(())
    }

    /// The task that drives the connection does it.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }
}
