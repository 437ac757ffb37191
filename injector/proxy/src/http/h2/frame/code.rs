//! Why a stream or a connection ends (RFC 9113, sections 5.4 and 7).

use crate::metrics::Labelled;

/// The error codes of section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// None: a graceful end.
    NoError = 0,
    /// The protocol was not kept, and no other code says how.
    ProtocolError = 1,
    /// Something went wrong on this side.
    InternalError = 2,
    /// More came than the window allowed.
    FlowControlError = 3,
    /// Settings were not acknowledged in time.
    SettingsTimeout = 4,
    /// A frame came for a stream that is half closed.
    StreamClosed = 5,
    /// A frame has a size that it cannot have.
    FrameSizeError = 6,
    /// The stream was refused before anything was done with it.
    RefusedStream = 7,
    /// The stream is needed no more.
    Cancel = 8,
    /// The header compression is out of step.
    CompressionError = 9,
    /// The connection that a CONNECT made broke.
    ConnectError = 10,
    /// The peer does too much of something.
    EnhanceYourCalm = 11,
    /// The transport is not secure enough.
    InadequateSecurity = 12,
    /// HTTP/1.1 is to be used instead.
    Http11Required = 13,
}

impl Code {
    /// The code that a peer sent. One that nobody knows counts as an internal error, as section 7 allows.
    pub fn from_u32(number: u32) -> Self {
        let known = usize::try_from(number).ok().and_then(|place| Self::ALL.get(place));
        known.copied().unwrap_or(Self::InternalError)
    }
}

impl Labelled for Code {
    const ALL: &'static [Self] = &[
        Self::NoError,
        Self::ProtocolError,
        Self::InternalError,
        Self::FlowControlError,
        Self::SettingsTimeout,
        Self::StreamClosed,
        Self::FrameSizeError,
        Self::RefusedStream,
        Self::Cancel,
        Self::CompressionError,
        Self::ConnectError,
        Self::EnhanceYourCalm,
        Self::InadequateSecurity,
        Self::Http11Required,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::NoError => "no_error",
            Self::ProtocolError => "protocol_error",
            Self::InternalError => "internal_error",
            Self::FlowControlError => "flow_control_error",
            Self::SettingsTimeout => "settings_timeout",
            Self::StreamClosed => "stream_closed",
            Self::FrameSizeError => "frame_size_error",
            Self::RefusedStream => "refused_stream",
            Self::Cancel => "cancel",
            Self::CompressionError => "compression_error",
            Self::ConnectError => "connect_error",
            Self::EnhanceYourCalm => "enhance_your_calm",
            Self::InadequateSecurity => "inadequate_security",
            Self::Http11Required => "http_1_1_required",
        }
    }
}

/// What a violation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it, with GOAWAY.
    Connection,
    /// One stream, with RST_STREAM.
    Stream,
}

/// What a peer did against the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What it ends.
    pub scope: Scope,
    /// How it is told.
    pub code: Code,
}

impl Violation {
    /// One that ends the connection.
    pub const fn connection(code: Code) -> Self {
        Self { scope: Scope::Connection, code }
    }

    /// One that ends a stream.
    pub const fn stream(code: Code) -> Self {
        Self { scope: Scope::Stream, code }
    }
}
