//! What SETTINGS says (RFC 9113, section 6.5).

use super::{Code, FrameHead, Kind, LEAST_MAX_FRAME, MOST_31, MOST_MAX_FRAME, Violation, flags};

/// Bytes of a setting: an identifier of two and a value of four.
const UNIT: usize = 6;

/// The identifiers of section 6.5.2.
pub mod id {
    /// Bytes of the sender's table for decoding.
    pub const HEADER_TABLE_SIZE: u16 = 1;
    /// Whether the sender takes pushes.
    pub const ENABLE_PUSH: u16 = 2;
    /// Streams that the receiver may have open.
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    /// The window that each stream begins with.
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    /// Bytes of a payload that the sender takes.
    pub const MAX_FRAME_SIZE: u16 = 5;
    /// Bytes of a list of fields that the sender takes.
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// One setting, with a value that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Bytes of the sender's table for decoding.
    HeaderTableSize(u32),
    /// Whether the sender takes pushes. A server must not say that it does; that is for a client to refuse.
    EnablePush(bool),
    /// Streams that we may have open.
    MaxConcurrentStreams(u32),
    /// The window that each stream to the sender begins with: up to 2^31 - 1.
    InitialWindowSize(u32),
    /// Bytes of a payload that the sender takes: 2^14 to 2^24 - 1.
    MaxFrameSize(u32),
    /// Bytes of a list of fields that the sender takes.
    MaxHeaderListSize(u32),
}

impl Setting {
    /// The setting; `None` if nobody knows it, and it is to be ignored.
    fn parse(id: u16, value: u32) -> Result<Option<Self>, Violation> {
        Ok(Some(match id {
            id::HEADER_TABLE_SIZE => Self::HeaderTableSize(value),
            id::ENABLE_PUSH if value > 1 => return Err(Violation::connection(Code::ProtocolError)),
            id::ENABLE_PUSH => Self::EnablePush(value == 1),
            id::MAX_CONCURRENT_STREAMS => Self::MaxConcurrentStreams(value),
            id::INITIAL_WINDOW_SIZE if value > MOST_31 => return Err(Violation::connection(Code::FlowControlError)),
            id::INITIAL_WINDOW_SIZE => Self::InitialWindowSize(value),
            id::MAX_FRAME_SIZE if !(LEAST_MAX_FRAME..=MOST_MAX_FRAME).contains(&value) => {
                return Err(Violation::connection(Code::ProtocolError));
            }
            id::MAX_FRAME_SIZE => Self::MaxFrameSize(value),
            id::MAX_HEADER_LIST_SIZE => Self::MaxHeaderListSize(value),
            _ => return Ok(None),
        }))
    }

    fn read(unit: &[u8]) -> Result<Option<Self>, Violation> {
        let &[i0, i1, v0, v1, v2, v3] = unit else { return Err(Violation::connection(Code::FrameSizeError)) };
        Self::parse(u16::from_be_bytes([i0, i1]), u32::from_be_bytes([v0, v1, v2, v3]))
    }
}

/// The settings of a frame, all valid, in the order in which they take effect; an acknowledgement has none.
#[derive(Clone, Debug)]
pub struct Settings<'a>(std::slice::Chunks<'a, u8>);

impl Iterator for Settings<'_> {
    type Item = Setting;

    fn next(&mut self) -> Option<Setting> {
        self.0.find_map(|unit| Setting::read(unit).ok().flatten())
    }
}

/// Reads SETTINGS. Whether it is an acknowledgement is in its head.
pub fn settings(head: FrameHead, payload: &[u8]) -> Result<Settings<'_>, Violation> {
    head.expect(Kind::Settings)?;
    if !payload.len().is_multiple_of(UNIT) || head.has(flags::ACK) && !payload.is_empty() {
        return Err(Violation::connection(Code::FrameSizeError));
    }
    for unit in payload.chunks(UNIT) {
        Setting::read(unit)?;
    }
    Ok(Settings(payload.chunks(UNIT)))
}
