//! Why a head is not carried.

use super::closed_set;

closed_set! {
    /// Why a request is refused.
    Refusal {
        /// Not a method, one space, a target, one space and a version.
        RequestLine = "request_line", "the request line is malformed";
        /// No token, or a standard method in other letters, which some servers take for it.
        Method = "method", "the method is malformed";
        /// No form that RFC 9112, section 3.2, knows for this method, or bytes that no target has.
        Target = "target", "the request target is malformed";
        /// The line is longer than `MOST_LINE`.
        LongTarget = "long_target", "the request target is too long";
        /// Any but HTTP/1.0 and 1.1.
        Version = "version", "the version of HTTP is not supported";
        /// No token.
        FieldName = "field_name", "a header has a malformed name";
        /// White space between name and colon (RFC 9112, section 5.1).
        SpaceInName = "space_in_name", "a header has white space in its name, or before the colon";
        /// A value that goes on in the next line (RFC 9112, section 5.2).
        Fold = "fold", "a header is folded over several lines";
        /// A line that ends with LF alone.
        BareLf = "bare_lf", "a line ends without CR";
        /// A CR that no LF follows.
        BareCr = "bare_cr", "a CR is not followed by LF";
        /// NUL or another control in a value.
        FieldValue = "field_value", "a header has a control character in its value";
        /// More than `MOST_FIELDS`.
        ManyFields = "many_fields", "there are too many headers";
        /// More than `MOST_HEAD` bytes.
        LongHead = "long_head", "the headers are too long";
        /// Servers that map '_' to '-' would take it for a field that frames the body.
        LookAlike = "look_alike", "a header looks like Content-Length or Transfer-Encoding and is neither";
        /// HTTP/1.1 must have one.
        NoHost = "no_host", "the Host header is missing";
        /// More than one.
        ManyHosts = "many_hosts", "there are several Host headers";
        /// No authority.
        Host = "host", "the Host header is malformed";
        /// The target names another authority than Host: servers disagree which counts.
        OtherHost = "other_host", "the request target and the Host header name different hosts";
        /// No number, several, or one too large.
        ContentLength = "content_length", "the Content-Length header is malformed or repeated";
        /// Neither `chunked` nor a list that ends with it.
        TransferEncoding = "transfer_encoding", "the Transfer-Encoding header is malformed or repeated";
        /// Codings besides `chunked`.
        Coding = "coding", "the transfer coding is not supported";
        /// Content-Length and Transfer-Encoding.
        TwoFramings = "two_framings", "there are both Content-Length and Transfer-Encoding";
        /// Transfer-Encoding in HTTP/1.0, which does not know it.
        OldTransferEncoding = "old_transfer_encoding", "Transfer-Encoding does not exist in HTTP/1.0";
        /// A body with CONNECT.
        ConnectBody = "connect_body", "a CONNECT request has no body";
        /// No list of tokens, or a long one.
        Connection = "connection", "the Connection header is malformed";
        /// It would have a field removed that must not be.
        Nominated = "nominated", "the Connection header names a header that must not be removed";
    }
}

impl Refusal {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::LongTarget => 414,
            Self::ManyFields | Self::LongHead => 431,
            Self::Coding => 501,
            Self::Version => 505,
            _ => 400,
        }
    }
}

closed_set! {
    /// Why a response is not carried on.
    Fault {
        /// No version, status and reason.
        StatusLine = "status_line", "the status line is malformed";
        /// Any but HTTP/1.0 and 1.1.
        Version = "version", "the version of HTTP is not supported";
        /// No token.
        FieldName = "field_name", "a header has a malformed name";
        /// White space between name and colon.
        SpaceInName = "space_in_name", "a header has white space in its name, or before the colon";
        /// A value that goes on in the next line.
        Fold = "fold", "a header is folded over several lines";
        /// A line that ends with LF alone.
        BareLf = "bare_lf", "a line ends without CR";
        /// A CR that no LF follows.
        BareCr = "bare_cr", "a CR is not followed by LF";
        /// NUL or another control in a value.
        FieldValue = "field_value", "a header has a control character in its value";
        /// More than `MOST_FIELDS`.
        ManyFields = "many_fields", "there are too many headers";
        /// More than `MOST_HEAD` bytes.
        LongHead = "long_head", "the headers are too long";
        /// A name that could be taken for a field that frames the body.
        LookAlike = "look_alike", "a header looks like Content-Length or Transfer-Encoding and is neither";
        /// No number, several, or one too large.
        ContentLength = "content_length", "the Content-Length header is malformed or repeated";
        /// Anything but one `chunked`.
        TransferEncoding = "transfer_encoding", "the Transfer-Encoding header is malformed or repeated";
        /// Codings besides `chunked`.
        Coding = "coding", "the transfer coding is not supported";
        /// Content-Length and Transfer-Encoding.
        TwoFramings = "two_framings", "there are both Content-Length and Transfer-Encoding";
        /// Transfer-Encoding in HTTP/1.0.
        OldTransferEncoding = "old_transfer_encoding", "Transfer-Encoding does not exist in HTTP/1.0";
        /// No list of tokens, or a long one.
        Connection = "connection", "the Connection header is malformed";
        /// It would have a field removed that must not be.
        Nominated = "nominated", "the Connection header names a header that must not be removed";
    }
}

/// What is wrong with the fields of a head, whichever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Name,
    SpaceInName,
    Fold,
    BareLf,
    BareCr,
    Value,
    Many,
    Long,
    LookAlike,
    ContentLength,
    TransferEncoding,
    Coding,
    Two,
    Old,
    Connection,
    Nominated,
}

macro_rules! from_broken {
    ($whole:ident) => {
        impl From<Broken> for $whole {
            fn from(broken: Broken) -> Self {
                match broken {
                    Broken::Name => Self::FieldName,
                    Broken::SpaceInName => Self::SpaceInName,
                    Broken::Fold => Self::Fold,
                    Broken::BareLf => Self::BareLf,
                    Broken::BareCr => Self::BareCr,
                    Broken::Value => Self::FieldValue,
                    Broken::Many => Self::ManyFields,
                    Broken::Long => Self::LongHead,
                    Broken::LookAlike => Self::LookAlike,
                    Broken::ContentLength => Self::ContentLength,
                    Broken::TransferEncoding => Self::TransferEncoding,
                    Broken::Coding => Self::Coding,
                    Broken::Two => Self::TwoFramings,
                    Broken::Old => Self::OldTransferEncoding,
                    Broken::Connection => Self::Connection,
                    Broken::Nominated => Self::Nominated,
                }
            }
        }
    };
}
from_broken!(Refusal);
from_broken!(Fault);
