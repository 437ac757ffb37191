//! What heads look like on a multiplexed connection.
//!
//! Between two proxies HTTP/1 goes as it is: a HEADERS frame holds the head's own bytes, so nothing is translated, and
//! names keep their case and order. HTTP/2's heads are HPACK's (RFC 7541).

use super::inbox::Part;
use super::state::Role;
use super::stream::Stream;
use crate::http::h2::fields::Fields;
use crate::http::h2::frame::{Code, Violation, write};
use crate::http::h2::hpack::{DecodeFault, Decoder, Encoder, Limits, TABLE};
use crate::http::h2::message;

/// Bytes of a list of fields at most, as section 6.5.2 counts them: HTTP/1's limit.
pub const MOST_LIST: u32 = 64 * 1024;

/// A head, or trailers, to be sent.
#[derive(Clone, Copy, Debug)]
pub enum Head<'a> {
    /// Bytes of HTTP/1.
    Raw(&'a [u8]),
    /// A list of HTTP/2.
    Fields(&'a Fields),
}

/// How heads are written and read.
#[derive(Debug)]
pub enum Heads {
    /// As they are.
    Raw,
    /// By HPACK.
    Hpack(Box<Hpack>),
}

/// Both directions' tables, and room to work in.
#[derive(Debug)]
pub struct Hpack {
    decoder: Decoder,
    encoder: Encoder,
    fields: Fields,
    block: Vec<u8>,
}

impl Heads {
    /// Those of HTTP/2.
    pub fn hpack() -> Self {
        let (decoder, encoder) = (Decoder::new(TABLE), Encoder::new());
        Self::Hpack(Box::new(Hpack { decoder, encoder, fields: Fields::new(), block: Vec::new() }))
    }

    /// The peer's table holds no more than so many bytes.
    pub fn limit_table(&mut self, most: u32) {
        if let Self::Hpack(hpack) = self {
            hpack.encoder.set_limit(most as usize);
        }
    }

    /// Writes the frames of a head that goes out on stream `id`, none longer than `most`.
    pub fn write(&mut self, id: u32, head: Head<'_>, end: bool, most: u32, out: &mut Vec<u8>) {
        match (self, head) {
            (Self::Raw, Head::Raw(bytes)) => write::headers(id, bytes, end, most as usize, out),
            (Self::Hpack(hpack), Head::Fields(fields)) => {
                hpack.block.clear();
                hpack.encoder.encode(fields, &mut hpack.block);
                write::headers(id, &hpack.block, end, most as usize, out);
            }
            (Self::Raw, Head::Fields(_)) | (Self::Hpack(_), Head::Raw(_)) => {
                debug_assert!(false, "a head of the other version of HTTP");
                write::reset_stream(id, Code::InternalError, out);
            }
        }
    }

    /// Reads a head that nobody wants: the tables must follow all the same (RFC 9113, section 4.3).
    pub fn skip(&mut self, block: &[u8]) -> Result<(), Violation> {
        let Self::Hpack(hpack) = self else { return Ok(()) };
        match hpack.decode(block) {
            Ok(()) | Err(DecodeFault::TooLarge) => Ok(()),
            Err(fault) => Err(fault.violation()),
        }
    }

    /// Reads a head that came, `end`: and nothing after it, and puts it into the stream's inbox.
    pub fn read(&mut self, role: Role, stream: &mut Stream, block: &[u8], end: bool) -> Result<(), Violation> {
        let trailers = stream.headed;
        if trailers && !end {
            self.skip(block)?;
            return Err(Violation::stream(Code::ProtocolError)); // section 8.1: trailers are the last thing
        }
        let part = if trailers { Part::Trailers } else { Part::Head };
        match self {
            Self::Raw => {
                // "HTTP/1.1 1..": another head follows, and 101 is the last one.
                let interim = role == Role::Client && block.get(9) == Some(&b'1') && block.get(9..12) != Some(b"101");
                stream.headed |= !interim;
                stream.inbox.push(part, block);
            }
            Self::Hpack(hpack) => {
                hpack.decode(block).map_err(DecodeFault::violation)?;
                hpack.check(role, stream, trailers, end).ok_or(Violation::stream(Code::ProtocolError))?;
                hpack.block.clear();
                hpack.fields.append_to(&mut hpack.block);
                stream.inbox.push(part, &hpack.block);
            }
        }
        Ok(())
    }
}

impl Hpack {
    fn decode(&mut self, block: &[u8]) -> Result<(), DecodeFault> {
        self.fields.clear();
        self.decoder.decode(block, Limits::of(MOST_LIST as usize), &mut self.fields)
    }

    /// Whether the list that was decoded is a message's, and what it promises of the body; None if it is not.
    fn check(&self, role: Role, stream: &mut Stream, trailers: bool, end: bool) -> Option<()> {
        if trailers {
            return message::check_trailers(&self.fields).ok().map(drop);
        }
        if role == Role::Server {
            let facts = message::check_request(&self.fields).ok()?;
            (stream.headed, stream.promised) = (true, facts.content_length);
            return Some(());
        }
        let facts = message::check_response(&self.fields).ok()?;
        if facts.is_interim() {
            return (!end).then_some(()); // section 8.1: it is followed by a final one
        }
        stream.headed = true;
        // A response to HEAD, and 304, promise what another one would have (RFC 9110, section 8.6), and nothing follows.
        let bodiless = stream.bodiless || matches!(facts.status, 204 | 304);
        stream.promised = if bodiless { Some(0) } else { facts.content_length };
        Some(())
    }
}
