//! Frames (RFC 9113, sections 4 and 6): heads, and the payloads that are not streams of bytes.
//!
//! Everything here judges one frame by itself. What may come when, on which stream and within which window is for those
//! who know the connection.

mod code;
mod settings;
pub mod write;

pub use code::{Code, Scope, Violation};
pub use settings::{Setting, Settings, id, settings};

/// Bytes of a head (section 4.1).
pub const HEAD: usize = 9;

/// Bytes of a payload at most where nothing else was settled, and at least (section 6.5.2).
pub const LEAST_MAX_FRAME: u32 = 1 << 14;

/// Bytes of a payload at most, whatever is settled: its length has 24 bits.
pub const MOST_MAX_FRAME: u32 = (1 << 24) - 1;

/// A window's size at most (section 6.9.1), and the highest stream: 31 bits.
pub const MOST_31: u32 = (1 << 31) - 1;

/// The bits of a head that say more of a frame; each kind has its own (section 6).
pub mod flags {
    /// Of DATA and HEADERS: nothing follows on the stream.
    pub const END_STREAM: u8 = 0x1;
    /// Of SETTINGS and PING: it answers one.
    pub const ACK: u8 = 0x1;
    /// Of HEADERS and CONTINUATION: the block is whole.
    pub const END_HEADERS: u8 = 0x4;
    /// Of DATA and HEADERS: the payload begins with a length of padding.
    pub const PADDED: u8 = 0x8;
    /// Of HEADERS: the payload begins with a priority.
    pub const PRIORITY: u8 = 0x20;
}

/// What a frame is (section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of a message's content.
    Data,
    /// The beginning of a block of fields.
    Headers,
    /// Advice that is no longer heeded (section 5.3.2).
    Priority,
    /// The end of a stream.
    ResetStream,
    /// What a peer wants to be respected.
    Settings,
    /// An announcement that nobody here ever allows.
    PushPromise,
    /// A question whether anybody is there.
    Ping,
    /// The end of a connection.
    GoAway,
    /// More bytes that may be sent.
    WindowUpdate,
    /// More of a block of fields.
    Continuation,
    /// Something that must be ignored (section 4.1).
    Unknown(u8),
}

impl Kind {
    /// The kind of a number.
    pub fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::ResetStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            other => Self::Unknown(other),
        }
    }

    /// Its number.
    pub fn as_u8(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Headers => 1,
            Self::Priority => 2,
            Self::ResetStream => 3,
            Self::Settings => 4,
            Self::PushPromise => 5,
            Self::Ping => 6,
            Self::GoAway => 7,
            Self::WindowUpdate => 8,
            Self::Continuation => 9,
            Self::Unknown(number) => number,
        }
    }
}

/// What every frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Bytes of the payload.
    pub length: u32,
    /// What it is.
    pub kind: Kind,
    /// `flags`.
    pub flags: u8,
    /// The stream that it belongs to; 0 is the connection.
    pub stream: u32,
}

impl FrameHead {
    /// The head in its nine bytes. The reserved bit is ignored (section 4.1).
    #[inline]
    pub fn decode(bytes: [u8; HEAD]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind: Kind::from_u8(kind),
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & MOST_31,
        }
    }

    /// Its nine bytes.
    #[inline]
    pub fn encode(self) -> [u8; HEAD] {
        let [_, l0, l1, l2] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [l0, l1, l2, self.kind.as_u8(), self.flags, s0, s1, s2, s3]
    }

    /// Appends its nine bytes.
    pub fn append_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.encode());
    }

    /// Whether a bit of `flags` is set.
    #[inline]
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Judges a frame before its payload is read: whether it may be that long, and whether it may be on that stream.
    ///
    /// A frame that is too long for us always ends the connection. Some might end their stream only (section 4.2), but
    /// then all of it would have to be read first.
    pub fn check(self, max_frame: u32) -> Result<(), Violation> {
        if self.length > max_frame {
            return Err(Violation::connection(Code::FrameSizeError));
        }
        self.check_stream()?;
        self.check_length()
    }

    /// Which frames belong to a stream, and which to the connection (section 6).
    fn check_stream(self) -> Result<(), Violation> {
        let fits = match self.kind {
            Kind::Data | Kind::Headers | Kind::Priority | Kind::ResetStream | Kind::Continuation => self.stream != 0,
            Kind::Settings | Kind::Ping | Kind::GoAway => self.stream == 0,
            // We settle ENABLE_PUSH 0 with servers, and clients must not push at all (section 8.4).
            Kind::PushPromise => false,
            Kind::WindowUpdate | Kind::Unknown(_) => true,
        };
        if fits { Ok(()) } else { Err(Violation::connection(Code::ProtocolError)) }
    }

    fn check_length(self) -> Result<(), Violation> {
        let fits = match self.kind {
            Kind::ResetStream | Kind::WindowUpdate => self.length == 4,
            Kind::Ping => self.length == 8,
            Kind::GoAway => self.length >= 8,
            Kind::Settings if self.has(flags::ACK) => self.length == 0,
            Kind::Settings => self.length.is_multiple_of(6),
            Kind::Priority if self.length != 5 => return Err(Violation::stream(Code::FrameSizeError)),
            _ => true,
        };
        if fits { Ok(()) } else { Err(Violation::connection(Code::FrameSizeError)) }
    }

    /// The payload as `N` bytes, of a frame of that kind and on a stream where it may be.
    fn exactly<const N: usize>(self, kind: Kind, payload: &[u8]) -> Result<[u8; N], Violation> {
        self.expect(kind)?;
        self.check_length()?;
        payload.try_into().map_err(|_| Violation::connection(Code::FrameSizeError))
    }

    /// That a frame was given to the function for its kind is for the caller to see to; a mistake ends the connection.
    fn expect(self, kind: Kind) -> Result<(), Violation> {
        if self.kind != kind {
            return Err(Violation::connection(Code::InternalError));
        }
        self.check_stream()
    }
}

