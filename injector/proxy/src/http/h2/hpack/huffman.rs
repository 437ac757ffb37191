//! The Huffman code for strings (RFC 7541, section 5.2 and appendix B).
//!
//! The code is canonical: symbols sorted by length, and by value where lengths agree, have codes that count up. So the
//! lengths are all there is to know, and everything else follows from them when this is compiled.

/// Bits of each symbol's code (appendix B); the last is the end of a string, EOS.
static LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

const EOS: usize = 256;

/// Bits of the longest code.
const LONGEST: u32 = 30;

/// Bits that one look into `short` decides. All of printable ASCII that is frequent has codes of at most eight.
const LOOK: u32 = 8;

/// Bits that one look into `pairs` decides: two of the letters and digits that are most frequent have twelve at most.
const PAIR_LOOK: u32 = 12;

/// Looks into `pairs` between two looks into the input, which leaves 56 bits at least: four times twelve.
const LOOKS: usize = 4;

/// Padding is shorter than a byte (section 5.2).
const PADDING: u32 = 7;

/// A string of n bytes decodes to 8n / 5 at most: no code has less than five bits.
const SHORTEST: usize = 5;

/// A code, its bits at the low end, and how many they are.
#[derive(Clone, Copy)]
struct Code {
    bits: u32,
    length: u32,
}

/// The codes that have one length: where they begin and end, the bits at the high end of a `u32`.
#[derive(Clone, Copy)]
struct Row {
    first: u32,
    end: u32,
    /// The place in `SORTED` of the first.
    place: usize,
}

/// What twelve bits begin with.
#[derive(Clone, Copy)]
struct Pair {
    symbols: [u8; 2],
    /// How many of the two: none if the first has a longer code.
    count: u8,
    /// Bits of their codes.
    length: u8,
}

struct Tables {
    codes: [Code; 257],
    /// For each eight bits the symbol that they begin with, and the length of its code; 0 for codes that are longer.
    short: [(u8, u8); 1 << LOOK],
    pairs: [Pair; 1 << PAIR_LOOK],
    rows: [Row; LONGEST as usize + 1],
    sorted: [u16; 257],
}

static TABLES: Tables = build();

#[expect(clippy::cast_possible_truncation, reason = "constant: symbols and lengths are below 257 and 31")]
const fn build() -> Tables {
    let mut tables = Tables {
        codes: [Code { bits: 0, length: 0 }; 257],
        short: [(0, 0); 1 << LOOK],
        pairs: [Pair { symbols: [0; 2], count: 0, length: 0 }; 1 << PAIR_LOOK],
        rows: [Row { first: 0, end: 0, place: 0 }; LONGEST as usize + 1],
        sorted: [0; 257],
    };
    let (mut next, mut place, mut length) = (0u32, 0, 1);
    while length <= LONGEST {
        next <<= 1;
        // EOS is all ones, so that the end of the last row is 2^32: it is cut by one, which no code but EOS is.
        tables.rows[length as usize] = Row { first: next << (32 - length), end: 0, place };
        let mut symbol = 0;
        while symbol <= EOS {
            if LENGTHS[symbol] as u32 == length {
                tables.codes[symbol] = Code { bits: next, length };
                tables.sorted[place] = symbol as u16;
                if length <= LOOK {
                    let mut under = 0;
                    while under < 1 << (LOOK - length) {
                        let at = (next << (LOOK - length)) + under;
                        tables.short[at as usize] = (symbol as u8, length as u8);
                        under += 1;
                    }
                }
                next += 1;
                place += 1;
            }
            symbol += 1;
        }
        let end = (next as u64) << (32 - length);
        tables.rows[length as usize].end = if end > u32::MAX as u64 { u32::MAX } else { end as u32 };
        length += 1;
    }
    tables.pairs = pairs(&tables.short);
    tables
}

const fn pairs(short: &[(u8, u8); 1 << LOOK]) -> [Pair; 1 << PAIR_LOOK] {
    let mut pairs = [Pair { symbols: [0; 2], count: 0, length: 0 }; 1 << PAIR_LOOK];
    let mut bits = 0;
    while bits < pairs.len() {
        let (first, length) = short[bits >> (PAIR_LOOK - LOOK)];
        if length > 0 {
            // Behind the first are at least four bits that are there, and zeros that are not: a code that took one of
            // them in would not be this one.
            let behind = (bits << length) & (pairs.len() - 1);
            let (second, more) = short[behind >> (PAIR_LOOK - LOOK)];
            let fits = more > 0 && length as u32 + more as u32 <= PAIR_LOOK;
            pairs[bits] = if fits {
                Pair { symbols: [first, second], count: 2, length: length + more }
            } else {
                Pair { symbols: [first, 0], count: 1, length }
            };
        }
        bits += 1;
    }
    pairs
}

