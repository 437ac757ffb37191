//! Which bytes may be where (RFC 9110, section 5; RFC 9113, section 8.2.1; RFC 3986, section 3.2).

use super::Malformed;

/// Of a token (RFC 9110, section 5.6.2).
const TOKEN: u8 = 1;
/// Of a field's name: a token without capitals.
const NAME: u8 = 2;
/// Of an authority: what names, addresses and ports consist of, but no `@`, behind which a user would be hidden.
const AUTHORITY: u8 = 4;
/// Of a path: neither controls nor spaces, nor `#`, behind which is what a client keeps to itself.
const PATH: u8 = 8;

static CLASSES: [u8; 256] = classes();

#[expect(clippy::cast_possible_truncation, reason = "constant: up to 255")]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < classes.len() {
        let byte = at as u8;
        classes[at] = match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'!' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'_' | b'~' => {
                TOKEN | NAME | AUTHORITY | PATH
            }
            b'A'..=b'Z' => TOKEN | AUTHORITY | PATH,
            b'^' | b'`' | b'|' => TOKEN | NAME | PATH,
            b'#' => TOKEN | NAME,
            b'(' | b')' | b',' | b';' | b'=' | b':' | b'[' | b']' => AUTHORITY | PATH,
            0x21..=0x7e | 0x80..=0xff => PATH,
            _ => 0,
        };
        at += 1;
    }
    classes
}

/// Whether all bytes are of a class. All are looked at: strings are short, and a loop without exits is faster.
#[inline]
fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().fold(class, |common, &byte| common & CLASSES[usize::from(byte)]) == class
}

/// A method: a token.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(bytes, TOKEN)
}

/// A name that HTTP/2 carries.
#[inline]
pub fn check_name(name: &[u8]) -> Result<(), Malformed> {
    if !name.is_empty() && all(name, NAME) { Ok(()) } else { Err(Malformed::Name) }
}

/// A value that HTTP/2 carries.
#[inline]
pub fn check_value(value: &[u8]) -> Result<(), Malformed> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_broken = has_control(value) && value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'));
    if is_broken || is_space(value.first()) || is_space(value.last()) { Err(Malformed::Value) } else { Ok(()) }
}

/// Whether a byte below 32 is among these: hardly ever, and eight are looked at in one step.
#[inline]
fn has_control(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| {
        let word = u64::from_ne_bytes(*word);
        // A byte borrows into its uppermost bit if it is below 32; the bytes from 128 on are left out. A borrow may
        // also make a byte above look like one: then the bytes are looked at one by one, and no harm is done.
        found | (word.wrapping_sub(ONES * 0x20) & !word)
    });
    found & (ONES * 0x80) != 0 || rest.iter().any(|&byte| byte < 0x20)
}

/// A path with its query; `*` is for OPTIONS alone (RFC 9113, section 8.3.1).
pub fn check_path(path: &[u8], method: &[u8]) -> Result<(), Malformed> {
    let begins = path.first() == Some(&b'/') || path == b"*" && method == b"OPTIONS";
    if begins && all(path, PATH) { Ok(()) } else { Err(Malformed::Path) }
}

/// An authority; one without a host must be refused (RFC 9110, section 4.2.1).
pub fn check_authority(authority: &[u8]) -> Result<(), Malformed> {
    let has_host = !matches!(authority, [] | [b':', ..]);
    if has_host && all(authority, AUTHORITY) { Ok(()) } else { Err(Malformed::Authority) }
}

/// Whether an authority ends with a port that exists.
pub fn has_port(authority: &[u8]) -> bool {
    let Some(colon) = authority.iter().rposition(|&byte| byte == b':') else { return false };
    let digits = authority.get(colon + 1..).unwrap_or_default();
    number(digits).is_some_and(|port| (1..=u64::from(u16::MAX)).contains(&port))
}

/// A number in digits, and nothing else.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}
