//! What the client counts. One thread raises the numbers: the one it runs on.

use std::sync::{Arc, OnceLock};

use super::directory::Directory;
use super::table::{Brought, Stream};
use super::wire::Fault;
use crate::metrics::{Counter, Counters, Labelled};

/// What was said on streams to the controller.
#[derive(Debug, Default)]
pub struct ClientMetrics {
    /// What is known, once there is a client.
    pub directory: OnceLock<Arc<Directory>>,
    /// Streams that were opened.
    pub streams: Counter,
    /// Answers, by what they brought.
    pub answers: Counters<Brought>,
    /// Answers that made no sense.
    pub faults: Counters<Fault>,
}

impl Labelled for Brought {
    const ALL: &'static [Self] = &[Self::News, Self::Refusal, Self::OtherBase, Self::Nothing];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::News => "news",
            Self::Refusal => "refusal",
            Self::OtherBase => "other_base",
            Self::Nothing => "nothing",
        }
    }
}

impl Labelled for Stream {
    const ALL: &'static [Self] = &[Self::Beginning, Self::Open, Self::Away];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Beginning => "beginning",
            Self::Open => "open",
            Self::Away => "away",
        }
    }
}
