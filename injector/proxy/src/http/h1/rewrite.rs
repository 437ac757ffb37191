//! Heads as they are forwarded: without what held for the last connection only (RFC 9110, section 7.6.1).
//!
//! What stays is copied byte for byte, in order, and in as few pieces as possible: one, if nothing goes.
//! Proxy-Authenticate and Proxy-Authorization stay: a sidecar is not the proxy that a user has configured, and speaks
//! for neither end.

use std::io::Write as _;

use super::fields::{Class, Fields};
use super::head::{Request, Response};

/// What the next connection's receiver is told of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// What the head says.
    Keep,
    /// It comes in chunks.
    Chunked,
    /// It has so many bytes.
    Length(u64),
    /// Nothing: there is none, or it goes on until the connection ends.
    None,
}

/// What the next connection's receiver is told of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionWord {
    /// Nothing follows.
    Close,
    /// More may follow, although HTTP/1.0 would not expect it.
    KeepAlive,
}

/// How a head is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite<'a> {
    /// Remove what only the mesh may say.
    pub strip_mesh: bool,
    /// The client's identity, to be said to the application; a parsed one, so visible ASCII. Requests only.
    pub client: Option<&'a str>,
    /// Ask on for the other protocol that is asked for. Never for HTTP/2.
    pub keep_upgrade: bool,
    /// The body's frame.
    pub framing: Framing,
    /// What becomes of the connection, if it must be said.
    pub connection: Option<ConnectionWord>,
}

/// The field that tells an application who its client is.
pub const CLIENT_ID: &str = "injector-client-id";

/// What never goes further than one connection.
const HOP_BY_HOP: u16 = Class::Connection.bit()
    | Class::KeepAlive.bit()
    | Class::ProxyConnection.bit()
    | Class::Te.bit()
    | Class::Http2Settings.bit()
    | Class::Nominated.bit();

const FRAMES: u16 = Class::ContentLength.bit() | Class::TransferEncoding.bit();

/// Writes the head of a request. `fields` are those of the same parse.
pub fn request(bytes: &[u8], request: &Request, fields: &Fields, how: &Rewrite<'_>, out: &mut Vec<u8>) {
    let upgrade = how.keep_upgrade && request.upgrade;
    copy(bytes, request.start, request.length, fields, dropped(how, upgrade, how.framing), out);
    append_frame(how.framing, out);
    append_connection(how.connection, upgrade, fields.has(Class::TeTrailers), out);
    if let Some(client) = how.client {
        debug_assert!(client.bytes().all(|byte| byte.is_ascii_graphic()), "an identity is visible ASCII");
        for part in [CLIENT_ID, ": ", client, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of a response. `fields` are those of the same parse.
pub fn response(bytes: &[u8], response: &Response, fields: &Fields, how: &Rewrite<'_>, out: &mut Vec<u8>) {
    let upgrade = how.keep_upgrade && fields.has(Class::Upgrade);
    let framing = if response.unframed { Framing::None } else { how.framing };
    copy(bytes, 0, response.length, fields, dropped(how, upgrade, framing), out);
    append_frame(framing, out);
    append_connection(how.connection, upgrade, false, out);
    out.extend_from_slice(b"\r\n");
}

/// The classes of fields that go.
fn dropped(how: &Rewrite<'_>, upgrade: bool, framing: Framing) -> u16 {
    let mut classes = HOP_BY_HOP;
    if !upgrade {
        classes |= Class::Upgrade.bit();
    }
    if how.strip_mesh {
        classes |= Class::Mesh.bit();
    }
    if framing != Framing::Keep {
        classes |= FRAMES;
    }
    classes
}

/// Copies a head up to its empty line, without the fields of those classes.
fn copy(bytes: &[u8], start: usize, length: usize, fields: &Fields, classes: u16, out: &mut Vec<u8>) {
    let mut from = start;
    if fields.has_any(classes) {
        for field in fields.iter().filter(|field| field.class.bit() & classes != 0) {
            out.extend_from_slice(bytes.get(from..field.name.start as usize).unwrap_or_default());
            from = field.end as usize;
        }
    }
    out.extend_from_slice(bytes.get(from..length.saturating_sub(2)).unwrap_or_default());
}

fn append_frame(framing: Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::Keep | Framing::None => {}
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::Length(length) => {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "Content-Length: {length}\r\n");
        }
    }
}

/// Who keeps Upgrade or TE must name them in Connection (RFC 9110, sections 7.8 and 10.1.4).
fn append_connection(word: Option<ConnectionWord>, upgrade: bool, trailers: bool, out: &mut Vec<u8>) {
    let word = word.map(|word| match word {
        ConnectionWord::Close => "close",
        ConnectionWord::KeepAlive => "keep-alive",
    });
    let options = [word, upgrade.then_some("Upgrade"), trailers.then_some("TE")];
    let mut separator = "Connection: ";
    for option in options.into_iter().flatten() {
        out.extend_from_slice(separator.as_bytes());
        out.extend_from_slice(option.as_bytes());
        separator = ", ";
    }
    if separator == ", " {
        out.extend_from_slice(b"\r\n");
    }
}
