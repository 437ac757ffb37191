//! The dynamic table (RFC 7541, sections 2.3.2 and 4): what was sent before, newest first, within a size.

use std::collections::VecDeque;

use super::statics;
use crate::http::h2::fields::OVERHEAD;

/// Where an entry lies in the bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    name: usize,
    value: usize,
}

impl Entry {
    fn size(self) -> usize {
        self.name + self.value + OVERHEAD
    }
}

/// The entries of one direction of a connection.
///
/// Names and values lie behind one another in `bytes`, oldest first. What is evicted leaves a gap at the beginning;
/// when it has grown to the size of the table, the rest is moved over it. So each byte is moved once at most for each
/// byte that came, no entry is ever in two pieces, and the memory is twice the size of the table.
#[derive(Debug)]
pub struct Table {
    bytes: Vec<u8>,
    /// Oldest first.
    entries: VecDeque<Entry>,
    size: usize,
    limit: usize,
    /// How many have ever been inserted.
    inserted: u32,
}

impl Table {
    /// An empty table of at most so many bytes, as section 4.1 counts them.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), entries: VecDeque::new(), size: 0, limit, inserted: 0 }
    }

    /// The bytes that it may count.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many entries were ever inserted, modulo 2^32: the number of the newest one.
    pub fn inserted(&self) -> u32 {
        self.inserted
    }

    /// The entry of an age: 0 is the newest.
    #[inline]
    pub fn get(&self, age: usize) -> Option<(&[u8], &[u8])> {
        let entry = self.entries.get(self.entries.len().checked_sub(age)?.checked_sub(1)?)?;
        self.bytes.get(entry.start..entry.start + entry.name + entry.value)?.split_at_checked(entry.name)
    }

    /// The field of an index: the static table's come first (section 2.3.3).
    #[inline]
    pub fn field(&self, index: usize) -> Option<(&[u8], &[u8])> {
        match index.checked_sub(statics::FIELDS.len() + 1) {
            None => statics::get(index),
            Some(age) => self.get(age),
        }
    }

    /// Sets another limit and evicts what is too much (section 4.3).
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.evict(limit);
    }

    /// Inserts an entry and evicts what is too much. One that is larger than the table empties it (section 4.4).
    pub fn insert(&mut self, name: &[u8], value: &[u8]) -> bool {
        let entry = Entry { start: 0, name: name.len(), value: value.len() };
        let Some(room) = self.limit.checked_sub(entry.size()) else {
            self.evict(0);
            return false;
        };
        self.evict(room);
        self.close_gap();
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back(Entry { start, ..entry });
        self.size += entry.size();
        self.inserted = self.inserted.wrapping_add(1);
        true
    }

    /// Room for bytes and for entries, which must not grow once it is warm.
    #[cfg(test)]
    pub fn capacities(&self) -> (usize, usize) {
        (self.bytes.capacity(), self.entries.capacity())
    }

    fn evict(&mut self, size: usize) {
        while self.size > size
            && let Some(entry) = self.entries.pop_front()
        {
            self.size -= entry.size();
        }
    }

    fn close_gap(&mut self) {
        let gap = self.entries.front().map_or(self.bytes.len(), |oldest| oldest.start);
        if gap >= self.limit || self.entries.is_empty() {
            self.bytes.drain(..gap);
            for entry in &mut self.entries {
                entry.start -= gap;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_count_32_more_and_the_oldest_go() {
        let mut table = Table::new(100);
        assert!(table.insert(b"a", b"1234567890123456")); // 49
        assert!(table.insert(b"b", b"123456789012345678")); // 51
        assert_eq!(table.get(1), Some((&b"a"[..], &b"1234567890123456"[..])));
        assert!(table.insert(b"", b""));
        assert_eq!((table.get(0), table.get(2)), (Some((&b""[..], &b""[..])), None));
        assert_eq!(table.size, 83);
        assert!(!table.insert(&[b'n'; 69], b""), "one byte too large");
        assert_eq!((table.get(0), table.size), (None, 0));
        assert!(table.insert(&[b'n'; 68], b""));
    }

    #[test]
    fn indices_above_the_static_tables_are_the_dynamic_ones() {
        let mut table = Table::new(100);
        assert_eq!((table.field(0), table.field(62)), (None, None));
        table.insert(b"a", b"b");
        assert_eq!(table.field(62), Some((&b"a"[..], &b"b"[..])));
        assert_eq!((table.field(61), table.field(63)), (Some((&b"www-authenticate"[..], &b""[..])), None));
        assert_eq!(table.field(usize::MAX), None);
    }

    proptest! {
        #[test]
        fn it_is_a_queue_within_its_limit(
            steps in prop::collection::vec((any::<u8>(), 0usize..90, 0usize..90, any::<bool>()), 0..300)
        ) {
            let mut table = Table::new(200);
            let mut model: VecDeque<(Vec<u8>, Vec<u8>)> = VecDeque::new();
            for (byte, name, value, resize) in steps {
                let (name, value) = (vec![byte; name], vec![byte; value]);
                if resize {
                    table.set_limit(name.len() * 4);
                } else {
                    table.insert(&name, &value);
                    model.push_front((name, value));
                }
                while model.iter().map(|(n, v)| n.len() + v.len() + 32).sum::<usize>() > table.limit() {
                    model.pop_back();
                }
                for (age, (name, value)) in model.iter().enumerate() {
                    prop_assert_eq!(table.get(age), Some((&name[..], &value[..])));
                }
                prop_assert_eq!(table.get(model.len()), None);
                prop_assert!(table.bytes.len() <= 2 * 360, "the gap is closed");
            }
        }
    }
}
