//! The static table (RFC 7541, appendix A), and the hash by which both tables are searched.

/// A name and a value.
pub type Pair = (&'static [u8], &'static [u8]);

/// The fields with the indices 1 to 61.
pub static FIELDS: [Pair; 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// Slots of the map from names to the table: a quarter is taken, so that most searches end at the first.
const SLOTS: usize = 256;

/// For each slot the index of the first field with a name, 0 if it is free.
static NAMES: [u8; SLOTS] = slots();

#[expect(clippy::cast_possible_truncation, reason = "constant: there are 61 fields")]
const fn slots() -> [u8; SLOTS] {
    let mut slots = [0; SLOTS];
    let mut at = 0;
    while at < FIELDS.len() {
        let name = FIELDS[at].0;
        if at == 0 || !same(FIELDS[at - 1].0, name) {
            let mut slot = slot(hash(0, name));
            while slots[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = at as u8 + 1;
        }
        at += 1;
    }
    slots
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

const fn slot(hash: u32) -> usize {
    (hash >> (u32::BITS - SLOTS.ilog2())) as usize
}

/// A cheap hash of `bytes` on top of `seed`, its best bits at the high end. Whoever makes strings collide gains
/// nothing: searches give up after a few steps.
#[inline]
pub const fn hash(seed: u32, bytes: &[u8]) -> u32 {
    /// 2^64 divided by the golden ratio, made odd: spreads what it multiplies over all bits.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = (seed as u64) ^ (bytes.len() as u64) << 32;
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        state = (state.rotate_left(29) ^ u64::from_le_bytes(*word)).wrapping_mul(SPREAD);
        rest = behind;
    }
    if let Some((word, behind)) = rest.split_first_chunk::<4>() {
        state = (state.rotate_left(29) ^ u32::from_le_bytes(*word) as u64).wrapping_mul(SPREAD);
        rest = behind;
    }
    let mut last = 0;
    while let Some((byte, behind)) = rest.split_first() {
        last = last << 8 | *byte as u64;
        rest = behind;
    }
    state = (state.rotate_left(29) ^ last).wrapping_mul(SPREAD);
    (state >> 32) as u32
}

/// The field with an index of the static table, which are 1 to 61.
#[inline]
pub fn get(index: usize) -> Option<Pair> {
    FIELDS.get(index.wrapping_sub(1)).copied()
}

/// What the static table has for a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Name and value, at this index.
    Pair(usize),
    /// The name alone, at this index.
    Name(usize),
    /// Nothing.
    Nothing,
}

/// Looks a field up; `hash` is the name's, from seed 0.
#[inline]
pub fn find(hash: u32, name: &[u8], value: &[u8]) -> Found {
    let mut slot = slot(hash);
    loop {
        let first = usize::from(NAMES[slot]);
        match get(first) {
            None => return Found::Nothing,
            Some((known, _)) if known == name => return find_value(first, name, value),
            Some(_) => slot = (slot + 1) % SLOTS,
        }
    }
}

/// Fields of one name lie side by side.
#[inline]
fn find_value(first: usize, name: &[u8], value: &[u8]) -> Found {
    let mut index = first;
    while let Some((known, known_value)) = get(index)
        && known == name
    {
        if known_value == value {
            return Found::Pair(index);
        }
        index += 1;
    }
    Found::Name(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_where_it_is() {
        for (at, (name, value)) in FIELDS.iter().enumerate() {
            assert_eq!(find(hash(0, name), name, value), Found::Pair(at + 1));
            let first = FIELDS.iter().position(|(other, _)| other == name).unwrap() + 1;
            assert_eq!(find(hash(0, name), name, b"other"), Found::Name(first));
        }
        for name in [&b""[..], b":statu", b":status2", b"grpc-status", b"x"] {
            assert_eq!(find(hash(0, name), name, b""), Found::Nothing);
        }
    }

    #[test]
    fn indices_are_1_to_61() {
        assert_eq!((get(0), get(62), get(usize::MAX)), (None, None, None));
        assert_eq!(get(1), Some((&b":authority"[..], &b""[..])));
        assert_eq!(get(61), Some((&b"www-authenticate"[..], &b""[..])));
    }
}
