//! A list of header fields in one run of bytes, to be filled, read, emptied and filled again without allocation.

/// Bytes that a field counts on top of its name and value (RFC 9113, section 10.5.1; RFC 7541, section 4.1).
pub const OVERHEAD: usize = 32;

/// Bytes before each field of a list that waits as plain bytes: the lengths of its name and its value.
const PREFIX: usize = 8;

/// In the length of a name: the field is never indexed. No name of 2 GiB ever comes this far.
const NEVER: u32 = 1 << 31;

/// One field, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// In lower case, if it is valid.
    pub name: &'a [u8],
    /// Without white space around it, if it is valid.
    pub value: &'a [u8],
    /// Whether whoever compresses it again must keep it out of every table (RFC 7541, section 7.1.3).
    pub never_indexed: bool,
}

/// Where a field ends in the bytes; it begins where the one before ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    name_end: usize,
    value_end: usize,
    never_indexed: bool,
}

/// A list of fields, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

impl Fields {
    /// An empty list, which owns no memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field at the end.
    pub fn push(&mut self, name: &[u8], value: &[u8], never_indexed: bool) {
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.commit(name_end, never_indexed);
    }

    /// The fields, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.bytes, start: 0, places: self.places.iter() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What the list counts for against a peer's limit: names, values and `OVERHEAD` for each.
    pub fn size(&self) -> usize {
        self.bytes.len() + OVERHEAD * self.places.len()
    }

    /// Forgets all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// Appends the list as plain bytes: for each field the length of its name, in which the uppermost bit says that it
    /// is never indexed, the length of its value, name and value. It must be all there is to a reader.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.bytes.len() + PREFIX * self.places.len());
        for field in self {
            let name = narrow(field.name.len()) | if field.never_indexed { NEVER } else { 0 };
            out.extend_from_slice(&name.to_be_bytes());
            out.extend_from_slice(&narrow(field.value.len()).to_be_bytes());
            out.extend_from_slice(field.name);
            out.extend_from_slice(field.value);
        }
    }

    /// The list that `append_to` wrote; `None` if the bytes are no list.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Self::new();
        fields.refill(bytes)?;
        Some(fields)
    }

    /// Like `read`, in place of what the list held. If it is none, what came before the fault is left.
    pub fn refill(&mut self, mut bytes: &[u8]) -> Option<()> {
        self.clear();
        while !bytes.is_empty() {
            let (&[n0, n1, n2, n3, v0, v1, v2, v3], rest) = bytes.split_first_chunk::<PREFIX>()?;
            let name = u32::from_be_bytes([n0, n1, n2, n3]);
            let value_length = usize::try_from(u32::from_be_bytes([v0, v1, v2, v3])).ok()?;
            let (name_bytes, rest) = rest.split_at_checked(usize::try_from(name & !NEVER).ok()?)?;
            let (value, rest) = rest.split_at_checked(value_length)?;
            self.push(name_bytes, value, name & NEVER != 0);
            bytes = rest;
        }
        Some(())
    }

    /// The bytes, behind which a decoder may build the next field before it commits or abandons it.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Makes a field of what lies behind the last one.
    pub(super) fn commit(&mut self, name_end: usize, never_indexed: bool) {
        self.places.push(Place { name_end, value_end: self.bytes.len(), never_indexed });
    }
}

/// Lists are limited to far less than 2 GiB long before; a longer one would be cut here, and be none to its reader.
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(NEVER - 1) & !NEVER
}

/// The fields of a list, in order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
    start: usize,
    places: std::slice::Iter<'a, Place>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let place = self.places.next()?;
        let (name, rest) = self.rest.split_at_checked(place.name_end - self.start)?;
        let (value, rest) = rest.split_at_checked(place.value_end - place.name_end)?;
        self.rest = rest;
        self.start = place.value_end;
        Some(Field { name, value, never_indexed: place.never_indexed })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.places.size_hint()
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = Field<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(fields: &[(Vec<u8>, Vec<u8>, bool)]) -> Fields {
        let mut list = Fields::new();
        for (name, value, never_indexed) in fields {
            list.push(name, value, *never_indexed);
        }
        list
    }

    #[test]
    fn a_list_counts_names_values_and_32_for_each() {
        let mut fields = Fields::new();
        assert_eq!((fields.size(), fields.is_empty()), (0, true));
        fields.push(b"a", b"bc", false);
        fields.push(b"", b"", true);
        assert_eq!((fields.size(), fields.len()), (67, 2));
    }

    #[test]
    fn an_emptied_list_keeps_its_memory() {
        let mut fields = list(&[(vec![b'n'; 100], vec![b'v'; 100], false)]);
        let had = (fields.bytes.capacity(), fields.places.capacity());
        fields.clear();
        assert!(fields.iter().next().is_none());
        assert_eq!((fields.bytes.capacity(), fields.places.capacity()), had);
    }

    #[test]
    fn bytes_that_are_cut_are_no_list() {
        let mut bytes = Vec::new();
        list(&[(b"name".to_vec(), b"value".to_vec(), true)]).append_to(&mut bytes);
        assert!(Fields::read(&bytes).is_some());
        for end in 1..bytes.len() {
            assert_eq!(Fields::read(&bytes[..end]), None, "{end} bytes");
        }
        assert_eq!(Fields::read(&[0xff; 8]), None, "longer than there are bytes");
    }

    proptest! {
        #[test]
        fn lists_come_back_from_plain_bytes(
            fields in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>(), any::<bool>()), 0..20)
        ) {
            let list = list(&fields);
            let mut bytes = Vec::new();
            list.append_to(&mut bytes);
            let read = Fields::read(&bytes);
            prop_assert_eq!(read.as_ref(), Some(&list));
            let seen: Vec<_> = list.iter().map(|f| (f.name.to_vec(), f.value.to_vec(), f.never_indexed)).collect();
            prop_assert_eq!(seen, fields);
        }

        #[test]
        fn hostile_bytes_are_a_list_or_none(bytes in any::<Vec<u8>>()) {
            if let Some(list) = Fields::read(&bytes) {
                let mut again = Vec::new();
                list.append_to(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
