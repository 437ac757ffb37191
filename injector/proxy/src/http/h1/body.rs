//! Bodies in chunks (RFC 9112, section 7.1), followed byte by byte and handed on without a copy.

use std::io::Write as _;
use std::ops::Range;

use super::closed_set;
use super::refusal::Broken;
use super::trailers::sanitise;

pub use super::trailers::MOST_TRAILER_FIELDS;

/// Digits of a chunk's size at most: 16 are 64 bits.
const MOST_DIGITS: u32 = 16;

/// Bytes of a chunk at most: sums of chunks then stay far below 2^64.
const MOST_CHUNK: u64 = 1 << 60;

/// Bytes of one chunk's extensions at most. Nobody is known to use them, except to make others work.
pub const MOST_EXTENSION: usize = 1024;

/// Bytes of a whole body's extensions at most: the RFC asks for such a limit (section 7.1.1).
pub const MOST_EXTENSIONS: usize = 16 * 1024;

/// Bytes of a trailer section at most: as many as a small head.
pub const MOST_TRAILERS: usize = 16 * 1024;

closed_set! {
    /// Why a body in chunks is none.
    BodyFault {
        /// No hexadecimal number.
        Size = "chunk_size", "a chunk has a malformed size";
        /// A larger one than anybody sends.
        LargeChunk = "large_chunk", "a chunk is too large";
        /// A control character in an extension.
        Extension = "chunk_extension", "a chunk has a malformed extension";
        /// More than is carried.
        LongExtension = "long_chunk_extension", "the extensions of chunks are too long";
        /// A line that ends with LF alone.
        BareLf = "chunk_bare_lf", "a line between chunks ends without CR";
        /// A CR that no LF follows.
        BareCr = "chunk_bare_cr", "a CR between chunks is not followed by LF";
        /// The chunk is longer than it says.
        Overrun = "chunk_overrun", "a chunk does not end where its size says";
        /// A trailer that is no field.
        Trailer = "trailer", "a trailer is malformed";
        /// More bytes than `MOST_TRAILERS`, or fields than `MOST_TRAILER_FIELDS`.
        LongTrailers = "long_trailers", "the trailers are too long";
    }
}

/// Whether more is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The body is complete; what follows is another message.
    Ended,
    /// It is not.
    More,
}

/// What one call found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that are done with, `data` included.
    pub consumed: usize,
    /// The body's bytes among them.
    pub data: Range<usize>,
    /// Whether that was all.
    pub state: Progress,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    #[default]
    Start,
    /// In a size of so many digits.
    Size(u32),
    /// In an extension of so many bytes.
    Extension(usize),
    /// Behind the CR of a size's line.
    SizeCr,
    /// In a chunk.
    Data,
    /// Behind a chunk.
    DataEnd,
    /// Behind the CR that follows a chunk.
    DataCr,
    /// At the beginning of a line of the trailer section.
    TrailerStart,
    /// In such a line.
    Trailer,
    /// Behind its CR.
    TrailerCr,
    /// Behind the CR of the empty line.
    LastCr,
    /// Behind it all.
    Ended,
}

/// Follows one body in chunks. Used again for the next one after `reset`.
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    remaining: u64,
    extensions: usize,
    trailers: Vec<u8>,
}

impl Chunked {
    /// Before the first chunk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Before the first chunk of another body.
    pub fn reset(&mut self) {
        self.state = State::Start;
        self.remaining = 0;
        self.extensions = 0;
        self.trailers.clear();
    }

    /// Whether the body is complete.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The trailers that may be handed on, each line with its CRLF and without an empty one behind; complete once the
    /// body has ended.
    pub fn trailers(&self) -> &[u8] {
        if self.has_ended() { &self.trailers } else { &[] }
    }

