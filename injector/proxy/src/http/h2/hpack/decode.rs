//! From blocks to lists of fields (RFC 7541, sections 3 and 6).

use super::table::Table;
use super::{huffman, integer};
use crate::http::h2::fields::{Fields, OVERHEAD};
use crate::http::h2::frame::{Code, Scope, Violation};
use crate::metrics::Labelled;

/// How large a list may be, in bytes as `Fields::size` counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What is taken: a list that is larger costs its stream.
    pub list: usize,
    /// What is followed: the table must be kept in step through lists that are not taken, but two bytes can stand for a
    /// field of 4 KiB. A list that is larger than this costs the connection.
    pub bearable: usize,
}

impl Limits {
    /// Lists of that size. One of sixteen times as much is no mistake: it is copied in a few hundred microseconds if a
    /// list may have 64 KiB.
    pub fn of(list: usize) -> Self {
        Self { list, bearable: list.saturating_mul(16) }
    }
}

/// Why a block gives no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeFault {
    /// The list is larger than is taken; the table is in step, and the connection can go on.
    TooLarge,
    /// The list is larger than is bearable.
    Unbearable,
    /// The block ends within a field, or an integer is longer than any that makes sense.
    Integer,
    /// A string is longer than the rest of the block.
    Cut,
    /// A string is no Huffman code, or padded wrongly.
    Huffman,
    /// An index that is in neither table.
    Index,
    /// The table is resized behind a field, or to more than was granted.
    Resize,
}

impl Labelled for DecodeFault {
    const ALL: &'static [Self] =
        &[Self::TooLarge, Self::Unbearable, Self::Integer, Self::Cut, Self::Huffman, Self::Index, Self::Resize];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "list_too_large",
            Self::Unbearable => "list_unbearable",
            Self::Integer => "integer",
            Self::Cut => "string_cut",
            Self::Huffman => "huffman",
            Self::Index => "index",
            Self::Resize => "table_resize",
        }
    }
}

impl DecodeFault {
    /// What to tell the peer. A list that is too large may also be answered with status 431.
    pub fn violation(self) -> Violation {
        let (scope, code) = match self {
            Self::TooLarge => (Scope::Stream, Code::EnhanceYourCalm),
            Self::Unbearable => (Scope::Connection, Code::EnhanceYourCalm),
            _ => (Scope::Connection, Code::CompressionError),
        };
        Violation { scope, code }
    }
}

/// Decodes what one peer sends on one connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// What our settings grant; the peer may take less.
    granted: usize,
}

/// The first byte of a field (section 6), and the bits of it that begin an integer.
mod first {
    pub const INDEXED: (u8, u8) = (0x80, 0x7f);
    pub const LITERAL_KEPT: (u8, u8) = (0x40, 0x3f);
    pub const RESIZE: (u8, u8) = (0x20, 0x1f);
    pub const LITERAL_NEVER: (u8, u8) = (0x10, 0x0f);
    /// Of a string: whether it is encoded with the Huffman code.
    pub const HUFFMAN: (u8, u8) = (0x80, 0x7f);
}

impl Decoder {
    /// With a table of so many bytes on both sides from the first block on. That is `TABLE`, unless it was settled
    /// before anything was sent: a setting of our own holds only from its acknowledgement on.
    pub fn new(table_limit: usize) -> Self {
        Self { table: Table::new(table_limit), granted: table_limit }
    }

    #[cfg(test)]
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Decodes a block, whole as its frames carried it, into `out`, whose earlier fields are forgotten. After a fault
    /// `out` is empty; after any but `TooLarge` the decoder is of no more use.
    pub fn decode(&mut self, block: &[u8], limits: Limits, out: &mut Fields) -> Result<(), DecodeFault> {
        out.clear();
        let decoded = self.decode_fields(block, limits, out);
        if decoded.is_err() {
            out.clear();
        }
        decoded
    }

