//! The little of DER (X.690) that we read and write ourselves: values with a tag and a definite length.

/// Universal and context tags that X.509 and PKCS #10 use.
pub mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const OID: u8 = 0x06;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;

    /// `[number]` of a primitive type.
    pub const fn primitive(number: u8) -> u8 {
        0x80 | number
    }

    /// `[number]` around another value.
    pub const fn constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// Lengths have at most so many bytes: 16 MiB, more than a TLS handshake carries.
const LENGTH_BYTES: usize = 3;

/// Reads values one after the other. None: the bytes are not what was asked for, or not DER.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads what these bytes hold.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next value, whatever it is: its tag and its content.
    pub fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], mut rest) = self.0.split_first_chunk()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let count = usize::from(first & 0x7f);
            // Neither indefinite, nor longer than need be: DER has one way to write a length (X.690, 10.1).
            let bytes = rest.split_off(..count).filter(|_| (1..=LENGTH_BYTES).contains(&count))?;
            length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            if length < 0x80 || bytes[0] == 0 {
                return None;
            }
        }
        let content = rest.split_off(..length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next value, which must have this tag.
    pub fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.is_next(tag).then(|| self.any())?.map(|(_, content)| content)
    }

    /// The next value with its tag and its length, as it stands.
    pub fn whole(&mut self) -> Option<&'a [u8]> {
        let before = self.0;
        self.any()?;
        Some(&before[..before.len() - self.0.len()])
    }

    /// Whether the next value has this tag.
    pub fn is_next(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// Leaves out the next value if it has this tag.
    pub fn skip(&mut self, tag: u8) -> Option<()> {
        if self.is_next(tag) { self.any().map(drop) } else { Some(()) }
    }

    /// A reader of the next value, which must have this tag.
    pub fn inside(&mut self, tag: u8) -> Option<Self> {
        self.value(tag).map(Self)
    }
}

/// A value: its tag, its length, and these contents one after the other.
pub fn value(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|content| content.len()).sum();
    let mut der = vec![tag];
    if length < 0x80 {
        der.push(length.to_le_bytes()[0]);
    } else {
        let bytes = length.to_be_bytes();
        let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        der.push(0x80 | significant.len().to_le_bytes()[0]);
        der.extend_from_slice(significant);
    }
    for content in contents {
        der.extend_from_slice(content);
    }
    der
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_der_is_refused() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x01],
            &[0x30, 0x80, 0x00, 0x00],
            &[0x30, 0x81, 0x01, 0x00],
            &[0x30, 0x82, 0x00, 0x80],
            &[0x30, 0x84, 0x00, 0x00, 0x00, 0x01, 0x00],
            &[0x30, 0xff],
        ] {
            assert_eq!(Reader::new(bytes).any(), None, "{bytes:?}");
        }
    }

    #[test]
    fn another_tag_is_left_unread() {
        let mut reader = Reader::new(&[tag::INTEGER, 1, 7]);
        assert_eq!(reader.skip(tag::OID), Some(()));
        assert_eq!(reader.value(tag::OID), None);
        assert_eq!(reader.value(tag::INTEGER), Some(&[7][..]));
        assert!(reader.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(content in prop::collection::vec(any::<u8>(), 0..70_000), cut in 0..70_000_usize) {
            let (one, two) = content.split_at(cut.min(content.len()));
            let der = value(tag::OCTET_STRING, &[one, two]);
            prop_assert_eq!(Reader::new(&der).whole(), Some(&der[..]));
            let mut reader = Reader::new(&der);
            prop_assert_eq!(reader.value(tag::OCTET_STRING), Some(&content[..]));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            while reader.any().is_some() {}
        }
    }
}