/// What RST_STREAM says (section 6.4).
pub fn reset_stream(head: FrameHead, payload: &[u8]) -> Result<Code, Violation> {
    Ok(Code::from_u32(u32::from_be_bytes(head.exactly(Kind::ResetStream, payload)?)))
}

/// What PING carries (section 6.7).
pub fn ping(head: FrameHead, payload: &[u8]) -> Result<[u8; 8], Violation> {
    head.exactly(Kind::Ping, payload)
}

/// By how much WINDOW_UPDATE opens a window (section 6.9): 1 to 2^31 - 1.
pub fn window_update(head: FrameHead, payload: &[u8]) -> Result<u32, Violation> {
    match u32::from_be_bytes(head.exactly(Kind::WindowUpdate, payload)?) & MOST_31 {
        0 if head.stream == 0 => Err(Violation::connection(Code::ProtocolError)),
        0 => Err(Violation::stream(Code::ProtocolError)),
        increment => Ok(increment),
    }
}

/// Checks PRIORITY (section 6.3), which says nothing that is heeded.
pub fn priority(head: FrameHead, payload: &[u8]) -> Result<(), Violation> {
    let [d0, d1, d2, d3, _weight] = head.exactly(Kind::Priority, payload)?;
    check_dependency(head, [d0, d1, d2, d3])
}

/// What GOAWAY says (section 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoAway<'a> {
    /// The highest of our streams that the peer dealt with, or may have.
    pub last: u32,
    /// Why it ends.
    pub code: Code,
    /// Anything else; not to be trusted.
    pub debug: &'a [u8],
}

/// What GOAWAY says (section 6.8).
pub fn go_away(head: FrameHead, payload: &[u8]) -> Result<GoAway<'_>, Violation> {
    head.expect(Kind::GoAway)?;
    let (&[l0, l1, l2, l3, c0, c1, c2, c3], debug) =
        payload.split_first_chunk::<8>().ok_or(Violation::connection(Code::FrameSizeError))?;
    Ok(GoAway {
        last: u32::from_be_bytes([l0, l1, l2, l3]) & MOST_31,
        code: Code::from_u32(u32::from_be_bytes([c0, c1, c2, c3])),
        debug,
    })
}

/// The content that DATA carries (section 6.1). All of the payload counts for the window, padding included.
pub fn data(head: FrameHead, payload: &[u8]) -> Result<&[u8], Violation> {
    head.expect(Kind::Data)?;
    unpad(head, payload)
}

/// The part of a block that HEADERS carries (section 6.2), without padding and priority.
pub fn headers(head: FrameHead, payload: &[u8]) -> Result<&[u8], Violation> {
    head.expect(Kind::Headers)?;
    let payload = unpad(head, payload)?;
    if !head.has(flags::PRIORITY) {
        return Ok(payload);
    }
    let (&[d0, d1, d2, d3, _weight], block) =
        payload.split_first_chunk::<5>().ok_or(Violation::connection(Code::FrameSizeError))?;
    check_dependency(head, [d0, d1, d2, d3])?;
    Ok(block)
}

/// The part of a block that CONTINUATION carries (section 6.10).
pub fn continuation(head: FrameHead, payload: &[u8]) -> Result<&[u8], Violation> {
    head.expect(Kind::Continuation)?;
    Ok(payload)
}

/// Takes padding away. It may be as long as the rest of the payload, but no longer (section 6.1).
fn unpad(head: FrameHead, payload: &[u8]) -> Result<&[u8], Violation> {
    if !head.has(flags::PADDED) {
        return Ok(payload);
    }
    let (&padding, rest) = payload.split_first().ok_or(Violation::connection(Code::FrameSizeError))?;
    let content = rest.len().checked_sub(padding.into()).and_then(|length| rest.get(..length));
    content.ok_or(Violation::connection(Code::ProtocolError))
}

/// A stream cannot depend on itself (RFC 7540, section 5.3.1; RFC 9113 heeds priorities no more, but does not allow
/// it).
fn check_dependency(head: FrameHead, dependency: [u8; 4]) -> Result<(), Violation> {
    if u32::from_be_bytes(dependency) & MOST_31 == head.stream {
        return Err(Violation::stream(Code::ProtocolError));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
