//! Integers that begin in the low bits of a byte (RFC 7541, section 5.1).

/// Bytes behind the first at most. Four hold 2^28: more than any block or table has, and they fit a `u32`.
const CONTINUED: usize = 4;

/// Reads an integer whose first byte gives it the low bits of `mask`; `None` if it is cut or too long.
pub fn decode(mask: u8, bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let low = first & mask;
    let mut value = usize::from(low);
    if low < mask {
        return Some((value, rest));
    }
    for place in 0..CONTINUED {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        value += usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

/// Appends an integer; `pattern` gives the bits of the first byte that `mask` leaves.
pub fn encode(pattern: u8, mask: u8, value: usize, out: &mut Vec<u8>) {
    match u8::try_from(value) {
        Ok(small) if small < mask => out.push(pattern | small),
        _ => encode_long(pattern, mask, value, out),
    }
}

fn encode_long(pattern: u8, mask: u8, value: usize, out: &mut Vec<u8>) {
    out.push(pattern | mask);
    let mut rest = value - usize::from(mask);
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_rfcs_examples_read_and_write() {
        // RFC 7541, appendix C.1.
        for (mask, value, bytes) in
            [(0x1f, 10, &[0x0a][..]), (0x1f, 1337, &[0x1f, 0x9a, 0x0a]), (0xff, 42, &[0x2a]), (0x1f, 31, &[0x1f, 0])]
        {
            let mut out = Vec::new();
            encode(0, mask, value, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(decode(mask, bytes), Some((value, &[][..])));
        }
    }

    #[test]
    fn integers_that_are_cut_or_endless_are_refused() {
        for bytes in [
            &[][..],
            &[0x7f],
            &[0x7f, 0x80],
            &[0x7f, 0xff, 0xff, 0xff, 0xff],
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x7f, 0x80, 0x80, 0x80, 0x80, 0x00],
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert_eq!(decode(0x7f, bytes), None, "{bytes:x?}");
        }
        assert_eq!(decode(0x7f, &[0x7f, 0x80, 0x80, 0x00, 9]), Some((127, &[9][..])), "zeros that nobody needs");
        assert_eq!(decode(0x7f, &[0x7f, 0xff, 0xff, 0xff, 0x7f]), Some((127 + (1 << 28) - 1, &[][..])));
    }

    proptest! {
        #[test]
        fn integers_come_back(bits in 1u32..=8, value in 0usize..1 << 28, behind in any::<Vec<u8>>()) {
            let mask = u8::try_from((1u32 << bits) - 1).unwrap();
            let mut out = Vec::new();
            encode(!mask, mask, value, &mut out);
            prop_assert_eq!(out[0] & !mask, !mask);
            out.extend(&behind);
            prop_assert_eq!(decode(mask, &out), Some((value, &behind[..])));
        }
    }
}
