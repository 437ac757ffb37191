//! Clients of HTTP/1 as an exchange sees them, on the wire and behind another proxy.

use std::task::{Context, Poll, ready};

use super::attempt::{Caller, Request as _, Verdict, carry};
use super::buffer;
use super::exchange::{Client, Response};
use super::h1::body::Chunked;
use super::h1::head::{Asked, Body, Refusal, ResponseBody};
use super::h2::frame::Code;
use super::http1::{HeadFault, Http1, Reading, Writing};
use super::kept::Kept;
use super::message1::{Answer, Ask, Manner};
use super::mux::Head;
use super::places::Waiting;
use super::presence::Presence;
use super::reason::{self, Reason};
use super::route::{Reached, Way};
use super::server1::{StreamServer, WireServer};
use super::side::{Gone, side_of};
use super::streamed::{Speech, Streamed};
use crate::connection::End;
use crate::metrics::requests::Row;

/// A connection to the application that has got the beginning of a request, as bytes, before it was known for one.
#[derive(Debug)]
pub struct Begun {
    /// The connection.
    pub waiting: Waiting,
    /// What it has got.
    pub said: Vec<u8>,
}

/// A client on the wire.
#[derive(Debug)]
pub struct WireClient<S> {
    /// Its connection.
    pub http: Http1<S>,
    /// Whether what it asked for last was of HTTP/1.1.
    pub current: bool,
    /// It must not be asked for anything else: its response ends with the connection.
    pub last: bool,
    /// Where its first request has begun to go.
    pub begun: Option<Begun>,
    /// Whether it is there.
    pub presence: Presence,
    /// What it says is no HTTP any more.
    pub tunnelled: bool,
}

impl<S: End> WireClient<S> {
    /// The next request; None when the client has said all.
    pub fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        inbound: bool,
        client: Option<&str>,
    ) -> Poll<Result<Option<Ask>, HeadFault<Refusal>>> {
        let ask = ready!(self.http.poll_head(cx, |bytes| Ask::parse(bytes, inbound, client)))?;
        if let Some(ask) = &ask {
            self.presence = Presence::default();
            self.current = ask.current;
            self.http.reading = match ask.body {
                Body::None | Body::Length(0) => Reading::Nothing,
                Body::Length(length) => Reading::Length(length),
                Body::Chunked => Reading::Chunked(Box::new(Chunked::new())),
            };
        }
        Poll::Ready(Ok(ask))
    }
}

impl<S: End> Caller for WireClient<S> {
    const SPEECH: Speech = Speech::Http1;
    type Request = Ask;

    async fn attempt(&mut self, ask: &Ask, kept: &mut Kept, mut reached: Reached, row: &Row) -> Verdict {
        let (wire, keep) = (true, !self.last);
        let mut said = 0;
        if let Some(Begun { waiting, said: beginning }) = self.begun.take() {
            if !ask.head.starts_with(&beginning) {
                return Verdict::Malformed; // the application has got something that is no part of what would follow
            }
            (reached.way, said) = (Way::Wire { waiting, reused: false }, beginning.len());
        }
        attempt(self, ask, kept, reached, row, (wire, keep, said)).await
    }

    fn reply(&mut self, ask: &Ask, status: u16, reason: Reason, text: &str) {
        self.refuse(status, reason, text, ask.asked == Asked::Head);
    }

    fn decline(&mut self) -> bool {
        false
    }

    fn is_wire(&self) -> bool {
        true
    }
}

impl<S: End> WireClient<S> {
    /// Answers what may not even be a request.
    pub fn refuse(&mut self, status: u16, reason: Reason, text: &str, bodiless: bool) {
        let close = self.last || !self.current || !self.http.is_between();
        self.last = close;
        let out = self.http.wire.out();
        reason::head(status, reason, text.len() + 1, close, out);
        if !bodiless {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        }
    }
}

