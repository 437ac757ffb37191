//! Buffers that are lent for as long as something is under way: what waits holds none.
//!
//! A thread keeps the ones that came back, so that a request in the steady state costs no allocation.

use std::cell::RefCell;
use std::mem;

/// Bytes that a lent buffer has room for: a head with all of a browser's cookies, and one read of a body.
pub const ROOM: usize = 16 * 1024;

/// Buffers that a thread keeps: 1 MiB. More are in use only while more than so many messages are under way at once.
const KEPT: usize = 64;

/// A buffer that has grown beyond this is not kept: it was needed for something unusual.
const LARGEST_KEPT: usize = 4 * ROOM;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with `ROOM` at least.
pub fn lend() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(ROOM))
}

/// Takes a buffer's memory back and leaves an empty one that holds none.
pub fn give_back(buffer: &mut Vec<u8>) {
    let mut buffer = mem::take(buffer);
    if (ROOM..=LARGEST_KEPT).contains(&buffer.capacity()) {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < KEPT {
                buffer.clear();
                spare.push(buffer);
            }
        });
    }
}

/// Bytes that wait to be taken from the front. Holds memory only while there are any.
#[derive(Debug, Default)]
pub struct Queue {
    bytes: Vec<u8>,
    at: usize,
}

impl Queue {
    /// Those that wait.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Adds some behind the others.
    pub fn push(&mut self, bytes: &[u8]) {
        self.behind().extend_from_slice(bytes);
    }

    /// Where more may be written, behind the others.
    pub fn behind(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = lend();
        } else if self.at > 0 && self.at >= self.bytes.len() - self.at {
            // What is left is less than what is gone: moving it costs no more than writing it did.
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        &mut self.bytes
    }

    /// Drops the first `count`.
    pub fn take(&mut self, count: usize) {
        self.at += count;
        self.rest();
    }

    /// Gives the memory back if nothing waits in it.
    pub fn rest(&mut self) {
        if self.at >= self.bytes.len() {
            self.at = 0;
            give_back(&mut self.bytes);
        }
    }
}

impl From<Vec<u8>> for Queue {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_came_back_is_lent_again() {
        let mut first = lend();
        first.extend_from_slice(b"secret");
        let at = first.as_ptr();
        give_back(&mut first);
        assert_eq!(first.capacity(), 0);
        let again = lend();
        assert_eq!((again.as_ptr(), again.len()), (at, 0));
    }

    #[test]
    fn large_and_surplus_ones_are_not_kept() {
        give_back(&mut Vec::with_capacity(LARGEST_KEPT + 1));
        let lent: Vec<_> = (0..2 * KEPT).map(|_| lend()).collect();
        for mut buffer in lent {
            give_back(&mut buffer);
        }
        assert_eq!(SPARE.with_borrow(Vec::len), KEPT);
        assert!(SPARE.with_borrow(|spare| spare.iter().all(|buffer| buffer.capacity() == ROOM)));
    }

    proptest! {
        #[test]
        fn a_queue_is_first_in_first_out(steps in prop::collection::vec((0usize..5000, 0usize..5000), 0..40)) {
            let (mut queue, mut model, mut next) = (Queue::default(), Vec::new(), 0u8);
            for (more, less) in steps {
                let bytes: Vec<u8> = (0..more).map(|_| { next = next.wrapping_add(1); next }).collect();
                queue.push(&bytes);
                model.extend(bytes);
                let less = less.min(model.len());
                queue.take(less);
                model.drain(..less);
                prop_assert_eq!(queue.waiting(), &model[..]);
                prop_assert!(!model.is_empty() || queue.bytes.capacity() == 0);
            }
        }
    }
}
