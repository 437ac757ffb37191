//! Heads of requests and responses, parsed strictly and in one pass (RFC 9112, sections 2 to 6).
//!
//! A head that is not whole is parsed again from its beginning when more has come. `worth_parsing` keeps that cheap: a
//! head grows by lines, and there are at most 256 + 2 of them.

use super::bytes::{ODD, PATH, PLAIN, QUERY, Span, run};
use super::connection::{Said, Stated};
use super::fields::{self, Line};
use super::refusal::Broken;
use super::target::{agree, is_host, parts};

pub use super::fields::{Class, Field, Fields, MOST_FIELDS};
pub use super::refusal::{Fault, Refusal};
pub use super::response::{Asked, Response, ResponseBody, response};

/// Bytes of a head at most. Node takes 16 KiB and nginx 32 KiB, unless they are told otherwise; a sidecar should not be
/// the one that refuses.
pub const MOST_HEAD: usize = 64 * 1024;

/// Bytes of a request line at most: four times the 8,000 that RFC 9112, section 3, asks everybody for, and half a head.
pub const MOST_LINE: usize = 32 * 1024;

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.0.
    V10,
    /// 1.1.
    V11,
}

/// What a request wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// CONNECT.
    Connect,
    /// OPTIONS.
    Options,
    /// TRACE.
    Trace,
    /// PATCH (RFC 5789).
    Patch,
    /// Another one.
    Other,
}

const METHODS: [(&[u8], Method); 9] = [
    (b"GET", Method::Get),
    (b"HEAD", Method::Head),
    (b"POST", Method::Post),
    (b"PUT", Method::Put),
    (b"DELETE", Method::Delete),
    (b"CONNECT", Method::Connect),
    (b"OPTIONS", Method::Options),
    (b"TRACE", Method::Trace),
    (b"PATCH", Method::Patch),
];

impl Method {
    /// Nothing is asked to change (RFC 9110, section 9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }

    /// Twice is the same as once (RFC 9110, section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }

    /// The method of that name. A standard one in other letters is none at all: some servers take `head` for HEAD and
    /// send no body, and some do not.
    #[inline]
    fn named(name: &[u8]) -> Option<Self> {
        if let Some((_, method)) = METHODS.iter().find(|(known, _)| *known == name) {
            return Some(*method);
        }
        let miswritten = METHODS.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        (!miswritten).then_some(Self::Other)
    }
}

/// How long a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many bytes; maybe none.
    Length(u64),
    /// It says so itself, in chunks.
    Chunked,
}

impl Body {
    /// Whether no byte follows the head.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

/// The head of a request. All places are in the bytes that it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact that the head states, and they do not depend")]
pub struct Request {
    /// Where it begins: behind an empty line that some clients send after a body.
    pub start: usize,
    /// Where it ends, and the body begins.
    pub length: usize,
    /// What is to be done.
    pub method: Method,
    /// By which version.
    pub version: Version,
    /// What follows.
    pub body: Body,
    /// Whether another request may follow.
    pub keep_alive: bool,
    /// Whether the client waits for 100 before it sends the body.
    pub expects_continue: bool,
    /// Whether it asks for another protocol than HTTP/2.
    pub upgrade: bool,
    /// Whether it asks for HTTP/2, which a proxy never gives: the request for it is always removed.
    pub h2c: bool,
    method_name: Span,
    target: Span,
    path: Span,
    host: Option<Span>,
}

impl Request {
    /// The method as it was written.
    pub fn method_bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.method_name.of(bytes)
    }

    /// The whole target.
    pub fn target<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.target.of(bytes)
    }

    /// The path, without query; empty for CONNECT, and for an absolute target that has none.
    pub fn path<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.path.of(bytes)
    }

    /// The value of Host, or else the target's authority; HTTP/1.0 may have neither.
    pub fn host<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.host.map(|host| host.of(bytes))
    }
}

/// Whether parsing can tell more than it did when only the first `parsed` of the bytes were there: a line has ended
/// since, or it has become too long. Each line is thus parsed at most once for every line that comes after it.
pub fn worth_parsing(bytes: &[u8], parsed: usize) -> bool {
    // Limits count from behind an empty line, if there is one before the head.
    const LIMITS: [usize; 4] = [MOST_LINE, MOST_LINE + 2, MOST_HEAD, MOST_HEAD + 2];
    parsed == 0
        || bytes.get(parsed..).is_some_and(|new| new.contains(&b'\n'))
        || LIMITS.iter().any(|limit| (parsed + 1..=bytes.len()).contains(limit))
}

