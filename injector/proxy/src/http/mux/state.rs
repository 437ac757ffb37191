//! A multiplexed connection without its socket: streams, windows, and the frames to be sent.
//!
//! Bytes that came go in by `receive`; what is to be sent grows in `out`. Whoever waits for either is woken. The rules
//! are those of RFC 9113; only what a head looks like is for `heads` to know.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::mem;
use std::ops::Range;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::budget::{Budget, CHEAP};
use super::forgotten::Forgotten;
use super::heads::{Head, Heads, MOST_LIST};
use super::identity::Identity;
use super::inbox::Part;
use super::receive::Phase;
use super::settings::{Allowed, DEFAULT_WINDOW, Profile};
use super::stream::{Lost, Stream};
use crate::http::buffer;
use crate::http::detect::PREFACE;
use crate::http::h2::frame::{Code, id, write};

/// Bytes of frames that may wait for the socket before bodies wait, too: four times what one write takes, so that the
/// socket never waits for us.
pub const MOST_OUT: usize = 256 * 1024;

/// Bytes of frames that wait before no stream is opened any more: heads wait besides bodies, 768 of 1 KiB each.
pub const MOST_SAID: usize = 4 * MOST_OUT;

/// Bytes of frames that wait before a peer is cut off that makes us say more: it reads nothing (CVE-2019-9517).
pub const MOST_UNREAD: usize = 4 * MOST_SAID;

/// Streams ended by us of which something may still be on its way, for each that there may be at once: in the time that
/// our word takes to the peer and back a few others may have followed the first.
const REMEMBERED: usize = 4;

/// What a frame of a body earns the peer that we say it to: it may answer it with more of both windows, or measure with
/// a ping how long that takes. And what a stream that we open earns a server: its word on it may come when we are done.
pub const EARNED: u32 = 2 * CHEAP;

/// What the ping says that follows the word that we leave; others mean only themselves.
pub const LEAVING: [u8; 8] = *b"leaving!";

/// The last identifier that there is (section 5.1.1).
const LAST_STREAM: u32 = (1 << 31) - 1;

/// Which end of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It opens streams.
    Client,
    /// It answers.
    Server,
}

/// How the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// New streams may be opened.
    Open,
    /// We have said that we end, and let the peer say what it had begun.
    Leaving,
    /// No new streams; it ends with the last one.
    Draining,
    /// It is over.
    Over,
}

/// See the module.
#[derive(Debug)]
pub struct State {
    pub(super) role: Role,
    pub(super) heads: Heads,
    pub(super) profile: Profile,
    pub(super) allowed: Allowed,
    pub(super) streams: HashMap<u32, Stream, BuildHasherDefault<Identity>>,
    /// The next stream that we open.
    pub(super) next: u32,
    /// The last stream that the peer has opened.
    pub(super) highest: u32,
    /// The last numbers that the peer has gone past without opening them.
    pub(super) skipped: Range<u32>,
    /// Streams that we have ended before the peer did.
    pub(super) forgotten: Forgotten,
    /// The last stream of the peer's that we have said to deal with; it must not rise (section 6.8).
    said_last: u32,
    /// Streams that the peer has opened and nobody has taken up.
    pub(super) opened: Vec<u32>,
    /// Frames to be sent.
    pub(super) out: Vec<u8>,
    /// Who sends them.
    io: Option<Waker>,
    /// Streams whose writers wait for the connection's window, for room in `out` or for their turn.
    pub(super) blocked: Vec<u32>,
    /// How often those were called (see `turns`).
    pub(super) round: u64,
    /// Bytes of bodies that each stream may send until they are called again.
    pub(super) share: usize,
    pub(super) send_window: i64,
    pub(super) receive_window: i64,
    pub(super) unreturned: u32,
    /// Bytes by which the streams' windows may still grow together.
    pub(super) spare: u32,
    pub(super) phase: Phase,
    /// The nine bytes of a frame's head, while they are not whole.
    pub(super) begun: Vec<u8>,
    /// A payload that is not whole.
    pub(super) payload: Vec<u8>,
    /// The parts of a head that have come.
    pub(super) parts: Vec<u8>,
    pub(super) budget: Budget,
    pub(super) course: Course,
    /// With what codes streams were given up for what the peer did, as long as nobody has counted it.
    pub(super) faults: Vec<Code>,
    /// A ping of ours that was not answered.
    pub(super) pinged: bool,
    /// Frames have come since it was asked last.
    pub(super) heard: bool,
}

