//! Why a message is malformed (RFC 9113, section 8.1.1).

use std::fmt;

use crate::metrics::Labelled;

/// What is wrong with a message. Each costs its stream, with PROTOCOL_ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A name that begins with a colon and is none of those that belong here.
    PseudoUnknown,
    /// The same one twice.
    PseudoTwice,
    /// One behind other fields.
    PseudoLate,
    /// One that must be there is not.
    PseudoMissing,
    /// A name that is empty, has capitals, or has what no name has.
    Name,
    /// A value with a line's end or NUL in it, or white space around it.
    Value,
    /// A field that speaks of a connection of HTTP/1.
    ConnectionField,
    /// `te` with anything but `trailers`.
    Te,
    /// A method that is no token.
    Method,
    /// A scheme that is neither `http` nor `https`.
    Scheme,
    /// A path that is none.
    Path,
    /// An authority that is none, or one with a user in it.
    Authority,
    /// `host` names another authority, or there are two.
    Host,
    /// CONNECT with a scheme or a path, or without a port.
    Connect,
    /// A length that is no number, or two.
    ContentLength,
    /// A status that is no number of three digits, or 101.
    Status,
}

impl Labelled for Malformed {
    const ALL: &'static [Self] = &[
        Self::PseudoUnknown,
        Self::PseudoTwice,
        Self::PseudoLate,
        Self::PseudoMissing,
        Self::Name,
        Self::Value,
        Self::ConnectionField,
        Self::Te,
        Self::Method,
        Self::Scheme,
        Self::Path,
        Self::Authority,
        Self::Host,
        Self::Connect,
        Self::ContentLength,
        Self::Status,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::PseudoUnknown => "pseudo_unknown",
            Self::PseudoTwice => "pseudo_twice",
            Self::PseudoLate => "pseudo_late",
            Self::PseudoMissing => "pseudo_missing",
            Self::Name => "name",
            Self::Value => "value",
            Self::ConnectionField => "connection_field",
            Self::Te => "te",
            Self::Method => "method",
            Self::Scheme => "scheme",
            Self::Path => "path",
            Self::Authority => "authority",
            Self::Host => "host",
            Self::Connect => "connect",
            Self::ContentLength => "content_length",
            Self::Status => "status",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PseudoUnknown => "a pseudo-header field is unknown, or does not belong into this message",
            Self::PseudoTwice => "a pseudo-header field came twice",
            Self::PseudoLate => "a pseudo-header field came behind other fields",
            Self::PseudoMissing => "a pseudo-header field is missing",
            Self::Name => "a field's name is empty, or has a capital or another character that names do not have",
            Self::Value => "a field's value has a line's end or NUL in it, or white space around it",
            Self::ConnectionField => "a field speaks of the connection, which HTTP/2 does not allow",
            Self::Te => "the field te says something else than trailers",
            Self::Method => "the method is not a word",
            Self::Scheme => "the scheme is neither http nor https",
            Self::Path => "the path does not begin with a slash, or has a character that paths do not have",
            Self::Authority => "the authority is empty, names a user, or has a character that authorities do not have",
            Self::Host => "the field host came twice, or contradicts the authority",
            Self::Connect => "CONNECT came with a scheme or a path, or its authority has no port",
            Self::ContentLength => "the content's length is not one number",
            Self::Status => "the status is not a number of three digits, or is 101",
        })
    }
}

impl std::error::Error for Malformed {}