/// The head of the request that `bytes` begin with; None if it is not whole.
pub fn request(bytes: &[u8], fields: &mut Fields) -> Result<Option<Request>, Refusal> {
    fields.clear();
    let start = match bytes {
        [b'\r', b'\n', ..] => 2, // RFC 9112, section 2.2
        [] | [b'\r'] => return Ok(None),
        [b'\r', ..] => return Err(Refusal::BareCr),
        [b'\n', ..] => return Err(Refusal::BareLf),
        _ => 0,
    };
    let bytes = bytes.get(..start + MOST_HEAD).unwrap_or(bytes);
    let Some(line) = request_line(bytes, start)? else { return Ok(None) };
    let mut said = Said::default();
    let Some(length) = lines(bytes, start, line.end, fields, &mut said)? else { return Ok(None) };
    let host = host(bytes, &line, &said)?;
    let body = match said.framing(line.version)? {
        Stated::Nothing => Body::None,
        _ if line.method == Method::Connect => return Err(Refusal::ConnectBody),
        Stated::Chunked => Body::Chunked,
        Stated::Length(length) => Body::Length(length),
    };
    Ok(Some(Request {
        start,
        length,
        method: line.method,
        version: line.version,
        body,
        keep_alive: said.keeps_alive(line.version),
        expects_continue: said.expects_continue && line.version == Version::V11,
        upgrade: said.upgrades(line.version) && !said.h2c,
        h2c: said.h2c,
        method_name: line.method_name,
        target: line.target,
        path: line.path,
        host,
    }))
}

/// For whom the request is. Who forwards a request must replace Host by the authority of an absolute target (RFC 9112,
/// section 3.2.2); whoever we forward to may do so or not, so they must be the same. The target stays as it is.
fn host(bytes: &[u8], line: &RequestLine, said: &Said) -> Result<Option<Span>, Refusal> {
    if said.many_hosts {
        return Err(Refusal::ManyHosts);
    }
    let Some(host) = said.host else {
        return if line.version == Version::V10 { Ok(line.authority) } else { Err(Refusal::NoHost) };
    };
    if !is_host(host.of(bytes)) {
        return Err(Refusal::Host);
    }
    match line.authority {
        Some(authority) if !agree(line.method, authority.of(bytes), host.of(bytes)) => Err(Refusal::OtherHost),
        _ => Ok(Some(host)),
    }
}

struct RequestLine {
    method: Method,
    method_name: Span,
    target: Span,
    path: Span,
    authority: Option<Span>,
    version: Version,
    end: usize,
}

fn request_line(bytes: &[u8], start: usize) -> Result<Option<RequestLine>, Refusal> {
    let bytes = bytes.get(..start + MOST_LINE).unwrap_or(bytes);
    let more = || if bytes.len() - start >= MOST_LINE { Err(Refusal::LongTarget) } else { Ok(None) };
    let method_end = run(bytes, start, PLAIN | ODD);
    match bytes.get(method_end) {
        None => return more(),
        Some(b' ') if method_end > start => {}
        Some(b' ' | b'\t' | b'\r' | b'\n') => return Err(Refusal::RequestLine),
        Some(_) => return Err(Refusal::Method),
    }
    let method = bytes.get(start..method_end).and_then(Method::named).ok_or(Refusal::Method)?;
    let target = method_end + 1;
    let query = run(bytes, target, PATH);
    let target_end = run(bytes, query, QUERY);
    match bytes.get(target_end) {
        None => return more(),
        Some(b' ') if target_end > target => {}
        Some(b' ' | b'\t' | b'\r' | b'\n') => return Err(Refusal::RequestLine),
        Some(_) => return Err(Refusal::Target),
    }
    let Some((version, end)) = version(bytes, target_end + 1)? else { return more() };
    let parts = parts(bytes, method, target, query, target_end)?;
    Ok(Some(RequestLine {
        method,
        method_name: Span::new(start, method_end),
        target: Span::new(target, target_end),
        path: parts.path,
        authority: parts.authority,
        version,
        end,
    }))
}

/// The version that a request line ends with. 1.2 and above do not exist; RFC 9110, section 2.5, would have them taken
/// for 1.1, as nginx and Go do, while Node refuses them.
#[inline]
fn version(bytes: &[u8], at: usize) -> Result<Option<(Version, usize)>, Refusal> {
    const SHAPE: &[u8; 10] = b"HTTP/0.0\r\n";
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.starts_with(b"HTTP/1.1\r\n") {
        return Ok(Some((Version::V11, at + SHAPE.len())));
    }
    for (byte, expected) in rest.iter().zip(SHAPE) {
        match (expected, byte) {
            (b'0', digit) if digit.is_ascii_digit() => {}
            (expected, byte) if expected == byte => {}
            (b'\r', b'\n') => return Err(Refusal::BareLf),
            (b'\n', _) => return Err(Refusal::BareCr),
            _ => return Err(Refusal::RequestLine),
        }
    }
    match rest.first_chunk::<10>() {
        None => Ok(None),
        Some(b"HTTP/1.0\r\n") => Ok(Some((Version::V10, at + SHAPE.len()))),
        Some(_) => Err(Refusal::Version),
    }
}

/// Gathers the fields that begin `at` in a head that began at `start`; where they end, if they do.
#[inline]
pub(super) fn lines(
    bytes: &[u8],
    start: usize,
    mut at: usize,
    fields: &mut Fields,
    said: &mut Said,
) -> Result<Option<usize>, Broken> {
    loop {
        match fields::line(bytes, at)? {
            Line::Field(field) => {
                fields.push(field)?;
                said.note(bytes, &field, fields)?;
                at = field.end as usize;
            }
            Line::End(end) => {
                if !fields.nominated.is_empty() {
                    fields.mark_nominated(bytes);
                }
                return Ok(Some(end));
            }
            Line::More if bytes.len() - start >= MOST_HEAD => return Err(Broken::Long),
            Line::More => return Ok(None),
        }
    }
}
