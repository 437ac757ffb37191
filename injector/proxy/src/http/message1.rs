//! HTTP/1's requests and responses, from how they come to how they go on.

use std::cell::RefCell;

use super::attempt::Request;
use super::buffer;
use super::exchange::Response;
use super::h1::head::{self, Asked, Body, Fields, Method, Refusal, ResponseBody, Version};
use super::h1::rewrite::{self, ConnectionWord, Framing, Rewrite};
use super::side::Gone;

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
    pub fn parse(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<(Answer, usize)>, Gone> {
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

impl Request for Ask {
    fn is_bodiless(&self) -> bool {
        self.body.is_empty()
    }

    fn is_idempotent(&self) -> bool {
        self.idempotent
    }
}
