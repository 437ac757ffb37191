//! Where connections go, and who is there: asked of the controller once for each destination that the pod really uses,
//! kept fresh while it is used, and kept in use while the controller is away.
//!
//! Workers ask the `directory`; the `client` on the main thread keeps its `table` fresh over one stream; `store` carries
//! it over a restart. `wire` is the way from messages to what is `known`.

mod backoff;
mod client;
mod directory;
mod keeper;
mod known;
mod metrics;
mod store;
mod table;
mod wire;

pub use client::Client;
pub use directory::{Decision, Directory};
pub use keeper::{keep, restore};
pub use known::{Endpoint, Group, Known, Peer, Protocol, Readiness, Workload};
pub use metrics::ClientMetrics;
pub use store::{Store, decode as decode_store};
pub use table::{Brought, Counts, Stream};
pub use wire::{Fault, Place};
