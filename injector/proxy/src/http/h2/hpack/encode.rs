//! From lists of fields to blocks (RFC 7541, section 6).

use super::statics::{self, Found};
use super::table::Table;
use super::{TABLE, huffman, integer};
use crate::http::h2::fields::{Field, Fields, OVERHEAD};

/// Entries that a table has at most: none counts less than 32 bytes.
const ENTRIES: usize = TABLE / OVERHEAD;

/// Slots of each map: as many as there can be entries, so that chains are short.
const SLOTS: usize = ENTRIES;

/// Steps of a search at most. More entries than this in one slot are an attack, and missing them costs a few bytes.
const STEPS: usize = 8;

/// Fields at the beginning of a list whose indices are guessed from the list before: gRPC's calls have about ten.
const GUESSES: usize = 16;

/// Cookies shorter than this can be guessed by whoever sees lengths (RFC 7541, section 7.1): those are rarely tokens
/// with 120 bits of chance, which take 20 characters.
const GUESSABLE_COOKIE: usize = 20;

/// What is worth to be done with a field that is in no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// Its value will come again.
    Kept,
    /// Its value will not come again, but its name will: it is kept if its name is in no table yet.
    Name,
    /// Its value must not be found out by trying which strings are in the table.
    Never,
}

/// Judges a field by its name. A mesh's connections are shared by everybody who calls through a proxy, so that what is
/// secret to one must not be in a table that others can probe.
fn worth(name: &[u8], value: &[u8], limit: usize) -> Worth {
    match name {
        b"authorization" | b"proxy-authorization" => Worth::Never,
        b"cookie" if value.len() < GUESSABLE_COOKIE => Worth::Never,
        // Different in each message, or nearly: entries for them would drive out those that are used again. A query
        // mostly makes a path its own; without one, gRPC's paths are few. `date` is kept: it changes once a second.
        b"content-length" | b"content-range" | b"set-cookie" | b"etag" | b"age" | b"location" | b"last-modified"
        | b"if-none-match" | b"if-modified-since" | b"grpc-timeout" | b"traceparent" | b"x-request-id" => Worth::Name,
        b":path" if value.contains(&b'?') => Worth::Name,
        _ if name.starts_with(b"x-b3-") => Worth::Name,
        // Few of these would fill the table and empty it of all others.
        _ if name.len() + value.len() + OVERHEAD > limit / 4 => Worth::Name,
        _ => Worth::Kept,
    }
}

/// An entry's hashes, and the entries before it in the same slots.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    pair: u32,
    name: u32,
    older_pair: u32,
    older_name: u32,
}

/// Where the last list had its field of a place. Lists of one connection are much alike, and a comparison is all it
/// takes to see whether the guess is right: neither a hash nor a search.
#[derive(Clone, Copy, Debug, Default)]
enum Guess {
    #[default]
    Nothing,
    /// In the static table, at this index.
    Static(usize),
    /// In our own, by its number.
    Entry(u32),
}

/// Encodes what is sent to one peer on one connection.
///
/// Entries are numbered as they are inserted. A slot has the number of its newest entry, and each entry that of the
/// next older one. Numbers of entries that are gone need no clearing: their age says so. Should a number have wrapped
/// around, the comparison of the bytes still decides.
#[derive(Debug)]
pub struct Encoder {
    pub(super) table: Table,
    pairs: [u32; SLOTS],
    names: [u32; SLOTS],
    links: [Link; ENTRIES],
    guesses: [Guess; GUESSES],
    /// The lowest limit since the last block, if there was one: it is to be told before the present one (section 4.2).
    lowest: Option<usize>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// With the table that every peer grants before it says anything else.
    pub fn new() -> Self {
        Self {
            table: Table::new(TABLE),
            pairs: [0; SLOTS],
            names: [0; SLOTS],
            links: [Link::default(); ENTRIES],
            guesses: [Guess::default(); GUESSES],
            lowest: None,
        }
    }

    /// Takes the peer's SETTINGS_HEADER_TABLE_SIZE, up to `TABLE`; the next block begins by saying so.
    pub fn set_limit(&mut self, granted: usize) {
        let limit = granted.min(TABLE);
        if limit != self.table.limit() {
            self.lowest = Some(self.lowest.map_or(limit, |lowest| lowest.min(limit)));
            self.table.set_limit(limit);
        }
    }

    /// Appends a list as one block.
    pub fn encode(&mut self, fields: &Fields, out: &mut Vec<u8>) {
        self.tell_limit(out);
        for (place, field) in fields.iter().enumerate() {
            if let Some(index) = self.guessed(place, field) {
                integer::encode(0x80, 0x7f, index, out);
                continue;
            }
            let found = self.encode_field(field, out);
            if let Some(guess) = self.guesses.get_mut(place) {
                *guess = found;
            }
        }
    }

    /// Tells a new limit, and before it that there was a lower one. That is told as 0, which is low enough for any: a
    /// decoder that wants changes at the very beginning only (Go's, golang.org/x/net/http2/hpack) takes a second one if
    /// the first has emptied the table.
    fn tell_limit(&mut self, out: &mut Vec<u8>) {
        let Some(lowest) = self.lowest.take() else { return };
        let limit = self.table.limit();
        if lowest < limit {
            self.table.set_limit(0);
            self.table.set_limit(limit);
            integer::encode(0x20, 0x1f, 0, out);
        }
        integer::encode(0x20, 0x1f, limit, out);
    }

