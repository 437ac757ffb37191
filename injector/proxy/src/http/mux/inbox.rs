//! What has come on a stream and was not taken yet: bytes, and what they are.

use std::collections::VecDeque;

use super::super::buffer::Queue;

/// What bytes on a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A message's head; there may be several interim ones.
    Head,
    /// Some of its body.
    Data,
    /// What follows the body.
    Trailers,
}

/// Parts in the order in which they came.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Queue,
    /// What lies in `bytes`, and how much of it.
    parts: VecDeque<(Part, usize)>,
}

impl Inbox {
    /// Adds a part; a body's pieces are joined.
    pub fn push(&mut self, part: Part, bytes: &[u8]) {
        self.bytes.push(bytes);
        match self.parts.back_mut() {
            Some((Part::Data, length)) if part == Part::Data => *length += bytes.len(),
            _ => self.parts.push_back((part, bytes.len())),
        }
    }

    /// The first part, `most` bytes of it if it is a body's.
    pub fn front(&self, most: usize) -> Option<(Part, &[u8])> {
        let &(part, length) = self.parts.front()?;
        let length = if part == Part::Data { length.min(most) } else { length };
        Some((part, &self.bytes.waiting()[..length]))
    }

    /// Drops the first `count` bytes, which `front` has shown.
    pub fn take(&mut self, count: usize) {
        if let Some((_, length)) = self.parts.front_mut() {
            *length -= count;
            if *length == 0 {
                self.parts.pop_front();
            }
        }
        self.bytes.take(count);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Bytes of bodies that wait.
    pub fn data(&self) -> usize {
        self.parts.iter().filter(|(part, _)| *part == Part::Data).map(|(_, length)| length).sum()
    }

    /// Bytes of heads that wait.
    pub fn heads(&self) -> usize {
        self.bytes.len() - self.data()
    }

    /// Forgets everything; how many bytes of bodies there were.
    pub fn forget(&mut self) -> usize {
        let data = self.data();
        self.bytes.take(self.bytes.len());
        self.parts.clear();
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_out_as_they_went_in_and_bodies_in_any_pieces() {
        let mut inbox = Inbox::default();
        for (part, bytes) in
            [(Part::Head, &b"head"[..]), (Part::Data, b"one"), (Part::Data, b"two"), (Part::Trailers, b"")]
        {
            inbox.push(part, bytes);
        }
        assert_eq!((inbox.front(1), inbox.data()), (Some((Part::Head, &b"head"[..])), 6));
        inbox.take(4);
        assert_eq!(inbox.front(4), Some((Part::Data, &b"onet"[..])));
        inbox.take(4);
        assert_eq!(inbox.front(100), Some((Part::Data, &b"wo"[..])));
        inbox.take(2);
        assert_eq!(inbox.front(0), Some((Part::Trailers, &b""[..])));
        inbox.take(0);
        assert!(inbox.is_empty() && inbox.front(1).is_none());
    }
}