    /// Goes on with `input`, up to the end of the first piece of data in it, or to its end if there is none.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, BodyFault> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Ended => break,
                State::Data => {
                    let left = usize::try_from(self.remaining).unwrap_or(usize::MAX);
                    let end = at + left.min(input.len() - at);
                    self.remaining -= (end - at) as u64;
                    if self.remaining == 0 {
                        self.state = State::DataEnd;
                    }
                    return Ok(Step { consumed: end, data: at..end, state: Progress::More });
                }
                State::Trailer => at += self.trailer_text(&input[at..])?,
                _ => {
                    self.state = self.frame(byte)?;
                    at += 1;
                }
            }
        }
        let state = if self.has_ended() { Progress::Ended } else { Progress::More };
        Ok(Step { consumed: at, data: at..at, state })
    }

    /// Takes one byte that is not the body's.
    fn frame(&mut self, byte: u8) -> Result<State, BodyFault> {
        match (self.state, byte) {
            (State::Start, _) => self.digit(byte, 0),
            (State::Size(_) | State::Extension(_), b'\r') => Ok(State::SizeCr),
            (State::Size(_) | State::Extension(_) | State::DataEnd | State::TrailerStart, b'\n') => {
                Err(BodyFault::BareLf)
            }
            // RFC 9112 would have white space before ';' tolerated. Those who do not would read another size, or none.
            (State::Size(_), b';') => self.extension(0),
            (State::Size(digits), _) => self.digit(byte, digits),
            (State::Extension(length), _) if byte == b'\t' || !byte.is_ascii_control() => self.extension(length),
            (State::Extension(_), _) => Err(BodyFault::Extension),
            (State::SizeCr, b'\n') if self.remaining == 0 => Ok(State::TrailerStart),
            (State::SizeCr, b'\n') => Ok(State::Data),
            (State::DataEnd, b'\r') => Ok(State::DataCr),
            (State::DataEnd, _) => Err(BodyFault::Overrun),
            (State::DataCr, b'\n') => Ok(State::Start),
            (State::TrailerStart, b'\r') => self.trailer_byte(byte, State::LastCr),
            (State::TrailerStart, _) => self.trailer_byte(byte, State::Trailer),
            (State::TrailerCr, b'\n') => self.trailer_byte(byte, State::TrailerStart),
            (State::LastCr, b'\n') => self.end(),
            (State::SizeCr | State::DataCr | State::TrailerCr | State::LastCr, _) => Err(BodyFault::BareCr),
            (State::Data | State::Trailer | State::Ended, _) => Ok(self.state), // `decode` sees to these
        }
    }

    fn digit(&mut self, byte: u8, digits: u32) -> Result<State, BodyFault> {
        let value = char::from(byte).to_digit(16).ok_or(BodyFault::Size)?;
        if digits == MOST_DIGITS {
            return Err(BodyFault::LargeChunk);
        }
        // What is at most 2^60 before has lost no bit after: it is checked with every digit.
        self.remaining = (self.remaining << 4) | u64::from(value);
        if self.remaining > MOST_CHUNK {
            return Err(BodyFault::LargeChunk);
        }
        Ok(State::Size(digits + 1))
    }

    fn extension(&mut self, length: usize) -> Result<State, BodyFault> {
        self.extensions += 1;
        if length == MOST_EXTENSION || self.extensions > MOST_EXTENSIONS {
            return Err(BodyFault::LongExtension);
        }
        Ok(State::Extension(length + 1))
    }

    fn trailer_byte(&mut self, byte: u8, next: State) -> Result<State, BodyFault> {
        self.keep(&[byte])?;
        Ok(next)
    }

    /// Keeps what comes of a line up to its end; how many bytes that was.
    fn trailer_text(&mut self, input: &[u8]) -> Result<usize, BodyFault> {
        let ends = input.iter().position(|&byte| matches!(byte, b'\r' | b'\n'));
        self.keep(&input[..ends.unwrap_or(input.len())])?;
        let Some(end) = ends else { return Ok(input.len()) };
        if input[end] == b'\n' {
            return Err(BodyFault::BareLf);
        }
        self.state = self.trailer_byte(b'\r', State::TrailerCr)?;
        Ok(end + 1)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), BodyFault> {
        if bytes.len() > MOST_TRAILERS - self.trailers.len() {
            return Err(BodyFault::LongTrailers);
        }
        self.trailers.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<State, BodyFault> {
        self.trailers.push(b'\n');
        sanitise(&mut self.trailers).map_err(|broken| match broken {
            Broken::Many => BodyFault::LongTrailers,
            _ => BodyFault::Trailer,
        })?;
        Ok(State::Ended)
    }
}

/// What follows each chunk.
pub const CHUNK_END: &[u8; 2] = b"\r\n";

/// Writes what precedes a chunk of so many bytes. One of none would end the body: write `last_chunk` for that.
pub fn chunk_head(length: usize, out: &mut Vec<u8>) {
    debug_assert!(length > 0, "an empty chunk ends the body");
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{length:x}\r\n");
}

/// Trailers as another proxy handed them on, each line with its CRLF, without those that must not be there. None: they
/// are malformed.
pub fn trailers(lines: &[u8]) -> Option<Vec<u8>> {
    let mut section = [lines, CHUNK_END].concat();
    sanitise(&mut section).ok().map(|()| section)
}

/// Writes the end of a body, with trailers as `Chunked::trailers` gives them.
pub fn last_chunk(trailers: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}
