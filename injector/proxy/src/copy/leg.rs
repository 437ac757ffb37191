//! What the relay asks of a connection's two ends, plain or TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;

use super::chunk::Chunk;

/// What a read brought; no bytes at the end of the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Bytes for the other end.
    pub bytes: usize,
    /// Whether the read came as full as was asked: there is likely more.
    pub full: bool,
}

/// One end of a relayed connection. What it does by default is right for a plain one.
pub trait Leg: AsyncRead + AsyncWrite + Unpin {
    /// Whether what is written to it must be cut into records' contents.
    const CUT: bool = false;

    /// Reads once, `most` bytes at most, into `chunk`; into pieces as long as a record's content if it is to be `cut`.
    fn poll_fill(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk, most: usize, cut: bool) -> Poll<io::Result<Fill>> {
        let _ = cut; // one read fills one piece here
        poll_fill_whole(self, cx, chunk, if cut { most.min(super::LEAST) } else { most })
    }

    /// Makes of what is in `chunk` what goes over the wire.
    fn seal(&mut self, chunk: &mut Chunk) -> io::Result<()> {
        let _ = chunk;
        Ok(())
    }

    /// Writes to the wire.
    fn poll_put(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        poll_put(self, cx, slices)
    }

    /// What broke the connection underneath while nobody read from it or wrote to it.
    fn broken(&self) -> Option<io::Error> {
        None
    }

    /// Tells the peer why it is not listened to any more, if that can be told now. Nothing is written after it.
    fn tell(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }
}

impl Leg for TcpStream {
    fn broken(&self) -> Option<io::Error> {
        self.take_error().ok().flatten()
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk, most: usize, cut: bool) -> Poll<io::Result<Fill>> {
        if !cut || most <= super::LEAST {
            return poll_fill_whole(self, cx, chunk, most);
        }
        loop {
            ready!(self.poll_read_ready(cx))?;
            let (mut slices, pieces) = chunk.cut(most);
            match self.try_read_vectored(&mut slices[..pieces]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(bytes) => {
                    chunk.filled(bytes, true);
                    return Poll::Ready(Ok(Fill { bytes, full: bytes == most }));
                }
            }
        }
    }
}

/// One that is too large to be moved about.
impl<L: Leg> Leg for Box<L> {
    const CUT: bool = L::CUT;

    fn poll_fill(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk, most: usize, cut: bool) -> Poll<io::Result<Fill>> {
        (**self).poll_fill(cx, chunk, most, cut)
    }

    fn seal(&mut self, chunk: &mut Chunk) -> io::Result<()> {
        (**self).seal(chunk)
    }

    fn poll_put(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        (**self).poll_put(cx, slices)
    }

    fn broken(&self) -> Option<io::Error> {
        (**self).broken()
    }

    fn tell(&mut self, cx: &mut Context<'_>) {
        (**self).tell(cx);
    }
}

/// What stands for a socket where there is no kernel.
impl Leg for DuplexStream {}

/// A read into one piece.
fn poll_fill_whole(
    source: &mut (impl AsyncRead + Unpin + ?Sized),
    cx: &mut Context<'_>,
    chunk: &mut Chunk,
    most: usize,
) -> Poll<io::Result<Fill>> {
    let mut room = ReadBuf::new(chunk.whole(most));
    ready!(Pin::new(source).poll_read(cx, &mut room))?;
    let bytes = room.filled().len();
    if bytes > 0 {
        chunk.filled(bytes, false);
    }
    Poll::Ready(Ok(Fill { bytes, full: bytes == most }))
}

/// A plain write knows, and a vectored one does not (tokio), that a socket that took less than it was given is full.
pub fn poll_put(
    sink: &mut (impl AsyncWrite + Unpin + ?Sized),
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    match slices {
        [slice] => Pin::new(sink).poll_write(cx, slice),
        _ => Pin::new(sink).poll_write_vectored(cx, slices),
    }
}
