//! Heads of responses.

use super::bytes::{Span, text_end};
use super::connection::{Said, Stated};
use super::fields::{Fields, end_of_line};
use super::head::{MOST_HEAD, Version, lines};
use super::refusal::{Broken, Fault};

/// What the response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// HEAD: there is never a body.
    Head,
    /// CONNECT: behind a 2xx is another protocol.
    Connect,
    /// Anything else.
    Other,
}

/// How long a response's body is (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none, whatever the fields say.
    None,
    /// So many bytes; maybe none.
    Length(u64),
    /// It says so itself, in chunks.
    Chunked,
    /// As long as the connection.
    UntilClose,
}

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Where it ends, and the body begins.
    pub length: usize,
    /// The outcome, from 100 to 999.
    pub status: u16,
    /// By which version.
    pub version: Version,
    /// What follows.
    pub body: ResponseBody,
    /// Whether another response may follow.
    pub keep_alive: bool,
    /// Whether it is 101, and what follows is another protocol. Whether one was asked for, the caller knows.
    pub upgrade: bool,
    /// Whether its kind must not state a frame at all: 1xx, 204, and 2xx to CONNECT (RFC 9112, section 6.1; RFC 9110,
    /// section 8.6). A frame that it states nevertheless is removed, as clients differ in what they make of it.
    pub unframed: bool,
    reason: Span,
}

impl Response {
    /// The text behind the status; often empty.
    pub fn reason<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.reason.of(bytes)
    }

    /// Whether another response to the same request follows.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && !self.upgrade
    }
}

/// The head of the response that `bytes` begin with; None if it is not whole.
pub fn response(bytes: &[u8], fields: &mut Fields, to: Asked) -> Result<Option<Response>, Fault> {
    fields.clear();
    let bytes = bytes.get(..MOST_HEAD).unwrap_or(bytes);
    let Some(line) = status_line(bytes)? else {
        return if bytes.len() == MOST_HEAD { Err(Fault::LongHead) } else { Ok(None) };
    };
    let mut said = Said::default();
    let Some(length) = lines(bytes, 0, line.end, fields, &mut said)? else { return Ok(None) };
    let stated = said.framing(line.version)?;
    let unframed = matches!(line.status, 100..=199 | 204) || to == Asked::Connect && (200..300).contains(&line.status);
    let body = match stated {
        _ if unframed || to == Asked::Head || line.status == 304 => ResponseBody::None,
        Stated::Chunked => ResponseBody::Chunked,
        Stated::Length(length) => ResponseBody::Length(length),
        Stated::Nothing => ResponseBody::UntilClose,
    };
    Ok(Some(Response {
        length,
        status: line.status,
        version: line.version,
        body,
        keep_alive: body != ResponseBody::UntilClose && said.keeps_alive(line.version),
        upgrade: line.status == 101,
        unframed,
        reason: line.reason,
    }))
}

struct StatusLine {
    version: Version,
    status: u16,
    reason: Span,
    end: usize,
}

fn status_line(bytes: &[u8]) -> Result<Option<StatusLine>, Fault> {
    const SHAPE: &[u8; 12] = b"HTTP/0.0 000";
    for (byte, expected) in bytes.iter().zip(SHAPE) {
        if byte != expected && !(*expected == b'0' && byte.is_ascii_digit()) {
            return Err(Fault::StatusLine);
        }
    }
    let Some(&[.., major, _, minor, _, hundreds, tens, ones]) = bytes.first_chunk::<12>() else { return Ok(None) };
    let version = match (major, minor) {
        (b'1', b'1') => Version::V11,
        (b'1', b'0') => Version::V10,
        _ => return Err(Fault::Version),
    };
    let status = [hundreds, tens, ones].iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    if status < 100 {
        return Err(Fault::StatusLine);
    }
    // The space is to be sent without a reason, too (RFC 9112, section 4); not everybody does, and everybody
    // understands.
    let start = SHAPE.len() + usize::from(bytes.get(SHAPE.len()) == Some(&b' '));
    let text = if start > SHAPE.len() { text_end(bytes, start) } else { start };
    let ended = end_of_line(bytes, text, Broken::Value).map_err(|broken| match broken {
        Broken::Value => Fault::StatusLine,
        other => other.into(),
    })?;
    Ok(ended.map(|end| StatusLine { version, status, reason: Span::new(start, text), end }))
}
