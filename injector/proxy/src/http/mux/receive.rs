//! The frames that come, one after the other, in whatever pieces they come.

use std::mem;
use std::time::Instant;

use super::budget::{CHEAP, RESET};
use super::state::{Course, MOST_UNREAD, Role, State};
use super::stream::Lost;
use crate::http::detect::PREFACE;
use crate::http::h2::frame::{self, Code, FrameHead, HEAD, Kind, LEAST_MAX_FRAME, Scope, Violation, flags};

/// Bytes of a block of heads at most, with all its continuations: HTTP/1's limit, and as much again for what HPACK does
/// not shorten.
const MOST_BLOCK: usize = 128 * 1024;

/// Frames that continue a head: each has to bring its share (CVE-2024-27316).
const MOST_CONTINUATIONS: u32 = 32;

/// Where in the bytes that come we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// In the client's preface, so many bytes of which have come.
    Preface(usize),
    /// Before the first frame, which must be SETTINGS.
    FirstFrame,
    /// Between frames, or in a frame's head.
    Head,
    /// In the payload of a frame that is taken when it is whole.
    Payload(FrameHead),
    /// Before the first byte of a DATA frame's payload, which says how much padding there is.
    Padding(FrameHead),
    /// In the payload of a DATA frame: so much of it, then so much padding.
    Data {
        /// Whose it is; none if nobody's any more.
        stream: Option<u32>,
        /// Bytes of the body.
        left: u32,
        /// Bytes to skip behind them.
        padding: u32,
        /// It is the body's last.
        end: bool,
    },
    /// Between the parts of a head.
    Continuation {
        /// Whose head it is.
        stream: u32,
        /// It is all that the peer has to say.
        end: bool,
        /// Frames so far.
        frames: u32,
        /// The stream cannot have it, but the tables must.
        fault: Option<Code>,
    },
    /// In a part of a head.
    Continuing {
        /// The frame.
        head: FrameHead,
        /// Whose head it is.
        stream: u32,
        /// It is all that the peer has to say.
        end: bool,
        /// Frames so far.
        frames: u32,
        /// The stream cannot have it, but the tables must.
        fault: Option<Code>,
    },
}

