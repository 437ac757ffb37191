//! The rules for messages (RFC 9113, section 8), and what a proxy wants to know of one.
//!
//! A list that passes means the same to everybody: nothing in it can be taken for a second message or another address
//! once it has become HTTP/1 behind us (section 10.3).

mod forward;
mod grammar;
mod malformed;

use super::fields::{Field, Fields};

pub use forward::{CLIENT_ID, forward, is_ours};
pub use malformed::Malformed;

/// What gRPC calls a status that it does not know.
const GRPC_UNKNOWN: u8 = 2;

/// The highest status that gRPC knows: UNAUTHENTICATED.
const GRPC_LAST: u64 = 16;

/// What a request wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD: the answer has no content, whatever its length says.
    Head,
    /// POST.
    Post,
    /// CONNECT: a tunnel.
    Connect,
    /// Another that can be repeated without harm (RFC 9110, section 9.2.2): PUT, DELETE, OPTIONS, TRACE.
    OtherIdempotent,
    /// Any other.
    Other,
}

impl Method {
    fn of(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"CONNECT" => Self::Connect,
            b"PUT" | b"DELETE" | b"OPTIONS" | b"TRACE" => Self::OtherIdempotent,
            _ => Self::Other,
        }
    }

    /// Whether doing it twice is the same as doing it once (RFC 9110, section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::OtherIdempotent)
    }
}

/// What is known of a request whose fields are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// What it wants done.
    pub method: Method,
    /// Bytes of content that it announces; DATA has to add up to them (section 8.1.1).
    pub content_length: Option<u64>,
    /// Whether it is a call of gRPC.
    pub grpc: bool,
}

/// What is known of a response whose fields are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFacts {
    /// Its status, 100 to 999 without 101.
    pub status: u16,
    /// Bytes of content that it announces; DATA has to add up to them, except in answers to HEAD, and with 304.
    pub content_length: Option<u64>,
    /// The status of a call, 0 to 16, if the response is nothing but trailers.
    pub grpc_status: Option<u8>,
}

impl ResponseFacts {
    /// Whether another response follows on the stream (section 8.1).
    pub fn is_interim(self) -> bool {
        self.status < 200
    }
}

/// What is known of trailers that are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerFacts {
    /// The status of a call, 0 to 16.
    pub grpc_status: Option<u8>,
}

/// The parts of a request that its rules need together.
#[derive(Default)]
struct Request<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    content_length: Option<u64>,
    grpc: bool,
}

