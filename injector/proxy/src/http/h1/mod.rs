//! HTTP/1.0 and 1.1 (RFC 9112): heads parsed strictly and written anew, bodies followed to their end.
//!
//! Nothing that two readers could read differently is carried: it is refused. Nothing is copied while it is parsed;
//! heads are ranges of the bytes that the caller holds.

pub mod body;
mod bytes;
#[cfg(test)]
mod cases;
mod connection;
mod fields;
pub mod head;
mod refusal;
mod response;
pub mod rewrite;
mod target;
mod trailers;

#[cfg(test)]
mod body_tests;
#[cfg(test)]
mod tests;

/// Defines a closed set: each member with its label and what it tells a person.
macro_rules! closed_set {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $member:ident = $label:literal, $text:literal;)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $member,)+
        }

        impl crate::metrics::Labelled for $name {
            const ALL: &'static [Self] = &[$(Self::$member,)+];

            fn index(self) -> usize {
                self as usize
            }

            fn label(self) -> &'static str {
                match self {
                    $(Self::$member => $label,)+
                }
            }
        }

        impl $name {
            /// What it is, for a person.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$member => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.text())
            }
        }

        impl std::error::Error for $name {}
    };
}
use closed_set;
