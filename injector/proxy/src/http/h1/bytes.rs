//! Which byte may stand where, by table, and how far a run of such bytes goes.

/// A letter, a digit or '-': what names of fields usually consist of.
pub(super) const PLAIN: u8 = 1;
/// Any other byte of a token (RFC 9110, section 5.6.2).
pub(super) const ODD: u8 = 2;
/// A byte of a token.
pub(super) const TOKEN: u8 = PLAIN | ODD;
/// A byte of a request target before its '?'.
///
/// Every visible one but '#', although RFC 3986 has fewer: browsers and applications send '|', '{' and '^', and servers
/// agree on them. '#' they read differently: nginx cuts the target there, Go takes it for a part of the path. So are
/// bytes from 0x80: Node reads ISO-8859-1, Go UTF-8, Tomcat and HAProxy refuse them.
pub(super) const PATH: u8 = 4;
/// A byte behind the '?', which may come again.
pub(super) const QUERY: u8 = 8;
/// A byte of a registered name or an IPv4 address (RFC 3986, section 3.2.2). Not ',', which could
/// make two of one, nor '%', which some decode and some do not.
pub(super) const HOST: u8 = 16;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte: u8 = b'!';
    while byte <= b'~' {
        let mut class = 0;
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            class |= PLAIN | HOST;
        }
        if matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        ) {
            class |= ODD;
        }
        if matches!(byte, b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=') {
            class |= HOST;
        }
        if byte != b'#' {
            class |= QUERY;
            if byte != b'?' {
                class |= PATH;
            }
        }
        table[byte as usize] = class;
        byte += 1;
    }
    table
}

/// The classes of a byte.
#[inline]
pub(super) fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// Where the run of such bytes ends that begins `at`.
#[inline]
pub(super) fn run(bytes: &[u8], at: usize, classes: u8) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|&byte| class(byte) & classes == 0).unwrap_or(rest.len())
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// The high bits of the bytes that are controls. The lowest that is set tells the truth; those above may be borrowed.
#[inline]
fn controls(word: u64) -> u64 {
    let below_space = word.wrapping_sub(0x20 * ONES) & !word;
    let other_than_delete = word ^ (0x7f * ONES);
    let delete = other_than_delete.wrapping_sub(ONES) & !other_than_delete;
    (below_space | delete) & HIGH
}

/// Where the text that begins `at` ends: at the first control that is no tab. Eight bytes at a time, as values are most
/// of what a head consists of.
#[inline]
pub(super) fn text_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    loop {
        while let Some(word) = bytes.get(end..).and_then(<[u8]>::first_chunk::<8>) {
            let found = controls(u64::from_le_bytes(*word));
            if found != 0 {
                end += found.trailing_zeros() as usize / 8;
                break;
            }
            end += 8;
        }
        match bytes.get(end) {
            Some(&byte) if byte == b'\t' || !byte.is_ascii_control() => end += 1,
            _ => return end,
        }
    }
}

/// A range of a head. Heads are shorter than 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
}

impl Span {
    /// From here to there.
    #[inline]
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: place(start), end: place(end) }
    }

    /// The bytes of the head that it came from.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// A place in a head. Limits keep heads far shorter than what fits.
#[inline]
pub(super) fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Without optional white space around it (RFC 9110, section 5.6.3).
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slowly(bytes: &[u8], at: usize) -> usize {
        let ends = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        bytes[at..].iter().position(ends).map_or(bytes.len(), |length| at + length)
    }

    #[test]
    fn every_byte_is_found_at_every_place_of_a_word() {
        for byte in 0..=u8::MAX {
            for at in 0..24 {
                let mut bytes = [b'a'; 24];
                bytes[at] = byte;
                assert_eq!(text_end(&bytes, 0), slowly(&bytes, 0), "{byte:#x} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn text_ends_where_it_would_slowly(bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..64) {
            let at = at.min(bytes.len());
            prop_assert_eq!(text_end(&bytes, at), slowly(&bytes, at));
        }
    }
}
