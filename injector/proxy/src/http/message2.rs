//! HTTP/2's requests and responses as an exchange carries them, between two streams.

use std::task::{Context, Poll, ready};

use super::attempt::{Caller, Request, Verdict, carry};
use super::exchange::{Client, Response, Server};
use super::h2::fields::Fields;
use super::h2::frame::Code;
use super::h2::message::{self, Method};
use super::kept::Kept;
use super::mux::Head;
use super::reason::{HEADER, Reason};
use super::route::{Reached, Way};
use super::side::{Gone, side_of};
use super::streamed::{Speech, Streamed, with_fields};
use crate::metrics::requests::Row;

/// A request that has come, as it goes on.
#[derive(Debug)]
pub struct Ask {
    head: Fields,
    method: Method,
    grpc: bool,
    bodiless: bool,
}

impl Ask {
    /// Reads a request as it lies in a stream's inbox: without what only the mesh may say if `inbound`, and with who says
    /// it, if that is known. `bodiless`: nothing follows it.
    pub fn read(bytes: &[u8], inbound: bool, client: Option<&str>, bodiless: bool) -> Option<Self> {
        with_fields(bytes, |fields| {
            let facts = message::check_request(fields).ok()?;
            let mut head = Fields::new();
            message::forward(fields, inbound, client, &mut head);
            Some(Self { head, method: facts.method, grpc: facts.grpc, bodiless })
        })
    }
}

impl Request for Ask {
    fn is_bodiless(&self) -> bool {
        self.bodiless
    }

    fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }
}

/// A response's head that has come.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    status: u16,
    /// The status of gRPC in a response that is nothing but trailers.
    grpc_status: Option<u8>,
    bodiless: bool,
}

/// What a call of gRPC comes to where HTTP says 503 (its `statuscodes.md`).
const UNAVAILABLE: u8 = 14;

impl Response for Answer {
    fn status(&self) -> u16 {
        self.status
    }

    fn is_interim(&self) -> bool {
        self.status < 200
    }

    fn is_failure(&self) -> bool {
        matches!(self.status, 502..=504) || self.grpc_status == Some(UNAVAILABLE)
    }

    /// What follows CONNECT's 2xx is DATA as anything else.
    fn is_tunnel(&self) -> bool {
        false
    }

    fn is_bodiless(&self) -> bool {
        self.bodiless
    }
}

/// Who asks on a stream.
#[derive(Debug)]
pub struct StreamClient(pub Streamed);

impl Caller for StreamClient {
    const SPEECH: Speech = Speech::Http2;
    type Request = Ask;

    async fn attempt(&mut self, ask: &Ask, kept: &mut Kept, reached: Reached, row: &Row) -> Verdict {
        let Reached { place, load, way, open: _open } = reached;
        let Way::Link(link) = way else { return Verdict::Failed { reason: Reason::Overloaded, again: false } };
        let Some(stream) = link.open(Head::Fields(&ask.head), ask.bodiless, ask.method == Method::Head) else {
            return Verdict::Failed { reason: Reason::Overloaded, again: true };
        };
        let endpoint = load.as_deref().map(|load| (load, &*place.row));
        let mut streamed = Streamed::new(stream, Speech::Http2);
        // Who has no proxy may not say what only the mesh may say; nor may the application be told it by who has one.
        let strip_mesh = place.peer.is_none();
        (streamed.strip_mesh, self.0.strip_mesh) = (strip_mesh, strip_mesh);
        let mut server = StreamServer { streamed, strip_mesh, grpc_status: None };
        let verdict = carry(self, &mut server, ask, kept, row, endpoint, true).await;
        if let (true, Verdict::Answered(..), Some(status)) =
            (ask.grpc, &verdict, server.grpc_status.or(server.streamed.grpc_status))
        {
            row.grpc.add(status);
        }
        server.streamed.done(&verdict);
        self.0.done(&verdict);
        verdict
    }

    fn reply(&mut self, ask: &Ask, status: u16, reason: Reason, text: &str) {
        use crate::metrics::Labelled as _;
        let mut head = Fields::new();
        self.0.stream.give_up_with(Code::NoError); // the answer stands, whatever of the request was to come
        let mut push = |name: &str, value: &str| head.push(name.as_bytes(), value.as_bytes(), false);
        let label = reason.label();
        if ask.grpc {
            // gRPC reads its own status, of a response that is nothing but trailers (its `PROTOCOL-HTTP2.md`).
            push(":status", "200");
            push("content-type", "application/grpc");
            push("grpc-status", &reason.grpc_status().to_string());
            push("grpc-message", text);
            push(HEADER, label);
            return self.0.stream.say(Head::Fields(&head), true);
        }
        let body = format!("{text}\n");
        push(":status", &status.to_string());
        push(HEADER, label);
        push("content-type", "text/plain");
        push("content-length", &body.len().to_string());
        let bodiless = ask.method == Method::Head;
        self.0.stream.say(Head::Fields(&head), bodiless);
        if !bodiless {
            self.0.stream.send(body.as_bytes(), true);
        }
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
        let end = !response.is_interim() && response.bodiless;
        let said = with_fields(head, |fields| {
            self.0.stream.say(Head::Fields(fields), end);
            Some(())
        });
        head.clear();
        said.ok_or(Gone::Malformed)
    }

    fn tunnel(&mut self) {}
}

side_of!(StreamClient, 0);

/// Who answers on a stream.
#[derive(Debug)]
struct StreamServer {
    streamed: Streamed,
    strip_mesh: bool,
    /// The status of gRPC in a response that is nothing but trailers.
    grpc_status: Option<u8>,
}

impl Server<Answer> for StreamServer {
    fn poll_answer(&mut self, cx: &mut Context<'_>, head: &mut Vec<u8>) -> Poll<Result<Option<Answer>, Gone>> {
        let strip_mesh = self.strip_mesh;
        let read = ready!(self.streamed.poll_head(cx, |bytes| with_fields(bytes, |fields| {
            let facts = message::check_response(fields).ok()?;
            if strip_mesh {
                let mut forwarded = Fields::new();
                message::forward(fields, true, None, &mut forwarded);
                forwarded.append_to(head);
            } else {
                head.extend_from_slice(bytes);
            }
            Some(facts)
        })))?;
        let facts = read.ok_or(Gone::Malformed)?;
        self.grpc_status = facts.grpc_status;
        let bodiless = self.streamed.stream.has_ended();
        Poll::Ready(Ok(Some(Answer { status: facts.status, grpc_status: facts.grpc_status, bodiless })))
    }

    fn expect(&mut self, _: &Answer) {}

    fn tunnel(&mut self) {}
}

side_of!(StreamServer, streamed);
