//! The fields of a head: found in one pass, remembered as ranges with a class, so that rewriting compares no name
//! again.

use super::bytes::{ODD, Span, TOKEN, class, place, run, text_end};
use super::refusal::Broken;

/// Fields of a head at most: browsers send 20, and nobody has said what more than 256 are for. 24 bytes each: 6 KiB of
/// scratch.
pub const MOST_FIELDS: usize = 256;

/// Options of Connection, besides those that are known, at most. Each is compared with each field's name: 256 x 16.
pub(super) const MOST_NOMINATED: usize = 16;

/// What the name of everything begins with that the mesh itself says.
const MESH: &[u8; 8] = b"injector";

/// What a field means to whoever carries it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing.
    Plain,
    /// For whom the request is.
    Host,
    /// Frames the body.
    ContentLength,
    /// Frames the body.
    TransferEncoding,
    /// Holds for this connection only, and says what else does.
    Connection,
    /// Holds for this connection only.
    KeepAlive,
    /// Old clients said Connection so.
    ProxyConnection,
    /// What codings this connection's opener takes, other than `trailers` alone.
    Te,
    /// `TE: trailers`, which holds all the way: we carry trailers.
    TeTrailers,
    /// What the connection is to become.
    Upgrade,
    /// Comes with `Upgrade: h2c`.
    Http2Settings,
    /// Whether somebody waits for 100.
    Expect,
    /// What only the mesh may say: a name that reads as "injector-" and anything.
    Mesh,
    /// A name that reads as Content-Length or Transfer-Encoding to those who map other characters to '-'.
    LookAlike,
    /// Connection says that it holds for this connection only.
    Nominated,
}

impl Class {
    /// Its bit in a set.
    pub(super) const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// One line of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it means.
    pub class: Class,
    /// Its name; the line begins here.
    pub name: Span,
    /// Its value, without white space around it.
    pub value: Span,
    /// Where the line ends, behind its CRLF.
    pub end: u32,
}

/// The fields of one head, in order. Made once and used again for every head of a connection.
#[derive(Debug, Default)]
pub struct Fields {
    list: Vec<Field>,
    seen: u16,
    pub(super) nominated: Vec<Span>,
}

