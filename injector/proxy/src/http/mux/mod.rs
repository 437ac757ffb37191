//! One connection that carries many messages at once: streams with windows of their own (RFC 9113).
//!
//! Whoever uses a stream has a handle to it, and one task a connection (`drive`) reads and writes the socket. What the
//! handles say gathers in one buffer and goes out with one write when that task's turn comes, so the busier a connection
//! is, the fewer system calls a message costs.
//!
//! Two proxies speak to each other this way whatever the application speaks (`heads`).

mod blocks;
mod budget;
mod control;
mod data;
mod drive;
mod forgotten;
mod heads;
mod identity;
mod inbox;
mod receive;
mod settings;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod turns;
mod windows;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

pub use drive::{Ended, Event, drive};
pub use heads::{Head, Heads};
pub use inbox::Part;
pub use settings::Profile;
pub use state::{Role, State};
pub use stream::Lost;

use super::h2::frame::Code;

/// A multiplexed connection, for whoever opens streams on it. Its users and the task that drives it are on one thread:
/// the lock is never waited for.
#[derive(Clone, Debug)]
pub struct Link(Arc<Mutex<State>>);

impl Link {
    /// A connection of which nothing was said yet.
    pub fn new(role: Role, heads: Heads, profile: Profile) -> Self {
        Self(Arc::new(Mutex::new(State::new(role, heads, profile, Instant::now()))))
    }

    /// Opens a stream with a request's head; none if there is no room. `end`: it has no body. `bodiless`: nor will the
    /// response have one.
    pub fn open(&self, head: Head<'_>, end: bool, bodiless: bool) -> Option<Stream> {
        let id = self.state().open(head, end, bodiless)?;
        Some(Stream { link: self.clone(), id, code: Code::Cancel })
    }

    /// How many more streams may be opened now.
    pub fn room(&self) -> usize {
        self.state().room()
    }

    /// Which end of it we are.
    pub fn role(&self) -> Role {
        self.state().role
    }

    /// Streams that somebody uses.
    pub fn in_use(&self) -> usize {
        self.state().in_use()
    }

    /// Whether new streams will never be opened again.
    pub fn is_leaving(&self) -> bool {
        self.state().is_leaving()
    }

    /// Opens no more streams; what is under way goes on.
    pub fn leave(&self) {
        self.state().leave();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream, for as long as it is used: one that is dropped before its end is given up.
#[derive(Debug)]
pub struct Stream {
    link: Link,
    id: u32,
    code: Code,
}

impl Stream {
    /// Says a head or trailers; `end`: and nothing after it.
    pub fn say(&self, head: Head<'_>, end: bool) {
        self.link.state().say(self.id, head, end);
    }

    /// How many bytes of a body may be sent now; waits until there are some.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<usize, Lost>> {
        self.link.state().poll_room(cx, self.id)
    }

    /// Sends some of a body, no more than `poll_room` allows; `end`: and nothing after it.
    pub fn send(&self, bytes: &[u8], end: bool) {
        self.link.state().send(self.id, bytes, end);
    }

    /// Shows `see` the next part that has come, a body's in pieces of `most` bytes; waits until there is one. None at the
    /// end.
    pub fn poll_part<R>(
        &self,
        cx: &Context<'_>,
        most: usize,
        see: impl FnOnce(Option<(Part, &[u8])>) -> R,
    ) -> Poll<Result<R, Lost>> {
        self.link.state().poll_part(cx, self.id, most, see)
    }

    /// Whether the peer has said all, and all of it was taken.
    pub fn has_ended(&self) -> bool {
        self.link.state().has_ended(self.id)
    }

    /// Ready when nothing can be said or heard on it any more.
    pub fn poll_lost(&self, cx: &Context<'_>) -> Poll<Lost> {
        self.link.state().poll_lost(cx, self.id)
    }

    /// Says with what code it is given up, should it be.
    pub fn give_up_with(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.link.state().release(self.id, self.code);
    }
}
