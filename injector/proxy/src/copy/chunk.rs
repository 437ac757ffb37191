//! Bytes on their way: one buffer, cut into pieces that have room for a TLS record's frame around them.
//!
//! So nothing on the way is copied: a read fills the pieces, sealing or opening happens where they lie, one write takes
//! all of them.

use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::task::Poll;

use super::{LEAST, MOST};
use crate::tls::record::{CONTENT, HEAD, LONGEST, RECORD, TAIL};

/// Pieces that are read into at once at most.
const PIECES: usize = MOST / CONTENT;

/// Bytes: `MOST` as records, behind the part of one that came before.
const CAPACITY: usize = LONGEST + PIECES * RECORD;

/// A piece shorter than this is moved up to the one before it: copying so little costs less than another part of a write,
/// and a peer's thousands of tiny records become few pieces.
const JOINED: usize = 4096;

/// The buffer, and where in it the pieces lie.
#[derive(Debug)]
pub struct Chunk {
    bytes: Box<[u8]>,
    pieces: Vec<Range<usize>>,
    /// What must be written before the first piece.
    preamble: Vec<u8>,
}

impl Chunk {
    /// Its pages are touched as reads grow.
    pub fn new() -> Self {
        Self { bytes: vec![0; CAPACITY].into_boxed_slice(), pieces: Vec::new(), preamble: Vec::new() }
    }

    /// Forgets what was in it.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.preamble.clear();
    }

    /// Bytes in its pieces.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(ExactSizeIterator::len).sum()
    }

    /// Whether there is not one byte in it.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// All of it, for whoever lays out pieces with `push`.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Where one piece of `most` bytes may be read to; `filled` says how many came.
    pub fn whole(&mut self, most: usize) -> &mut [u8] {
        self.clear();
        &mut self.bytes[HEAD..HEAD + most]
    }

    /// Where pieces for `most` bytes, each as long as a record's content, may be read to; `filled` says how many came.
    pub fn cut(&mut self, most: usize) -> ([IoSliceMut<'_>; PIECES], usize) {
        self.clear();
        let mut rooms =
            self.bytes.chunks_exact_mut(RECORD).map(|room| IoSliceMut::new(&mut room[HEAD..HEAD + CONTENT]));
        let slices = std::array::from_fn(|_| rooms.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        (slices, (most / CONTENT).clamp(1, PIECES))
    }

    /// Tells that `count` bytes were read into `whole`, where `cut` is false, or into `cut`.
    pub fn filled(&mut self, count: usize, cut: bool) {
        if !cut {
            self.pieces.push(HEAD..HEAD + count);
            return;
        }
        for (at, left) in (0..PIECES).map(|piece| (piece * RECORD + HEAD, count.saturating_sub(piece * CONTENT))) {
            if left == 0 {
                break;
            }
            self.pieces.push(at..at + left.min(CONTENT));
        }
    }

    /// Puts a copy of the first bytes of `source` in, and says how many: `LEAST` at most.
    pub fn copy_from(&mut self, source: &[u8]) -> usize {
        let count = source.len().min(LEAST);
        self.whole(count).copy_from_slice(&source[..count]);
        self.filled(count, false);
        count
    }

    /// Puts a copy of the first bytes of `source` in, cut into pieces as long as a record's content, and says how many:
    /// `MOST` at most.
    pub fn copy_cut(&mut self, source: &[u8]) -> usize {
        self.clear();
        let count = source.len().min(MOST);
        for (room, piece) in self.bytes.chunks_exact_mut(RECORD).zip(source[..count].chunks(CONTENT)) {
            room[HEAD..HEAD + piece.len()].copy_from_slice(piece);
        }
        self.filled(count, true);
        count
    }

    /// Adds the piece that lies at `range`, behind all others. Small ones are joined to the piece before.
    pub fn push(&mut self, range: Range<usize>) {
        match self.pieces.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if range.len() < JOINED && last.len() + range.len() <= CONTENT => {
                let end = last.end + range.len();
                self.bytes.copy_within(range, last.end);
                last.end = end;
            }
            _ => self.pieces.push(range),
        }
    }

    /// The pieces, one after the other.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|piece| &self.bytes[piece.clone()])
    }

    /// Makes each piece a record: `seal` is given it with its frame around it. What `preamble` holds goes first.
    pub fn frame<E>(&mut self, preamble: Vec<u8>, mut seal: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<(), E> {
        self.preamble = preamble;
        for piece in &mut self.pieces {
            *piece = piece.start - HEAD..piece.end + TAIL;
            seal(&mut self.bytes[piece.clone()])?;
        }
        Ok(())
    }

    /// Writes it all by `put`: how many bytes were taken, frames and all, and those that were not.
    pub fn write(
        &self,
        mut put: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> io::Result<(usize, Box<[u8]>)> {
        let mut slices: Vec<IoSlice<'_>> = std::iter::once(self.preamble.as_slice())
            .filter(|preamble| !preamble.is_empty())
            .chain(self.pieces())
            .map(IoSlice::new)
            .collect();
        let (mut left, mut taken) = (slices.as_mut_slice(), 0);
        while !left.is_empty() {
            match put(left) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    taken += count;
                    IoSlice::advance_slices(&mut left, count);
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok((taken, concat(left))),
            }
        }
        Ok((taken, Box::default()))
    }
}

fn concat(slices: &[IoSlice<'_>]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum());
    for slice in slices {
        bytes.extend_from_slice(slice);
    }
    bytes.into_boxed_slice()
}

impl Default for Chunk {
    fn default() -> Self {
        Self::new()
    }
}
