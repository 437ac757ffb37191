//! Frames that are sent, appended to what waits to be written.

use super::{Code, FrameHead, HEAD, Kind, flags};

/// Appends SETTINGS with identifiers and values as section 6.5.2 has them.
pub fn settings(settings: &[(u16, u32)], out: &mut Vec<u8>) {
    head(6 * settings.len(), Kind::Settings, 0, 0, out);
    for (id, value) in settings {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends the acknowledgement of the peer's SETTINGS.
pub fn settings_ack(out: &mut Vec<u8>) {
    head(0, Kind::Settings, flags::ACK, 0, out);
}

/// Appends PING.
pub fn ping(opaque: [u8; 8], out: &mut Vec<u8>) {
    head(opaque.len(), Kind::Ping, 0, 0, out);
    out.extend_from_slice(&opaque);
}

/// Appends the answer to a PING.
pub fn ping_ack(opaque: [u8; 8], out: &mut Vec<u8>) {
    head(opaque.len(), Kind::Ping, flags::ACK, 0, out);
    out.extend_from_slice(&opaque);
}

/// Appends GOAWAY; `last` is the highest stream of the peer's that is or was dealt with.
pub fn go_away(last: u32, code: Code, debug: &[u8], out: &mut Vec<u8>) {
    head(8 + debug.len(), Kind::GoAway, 0, 0, out);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(code as u32).to_be_bytes());
    out.extend_from_slice(debug);
}

/// Appends RST_STREAM.
pub fn reset_stream(stream: u32, code: Code, out: &mut Vec<u8>) {
    head(4, Kind::ResetStream, 0, stream, out);
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

/// Appends WINDOW_UPDATE; stream 0 is the connection.
pub fn window_update(stream: u32, increment: u32, out: &mut Vec<u8>) {
    head(4, Kind::WindowUpdate, 0, stream, out);
    out.extend_from_slice(&increment.to_be_bytes());
}

/// Appends the head of a DATA frame; `length` bytes have to follow.
pub fn data_head(stream: u32, length: usize, end_stream: bool, out: &mut Vec<u8>) {
    head(length, Kind::Data, if end_stream { flags::END_STREAM } else { 0 }, stream, out);
}

/// Appends a block as HEADERS and as many CONTINUATION as it takes where no frame may be longer than `most`.
pub fn headers(stream: u32, block: &[u8], end_stream: bool, most: usize, out: &mut Vec<u8>) {
    let most = most.max(1);
    out.reserve(block.len() + HEAD * (1 + block.len() / most));
    let (mut part, mut rest) = block.split_at(block.len().min(most));
    let mut kind = Kind::Headers;
    let mut bits = if end_stream { flags::END_STREAM } else { 0 };
    loop {
        if rest.is_empty() {
            bits |= flags::END_HEADERS;
        }
        head(part.len(), kind, bits, stream, out);
        out.extend_from_slice(part);
        if rest.is_empty() {
            return;
        }
        (part, rest) = rest.split_at(rest.len().min(most));
        (kind, bits) = (Kind::Continuation, 0);
    }
}

fn head(length: usize, kind: Kind, flags: u8, stream: u32, out: &mut Vec<u8>) {
    // A frame of 16 MiB or more is never made: the peer's limit is below, and its length would not fit.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    FrameHead { length, kind, flags, stream }.append_to(out);
}
