//! What both ends allow each other.

use crate::http::h2::frame::LEAST_MAX_FRAME;

/// Bytes of a window where nobody has said anything (RFC 9113, section 6.9.2).
pub const DEFAULT_WINDOW: u32 = 65_535;

/// Streams that a peer which told nothing may be asked for at once: as many as we allow ourselves.
const PRESUMED_STREAMS: u32 = 256;

/// What one end of a connection allows the peer. The windows bound what waits in memory for whoever reads slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Streams at once.
    pub streams: u32,
    /// Bytes of one body that may come before the first of them is taken.
    pub window: u32,
    /// What that grows to for a reader who is fast: 4 MiB carry 3 Gb/s over 10 ms.
    pub most_window: u32,
    /// Bytes of all bodies together.
    pub connection_window: u32,
    /// Frames for nothing that may come at once (see `budget`).
    pub budget: u32,
    /// And in a second.
    pub budget_a_second: u32,
}

impl Profile {
    /// Towards an application, which may be anybody. 256 streams are two and a half times the least that RFC 9113
    /// recommends (6.5.2); 4 MiB are what a connection can make us hold.
    pub const APPLICATION: Self = Self {
        streams: 256,
        window: 256 * 1024,
        most_window: 2 * 1024 * 1024,
        connection_window: 4 * 1024 * 1024,
        budget: 2_000,
        budget_a_second: 500,
    };

    /// Towards another proxy, whose one connection carries what many clients say: 1,024 of them at once, who may give up
    /// together.
    pub const MESH: Self = Self {
        streams: 1024,
        window: 256 * 1024,
        most_window: 4 * 1024 * 1024,
        connection_window: 16 * 1024 * 1024,
        budget: 32_000,
        budget_a_second: 8_000,
    };
}

/// What the peer allows us (RFC 9113, section 6.5.2), before and after its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Streams at once.
    pub streams: u32,
    /// Bytes of a body at first.
    pub window: u32,
    /// Bytes of a frame's payload.
    pub frame: u32,
}

impl Default for Allowed {
    fn default() -> Self {
        Self { streams: PRESUMED_STREAMS, window: DEFAULT_WINDOW, frame: LEAST_MAX_FRAME }
    }
}
