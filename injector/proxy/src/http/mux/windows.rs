//! The windows that we give (RFC 9113, section 5.2): each stream's holds back who is not read, and nobody else.
//!
//! The connection's window has room for every stream's first one, and for what they grow by together. So whoever is read
//! can go on, however many are not: a connection holds no more than that, 64 KiB for each of them, as a connection of its
//! own would. One half of that growth goes to streams as they begin, as long as they are few: most bodies then come
//! without a word more of windows. The other is for those who have read all while the peer could say no more, and none
//! takes more than half of what is left: there is some for who comes last.

use std::mem;

use super::state::{State, ready};
use crate::http::h2::frame::write;

/// Bytes by which a new stream's window grows: with its first ones 256 KiB, one read of a socket.
const START: u32 = 192 * 1024;

impl State {
    /// Lets the peer send more at once on a stream that has begun, while half of what windows may grow by is left.
    pub(super) fn start(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.remote_ended) else { return };
        if self.spare < self.profile.growth() / 2 + START {
            return;
        }
        self.spare -= START;
        stream.window += START;
        stream.receive_window += i64::from(START);
        write::window_update(id, START, ready(&mut self.out));
        self.news();
    }

    /// Lets the peer send more, now that bytes of a body were taken.
    pub(super) fn taken(&mut self, id: u32, count: u32) {
        let (spare, most) = (self.spare, self.profile.most_window);
        let more = self.streams.get_mut(&id).and_then(|stream| {
            let before = stream.window;
            // A window doubles only where that leaves as much to the others as it takes.
            let more = stream.taken(count, if before <= spare / 2 { most } else { before });
            self.spare -= stream.window - before;
            more
        });
        if let Some(more) = more {
            write::window_update(id, more, ready(&mut self.out));
            self.news();
        }
        self.return_window(count);
    }

    /// Gives the connection's window back in quarters: a quarter is on its way while three can be used; sooner where the
    /// peer has no more left than that.
    pub(super) fn return_window(&mut self, count: u32) {
        self.unreturned = self.unreturned.saturating_add(count);
        let unreturned = i64::from(self.unreturned);
        if self.unreturned > 0 && unreturned >= self.receive_window.min(i64::from(self.profile.connection_window / 4)) {
            let more = mem::take(&mut self.unreturned);
            self.receive_window += i64::from(more);
            write::window_update(0, more, ready(&mut self.out));
            self.news();
        }
    }
}
