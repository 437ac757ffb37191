//! Why the proxy itself answers a request: a closed set, told in `injector-error`, in the log and in the metrics.

use std::io::Write as _;

use crate::dial::Failure;
use crate::metrics::Labelled;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request is malformed, or could be read in two ways.
    BadRequest,
    /// Nobody told in time where it goes, or the destination is no Service any more.
    UnknownDestination,
    /// The destination has no endpoint that may be chosen.
    NoEndpoint,
    /// Every endpoint has failed too often lately and is left alone for a while.
    Ejected,
    /// No endpoint could be reached.
    Unreachable,
    /// An endpoint could not be reached in time, or gives no sign of life.
    Timeout,
    /// The endpoint's proxy is not who it must be.
    Handshake,
    /// The endpoint went away before it answered.
    Closed,
    /// What the endpoint answered makes no sense.
    BadResponse,
    /// As much is under way as may be.
    Overloaded,
    /// The endpoint's policy does not let this client in.
    Denied,
}

impl Reason {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Denied => 403,
            Self::UnknownDestination | Self::NoEndpoint | Self::Ejected | Self::Unreachable | Self::Overloaded => 503,
            Self::Handshake | Self::Closed | Self::BadResponse => 502,
            Self::Timeout => 504,
        }
    }

    /// The status of gRPC for it (its `statuscodes.md`).
    pub fn grpc_status(self) -> u8 {
        match self {
            Self::BadRequest | Self::BadResponse => 13, // INTERNAL
            Self::Denied => 7,                          // PERMISSION_DENIED
            Self::Overloaded => 8,                      // RESOURCE_EXHAUSTED
            _ => 14,                                    // UNAVAILABLE: may be tried again
        }
    }

    /// What it is, for a person.
    pub fn text(self) -> &'static str {
        match self {
            Self::BadRequest => "the request is malformed",
            Self::UnknownDestination => "nobody told in time where this goes",
            Self::NoEndpoint => "the destination has no endpoint that is ready",
            Self::Ejected => "every endpoint has failed too often lately and is left alone for a while",
            Self::Unreachable => "no endpoint could be reached",
            Self::Timeout => "the endpoint gave no sign of life in time",
            Self::Handshake => "the endpoint's proxy could not prove who it is",
            Self::Closed => "the endpoint closed the connection before it answered",
            Self::BadResponse => "the endpoint's answer is malformed",
            Self::Overloaded => "as much is under way to this destination as may be",
            Self::Denied => "the destination's policy does not let this client in",
        }
    }
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout => Self::Timeout,
            Failure::NoEndpoint => Self::NoEndpoint,
            Failure::Handshake => Self::Handshake,
            Failure::Resources => Self::Overloaded,
            Failure::Refused | Failure::Unreachable | Failure::ClientGone | Failure::Other => Self::Unreachable,
        }
    }
}

impl Labelled for Reason {
    const ALL: &'static [Self] = &[
        Self::BadRequest,
        Self::UnknownDestination,
        Self::NoEndpoint,
        Self::Ejected,
        Self::Unreachable,
        Self::Timeout,
        Self::Handshake,
        Self::Closed,
        Self::BadResponse,
        Self::Overloaded,
        Self::Denied,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::UnknownDestination => "unknown_destination",
            Self::NoEndpoint => "no_endpoint",
            Self::Ejected => "ejected",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Handshake => "handshake",
            Self::Closed => "closed",
            Self::BadResponse => "bad_response",
            Self::Overloaded => "overloaded",
            Self::Denied => "denied",
        }
    }
}

/// The header that tells of it.
pub const HEADER: &str = "injector-error";

/// The head of the proxy's own answer in HTTP/1, which `length` bytes follow. `close`: the connection ends with it.
pub fn head(status: u16, reason: Reason, length: usize, close: bool, out: &mut Vec<u8>) {
    let (phrase, label) = (phrase(status), reason.label());
    // Writing to a Vec cannot fail.
    let _ = write!(out, "HTTP/1.1 {status} {phrase}\r\n{HEADER}: {label}\r\ncontent-type: text/plain\r\n");
    let _ = write!(out, "content-length: {length}\r\n{}\r\n", if close { "connection: close\r\n" } else { "" });
}

/// What RFC 9110 calls a status of ours.
fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Service Unavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_why() {
        let mut out = Vec::new();
        head(503, Reason::NoEndpoint, 7, true, &mut out);
        let expected = "HTTP/1.1 503 Service Unavailable\r\ninjector-error: no_endpoint\r\ncontent-type: text/plain\r\n\
                        content-length: 7\r\nconnection: close\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