/// Bytes that a string takes when it is encoded.
pub fn length(string: &[u8]) -> usize {
    let bits: usize = string.iter().map(|&byte| usize::from(LENGTHS[usize::from(byte)])).sum();
    bits.div_ceil(8)
}

/// Appends the encoded string.
pub fn encode(string: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0u64, 0);
    for &byte in string {
        let code = TABLES.codes[usize::from(byte)];
        bits = bits << code.length | u64::from(code.bits);
        count += code.length;
        // Up to 31 bits wait and up to 30 come: they fit.
        if count >= 32 {
            count -= 32;
            #[expect(clippy::cast_possible_truncation, reason = "the bits above have been written")]
            out.extend_from_slice(&((bits >> count) as u32).to_be_bytes());
        }
    }
    if count > 0 {
        // The padding is the beginning of EOS: ones.
        let padded = (bits << (64 - count)) | (u64::MAX >> count);
        out.extend_from_slice(&padded.to_be_bytes()[..count.div_ceil(8) as usize]);
    }
}

/// Appends the decoded string; `None` if it holds EOS, is cut, or is padded with anything but up to seven ones.
pub fn decode(mut input: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.reserve(input.len() * 8 / SHORTEST);
    let mut reader = Reader { bits: 0, count: 0 };
    while let Some(word) = input.first_chunk::<8>() {
        reader.bits |= u64::from_be_bytes(*word) >> reader.count;
        let taken = (u64::BITS - 1 - reader.count) / 8;
        input = input.get(taken as usize..)?;
        reader.count += taken * 8;
        reader.look(out)?;
    }
    loop {
        while reader.count <= u64::BITS - 8
            && let Some((&byte, rest)) = input.split_first()
        {
            reader.bits |= u64::from(byte) << (u64::BITS - 8 - reader.count);
            reader.count += 8;
            input = rest;
        }
        if reader.count < LONGEST {
            return reader.finish(out);
        }
        let (symbol, length) = next(reader.bits)?;
        out.push(symbol);
        reader.skip(length);
    }
}

/// The next bits are at the high end, `count` of them for certain; below may be some that are read again.
struct Reader {
    bits: u64,
    count: u32,
}

impl Reader {
    #[inline]
    fn skip(&mut self, length: u32) {
        self.bits <<= length;
        self.count -= length;
    }

    /// Decodes some of at least 56 bits.
    #[inline]
    fn look(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let (mut gathered, mut at) = ([0; 2 * LOOKS], 0);
        for _ in 0..LOOKS {
            let pair = TABLES.pairs[(self.bits >> (u64::BITS - PAIR_LOOK)) as usize];
            if pair.count == 0 {
                // There are enough bits for it in the first look at the latest.
                if self.count >= LONGEST {
                    let (symbol, length) = next_long(self.bits)?;
                    gathered[at % (2 * LOOKS)] = symbol;
                    at += 1;
                    self.skip(length);
                }
                break;
            }
            gathered[at % (2 * LOOKS)] = pair.symbols[0];
            gathered[(at + 1) % (2 * LOOKS)] = pair.symbols[1];
            at += usize::from(pair.count);
            self.skip(pair.length.into());
        }
        out.extend_from_slice(gathered.get(..at)?);
        Some(())
    }

    /// Decodes the last bits, fewer than the longest code has: behind them ones stand in for what is not there.
    fn finish(mut self, out: &mut Vec<u8>) -> Option<()> {
        self.bits |= u64::MAX >> self.count;
        while self.count > 0 {
            if self.count <= PADDING && self.bits == u64::MAX {
                return Some(());
            }
            let (symbol, length) = next(self.bits)?;
            self.count = self.count.checked_sub(length)?;
            out.push(symbol);
            self.bits = (self.bits << length) | ((1 << length) - 1);
        }
        Some(())
    }
}

/// The symbol that the bits begin with, and the length of its code; `None` for EOS.
#[inline]
fn next(bits: u64) -> Option<(u8, u32)> {
    let (symbol, length) = TABLES.short[(bits >> (u64::BITS - LOOK)) as usize];
    if length > 0 { Some((symbol, length.into())) } else { next_long(bits) }
}

