//! Who this pod is: the key made here, the certificate asked for.

mod request;

pub use request::request;