impl State {
    /// A connection of which nothing was said yet; our settings are the first thing in `out`.
    pub fn new(role: Role, heads: Heads, profile: Profile, now: Instant) -> Self {
        let mut out = buffer::lend();
        if role == Role::Client {
            out.extend_from_slice(PREFACE);
        }
        let settings = [
            (id::ENABLE_PUSH, 0),
            (id::MAX_CONCURRENT_STREAMS, profile.streams),
            (id::INITIAL_WINDOW_SIZE, profile.window),
            (id::MAX_HEADER_LIST_SIZE, MOST_LIST),
        ];
        // Nobody pushes to a server: only a client says that it takes none.
        write::settings(&settings[usize::from(role == Role::Server)..], &mut out);
        if profile.connection_window > DEFAULT_WINDOW {
            write::window_update(0, profile.connection_window - DEFAULT_WINDOW, &mut out);
        }
        Self {
            role,
            heads,
            profile,
            allowed: Allowed::before_settings(&profile),
            streams: HashMap::default(),
            next: 1,
            highest: 0,
            skipped: 0..0,
            said_last: LAST_STREAM,
            forgotten: Forgotten::new(REMEMBERED * profile.streams as usize),
            opened: Vec::new(),
            out,
            io: None,
            blocked: Vec::new(),
            round: 0,
            share: MOST_OUT,
            send_window: i64::from(DEFAULT_WINDOW),
            receive_window: i64::from(profile.connection_window),
            unreturned: 0,
            spare: profile.growth(),
            phase: if role == Role::Server { Phase::Preface(0) } else { Phase::FirstFrame },
            begun: Vec::new(),
            payload: Vec::new(),
            parts: Vec::new(),
            budget: Budget::new(profile.budget, profile.budget_a_second, now),
            course: Course::Open,
            faults: Vec::new(),
            pinged: false,
            heard: false,
        }
    }

    /// How many more streams may be opened now.
    pub fn room(&self) -> usize {
        if self.role == Role::Server || self.is_leaving() || self.out.len() >= MOST_SAID {
            return 0;
        }
        (self.allowed.streams.min(self.profile.streams) as usize).saturating_sub(self.streams.len())
    }

    /// Streams that somebody uses.
    pub fn in_use(&self) -> usize {
        self.streams.len()
    }

    /// Whether frames wait to be sent.
    pub fn has_news(&self) -> bool {
        !self.out.is_empty()
    }

    /// Opens a stream with a request's head, if there is room; `bodiless` if it asks for a response without a body.
    pub fn open(&mut self, head: Head<'_>, end: bool, bodiless: bool) -> Option<u32> {
        if self.room() == 0 {
            return None;
        }
        let id = self.next;
        self.next += 2;
        let mut stream = Stream::new(i64::from(self.allowed.window), self.profile.window);
        (stream.local_ended, stream.bodiless) = (end, bodiless);
        self.budget.earn(EARNED);
        self.streams.insert(id, stream);
        self.heads.write(id, head, end, self.allowed.frame, ready(&mut self.out));
        if !bodiless {
            self.start(id);
        }
        self.news();
        Some(id)
    }

    /// Says a head or trailers on a stream.
    pub fn say(&mut self, id: u32, head: Head<'_>, end: bool) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.lost.is_none() && !stream.local_ended)
        else {
            return;
        };
        stream.local_ended = end;
        self.heads.write(id, head, end, self.allowed.frame, ready(&mut self.out));
        self.news();
    }

    /// Shows `see` the next part that has come on a stream, and says how much of it `see` has taken; waits until there is
    /// one. None at the end.
    pub fn poll_part<R>(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        most: usize,
        see: impl FnOnce(Option<(Part, &[u8])>) -> R,
    ) -> Poll<Result<R, Lost>> {
        let Some(stream) = self.streams.get_mut(&id) else { return Poll::Ready(Err(Lost::Broken)) };
        let Some((part, bytes)) = stream.inbox.front(most) else {
            return match (stream.lost, stream.remote_ended) {
                (_, true) => Poll::Ready(Ok(see(None))),
                (Some(lost), false) => Poll::Ready(Err(lost)),
                (None, false) => {
                    wait(&mut stream.reader, cx);
                    Poll::Pending
                }
            };
        };
        let count = bytes.len();
        let seen = see(Some((part, bytes)));
        stream.inbox.take(count);
        if part == Part::Data {
            self.taken(id, u32::try_from(count).unwrap_or(u32::MAX));
        }
        Poll::Ready(Ok(seen))
    }

    /// Whether the peer has said all, and all of it was taken.
    pub fn has_ended(&self, id: u32) -> bool {
        self.streams.get(&id).is_none_or(|stream| stream.remote_ended && stream.inbox.is_empty())
    }