impl Fields {
    /// Room for fields; it grows with the first heads and never shrinks.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each field.
    pub fn iter(&self) -> std::slice::Iter<'_, Field> {
        self.list.iter()
    }

    /// Each name and value, from the bytes that were parsed.
    pub fn lines<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.list.iter().map(|field| (field.name.of(bytes), field.value.of(bytes)))
    }

    /// The value of the first field of that name.
    pub fn value<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let field = self.list.iter().find(|field| field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()))?;
        Some(field.value.of(bytes))
    }

    /// Whether there is a field of that class.
    pub fn has(&self, class: Class) -> bool {
        self.has_any(class.bit())
    }

    pub(super) fn has_any(&self, classes: u16) -> bool {
        self.seen & classes != 0
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.nominated.clear();
        self.seen = 0;
    }

    /// For how many fields and options there is room without more memory.
    #[cfg(test)]
    pub(super) fn room(&self) -> (usize, usize) {
        (self.list.capacity(), self.nominated.capacity())
    }

    pub(super) fn push(&mut self, field: Field) -> Result<(), Broken> {
        if self.list.len() == MOST_FIELDS {
            return Err(Broken::Many);
        }
        self.seen |= field.class.bit();
        self.list.push(field);
        Ok(())
    }

    /// Marks the fields that Connection names.
    pub(super) fn mark_nominated(&mut self, bytes: &[u8]) {
        for option in &self.nominated {
            let option = option.of(bytes);
            for field in &mut self.list {
                if field.class == Class::Plain && field.name.of(bytes).eq_ignore_ascii_case(option) {
                    field.class = Class::Nominated;
                    self.seen |= Class::Nominated.bit();
                }
            }
        }
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = &'a Field;
    type IntoIter = std::slice::Iter<'a, Field>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// What begins at a place of a head.
pub(super) enum Line {
    /// It is not there yet.
    More,
    /// The empty line that ends the head; behind it is this place.
    End(usize),
    /// A field.
    Field(Field),
}

/// The line that begins `at`.
#[inline]
pub(super) fn line(bytes: &[u8], at: usize) -> Result<Line, Broken> {
    let mut kinds = 0;
    let mut ends = None;
    for (length, &byte) in bytes.get(at..).unwrap_or_default().iter().enumerate() {
        let kind = class(byte) & TOKEN;
        if kind == 0 {
            ends = Some((at + length, byte));
            break;
        }
        kinds |= kind;
    }
    let Some((colon, stop)) = ends else { return Ok(Line::More) };
    if stop != b':' || colon == at {
        return no_field(bytes, at, colon, stop);
    }
    let value = skip_space(bytes, colon + 1);
    let text = text_end(bytes, value);
    let Some(end) = end_of_line(bytes, text, Broken::Value)? else { return Ok(Line::More) };
    let value = Span::new(value, trim_end(bytes, value, text));
    let name = bytes.get(at..colon).unwrap_or_default();
    let class = if kinds & ODD == 0 { classify(name) } else { classify_odd(name) };
    let class = if class == Class::Te { classify_te(value.of(bytes)) } else { class };
    Ok(Line::Field(Field { class, name: Span::new(at, colon), value, end: place(end) }))
}

/// What a line is that is no field: the end, or broken.
#[cold]
fn broken_name(at: usize, colon: usize, stop: u8) -> Broken {
    match stop {
        b' ' | b'\t' if colon == at => Broken::Fold,
        b' ' | b'\t' => Broken::SpaceInName,
        b'\n' if colon == at => Broken::BareLf,
        _ => Broken::Name,
    }
}

fn no_field(bytes: &[u8], at: usize, colon: usize, stop: u8) -> Result<Line, Broken> {
    if stop == b'\r' && colon == at {
        return Ok(end_of_line(bytes, at, Broken::Name)?.map_or(Line::More, Line::End));
    }
    Err(broken_name(at, colon, stop))
}

/// Where the line ends whose CRLF must stand `at`; None if that is not there yet.
#[inline]
pub(super) fn end_of_line(bytes: &[u8], at: usize, otherwise: Broken) -> Result<Option<usize>, Broken> {
    match bytes.get(at..).unwrap_or_default() {
        [b'\r', b'\n', ..] => Ok(Some(at + 2)),
        [] | [b'\r'] => Ok(None),
        [b'\r', ..] => Err(Broken::BareCr),
        [b'\n', ..] => Err(Broken::BareLf),
        _ => Err(otherwise),
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

fn trim_end(bytes: &[u8], start: usize, mut end: usize) -> usize {
    while end > start && matches!(bytes.get(end - 1), Some(b' ' | b'\t')) {
        end -= 1;
    }
    end
}

/// What a name of letters, digits and '-' means.
#[inline]
fn classify(name: &[u8]) -> Class {
    let (known, class): (&[u8], _) = match (name.len(), name.first().map(|first| first | 0x20)) {
        (2, Some(b't')) => (b"te", Class::Te),
        (4, Some(b'h')) => (b"host", Class::Host),
        (6, Some(b'e')) => (b"expect", Class::Expect),
        (7, Some(b'u')) => (b"upgrade", Class::Upgrade),
        (10, Some(b'c')) => (b"connection", Class::Connection),
        (10, Some(b'k')) => (b"keep-alive", Class::KeepAlive),
        (14, Some(b'c')) => (b"content-length", Class::ContentLength),
        (14, Some(b'h')) => (b"http2-settings", Class::Http2Settings),
        (16, Some(b'p')) => (b"proxy-connection", Class::ProxyConnection),
        (17, Some(b't')) => (b"transfer-encoding", Class::TransferEncoding),
        (_, Some(b'i')) if is_mesh(name) => return Class::Mesh,
        _ => return Class::Plain,
    };
    if name.eq_ignore_ascii_case(known) { class } else { Class::Plain }
}

/// What a name means that has other characters, which CGI and its heirs cannot tell from '-'.
fn classify_odd(name: &[u8]) -> Class {
    if is_mesh(name) {
        Class::Mesh
    } else if reads_as(name, b"content-length") || reads_as(name, b"transfer-encoding") {
        Class::LookAlike
    } else {
        Class::Plain
    }
}

/// Whether a name is the mesh's, to whoever reads it.
pub(super) fn is_mesh(name: &[u8]) -> bool {
    name.split_at_checked(MESH.len()).is_some_and(|(begin, rest)| {
        reads_as(begin, MESH) && rest.first().is_some_and(|byte| !byte.is_ascii_alphanumeric())
    })
}

/// Whether a name is that one once all but letters and digits are '-'.
pub(super) fn reads_as(name: &[u8], known: &[u8]) -> bool {
    let dashed = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == known.len() && name.iter().map(dashed).eq(known.iter().copied())
}

fn classify_te(value: &[u8]) -> Class {
    if value.eq_ignore_ascii_case(b"trailers") { Class::TeTrailers } else { Class::Te }
}

/// Whether a list is of tokens only; empty members are none (RFC 9110, section 5.6.1.2).
pub(super) fn is_token(member: &[u8]) -> bool {
    !member.is_empty() && run(member, 0, TOKEN) == member.len()
}
