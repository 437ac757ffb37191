//! Header compression (RFC 7541).
//!
//! A proxy decodes every list of fields and encodes it again for the next connection, so both are built to touch each
//! byte once, and to allocate nothing once the tables are warm.

mod decode;
mod encode;
mod huffman;
mod integer;
mod statics;
mod table;

pub use decode::{DecodeFault, Decoder, Limits};
pub use encode::Encoder;

/// Bytes of a dynamic table where nobody has said anything else (RFC 9113, section 6.5.2), and of ours at most.
pub const TABLE: usize = 4096;

#[cfg(test)]
mod tests;
