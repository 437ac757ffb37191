//! HTTP/2 without I/O: frames, header compression and the rules for messages.

pub mod fields;
pub mod frame;
pub mod hpack;
pub mod message;