impl State {
    /// Takes bytes that came at `now`. An error ends the connection; the peer is to be told by `fail`.
    pub fn receive(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Code> {
        self.heard = true;
        while !bytes.is_empty() && self.course != Course::Over {
            let took = match self.phase {
                Phase::Preface(seen) => self.preface(seen, bytes)?,
                Phase::FirstFrame | Phase::Head | Phase::Continuation { .. } => self.frame_head(bytes, now)?,
                Phase::Payload(head) => self.gather(bytes, head, |state, payload| state.payload(head, payload, now))?,
                Phase::Continuing { head, stream, end, frames, fault } => {
                    self.gather(bytes, head, |state, payload| {
                        state.continued(head, payload, (stream, end, frames, fault), now)
                    })?
                }
                Phase::Padding(head) => self.padding(head, bytes[0], now)?,
                Phase::Data { stream, left, padding, end } => self.data((stream, left, padding, end), bytes, now)?,
            };
            bytes = &bytes[took..];
        }
        Ok(())
    }

    fn preface(&mut self, seen: usize, bytes: &[u8]) -> Result<usize, Code> {
        let more = bytes.len().min(PREFACE.len() - seen);
        if bytes[..more] != PREFACE[seen..seen + more] {
            return Err(Code::ProtocolError);
        }
        self.phase = if seen + more == PREFACE.len() { Phase::FirstFrame } else { Phase::Preface(seen + more) };
        Ok(more)
    }

    /// Gathers the nine bytes of a frame's head and decides what comes next.
    fn frame_head(&mut self, bytes: &[u8], now: Instant) -> Result<usize, Code> {
        if let Some(head) = bytes.first_chunk().filter(|_| self.begun.is_empty()) {
            self.began(FrameHead::decode(*head), now)?;
            return Ok(HEAD);
        }
        let more = bytes.len().min(HEAD - self.begun.len());
        self.begun.extend_from_slice(&bytes[..more]);
        if let Some(head) = self.begun.first_chunk() {
            let head = FrameHead::decode(*head);
            self.begun.clear();
            self.began(head, now)?;
        }
        Ok(more)
    }

    fn began(&mut self, head: FrameHead, now: Instant) -> Result<(), Code> {
        let checked = head.check(LEAST_MAX_FRAME); // we never allow longer ones
        let phase = mem::replace(&mut self.phase, Phase::Head);
        if let Err(violation) = checked {
            if violation.scope == Scope::Connection || !matches!(phase, Phase::Head) {
                return Err(violation.code);
            }
            self.fault(head.stream, violation.code, now)?;
            self.phase = Phase::Data { stream: None, left: 0, padding: head.length, end: false };
            return self.skip_empty(head, now);
        }
        match (phase, head.kind) {
            (Phase::FirstFrame, Kind::Settings) if !head.has(flags::ACK) => self.phase = Phase::Payload(head),
            (Phase::Continuation { stream, end, frames, fault }, Kind::Continuation) if head.stream == stream => {
                if frames == MOST_CONTINUATIONS || self.parts.len() + head.length as usize > MOST_BLOCK {
                    return Err(Code::EnhanceYourCalm);
                }
                self.phase = Phase::Continuing { head, stream, end, frames: frames + 1, fault };
            }
            // Nothing may come between the parts of a head (section 6.10), and nothing before SETTINGS (section 3.4).
            (Phase::Continuation { .. } | Phase::FirstFrame, _) | (_, Kind::Continuation) => {
                return Err(Code::ProtocolError);
            }
            (_, Kind::Data) => return self.data_head(head, now),
            (_, Kind::Unknown(_)) => {
                self.pay(CHEAP, now)?; // frames that nobody knows are skipped (section 4.1)
                self.phase = Phase::Data { stream: None, left: 0, padding: head.length, end: false };
            }
            _ => self.phase = Phase::Payload(head),
        }
        self.skip_empty(head, now)
    }

    /// A payload of no bytes is there already.
    fn skip_empty(&mut self, head: FrameHead, now: Instant) -> Result<(), Code> {
        if head.length > 0 {
            return Ok(());
        }
        match self.phase {
            Phase::Payload(head) => {
                self.phase = Phase::Head;
                self.payload(head, &[], now)
            }
            Phase::Continuing { head, stream, end, frames, fault } => {
                self.continued(head, &[], (stream, end, frames, fault), now)
            }
            Phase::Data { .. } => {
                self.phase = Phase::Head;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Hands a payload on when it is whole: where it lies, if it came whole.
    fn gather(
        &mut self,
        bytes: &[u8],
        head: FrameHead,
        take: impl FnOnce(&mut Self, &[u8]) -> Result<(), Code>,
    ) -> Result<usize, Code> {
        let length = head.length as usize;
        if self.payload.is_empty() && bytes.len() >= length {
            self.phase = Phase::Head;
            take(self, &bytes[..length])?;
            return Ok(length);
        }
        let more = bytes.len().min(length - self.payload.len());
        self.payload.extend_from_slice(&bytes[..more]);
        if self.payload.len() == length {
            self.phase = Phase::Head;
            let payload = mem::take(&mut self.payload);
            take(self, &payload)?;
        }
        Ok(more)
    }

    /// Takes a whole frame that is not DATA.
    fn payload(&mut self, head: FrameHead, payload: &[u8], now: Instant) -> Result<(), Code> {
        let taken = match head.kind {
            Kind::Headers => return self.headers(head, payload, now),
            Kind::Priority => {
                self.pay(CHEAP, now)?;
                frame::priority(head, payload)
            }
            Kind::ResetStream => self.reset_came(head, payload, now),
            Kind::Settings => self.settings(head, payload, now),
            Kind::Ping => self.ping_came(head, payload, now),
            Kind::GoAway => self.go_away(head, payload, now),
            Kind::WindowUpdate => self.window_update(head, payload, now),
            // `check` lets no pushes pass, and the others have phases of their own.
            Kind::PushPromise | Kind::Continuation | Kind::Data | Kind::Unknown(_) => return Err(Code::ProtocolError),
        };
        match taken {
            Ok(()) => Ok(()),
            Err(Violation { scope: Scope::Stream, code }) => self.fault(head.stream, code, now),
            Err(Violation { scope: Scope::Connection, code }) => Err(code),
        }
    }

    /// Ends a stream because of what the peer did wrong on it, which has its price. One that was never opened cannot be
    /// reset (section 6.4): the connection ends instead.
    pub(super) fn fault(&mut self, id: u32, code: Code, now: Instant) -> Result<(), Code> {
        if self.is_idle(id) {
            return Err(code);
        }
        let mut price = RESET;
        let again = self.forgotten.has(id);
        if let Some(stream) = self.streams.get_mut(&id) {
            if stream.opened.is_none() && !again {
                price = 0; // a server breaks no more streams than we open
            }
            // What was said whole before can still be taken; half a message must not look like a whole one.
            let unwanted = if stream.remote_ended { 0 } else { stream.inbox.forget() };
            stream.lose(Lost::Malformed);
            self.return_window(u32::try_from(unwanted).unwrap_or(u32::MAX));
        }
        self.reset(id, code);
        self.faults.push(code);
        self.pay(price, now)
    }

    /// Takes the price of a frame; an error if the peer cannot pay it, or reads nothing of what it makes us say.
    pub(super) fn pay(&mut self, cost: u32, now: Instant) -> Result<(), Code> {
        let paid = self.budget.pay(cost, now) && self.out.len() < MOST_UNREAD;
        if paid { Ok(()) } else { Err(Code::EnhanceYourCalm) }
    }

    /// Whether a stream was never opened (section 5.1).
    pub(super) fn is_idle(&self, id: u32) -> bool {
        if id == 0 {
            return false; // the connection itself
        }
        let ours = (id % 2 == 1) == (self.role == Role::Client);
        if ours { id >= self.next } else { id > self.highest }
    }
}