/// Says a request to what was reached, and carries it and its answer. `wire`, `keep`: see `Manner`; `said`: how many bytes
/// of the head the server has got already.
async fn attempt<C: Caller<Request = Ask> + Client<Response = Answer>>(
    client: &mut C,
    ask: &Ask,
    kept: &mut Kept,
    reached: Reached,
    row: &Row,
    (wire, keep, said): (bool, bool, usize),
) -> Verdict {
    let Reached { place, load, way, open: _open } = reached;
    // A proxy of the mesh may say what only the mesh may say.
    let strip_mesh = place.peer.is_none();
    let manner = Manner { wire, current: ask.current, keep, strip_mesh, upgrade: ask.upgrade, asked: ask.asked };
    let endpoint = load.as_deref().map(|load| (load, &*place.row));
    match way {
        Way::Link(link) => {
            let end = ask.is_bodiless() && !ask.may_tunnel();
            let Some(stream) = link.open(Head::Raw(&ask.head), end, ask.asked == Asked::Head) else {
                return Verdict::Failed { reason: Reason::Overloaded, again: true };
            };
            let mut server = StreamServer::new(Streamed::new(stream, Speech::Http1), ask, manner);
            let verdict = carry(client, &mut server, ask, kept, row, endpoint, true).await;
            server.streamed.done(&verdict);
            verdict
        }
        Way::Wire { waiting: Waiting { wire, dial }, reused } => {
            let mut server = WireServer::ask(Http1::new(wire), ask, said, manner);
            let verdict = carry(client, &mut server, ask, kept, row, endpoint, reused).await;
            let answered = matches!(verdict, Verdict::Answered(..));
            if answered && server.keep_alive && server.http.is_between() && server.http.wire.is_clean() {
                place.keep(Waiting { wire: server.http.wire, dial });
            }
            verdict
        }
    }
}

impl<S: End> Client for WireClient<S> {
    type Response = Answer;

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.presence.poll_gone(cx, &mut self.http.wire, self.tunnelled)
    }

    fn answer(&mut self, head: &mut Vec<u8>, response: &Answer) -> Result<(), Gone> {
        if !response.is_interim() || self.current {
            self.http.wire.out().extend_from_slice(head);
        }
        if !response.is_interim() {
            self.http.writing = match response.body {
                ResponseBody::None | ResponseBody::Length(0) => Writing::Nothing,
                ResponseBody::Length(length) => Writing::Length(length),
                ResponseBody::Chunked | ResponseBody::UntilClose if self.current => Writing::Chunked,
                ResponseBody::Chunked | ResponseBody::UntilClose => {
                    self.last = true;
                    Writing::UntilEnd
                }
            };
        }
        head.clear();
        Ok(())
    }

    fn tunnel(&mut self) {
        (self.http.reading, self.http.writing, self.last) = (Reading::UntilEnd, Writing::UntilEnd, true);
        self.tunnelled = true;
    }
}

side_of!(WireClient<S> [S: End], http);

/// A client behind another proxy, on a stream of the connection to it.
#[derive(Debug)]
pub struct StreamClient(pub Streamed);

impl StreamClient {
    /// Answers what may not even be a request.
    pub fn refuse(&mut self, status: u16, reason: Reason, text: &str, bodiless: bool) {
        let mut head = buffer::lend();
        reason::head(status, reason, text.len() + 1, false, &mut head);
        self.0.stream.say(Head::Raw(&head), bodiless);
        if !bodiless {
            head.clear();
            head.extend_from_slice(text.as_bytes());
            head.push(b'\n');
            self.0.stream.send(&head, true);
        }
        self.0.stream.give_up_with(Code::NoError); // the answer stands, whatever of the request was to come
        buffer::give_back(&mut head);
    }
}

impl Caller for StreamClient {
    const SPEECH: Speech = Speech::Http1;
    type Request = Ask;

    async fn attempt(&mut self, ask: &Ask, kept: &mut Kept, reached: Reached, row: &Row) -> Verdict {
        let verdict = attempt(self, ask, kept, reached, row, (false, false, 0)).await;
        self.0.done(&verdict);
        verdict
    }

    fn reply(&mut self, ask: &Ask, status: u16, reason: Reason, text: &str) {
        self.refuse(status, reason, text, ask.asked == Asked::Head);
    }

    fn decline(&mut self) -> bool {
        self.0.stream.give_up_with(Code::RefusedStream);
        true
    }

    fn is_wire(&self) -> bool {
        false
    }
}

impl Client for StreamClient {
    type Response = Answer;

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.0.poll_lost(cx).map(Gone::from)
    }

    fn answer(&mut self, head: &mut Vec<u8>, response: &Answer) -> Result<(), Gone> {
        let end = !response.is_interim() && !response.is_tunnel() && response.is_bodiless();
        self.0.stream.say(Head::Raw(head), end);
        head.clear();
        Ok(())
    }

    fn tunnel(&mut self) {}
}

side_of!(StreamClient, 0);
