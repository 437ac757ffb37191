//! Bodies that come, and the windows that hold them back (RFC 9113, sections 5.2 and 6.1).
//!
//! Every byte of a DATA frame's payload goes back to the connection's window once: padding at once, what nobody wants as
//! it comes, and the rest when it is taken or its stream is released.

use std::time::Instant;

use super::budget::CHEAP;
use super::inbox::Part;
use super::receive::Phase;
use super::state::State;
use crate::http::h2::frame::{Code, FrameHead, flags};

impl State {
    pub(super) fn data_head(&mut self, head: FrameHead, now: Instant) -> Result<(), Code> {
        let id = head.stream;
        if self.is_idle(id) {
            return Err(Code::ProtocolError);
        }
        let length = i64::from(head.length);
        self.receive_window -= length;
        if self.receive_window < 0 {
            return Err(Code::FlowControlError);
        }
        let forgotten = self.forgotten.has(id);
        let fault = match self.streams.get_mut(&id) {
            _ if forgotten => None,
            None => Some(Code::StreamClosed),
            Some(stream) if stream.remote_ended || stream.reset_by_peer => Some(Code::StreamClosed),
            Some(stream) if stream.lost.is_some() => None,
            Some(stream) if !stream.headed => Some(Code::ProtocolError), // section 8.1: a head comes first
            Some(stream) => (!stream.receives(length)).then_some(Code::FlowControlError),
        };
        if let Some(code) = fault {
            self.fault(id, code, now)?;
        }
        if !head.has(flags::PADDED) {
            return self.data_follows(head, head.length, 0, now);
        }
        self.phase = Phase::Padding(head);
        if head.length == 0 { Err(Code::FrameSizeError) } else { Ok(()) }
    }

    pub(super) fn padding(&mut self, head: FrameHead, padding: u8, now: Instant) -> Result<usize, Code> {
        let left = head.length - 1;
        let padding = u32::from(padding);
        if padding > left {
            return Err(Code::ProtocolError);
        }
        self.taken(head.stream, padding + 1);
        self.data_follows(head, left - padding, padding, now)?;
        Ok(1)
    }

    fn data_follows(&mut self, head: FrameHead, left: u32, padding: u32, now: Instant) -> Result<(), Code> {
        let end = head.has(flags::END_STREAM);
        if left == 0 && !end {
            self.pay(CHEAP, now)?; // padding and nothing else brings nobody forward either
        }
        let wanted = self.streams.get(&head.stream).is_some_and(|stream| stream.lost.is_none() && !stream.remote_ended);
        let stream = wanted.then_some(head.stream);
        self.phase = Phase::Data { stream, left, padding, end };
        if left + padding == 0 { self.data_ended(stream, end, now) } else { Ok(()) }
    }

    /// Takes what there is of a DATA frame's payload.
    pub(super) fn data(
        &mut self,
        (stream, left, padding, end): (Option<u32>, u32, u32, bool),
        bytes: &[u8],
        now: Instant,
    ) -> Result<usize, Code> {
        let body = bytes.len().min(left as usize);
        let skipped = (bytes.len() - body).min(padding as usize);
        let (came, over) = (u32::try_from(body).unwrap_or(left), u32::try_from(skipped).unwrap_or(padding));
        if came > 0 {
            self.body(stream, &bytes[..body], came, now)?;
        }
        let (left, padding) = (left - came, padding - over);
        self.phase = Phase::Data { stream, left, padding, end };
        if left + padding == 0 {
            self.data_ended(stream, end, now)?;
        }
        Ok(body + skipped)
    }

    /// Keeps bytes of a body for whoever reads it. The stream may have been given up since the frame began.
    fn body(&mut self, stream: Option<u32>, bytes: &[u8], count: u32, now: Instant) -> Result<(), Code> {
        let found = stream.and_then(|id| Some((id, self.streams.get_mut(&id)?)));
        let Some((id, stream)) = found.filter(|(_, stream)| stream.lost.is_none()) else {
            self.return_window(count);
            return Ok(());
        };
        match stream.promised.map(|promised| promised.checked_sub(u64::from(count))) {
            Some(None) => {
                self.return_window(count);
                self.fault(id, Code::ProtocolError, now) // more than it promised (section 8.1.1)
            }
            promised => {
                stream.promised = promised.flatten();
                stream.inbox.push(Part::Data, bytes);
                stream.wake_reader();
                Ok(())
            }
        }
    }

    fn data_ended(&mut self, stream: Option<u32>, end: bool, now: Instant) -> Result<(), Code> {
        self.phase = Phase::Head;
        let live = stream.filter(|id| self.streams.get(id).is_some_and(|stream| stream.lost.is_none()));
        match live {
            Some(id) if end => self.came(id, true, now),
            _ => Ok(()),
        }
    }
}