    /// The index of a field, if it is where the last list's field of this place was.
    #[inline]
    fn guessed(&self, place: usize, field: Field<'_>) -> Option<usize> {
        let (index, (name, value)) = match *self.guesses.get(place)? {
            Guess::Nothing => return None,
            Guess::Static(index) => (index, statics::get(index)?),
            Guess::Entry(number) => {
                let age = self.age(number);
                (own_index(age), self.table.get(age)?)
            }
        };
        let is_right = !field.never_indexed && field.value == value && field.name == name;
        is_right.then_some(index)
    }

    /// Encodes a field and says where it is in a table now.
    fn encode_field(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Guess {
        let Field { name, value, never_indexed } = field;
        let name_hash = statics::hash(0, name);
        let known = statics::find(name_hash, name, value);
        if never_indexed {
            return self.literal(Worth::Never, name_hash, 0, known, field, out);
        }
        if let Found::Pair(index) = known {
            integer::encode(0x80, 0x7f, index, out);
            return Guess::Static(index);
        }
        let pair_hash = statics::hash(name_hash, value);
        if let Some(number) = self.find_pair(pair_hash, name, value) {
            integer::encode(0x80, 0x7f, own_index(self.age(number)), out);
            return Guess::Entry(number);
        }
        self.literal(worth(name, value, self.table.limit()), name_hash, pair_hash, known, field, out)
    }

    /// How many entries came after the one of a number.
    #[inline]
    fn age(&self, number: u32) -> usize {
        self.table.inserted().wrapping_sub(number) as usize
    }

    fn literal(
        &mut self,
        worth: Worth,
        name_hash: u32,
        pair_hash: u32,
        known: Found,
        field: Field<'_>,
        out: &mut Vec<u8>,
    ) -> Guess {
        let Field { name, value, .. } = field;
        let index = match known {
            Found::Pair(index) | Found::Name(index) => Some(index),
            Found::Nothing => self.find_name(name_hash, name),
        };
        let fits = name.len() + value.len() + OVERHEAD <= self.table.limit() / 4;
        let kept = worth == Worth::Kept || worth == Worth::Name && index.is_none() && fits;
        let (pattern, mask) = match worth {
            Worth::Never => (0x10, 0x0f),
            _ if kept => (0x40, 0x3f),
            _ => (0, 0x0f),
        };
        integer::encode(pattern, mask, index.unwrap_or(0), out);
        if index.is_none() {
            string(name, out);
        }
        string(value, out);
        if kept { self.insert(name_hash, pair_hash, name, value) } else { Guess::Nothing }
    }

    fn insert(&mut self, name_hash: u32, pair_hash: u32, name: &[u8], value: &[u8]) -> Guess {
        if self.table.insert(name, value) {
            let number = self.table.inserted();
            let (pair_slot, name_slot) = (slot(pair_hash), slot(name_hash));
            self.links[place(number)] = Link {
                pair: pair_hash,
                name: name_hash,
                older_pair: self.pairs[pair_slot],
                older_name: self.names[name_slot],
            };
            self.pairs[pair_slot] = number;
            self.names[name_slot] = number;
            Guess::Entry(number)
        } else {
            Guess::Nothing
        }
    }

    /// The number of an entry.
    #[inline]
    fn find_pair(&self, hash: u32, name: &[u8], value: &[u8]) -> Option<u32> {
        let mut number = self.pairs[slot(hash)];
        for _ in 0..STEPS {
            let (known_name, known_value) = self.table.get(self.age(number))?;
            let link = self.links[place(number)];
            if link.pair == hash && known_name == name && known_value == value {
                return Some(number);
            }
            number = link.older_pair;
        }
        None
    }

    /// The index of the newest entry with a name.
    #[inline]
    fn find_name(&self, hash: u32, name: &[u8]) -> Option<usize> {
        let mut number = self.names[slot(hash)];
        for _ in 0..STEPS {
            let age = self.age(number);
            let (known_name, _) = self.table.get(age)?;
            let link = self.links[place(number)];
            if link.name == hash && known_name == name {
                return Some(own_index(age));
            }
            number = link.older_name;
        }
        None
    }
}

/// Indices of our own entries are behind the static table's, the newest first (section 2.3.3).
#[inline]
fn own_index(age: usize) -> usize {
    statics::FIELDS.len() + 1 + age
}

#[inline]
fn slot(hash: u32) -> usize {
    (hash >> (u32::BITS - SLOTS.ilog2())) as usize
}

#[inline]
fn place(number: u32) -> usize {
    number as usize % ENTRIES
}

/// Appends a string, with the Huffman code where that is shorter.
fn string(string: &[u8], out: &mut Vec<u8>) {
    let length = huffman::length(string);
    if length < string.len() {
        integer::encode(0x80, 0x7f, length, out);
        huffman::encode(string, out);
    } else {
        integer::encode(0, 0x7f, string.len(), out);
        out.extend_from_slice(string);
    }
}
