//! What the first bytes of a connection are.
//!
//! What is not recognised passes as plain bytes, unchecked. So HTTP/1 is recognised here by what the most lenient
//! servers take for a request line with a version, and not by what the RFC calls one: the strict parser refuses it
//! afterwards. Python's http.server, for one, splits the line at everything that Unicode calls white space, a lone CR
//! included.

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// HTTP/1, well-formed or not.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// Something else, HTTP/0.9 included: it has no fields.
    Opaque,
    /// It cannot be said yet.
    More,
}

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a line that may go by before it is decided: twice the 8,000 that RFC 9112, section 3, asks everybody for. A
/// longer line is called HTTP/1 if what would be its target could be one: it may still become a request, and a request
/// must not pass unchecked. The strict parser refuses it, and tells why. A long line that begins otherwise is text.
pub const MOST_LINE: usize = 16 * 1024;

const VERSION: &[u8; 5] = b"HTTP/";

/// What the connection carries that begins with `bytes`. Once it is decided, more bytes change nothing.
pub fn guess(bytes: &[u8]) -> Guess {
    if bytes.starts_with(PREFACE) {
        Guess::Http2
    } else if PREFACE.starts_with(bytes) {
        Guess::More
    } else {
        let line = bytes.get(..MOST_LINE).unwrap_or(bytes);
        match request_line(line) {
            Guess::More if line.len() < MOST_LINE => Guess::More,
            Guess::More if has_target(line) => Guess::Http1,
            Guess::More => Guess::Opaque,
            decided => decided,
        }
    }
}

fn request_line(line: &[u8]) -> Guess {
    let Some(method) = line.iter().position(|&byte| !is_space(byte) && !matches!(byte, b'\r' | b'\n')) else {
        return Guess::More;
    };
    let Some(gap) = line.iter().skip(method).position(|byte| !byte.is_ascii_graphic()).map(|length| method + length)
    else {
        return Guess::More;
    };
    // No server knows a method with such bytes, and most other protocols have one early.
    if gap == method || !line.get(gap).is_some_and(|&byte| is_space(byte) || matches!(byte, b'\r' | b'\n')) {
        return Guess::Opaque;
    }
    rest_of_line(line, gap)
}

/// Looks for the version behind the method, which ended at `at`.
fn rest_of_line(line: &[u8], mut at: usize) -> Guess {
    while let Some(&byte) = line.get(at) {
        at += 1;
        let rest = line.get(at..).unwrap_or_default();
        match byte {
            b'\n' => return Guess::Opaque,
            b'\r' if rest.starts_with(b"\n") => return Guess::Opaque,
            b'\r' => {}
            _ if is_space(byte) => {}
            _ => continue,
        }
        let length = rest.len().min(VERSION.len());
        let begins = rest.iter().zip(VERSION).all(|(byte, expected)| byte.to_ascii_uppercase() == *expected);
        if begins {
            return if length == VERSION.len() { Guess::Http1 } else { Guess::More };
        }
    }
    Guess::More
}

/// Whether the second word is a path, `*` or a URL, as a target is (RFC 9112, section 3.2); or there is no word at all,
/// for some servers skip empty lines.
fn has_target(line: &[u8]) -> bool {
    let mut words = line.split(|byte| !byte.is_ascii_graphic()).filter(|word| !word.is_empty());
    let (Some(_method), target) = (words.next(), words.next().unwrap_or_default()) else { return true };
    matches!(target.first(), Some(b'/' | b'*'))
        || target.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"http"))
}