#[cold]
fn next_long(bits: u64) -> Option<(u8, u32)> {
    let high = u32::try_from(bits >> 32).ok()?;
    let row = TABLES.rows.iter().skip(LOOK as usize + 1).position(|row| high < row.end)?;
    let length = row + LOOK as usize + 1;
    let row = TABLES.rows.get(length)?;
    let length = u32::try_from(length).ok()?;
    let symbol = TABLES.sorted.get(row.place + ((high - row.first) >> (32 - length)) as usize)?;
    Some((u8::try_from(*symbol).ok()?, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(bytes, &mut out).map(|()| out)
    }

    fn encoded(string: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(string, &mut out);
        out
    }

    #[test]
    fn the_codes_are_those_of_appendix_b() {
        for (symbol, bits, length) in [
            (b'0', 0x0, 5),
            (b'a', 0x3, 5),
            (b't', 0x9, 5),
            (b' ', 0x14, 6),
            (b'u', 0x2d, 6),
            (b':', 0x5c, 7),
            (b'z', 0x7b, 7),
            (b'&', 0xf8, 8),
            (b'Z', 0xfd, 8),
            (b'!', 0x3f8, 10),
            (b'|', 0x7fc, 11),
            (b'>', 0xffb, 12),
            (0, 0x1ff8, 13),
            (b'}', 0x3ffd, 14),
            (b'{', 0x7ffe, 15),
            (b'\\', 0x7_fff0, 19),
            (128, 0xf_ffe6, 20),
            (1, 0x7f_ffd8, 23),
            (9, 0xff_ffea, 24),
            (255, 0x3ff_ffee, 26),
            (254, 0x7ff_fff0, 27),
            (249, 0xfff_fffe, 28),
            (10, 0x3fff_fffc, 30),
            (22, 0x3fff_fffe, 30),
        ] {
            let code = TABLES.codes[usize::from(symbol)];
            assert_eq!((code.bits, code.length), (bits, length), "symbol {symbol}");
        }
        assert_eq!(TABLES.codes[EOS].bits, 0x3fff_ffff);
    }

    #[test]
    fn the_rfcs_strings_come_out() {
        for (string, bytes) in [
            (&b"www.example.com"[..], &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..]),
            (b"no-cache", &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
            (b"302", &[0x64, 0x02]),
            (b"", &[]),
        ] {
            assert_eq!(encoded(string), bytes);
            assert_eq!(decoded(bytes).as_deref(), Some(string));
            assert_eq!(length(string), bytes.len());
        }
    }

    #[test]
    fn padding_is_up_to_seven_ones_and_nothing_else() {
        for (bytes, string) in [
            (&[0x1f][..], Some(&b"a"[..])),                                              // 00011 111
            (&[0x18], None),                                                             // 00011 000: padded with zeros
            (&[0x1e], None),                                                             // 00011 110
            (&[0xff], None),                                                             // eight ones
            (&[0x1f, 0xff], None),                                                       // three and eight
            (&[0x18, 0xc7], Some(b"aaa")),                                               // three times 00011, 1
            (&[0xfe, 0x01], Some(b"!0")),                                                // 1111111000 00000 1
            (&[0xff, 0xff, 0xff, 0xff], None),                                           // EOS and two more
            (&[0xff, 0xff, 0xff, 0xfc], None),                                           // EOS, padded with zeros
            (&[0xff, 0xff, 0xff, 0xf0], None), // begins a code of 30 bits that is cut
            (&[0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], None), // EOS in the fast part
        ] {
            assert_eq!(decoded(bytes).as_deref(), string, "{bytes:x?}");
        }
    }

    /// Bit by bit, as appendix B reads.
    fn slowly(bytes: &[u8]) -> Option<Vec<u8>> {
        let (mut out, mut code) = (Vec::new(), Code { bits: 0, length: 0 });
        for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1)) {
            code = Code { bits: code.bits << 1 | u32::from(bit), length: code.length + 1 };
            let is_it = |known: &Code| (known.bits, known.length) == (code.bits, code.length);
            if let Some(symbol) = TABLES.codes.iter().position(is_it) {
                out.push(u8::try_from(symbol).ok()?);
                code = Code { bits: 0, length: 0 };
            }
        }
        (code.length <= PADDING && code.bits + 1 == 1 << code.length).then_some(out)
    }

    proptest! {
        #[test]
        fn whatever_comes_decodes_as_it_does_bit_by_bit(
            strings in prop::collection::vec(prop_oneof![
                4 => "[0-9a-z./-]{0,20}".prop_map(String::into_bytes),
                1 => prop::collection::vec(any::<u8>(), 0..3),
            ], 0..8),
            at in any::<prop::sample::Index>(),
            byte in any::<Option<u8>>(),
        ) {
            let mut bytes = encoded(&strings.concat());
            if let Some(byte) = byte.filter(|_| !bytes.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            prop_assert_eq!(decoded(&bytes), slowly(&bytes));
        }

        #[test]
        fn strings_come_back(string in any::<Vec<u8>>()) {
            let bytes = encoded(&string);
            prop_assert_eq!(bytes.len(), length(&string));
            prop_assert_eq!(decoded(&bytes), Some(string));
        }

        #[test]
        fn what_decodes_is_the_one_encoding(bytes in any::<Vec<u8>>()) {
            if let Some(string) = decoded(&bytes) {
                prop_assert_eq!(encoded(&string), bytes);
            }
        }
    }
}
