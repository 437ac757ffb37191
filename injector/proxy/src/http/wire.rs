//! A connection of HTTP/1, with what was read and not taken, and what was said and not sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio_util::io::poll_read_buf;

use super::buffer::{Queue, ROOM};
use crate::connection::End;
use crate::metrics::Traffic;

/// Bytes that may wait to be sent before whoever speaks waits, too.
const MOST_OUT: usize = 64 * 1024;

/// A piece of a body that is at least so long is not copied if the socket takes it as it is.
const LONG: usize = 8 * 1024;

/// See the module. While nothing is under way it holds no buffer.
#[derive(Debug)]
pub struct Wire<S> {
    socket: S,
    input: Queue,
    output: Queue,
    /// The peer has said all.
    ended: bool,
    /// We have, as soon as `output` is sent.
    ending: bool,
    shut: bool,
    /// Bytes read and written, and not counted yet.
    read: u64,
    written: u64,
}

impl<S: End> Wire<S> {
    /// Of a connection from which `begun` was read already.
    pub fn new(socket: S, begun: Vec<u8>) -> Self {
        let read = begun.len() as u64;
        let (input, output) = (begun.into(), Queue::default());
        Self { socket, input, output, ended: false, ending: false, shut: false, read, written: 0 }
    }

    /// The connection underneath.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// What was read and not taken.
    pub fn waiting(&self) -> &[u8] {
        self.input.waiting()
    }

    /// Takes the first `count` bytes of it.
    pub fn take(&mut self, count: usize) {
        self.input.take(count);
    }

    /// Whether the peer has said all, whatever of it still waits.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing is under way in either direction.
    pub fn is_clean(&self) -> bool {
        !self.ended && !self.ending && self.input.is_empty() && self.output.is_empty()
    }

    /// Reads more, up to `ROOM` bytes; none at the end.
    pub fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        let buffer = self.input.behind();
        buffer.reserve(if buffer.len() < ROOM { 1 } else { ROOM });
        let read = poll_read_buf(Pin::new(&mut self.socket), cx, buffer);
        self.input.rest();
        let count = ready!(read)?;
        self.ended = count == 0;
        self.read += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Where something short may be written that is to be said.
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.output.behind()
    }

    /// Bytes said since they were counted last, for whoever wants to know whether there were more.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// How much may be said before the socket takes something of it.
    pub fn room(&self) -> usize {
        MOST_OUT.saturating_sub(self.output.len())
    }

    /// Says some bytes: at once if they are many and nothing waits before them.
    pub fn put(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> io::Result<()> {
        if self.output.is_empty()
            && bytes.len() >= LONG
            && let Poll::Ready(count) = Pin::new(&mut self.socket).poll_write(cx, bytes)
        {
            let count = count?;
            self.written += count as u64;
            bytes = &bytes[count..];
        }
        if !bytes.is_empty() {
            self.output.push(bytes);
        }
        Ok(())
    }

    /// Nothing more is said after what was put.
    pub fn finish(&mut self) {
        self.ending = true;
    }

    /// Counts what was read and written since it was counted last.
    pub fn tally(&mut self, traffic: &Traffic) {
        traffic.bytes_in.add(std::mem::take(&mut self.read));
        traffic.bytes_out.add(std::mem::take(&mut self.written));
    }

    /// Sends what was put.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, self.output.waiting()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => {
                    self.written += count as u64;
                    self.output.take(count);
                }
            }
        }
        self.output.rest();
        if self.ending && !self.shut {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
            self.shut = true;
        } else {
            ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}
