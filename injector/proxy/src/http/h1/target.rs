//! The forms of a request target (RFC 9112, section 3.2), and authorities.

use super::bytes::{HOST, Span, class, run};
use super::head::Method;
use super::refusal::Refusal;

/// Where the parts of a target are.
pub(super) struct Parts {
    /// The path, without the query.
    pub path: Span,
    /// The authority, if the target has one.
    pub authority: Option<Span>,
}

/// Takes a target apart: `bytes` from `start` to `end`, with its first '?' at `query`, or `end`.
#[inline]
pub(super) fn parts(bytes: &[u8], method: Method, start: usize, query: usize, end: usize) -> Result<Parts, Refusal> {
    let target = bytes.get(start..end).unwrap_or_default();
    match target {
        _ if method == Method::Connect => {
            if !is_authority(target, Port::Needed) {
                return Err(Refusal::Target);
            }
            Ok(Parts { path: Span::default(), authority: Some(Span::new(start, end)) })
        }
        [b'/', ..] => Ok(Parts { path: Span::new(start, query), authority: None }),
        [b'*'] if method == Method::Options => Ok(Parts { path: Span::new(start, end), authority: None }),
        _ => absolute(bytes, start, query, end),
    }
}

fn absolute(bytes: &[u8], start: usize, query: usize, end: usize) -> Result<Parts, Refusal> {
    let target = bytes.get(start..end).unwrap_or_default();
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)));
    let Some(scheme) = scheme else { return Err(Refusal::Target) };
    let authority = start + scheme.len();
    let before_query = bytes.get(authority..query).unwrap_or_default();
    let path = before_query.iter().position(|&byte| byte == b'/').map_or(query, |length| authority + length);
    if !is_authority(bytes.get(authority..path).unwrap_or_default(), Port::Optional) {
        return Err(Refusal::Target);
    }
    Ok(Parts { path: Span::new(path, query), authority: Some(Span::new(authority, path)) })
}

/// Whether Host and the authority of the target are the same to everybody. To CONNECT some clients say Host without
/// port.
pub(super) fn agree(method: Method, authority: &[u8], host: &[u8]) -> bool {
    authority.eq_ignore_ascii_case(host)
        || method == Method::Connect
            && authority.get(..host.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(host))
            && authority.get(host.len()) == Some(&b':')
            && !authority.get(host.len() + 1..).unwrap_or_default().contains(&b':')
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    Needed,
    Optional,
}

/// Whether it is what Host may say: an authority without user, or nothing (RFC 9112, section 3.2).
pub(super) fn is_host(value: &[u8]) -> bool {
    value.is_empty() || is_authority(value, Port::Optional)
}

fn is_authority(text: &[u8], port: Port) -> bool {
    let host = match text {
        [b'[', inner @ ..] => match inner.iter().position(|&byte| byte == b']') {
            Some(length) if is_address(inner.get(..length).unwrap_or_default()) => length + 2,
            _ => return false,
        },
        _ => run(text, 0, HOST),
    };
    if host == 0 {
        return false;
    }
    match text.get(host..).unwrap_or_default() {
        [] | [b':'] => port == Port::Optional, // RFC 3986, section 3.2.3: a port may be empty
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    }
}

/// Up to 2^16 - 1; five digits do not overflow.
fn is_port(digits: &[u8]) -> bool {
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    u16::try_from(digits.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'))).is_ok()
}

/// What may stand in brackets: an IPv6 address, maybe with a zone (RFC 6874). Whoever dials looks closer.
fn is_address(inner: &[u8]) -> bool {
    inner.contains(&b':') && inner.iter().all(|&byte| class(byte) & HOST != 0 || matches!(byte, b':' | b'%'))
}