    fn decode_fields(&mut self, block: &[u8], limits: Limits, out: &mut Fields) -> Result<(), DecodeFault> {
        let mut rest = self.resize(block)?;
        let mut size = 0;
        while let Some(&byte) = rest.first() {
            let (behind, field) = if byte & first::INDEXED.0 != 0 {
                self.indexed(rest, limits, size, out)?
            } else if byte & first::LITERAL_KEPT.0 != 0 {
                self.literal(rest, first::LITERAL_KEPT.1, true, limits, size, out)?
            } else if byte & first::RESIZE.0 != 0 {
                return Err(DecodeFault::Resize);
            } else {
                self.literal(rest, first::LITERAL_NEVER.1, false, limits, size, out)?
            };
            rest = behind;
            size += field;
            if size > limits.bearable {
                return Err(DecodeFault::Unbearable);
            }
        }
        if size > limits.list { Err(DecodeFault::TooLarge) } else { Ok(()) }
    }

    /// Takes the changes of the table's size at the beginning of a block (sections 4.2 and 6.3).
    fn resize<'b>(&mut self, mut block: &'b [u8]) -> Result<&'b [u8], DecodeFault> {
        while block.first().is_some_and(|byte| byte >> 5 == first::RESIZE.0 >> 5) {
            let (limit, rest) = integer::decode(first::RESIZE.1, block).ok_or(DecodeFault::Integer)?;
            if limit > self.granted {
                return Err(DecodeFault::Resize);
            }
            self.table.set_limit(limit);
            block = rest;
        }
        Ok(block)
    }

    /// A field of a table (section 6.1): what is behind it, and what it counts.
    #[inline]
    fn indexed<'b>(
        &self,
        block: &'b [u8],
        limits: Limits,
        size: usize,
        out: &mut Fields,
    ) -> Result<(&'b [u8], usize), DecodeFault> {
        let (index, rest) = integer::decode(first::INDEXED.1, block).ok_or(DecodeFault::Integer)?;
        let (name, value) = self.table.field(index).ok_or(DecodeFault::Index)?;
        let field = name.len() + value.len() + OVERHEAD;
        if size + field <= limits.list {
            out.push(name, value, false);
        }
        Ok((rest, field))
    }

    /// A field with a value of its own (section 6.2), which is kept in the table if `kept`. It is built behind the
    /// fields that are taken, for the table to copy, and withdrawn if the list has become too large.
    fn literal<'b>(
        &mut self,
        block: &'b [u8],
        mask: u8,
        kept: bool,
        limits: Limits,
        size: usize,
        out: &mut Fields,
    ) -> Result<(&'b [u8], usize), DecodeFault> {
        let never_indexed = !kept && block.first().is_some_and(|byte| byte & first::LITERAL_NEVER.0 != 0);
        let bytes = out.bytes();
        let start = bytes.len();
        let (index, rest) = integer::decode(mask, block).ok_or(DecodeFault::Integer)?;
        let rest = if index == 0 {
            string(rest, bytes)?
        } else {
            let (name, _) = self.table.field(index).ok_or(DecodeFault::Index)?;
            bytes.extend_from_slice(name);
            rest
        };
        let name_end = bytes.len();
        let rest = string(rest, bytes)?;
        let field = bytes.len() - start + OVERHEAD;
        if kept && let Some((name, value)) = bytes.get(start..).and_then(|own| own.split_at_checked(name_end - start)) {
            self.table.insert(name, value);
        }
        if size + field <= limits.list {
            out.commit(name_end, never_indexed);
        } else {
            bytes.truncate(start);
        }
        Ok((rest, field))
    }
}

/// Appends a string (section 5.2) to `out`: what is behind it.
#[inline]
fn string<'b>(block: &'b [u8], out: &mut Vec<u8>) -> Result<&'b [u8], DecodeFault> {
    let encoded = block.first().is_some_and(|byte| byte & first::HUFFMAN.0 != 0);
    let (length, rest) = integer::decode(first::HUFFMAN.1, block).ok_or(DecodeFault::Integer)?;
    let (string, rest) = rest.split_at_checked(length).ok_or(DecodeFault::Cut)?;
    if encoded {
        huffman::decode(string, out).ok_or(DecodeFault::Huffman)?;
    } else {
        out.extend_from_slice(string);
    }
    Ok(rest)
}