impl<'a> Request<'a> {
    fn take_pseudo(&mut self, field: Field<'a>) -> Result<(), Malformed> {
        let place = match field.name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            // `:protocol` among them: extended CONNECT (RFC 8441) is not offered.
            _ => return Err(Malformed::PseudoUnknown),
        };
        once(place, field.value, Malformed::PseudoTwice)
    }

    fn take(&mut self, field: Field<'a>) -> Result<(), Malformed> {
        match field.name {
            b"host" => once(&mut self.host, field.value, Malformed::Host),
            b"content-length" => take_length(&mut self.content_length, field.value),
            b"content-type" => {
                self.grpc = is_grpc(field.value);
                Ok(())
            }
            b"te" if !field.value.eq_ignore_ascii_case(b"trailers") => Err(Malformed::Te),
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<RequestFacts, Malformed> {
        let name = self.method.ok_or(Malformed::PseudoMissing)?;
        let method = Method::of(name);
        if !grammar::is_token(name) {
            return Err(Malformed::Method);
        }
        self.check_authority()?;
        if method == Method::Connect {
            self.check_connect()?;
        } else {
            let scheme = self.scheme.ok_or(Malformed::PseudoMissing)?;
            if !matches!(scheme, b"http" | b"https") {
                return Err(Malformed::Scheme);
            }
            grammar::check_path(self.path.ok_or(Malformed::PseudoMissing)?, name)?;
        }
        Ok(RequestFacts { method, content_length: self.content_length, grpc: self.grpc })
    }

    /// Both may be missing. If both are there they must agree, so that nobody behind us can go by the other one
    /// (section 8.3.1).
    fn check_authority(&self) -> Result<(), Malformed> {
        for authority in [self.authority, self.host].into_iter().flatten() {
            grammar::check_authority(authority)?;
        }
        match (self.authority, self.host) {
            (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => Err(Malformed::Host),
            _ => Ok(()),
        }
    }

    /// CONNECT has an authority with a port, and nothing else (section 8.5; RFC 9110, section 9.3.6).
    fn check_connect(&self) -> Result<(), Malformed> {
        let authority = self.authority.ok_or(Malformed::PseudoMissing)?;
        if self.scheme.is_some() || self.path.is_some() || !grammar::has_port(authority) {
            return Err(Malformed::Connect);
        }
        Ok(())
    }
}

/// Judges the fields of a request.
pub fn check_request(fields: &Fields) -> Result<RequestFacts, Malformed> {
    let mut request = Request::default();
    let mut pseudo = Pseudo::Allowed;
    for field in fields {
        if pseudo.is(field)? {
            request.take_pseudo(field)?;
        } else {
            request.take(field)?;
        }
    }
    request.finish()
}

/// Judges the fields of a response, interim or final.
pub fn check_response(fields: &Fields) -> Result<ResponseFacts, Malformed> {
    let mut status = None;
    let (mut content_length, mut grpc_status) = (None, None);
    let mut pseudo = Pseudo::Allowed;
    for field in fields {
        if pseudo.is(field)? {
            if field.name != b":status" {
                return Err(Malformed::PseudoUnknown);
            }
            once(&mut status, field.value, Malformed::PseudoTwice)?;
            continue;
        }
        match field.name {
            b"content-length" => take_length(&mut content_length, field.value)?,
            b"grpc-status" => grpc_status = Some(grpc(field.value)),
            b"te" => return Err(Malformed::ConnectionField),
            _ => {}
        }
    }
    let status = read_status(status.ok_or(Malformed::PseudoMissing)?)?;
    Ok(ResponseFacts { status, content_length, grpc_status })
}

/// Judges fields behind the content, of a request or a response. A length would be taken for the message's by whoever
/// merges them into its head (RFC 9110, section 6.5.1).
pub fn check_trailers(fields: &Fields) -> Result<TrailerFacts, Malformed> {
    let mut grpc_status = None;
    let mut pseudo = Pseudo::Forbidden;
    for field in fields {
        pseudo.is(field)?;
        match field.name {
            b"content-length" => return Err(Malformed::ContentLength),
            b"host" => return Err(Malformed::Host),
            b"te" => return Err(Malformed::ConnectionField),
            b"grpc-status" => grpc_status = Some(grpc(field.value)),
            _ => {}
        }
    }
    Ok(TrailerFacts { grpc_status })
}

/// Whether a pseudo-header field may come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pseudo {
    /// No other field has come yet.
    Allowed,
    /// Another has (section 8.3).
    Over,
    /// Trailers have none (section 8.1).
    Forbidden,
}

impl Pseudo {
    /// Whether a field is one, and the rules that hold for all fields (section 8.2).
    #[inline]
    fn is(&mut self, field: Field<'_>) -> Result<bool, Malformed> {
        grammar::check_value(field.value)?;
        if field.name.first() == Some(&b':') {
            return match self {
                Self::Allowed => Ok(true),
                Self::Over => Err(Malformed::PseudoLate),
                Self::Forbidden => Err(Malformed::PseudoUnknown),
            };
        }
        grammar::check_name(field.name)?;
        if *self == Self::Allowed {
            *self = Self::Over;
        }
        match field.name {
            // Section 8.2.2; `te` is for the message to judge.
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                Err(Malformed::ConnectionField)
            }
            _ => Ok(false),
        }
    }
}

fn once<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8], twice: Malformed) -> Result<(), Malformed> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice),
    }
}

/// Two lengths are refused even if they agree: one too many to argue about.
fn take_length(place: &mut Option<u64>, value: &[u8]) -> Result<(), Malformed> {
    let length = grammar::number(value).ok_or(Malformed::ContentLength)?;
    match place.replace(length) {
        None => Ok(()),
        Some(_) => Err(Malformed::ContentLength),
    }
}

/// Switching protocols is not for HTTP/2 (section 8.6).
fn read_status(value: &[u8]) -> Result<u16, Malformed> {
    let number = if value.len() == 3 { grammar::number(value) } else { None };
    let status = number.and_then(|number| u16::try_from(number).ok());
    status.filter(|&status| status >= 100 && status != 101).ok_or(Malformed::Status)
}

/// A status that gRPC does not know counts as UNKNOWN, as it does for its own clients.
fn grpc(value: &[u8]) -> u8 {
    let known = grammar::number(value).filter(|&status| status <= GRPC_LAST);
    known.and_then(|status| u8::try_from(status).ok()).unwrap_or(GRPC_UNKNOWN)
}

/// Whether a content's type is gRPC's: `application/grpc`, alone or with a `+` or parameters. `application/grpc-web` is
/// something else.
fn is_grpc(value: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let Some((begin, behind)) = value.split_at_checked(GRPC.len()) else { return false };
    begin.eq_ignore_ascii_case(GRPC) && matches!(behind, [] | [b'+' | b';', ..])
}

#[cfg(test)]
mod tests;
