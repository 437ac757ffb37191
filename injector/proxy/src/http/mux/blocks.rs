//! Heads and trailers that come, in one frame or in several (RFC 9113, sections 4.3 and 6.2).
//!
//! Whatever is wrong with a stream, its blocks are decoded: the tables of both ends must stay the same.

use std::mem;
use std::time::Instant;

use super::budget::{CHEAP, RESET};
use super::heads::MOST_LIST;
use super::receive::Phase;
use super::state::{Course, MOST_SAID, Role, State};
use super::stream::Stream;
use crate::http::h2::frame::{self, Code, FrameHead, Scope, Violation, flags};

impl State {
    /// A priority that makes no sense, or padding, ends the connection: the block behind it is not known.
    pub(super) fn headers(&mut self, head: FrameHead, payload: &[u8], now: Instant) -> Result<(), Code> {
        let block = frame::headers(head, payload).map_err(|violation| violation.code)?;
        let fault = self.admit(head.stream, now)?;
        let end = head.has(flags::END_STREAM);
        if head.has(flags::END_HEADERS) {
            return self.block(head.stream, block, end, fault, now);
        }
        self.parts.clear();
        self.parts.extend_from_slice(block);
        self.phase = Phase::Continuation { stream: head.stream, end, frames: 0, fault };
        Ok(())
    }

    pub(super) fn continued(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        (stream, end, frames, fault): (u32, bool, u32, Option<Code>),
        now: Instant,
    ) -> Result<(), Code> {
        self.parts.extend_from_slice(payload);
        if !head.has(flags::END_HEADERS) {
            self.phase = Phase::Continuation { stream, end, frames, fault };
            return Ok(());
        }
        self.phase = Phase::Head;
        let block = mem::take(&mut self.parts);
        self.block(stream, &block, end, fault, now)
    }

    /// Whether a head may come on this stream now. A code: the stream cannot have it, but the tables must.
    fn admit(&mut self, id: u32, now: Instant) -> Result<Option<Code>, Code> {
        if let Some(stream) = self.streams.get(&id) {
            return Ok(match stream.lost {
                _ if stream.remote_ended || stream.reset_by_peer => Some(Code::StreamClosed),
                Some(_) => Some(Code::Cancel),
                // Only a server that says more and more interim heads gets there.
                None if stream.inbox.heads() > MOST_LIST as usize => Some(Code::EnhanceYourCalm),
                None => None,
            });
        }
        if self.forgotten.has(id) {
            return Ok(Some(Code::Cancel));
        }
        if self.role == Role::Client {
            // Pushes we do not allow. What we opened and closed long ago may have been on its way for as long.
            return if self.is_idle(id) { Err(Code::ProtocolError) } else { Ok(Some(Code::StreamClosed)) };
        }
        if id.is_multiple_of(2) || self.skipped.contains(&id) {
            return Err(Code::ProtocolError); // section 5.1.1
        }
        if id <= self.highest {
            return Err(Code::StreamClosed);
        }
        if id > self.highest + 2 {
            self.skipped = self.highest + 1..id;
        }
        self.highest = id;
        if self.course == Course::Draining || !self.has_place() {
            return Ok(Some(Code::RefusedStream));
        }
        // A head may be work, whatever becomes of it; money is left for many.
        if self.out.len() >= MOST_SAID {
            self.pay(RESET, now)?;
            return Ok(Some(Code::RefusedStream));
        }
        let mut stream = Stream::new(i64::from(self.allowed.window), self.profile.window);
        stream.opened = Some(now);
        self.streams.insert(id, stream);
        Ok(None)
    }

    /// Whether the peer may open one more. What is over does not count for it (section 5.1.2), even if it is in use here
    /// for a little longer; but twice as many as are allowed are enough.
    fn has_place(&self) -> bool {
        let most = self.profile.streams as usize;
        let all = self.streams.len();
        all < most || (all < 2 * most && self.streams.values().filter(|stream| !stream.is_over()).count() < most)
    }

    /// Takes a head that is whole.
    fn block(&mut self, id: u32, block: &[u8], end: bool, fault: Option<Code>, now: Instant) -> Result<(), Code> {
        if let Some(code) = fault {
            self.heads.skip(block).map_err(|violation| violation.code)?;
            return if self.forgotten.has(id) { self.pay(CHEAP, now) } else { self.fault(id, code, now) };
        }
        let role = self.role;
        let Some(stream) = self.streams.get_mut(&id) else {
            // It was released between the parts of its head.
            return self.heads.skip(block).map_err(|violation| violation.code);
        };
        let first = role == Role::Server && !stream.headed;
        match self.heads.read(role, stream, block, end) {
            Ok(()) => {}
            Err(Violation { scope: Scope::Connection, code }) => return Err(code),
            Err(Violation { scope: Scope::Stream, code }) => {
                if first {
                    self.streams.remove(&id); // nobody has heard of it
                }
                return self.fault(id, code, now);
            }
        }
        let interim = !stream.headed;
        if first {
            self.opened.push(id);
        }
        if interim {
            self.pay(CHEAP, now)?;
        }
        self.came(id, end, now)
    }

    /// Tells whoever reads a stream that something came on it; `end`: all that the peer has to say.
    pub(super) fn came(&mut self, id: u32, end: bool, now: Instant) -> Result<(), Code> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        if end && stream.promised.is_some_and(|left| left > 0) {
            return self.fault(id, Code::ProtocolError, now); // less than it promised (section 8.1.1)
        }
        stream.remote_ended |= end;
        stream.wake_reader();
        Ok(())
    }
}
