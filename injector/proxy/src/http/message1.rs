//! HTTP/1's requests and responses as an exchange carries them, between any two sides.

use std::cell::RefCell;
use std::task::{Context, Poll, ready};

use super::attempt::{Caller, Request, Verdict, carry};
use super::buffer;
use super::exchange::{Client, Response, Server};
use super::h1::body::Chunked;
use super::h1::head::{self, Asked, Body, Fields, Method, Refusal, ResponseBody, Version};
use super::h1::rewrite::{self, ConnectionWord, Framing, Rewrite};
use super::h2::frame::Code;
use super::http1::{HeadFault, Http1, Reading, Writing};
use super::kept::Kept;
use super::mux::Head;
use super::places::Waiting;
use super::presence::Presence;
use super::reason::{self, Reason};
use super::route::{Reached, Way};
use super::side::{Gone, side_of};
use super::streamed::{Speech, Streamed};
use crate::connection::End;
use crate::metrics::requests::Row;

thread_local! {
    /// Room for the fields of the head that is parsed, one at a time.
    static FIELDS: RefCell<Fields> = RefCell::new(Fields::new());
}

/// A request that has come, as it goes on.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts of a head, each by itself")]
pub struct Ask {
    /// The head as it is forwarded.
    pub head: Vec<u8>,
    /// What follows it.
    pub body: Body,
    /// What must be known of it to understand the response.
    pub asked: Asked,
    /// It is of HTTP/1.1.
    pub current: bool,
    /// The client wants to go on afterwards.
    pub keep_alive: bool,
    /// It asks for another protocol.
    pub upgrade: bool,
    /// To do it twice is as good as once.
    pub idempotent: bool,
}

impl Ask {
    /// Parses a request and writes it as it is forwarded: without what only the mesh may say if `inbound`, and with who
    /// says it, if that is known.
    pub fn parse(bytes: &[u8], inbound: bool, client: Option<&str>) -> Result<Option<(Self, usize)>, Refusal> {
        FIELDS.with_borrow_mut(|fields| {
            let Some(request) = head::request(bytes, fields)? else { return Ok(None) };
            // One with a body would have two ends: its own, and the other protocol's. It may be ignored (RFC 9110, section
            // 7.8).
            let upgrade = request.upgrade && request.body.is_empty();
            let keep_upgrade = request.body.is_empty();
            let how = Rewrite { strip_mesh: inbound, client, keep_upgrade, framing: Framing::Keep, connection: None };
            let mut head = buffer::lend();
            rewrite::request(bytes, &request, fields, &how, &mut head);
            let ask = Self {
                head,
                body: request.body,
                asked: match request.method {
                    Method::Head => Asked::Head,
                    Method::Connect => Asked::Connect,
                    _ => Asked::Other,
                },
                current: request.version == Version::V11,
                keep_alive: request.keep_alive,
                upgrade,
                idempotent: request.method.is_idempotent(),
            };
            Ok(Some((ask, request.length)))
        })
    }

    /// Whether another protocol may follow.
    pub fn may_tunnel(&self) -> bool {
        self.upgrade || self.asked == Asked::Connect
    }
}

impl Drop for Ask {
    fn drop(&mut self) {
        buffer::give_back(&mut self.head);
    }
}

/// A response's head that has come.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    status: u16,
    interim: bool,
    tunnel: bool,
    /// What follows.
    pub body: ResponseBody,
    /// The server's connection may go on afterwards.
    pub keep_alive: bool,
}

impl Response for Answer {
    fn status(&self) -> u16 {
        self.status
    }

    fn is_interim(&self) -> bool {
        self.interim
    }

    fn is_tunnel(&self) -> bool {
        self.tunnel
    }

    fn is_bodiless(&self) -> bool {
        matches!(self.body, ResponseBody::None | ResponseBody::Length(0))
    }
}

/// What the client must be told of the connection.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts of a request and its client, each by itself")]
pub struct Manner {
    /// It is HTTP/1 on the wire, not a stream between two proxies.
    pub wire: bool,
    /// The client speaks HTTP/1.1.
    pub current: bool,
    /// The connection goes on afterwards.
    pub keep: bool,
    /// What the server says of the mesh is not believed: it has no proxy, or is the application.
    pub strip_mesh: bool,
    /// It asked for another protocol.
    pub upgrade: bool,
    /// What it asked for.
    pub asked: Asked,
}

impl Manner {
    /// Parses a response and writes it as the client gets it.
    fn parse(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<(Answer, usize)>, Gone> {
        FIELDS.with_borrow_mut(|fields| {
            let parsed = head::response(bytes, fields, self.asked).map_err(|_| Gone::Malformed)?;
            let Some(response) = parsed else { return Ok(None) };
            if response.upgrade && !self.upgrade {
                return Err(Gone::Malformed); // another protocol that nobody asked for
            }
            let connected = self.asked == Asked::Connect && (200..300).contains(&response.status);
            let tunnel = response.upgrade || connected;
            let (framing, connection) = self.framing(response.body, response.is_interim() || tunnel);
            let how = Rewrite {
                strip_mesh: self.strip_mesh,
                client: None,
                keep_upgrade: response.upgrade,
                framing,
                connection,
            };
            let start = out.len();
            rewrite::response(bytes, &response, fields, &how, out);
            if self.wire && self.current && response.version == Version::V10 {
                // Our own version (RFC 9112, section 2.3): chunks and a connection that goes on are 1.1's.
                out[start..start + 8].copy_from_slice(b"HTTP/1.1");
            }
            let answer = Answer {
                status: response.status,
                interim: response.is_interim(),
                tunnel,
                body: response.body,
                keep_alive: response.keep_alive,
            };
            Ok(Some((answer, response.length)))
        })
    }

    /// How the client is told where the body ends, and what becomes of the connection.
    fn framing(self, body: ResponseBody, unended: bool) -> (Framing, Option<ConnectionWord>) {
        if !self.wire || unended {
            return (Framing::Keep, None);
        }
        let word = match (self.keep, self.current) {
            (false, _) => Some(ConnectionWord::Close),
            (true, false) => Some(ConnectionWord::KeepAlive),
            (true, true) => None,
        };
        match body {
            ResponseBody::UntilClose if self.current => (Framing::Chunked, word),
            ResponseBody::UntilClose | ResponseBody::Chunked if !self.current => {
                (Framing::None, Some(ConnectionWord::Close))
            }
            _ => (Framing::Keep, word),
        }
    }
}

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

impl Request for Ask {
    fn is_bodiless(&self) -> bool {
        self.body.is_empty()
    }

    fn is_idempotent(&self) -> bool {
        self.idempotent
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
            let answered = matches!(verdict, Verdict::Answered(_));
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
        if !response.interim || self.current {
            self.http.wire.out().extend_from_slice(head);
        }
        if !response.interim {
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
        let end = !response.interim && !response.tunnel && response.is_bodiless();
        self.0.stream.say(Head::Raw(head), end);
        head.clear();
        Ok(())
    }

    fn tunnel(&mut self) {}
}

side_of!(StreamClient, 0);

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
    fn ask(mut http: Http1<S>, ask: &Ask, said: usize, manner: Manner) -> Self {
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
    streamed: Streamed,
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
