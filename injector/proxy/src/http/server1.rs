//! Servers of HTTP/1 as an exchange sees them, on the wire and behind another proxy.

use std::task::{Context, Poll, ready};

use super::attempt::Request as _;
use super::exchange::Server;
use super::h1::body::Chunked;
use super::h1::head::{Body, ResponseBody};
use super::http1::{HeadFault, Http1, Reading, Writing};
use super::message1::{Answer, Ask, Manner};
use super::side::{Gone, side_of};
use super::streamed::Streamed;
use crate::connection::End;

/// A server on the wire.
#[derive(Debug)]
pub struct WireServer<S> {
    /// Its connection.
    pub http: Http1<S>,
    /// The connection may go on after its last response.
    pub keep_alive: bool,
    manner: Manner,
}

impl<S: End> WireServer<S> {
    /// Says a request's head to a server that has got the first `said` bytes of it, for a client that is to be told in this
    /// manner.
    pub fn ask(mut http: Http1<S>, ask: &Ask, said: usize, manner: Manner) -> Self {
        http.wire.out().extend_from_slice(&ask.head[said..]);
        http.writing = match ask.body {
            Body::None | Body::Length(0) => Writing::Nothing,
            Body::Length(length) => Writing::Length(length),
            Body::Chunked => Writing::Chunked,
        };
        Self { http, keep_alive: false, manner }
    }
}

impl<S: End> Server<Answer> for WireServer<S> {
    fn poll_answer(&mut self, cx: &mut Context<'_>, head: &mut Vec<u8>) -> Poll<Result<Option<Answer>, Gone>> {
        let manner = self.manner;
        let answer = ready!(self.http.poll_head(cx, |bytes| manner.parse(bytes, head)));
        Poll::Ready(answer.map_err(|fault| match fault {
            HeadFault::Malformed(gone) | HeadFault::Gone(gone) => gone,
        }))
    }

    fn expect(&mut self, response: &Answer) {
        self.keep_alive = response.keep_alive;
        self.http.reading = match response.body {
            ResponseBody::None | ResponseBody::Length(0) => Reading::Nothing,
            ResponseBody::Length(length) => Reading::Length(length),
            ResponseBody::Chunked => Reading::Chunked(Box::new(Chunked::new())),
            ResponseBody::UntilClose => Reading::UntilEnd,
        };
    }

    fn tunnel(&mut self) {
        (self.http.reading, self.http.writing) = (Reading::UntilEnd, Writing::UntilEnd);
    }
}

side_of!(WireServer<S> [S: End], http);

/// A server behind another proxy, on a stream of the connection to it.
#[derive(Debug)]
pub struct StreamServer {
    /// Its stream.
    pub streamed: Streamed,
    manner: Manner,
    /// The request has no body, and its end was not said yet, for another protocol might have followed.
    unended: bool,
}

impl StreamServer {
    /// Of a stream on which a request's head was said, for a client that is to be told in this manner.
    pub fn new(streamed: Streamed, ask: &Ask, manner: Manner) -> Self {
        Self { streamed, manner, unended: ask.is_bodiless() && ask.may_tunnel() }
    }
}

impl Server<Answer> for StreamServer {
    fn poll_answer(&mut self, cx: &mut Context<'_>, head: &mut Vec<u8>) -> Poll<Result<Option<Answer>, Gone>> {
        let manner = self.manner;
        let parsed = ready!(self.streamed.poll_head(cx, |bytes| manner.parse(bytes, head)))?;
        Poll::Ready(match parsed? {
            Some((answer, _)) => Ok(Some(answer)),
            None => Err(Gone::Malformed), // half of a head
        })
    }

    fn expect(&mut self, _: &Answer) {
        if self.unended {
            self.streamed.stream.send(&[], true);
        }
    }

    fn tunnel(&mut self) {}
}

side_of!(StreamServer, streamed);