/// White space inside of a line, to whoever reads most as such: ASCII's and, in ISO-8859-1, Unicode's.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | 0x1c..=0x1f | 0x85 | 0xa0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CASES: &[(&[u8], Guess)] = &[
        (b"", Guess::More),
        (b"P", Guess::More),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", Guess::More),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Guess::Http2),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04", Guess::Http2),
        (b"PRI * HTTP/2.0\r\n\r\nXX", Guess::Http1),
        (b"POST", Guess::More),
        (b"POST /", Guess::More),
        (b"POST / HTT", Guess::More),
        (b"POST / HTTP/", Guess::Http1),
        (b"GET / HTTP/1.1\r\n", Guess::Http1),
        (b"get / http/1.1\n", Guess::Http1),
        (b"\r\n\r\n\n \tGET / HTTP/1.0\r\n", Guess::Http1),
        (b"GET\t/\x0b\x0c  HTTP/1.1\r\n", Guess::Http1),
        (b"GET /a b c HTTP/1.1\r\n", Guess::Http1),
        (b"GET /\xff\x01\x00 HTTP/1.1\r\n", Guess::Http1),
        (b"GET\xa0/\x85HTTP/1.1\r\n", Guess::Http1),
        (b"GET /\rHTTP/1.1\r\n", Guess::Http1),
        (b"{}[]() / HTTP/9.9\r\n", Guess::Http1),
        (b"GET HTTP/1.1\r\n", Guess::Http1),
        (b"GET /\r\n", Guess::Opaque),
        (b"GET /\n", Guess::Opaque),
        (b"GET / HTTQ/1.1\r\n", Guess::Opaque),
        (b"GET /HTTP/1.1\r\n", Guess::Opaque),
        (b"GET / \r\nHTTP/1.1", Guess::Opaque),
        (b"HTTP/1.1 200 OK\r\n", Guess::Opaque),
        (b"DESCRIBE rtsp://a/b RTSP/1.0\r\n", Guess::Opaque),
        (b"INVITE sip:a@b SIP/2.0\r\n", Guess::Opaque),
        (b"\x16", Guess::Opaque),
        (b"\x16\x03\x01", Guess::Opaque),
        (b"*1\r\n$4\r\nPING\r\n", Guess::Opaque),
        (b"*1\r\n", Guess::Opaque),
        (b"PING\r\n", Guess::Opaque),
        (b"SSH-2.0-OpenSSH_9.6 Debian\r\n", Guess::Opaque),
        (b"SSH-2.0-Go\r\n", Guess::Opaque),
        (b"set key 0 0 5\r\n", Guess::Opaque),
        (b"AMQP\0\0\x09\x01", Guess::Opaque),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", Guess::Opaque),
        (b"\x3a\0\0\0", Guess::Opaque),
        (b"\x10\x0c\0\x04MQTT", Guess::Opaque),
        (b"GE\x01T / HTTP/1.1\r\n", Guess::Opaque),
        (b"\xefGET / HTTP/1.1\r\n", Guess::Opaque),
        (b"EHLO there.example\r\n", Guess::Opaque),
    ];

    #[test]
    fn first_bytes_tell_the_protocol() {
        for (bytes, expected) in CASES {
            assert_eq!(guess(bytes), *expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_goes_on_too_long_is_refused_if_it_could_be_a_request() {
        for (begin, expected) in [
            (&b"GET /"[..], Guess::Http1),
            (b"GET HTTP://", Guess::Http1),
            (b"OPTIONS *", Guess::Http1),
            (b"\r\n", Guess::Http1),
            (b"GET", Guess::Opaque),
            (b"the quick brown fox ", Guess::Opaque),
        ] {
            let mut bytes = begin.to_vec();
            let filler = if begin == b"\r\n" { b'\n' } else { b'a' };
            bytes.resize(MOST_LINE - 1, filler);
            assert_eq!(guess(&bytes), Guess::More);
            bytes.push(filler);
            assert_eq!(guess(&bytes), expected, "{}", begin.escape_ascii());
            bytes.extend(b"\r\n");
            assert_eq!(guess(&bytes), expected);
        }
    }

    const WORDS: &[&str] = &["GET", " ", "/", "HTTP/1.1", "http", "\r", "\n", "\t", "PRI * ", "HTTP/2.0", "\0"];

    fn decisions_stand(bytes: &[u8]) -> Result<(), TestCaseError> {
        let last = guess(bytes);
        for length in 0..bytes.len() {
            let earlier = guess(&bytes[..length]);
            prop_assert!(earlier == Guess::More || earlier == last, "{length}: {earlier:?}, later {last:?}");
        }
        Ok(())
    }

    #[test]
    fn decisions_on_the_known_stand() -> Result<(), TestCaseError> {
        CASES.iter().try_for_each(|(bytes, _)| decisions_stand(bytes))
    }

    proptest! {
        #[test]
        fn a_decision_stands_whatever_follows(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            decisions_stand(&bytes)?;
        }

        #[test]
        fn a_decision_on_a_text_stands(
            words in prop::collection::vec(
                prop::sample::select(WORDS), 0..12)
        ) {
            decisions_stand(words.concat().as_bytes())?;
        }

        #[test]
        fn every_valid_request_line_is_recognised(
            method in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", target in "[!-~]{1,40}", minor in 0..=1
        ) {
            prop_assert_eq!(guess(format!("{method} {target} HTTP/1.{minor}\r\n").as_bytes()), Guess::Http1);
        }
    }
}
