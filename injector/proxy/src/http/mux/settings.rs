//! What both ends allow each other.

use crate::http::h2::frame::LEAST_MAX_FRAME;

/// Bytes of a window where nobody has said anything (RFC 9113, section 6.9.2).
pub const DEFAULT_WINDOW: u32 = 65_535;

/// Streams that an application which told nothing may be asked for at once: as many as we allow it.
const PRESUMED_STREAMS: u32 = 256;

/// Bytes of a body at first: what a connection of its own would cost whose reader is slow.
const WINDOW: u32 = 64 * 1024;

/// What one end of a connection allows the peer. The windows bound what waits in memory for whoever reads slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The peer is another proxy: it allows what we allow, and may be asked for a sign of life as often as we like.
    /// Servers of gRPC end a connection on which more than two pings come within 5 min of each other.
    pub proxy: bool,
    /// Streams at once.
    pub streams: u32,
    /// Bytes of one body that may come before the first of them is taken.
    pub window: u32,
    /// What that grows to for a reader who is fast: 4 MiB carry 3 Gb/s over 10 ms.
    pub most_window: u32,
    /// Bytes of all bodies together: every stream's first window, and by how much they may grow.
    pub connection_window: u32,
    /// Frames for nothing that may come at once (see `budget`).
    pub budget: u32,
    /// And in a second.
    pub budget_a_second: u32,
}

impl Profile {
    /// Towards an application, which may be anybody. 256 streams are two and a half times the least that RFC 9113
    /// recommends (6.5.2). A connection can make us hold 24 MiB: 16 for those,
    /// and 8 by which windows grow.
    pub const APPLICATION: Self = Self {
        proxy: false,
        streams: 256,
        window: WINDOW,
        most_window: 2 * 1024 * 1024,
        connection_window: 256 * WINDOW + 8 * 1024 * 1024,
        budget: 2_000,
        budget_a_second: 500,
    };

    /// Towards another proxy, whose one connection carries what many clients say: 1,024 of them at once, who may give up
    /// together. It can make us hold 96 MiB: 64 for those, and 32 by which windows grow.
    pub const MESH: Self = Self {
        proxy: true,
        streams: 1024,
        window: WINDOW,
        most_window: 4 * 1024 * 1024,
        connection_window: 1024 * WINDOW + 32 * 1024 * 1024,
        budget: 32_000,
        budget_a_second: 8_000,
    };

    /// Bytes by which the windows of all streams may grow together.
    pub fn growth(&self) -> u32 {
        self.connection_window.saturating_sub(self.streams.saturating_mul(self.window))
    }
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

impl Allowed {
    /// What holds until the peer's first word. Another proxy's is known: many wait for a new connection to it at once.
    pub fn before_settings(profile: &Profile) -> Self {
        let streams = if profile.proxy { profile.streams } else { PRESUMED_STREAMS };
        Self { streams, window: DEFAULT_WINDOW, frame: LEAST_MAX_FRAME }
    }
}