    /// Waits until the stream is lost.
    pub fn poll_lost(&mut self, cx: &Context<'_>, id: u32) -> Poll<Lost> {
        let Some(stream) = self.streams.get_mut(&id) else { return Poll::Ready(Lost::Broken) };
        if let Some(lost) = stream.lost {
            return Poll::Ready(lost);
        }
        wait(&mut stream.reader, cx);
        Poll::Pending
    }

    /// Nobody uses the stream any more: it is forgotten, and given up with `code` where it is not over.
    pub fn release(&mut self, id: u32, code: Code) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        let waiting = u32::try_from(stream.inbox.forget()).unwrap_or(u32::MAX);
        self.spare += stream.window - self.profile.window;
        if stream.blocked {
            self.blocked.retain(|blocked| *blocked != id);
        }
        if !stream.is_over() {
            self.reset(id, code);
        }
        if waiting > 0 {
            self.return_window(waiting);
        }
        if self.course == Course::Draining && self.streams.is_empty() {
            self.news(); // it may end now
        }
    }

    /// Tells the peer that a stream is given up.
    pub(super) fn reset(&mut self, id: u32, code: Code) {
        self.forgotten.add(id);
        write::reset_stream(id, code, ready(&mut self.out));
        self.news();
    }

    /// Begins to end: what is under way goes on. A server says so twice, so that a request on its way is not lost
    /// (section 6.8); who opened the connection just opens no more.
    pub fn leave(&mut self) {
        if self.course == Course::Open {
            if self.role == Role::Server {
                self.course = Course::Leaving;
                write::go_away(LAST_STREAM, Code::NoError, &[], ready(&mut self.out));
                // Whoever looks next must leave time for the answer.
                (self.pinged, self.heard) = (true, true);
                write::ping(LEAVING, ready(&mut self.out));
            } else {
                self.course = Course::Draining;
            }
            self.news();
        }
    }

    /// The peer has heard that we end: from here on nothing new is taken.
    pub fn drain(&mut self) {
        if self.course == Course::Leaving {
            self.course = Course::Draining;
            self.said_last = self.highest;
            write::go_away(self.highest, Code::NoError, &[], ready(&mut self.out));
            self.news();
        }
    }

    /// Asks the peer for a sign of life.
    pub fn ping(&mut self) {
        self.pinged = true;
        write::ping(*b"injector", ready(&mut self.out));
        self.news();
    }

    /// Ends because of what the peer did wrong; it is told.
    pub fn fail(&mut self, code: Code) {
        if self.course != Course::Over {
            write::go_away(self.highest.min(self.said_last), code, &[], ready(&mut self.out));
        }
        self.end(Lost::Broken);
    }

    /// The connection is over, for this reason.
    pub fn end(&mut self, lost: Lost) {
        self.course = Course::Over;
        for stream in self.streams.values_mut() {
            stream.lose(lost);
        }
        self.news();
    }

    /// Whether no more streams will ever be opened.
    pub fn is_leaving(&self) -> bool {
        self.course != Course::Open || self.next > LAST_STREAM
    }

    /// Whether nothing is left to wait for.
    pub fn is_done(&self) -> bool {
        match self.course {
            Course::Over => true,
            Course::Draining => self.streams.is_empty() && self.opened.is_empty(),
            Course::Open | Course::Leaving => false,
        }
    }

    /// Takes the streams that the peer has opened. Those that it has given up meanwhile nobody needs to hear of
    /// (CVE-2023-44487).
    pub fn take_opened(&mut self) -> Vec<u32> {
        let mut opened = mem::take(&mut self.opened);
        opened.retain(|id| {
            let lost = self.streams.get(id).is_none_or(|stream| stream.lost.is_some());
            if lost {
                self.release(*id, Code::Cancel);
            } else {
                self.start(*id);
            }
            !lost
        });
        opened
    }

    /// Who sends waits for something to send.
    pub fn wait_for_news(&mut self, cx: &Context<'_>) {
        wait(&mut self.io, cx);
    }

    /// Wakes whoever sends.
    pub(super) fn news(&mut self) {
        if let Some(waker) = self.io.take() {
            waker.wake();
        }
    }
}

/// Keeps the waker, if it is not the one that is kept already.
pub(super) fn wait(kept: &mut Option<Waker>, cx: &Context<'_>) {
    if !kept.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *kept = Some(cx.waker().clone());
    }
}

/// Where frames may be written: a buffer is lent when there is something to write.
pub(super) fn ready(out: &mut Vec<u8>) -> &mut Vec<u8> {
    if out.capacity() == 0 {
        *out = buffer::lend();
    }
    out
}
