//! Frames that come and say something of a stream or of the connection, and carry nothing (RFC 9113, sections 6.3 to
//! 6.9). Each has its price.

use std::time::{Duration, Instant};

use super::budget::{CHEAP, RESET};
use super::settings::DEFAULT_WINDOW;
use super::state::{Course, LEAVING, Role, State, ready};
use super::stream::Lost;
use crate::http::h2::frame::{self, Code, FrameHead, LEAST_MAX_FRAME, MOST_31, Setting, Violation, flags, write};

/// Bytes by which a window is opened for nothing, as a byte at a time would be: less than a sixteenth of what is there
/// at first.
pub const LITTLE: u32 = DEFAULT_WINDOW / 16;

/// A client that gives a stream up sooner did not want it (CVE-2023-44487). Who waits has its streams at once for a limit:
/// 256 in 5 ms, and the budget for what is cheap.
const RAPID: Duration = Duration::from_millis(5);

impl State {
    /// Takes a frame of those kinds that is whole; its price is paid.
    pub(super) fn reset_came(&mut self, head: FrameHead, payload: &[u8], now: Instant) -> Result<(), Violation> {
        let code = frame::reset_stream(head, payload)?;
        if self.is_idle(head.stream) {
            return Err(Violation::connection(Code::ProtocolError));
        }
        let client = self.role == Role::Client;
        let Some(stream) = self.streams.get_mut(&head.stream).filter(|stream| !stream.is_over()) else {
            return self.pay(CHEAP, now).map_err(Violation::connection);
        };
        stream.reset_by_peer = true;
        let unprocessed = client && code == Code::RefusedStream;
        // What came whole can still be taken: a server may say all and then give up the rest of what we say (section 8.1).
        stream.lose(if unprocessed { Lost::Unprocessed } else { Lost::Reset(code) });
        let price = match stream.opened {
            None => return Ok(()), // a server gives up no more streams than we open
            Some(opened) if now.saturating_duration_since(opened) < RAPID => RESET,
            Some(_) => CHEAP,
        };
        self.pay(price, now).map_err(Violation::connection)
    }

    pub(super) fn settings(&mut self, head: FrameHead, payload: &[u8], now: Instant) -> Result<(), Violation> {
        self.pay(CHEAP, now).map_err(Violation::connection)?;
        let before = self.allowed.window;
        for setting in frame::settings(head, payload)? {
            match setting {
                Setting::HeaderTableSize(most) => self.heads.limit_table(most),
                Setting::MaxConcurrentStreams(most) => self.allowed.streams = most,
                Setting::InitialWindowSize(window) => self.allowed.window = window,
                // A longer frame than everybody takes would only keep others waiting.
                Setting::MaxFrameSize(most) => self.allowed.frame = most.min(LEAST_MAX_FRAME),
                Setting::EnablePush(true) if self.role == Role::Client => {
                    return Err(Violation::connection(Code::ProtocolError)); // section 6.5.2
                }
                // What a peer wants of lists is advice (section 10.5.1); it answers 431 itself.
                Setting::EnablePush(_) | Setting::MaxHeaderListSize(_) => {}
            }
        }
        if head.has(flags::ACK) {
            return Ok(());
        }
        let more = i64::from(self.allowed.window) - i64::from(before);
        for stream in self.streams.values_mut().filter(|_| more != 0) {
            stream.send_window += more;
            if stream.send_window > i64::from(MOST_31) {
                return Err(Violation::connection(Code::FlowControlError));
            }
            if let Some(waker) = stream.writer.take() {
                waker.wake();
            }
        }
        write::settings_ack(ready(&mut self.out));
        self.news();
        Ok(())
    }

    pub(super) fn ping_came(&mut self, head: FrameHead, payload: &[u8], now: Instant) -> Result<(), Violation> {
        let data = frame::ping(head, payload)?;
        self.pay(CHEAP, now).map_err(Violation::connection)?;
        if head.has(flags::ACK) {
            self.pinged = false;
            if data == LEAVING {
                self.drain();
            }
        } else {
            write::ping_ack(data, ready(&mut self.out));
            self.news();
        }
        Ok(())
    }

    pub(super) fn go_away(&mut self, head: FrameHead, payload: &[u8], now: Instant) -> Result<(), Violation> {
        let last = frame::go_away(head, payload)?.last;
        self.pay(CHEAP, now).map_err(Violation::connection)?;
        if self.role == Role::Client {
            for (id, stream) in &mut self.streams {
                if *id > last {
                    stream.lose(Lost::Unprocessed);
                }
            }
        }
        if self.course == Course::Open || self.course == Course::Leaving {
            self.course = Course::Draining;
        }
        self.news();
        Ok(())
    }

    pub(super) fn window_update(&mut self, head: FrameHead, payload: &[u8], now: Instant) -> Result<(), Violation> {
        let more = frame::window_update(head, payload)?;
        if self.is_idle(head.stream) {
            return Err(Violation::connection(Code::ProtocolError));
        }
        let stream = self.streams.get_mut(&head.stream);
        if more < LITTLE || (head.stream != 0 && stream.is_none()) {
            self.pay(CHEAP, now).map_err(Violation::connection)?;
        }
        if head.stream == 0 {
            self.send_window += i64::from(more);
            if self.send_window > i64::from(MOST_31) {
                return Err(Violation::connection(Code::FlowControlError));
            }
            self.unblock();
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(&head.stream) else { return Ok(()) };
        stream.send_window += i64::from(more);
        if stream.send_window > i64::from(MOST_31) {
            return Err(Violation::stream(Code::FlowControlError));
        }
        if let Some(waker) = stream.writer.take() {
            waker.wake();
        }
        Ok(())
    }
}
