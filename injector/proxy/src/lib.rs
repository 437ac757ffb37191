//! Injector's sidecar proxy: carries a pod's TCP connections, counts them, and performs its probes.
//!
//! `main` is the table of contents; `ARCHITECTURE.md` beside this crate says how the rooms hang together.

pub mod admin;
pub mod api;
pub mod await_ready;
pub mod balance;
pub mod cli;
pub mod config;
pub mod connection;
pub mod copy;
pub mod dial;
pub mod discovery;
pub mod drain;
pub mod harden;
pub mod http;
pub mod identity;
pub mod inbound;
pub mod init;
pub mod listen;
pub mod log;
pub mod mesh;
pub mod metrics;
pub mod orig_dst;
pub mod outbound;
pub mod policy;
pub mod preface;
pub mod probe;
pub mod proxy;
pub mod refuse;
pub mod seats;
pub mod strangers;
pub mod tls;
pub mod worker;
