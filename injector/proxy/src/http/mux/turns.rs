//! Bodies that go out, and who may say some next where several have more to say than the socket takes.
//!
//! Each time that there is room again all who wait for it are called, and each may fill its share: the whole buffer, if
//! nobody else was waiting. Whoever has said nothing for longest is called first, should the shares be too small for all.

use std::mem;
use std::task::{Context, Poll};

use super::control::LITTLE;
use super::state::{EARNED, MOST_OUT, State, ready, wait};
use super::stream::Lost;
use crate::http::h2::frame::{LEAST_MAX_FRAME, write};

impl State {
    /// How many bytes of a body may be sent now; waits until there are some.
    pub fn poll_room(&mut self, cx: &Context<'_>, id: u32) -> Poll<Result<usize, Lost>> {
        let Some(stream) = self.streams.get_mut(&id) else { return Poll::Ready(Err(Lost::Broken)) };
        if let Some(lost) = stream.lost {
            return Poll::Ready(Err(lost));
        }
        let own = usize::try_from(stream.send_window).unwrap_or(0);
        let said = if stream.round == self.round { stream.said } else { 0 };
        let turn = self.share.saturating_sub(said).min(MOST_OUT.saturating_sub(self.out.len()));
        let shared = usize::try_from(self.send_window).unwrap_or(0).min(turn);
        let room = own.min(shared).min(self.allowed.frame as usize);
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
        wait(&mut stream.writer, cx);
        if own > 0 && !mem::replace(&mut stream.blocked, true) {
            self.blocked.push(id);
        }
        Poll::Pending
    }

    /// Sends some of a body, no more than `poll_room` allows, and perhaps its end.
    pub fn send(&mut self, id: u32, bytes: &[u8], end: bool) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.lost.is_none() && !stream.local_ended)
        else {
            return;
        };
        if bytes.is_empty() && !end {
            return;
        }
        let count = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        // Nobody earns with a window of a byte at a time (CVE-2019-9511).
        if end || stream.send_window.min(self.send_window) >= i64::from(LITTLE) {
            self.budget.earn(EARNED);
        }
        stream.send_window -= count;
        self.send_window -= count;
        stream.local_ended = end;
        if mem::replace(&mut stream.round, self.round) != self.round {
            stream.said = 0;
        }
        stream.said += bytes.len();
        let out = ready(&mut self.out);
        write::data_head(id, bytes.len(), end, out);
        out.extend_from_slice(bytes);
        self.news();
    }

    /// Takes what is to be sent and lets those go on who waited for room.
    pub fn take_out(&mut self) -> Vec<u8> {
        let out = mem::take(&mut self.out);
        if self.send_window > 0 {
            self.unblock();
        }
        out
    }

    /// Wakes whoever waits for what all streams share, those first who have said nothing for longest.
    pub(super) fn unblock(&mut self) {
        let mut blocked = mem::take(&mut self.blocked);
        blocked.sort_by_cached_key(|id| self.streams.get(id).map(|stream| stream.round));
        self.share = (MOST_OUT / blocked.len().max(1)).max(LEAST_MAX_FRAME as usize);
        self.round += 1;
        for id in blocked {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.blocked = false;
                if let Some(waker) = stream.writer.take() {
                    waker.wake();
                }
            }
        }
    }
}
