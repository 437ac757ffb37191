//! What is counted. Each worker counts for itself; whoever asks for the metrics adds the workers up.

mod peers;
mod process;
pub mod requests;
mod text;

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::dial;
use crate::http::h1::head::Refusal;
use crate::http::h2::frame::Code;
use crate::refuse;
use crate::tls::HandshakeFailure;

pub use peers::Peers;
pub use text::Exposition;

/// A closed set of label values. `index` is the place in `ALL`.
pub trait Labelled: Copy + 'static {
    /// Every member, in order.
    const ALL: &'static [Self];
    /// The member's place in `ALL`.
    fn index(self) -> usize;
    /// The label's value.
    fn label(self) -> &'static str;
}

/// By which listener a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Opened by someone else, to this pod.
    Inbound,
    /// Opened by this pod's application.
    Outbound,
}

impl Labelled for Direction {
    const ALL: &'static [Self] = &[Self::Inbound, Self::Outbound];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Whether the destination port was declared opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opaque {
    /// It was not.
    No,
    /// By the pod's or namespace's annotation.
    Declared,
}

impl Labelled for Opaque {
    const ALL: &'static [Self] = &[Self::No, Self::Declared];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Declared => "declared",
        }
    }
}

/// Why a connection, or one leg of it, is carried as plain bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plaintext {
    /// Outbound: its destination is neither a Service's nor a pod's.
    NotOurs,
    /// Outbound: the endpoint's pod has no proxy, or none in front of this port.
    UnmeshedEndpoint,
    /// Outbound: nobody told in time where it goes, and such connections pass.
    UnknownDestination,
    /// Inbound: whoever opened it has no proxy, or one that did not know of ours.
    UnmeshedClient,
}

impl Labelled for Plaintext {
    const ALL: &'static [Self] =
        &[Self::NotOurs, Self::UnmeshedEndpoint, Self::UnknownDestination, Self::UnmeshedClient];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::UnmeshedEndpoint => "unmeshed_endpoint",
            Self::UnknownDestination => "unknown_destination",
            Self::UnmeshedClient => "unmeshed_client",
        }
    }
}

/// How both sides of a handshake came to their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// With certificates and signatures.
    Full,
    /// From an earlier session of the same two identities.
    Resumed,
}

impl Labelled for Handshake {
    const ALL: &'static [Self] = &[Self::Full, Self::Resumed];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
        }
    }
}

/// A number that one thread raises and any thread reads.
///
/// A load and a store instead of an atomic addition: with one writer nothing is lost, and no bus is locked on the path
/// of every chunk of bytes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Raises the number; only the owning thread may.
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// The number as it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that one thread raises and lowers, or sets, and any thread reads.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more, as long as what is returned is kept.
    pub fn hold(&self) -> Held<'_> {
        self.set(self.get() + 1);
        Held(self)
    }

    /// Sets the number; only the owning thread may.
    pub fn set(&self, number: u64) {
        self.0.store(number, Relaxed);
    }

    /// The number as it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// See `Gauge::hold`.
#[derive(Debug)]
pub struct Held<'g>(&'g Gauge);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// A counter for each member of a closed set.
#[derive(Debug)]
pub struct Counters<L>(Box<[Counter]>, PhantomData<L>);

impl<L: Labelled> Counters<L> {
    /// The member's counter.
    pub fn of(&self, member: L) -> &Counter {
        &self.0[member.index()]
    }

    /// All of them together.
    pub fn sum(&self) -> u64 {
        self.0.iter().map(Counter::get).sum()
    }
}

impl<L: Labelled> Default for Counters<L> {
    fn default() -> Self {
        Self(L::ALL.iter().map(|_| Counter::default()).collect(), PhantomData)
    }
}

/// What one worker counts in one direction. Aligned so that two workers never write to one cache line (128 bytes: x86
/// fetches lines in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Traffic {
    /// Connections accepted and carried or tried, by opaqueness.
    pub connections: Counters<Opaque>,
    /// Of these, how many have ended.
    pub ended: Counter,
    /// Bytes read from the peers that opened the connections.
    pub bytes_in: Counter,
    /// Bytes written to them.
    pub bytes_out: Counter,
    /// Connections refused, by reason.
    pub refused: Counters<refuse::Reason>,
    /// Connections that could not be carried on, by reason.
    pub connect_failures: Counters<dial::Failure>,
    /// Connections carried as plain bytes, by reason.
    pub plaintext: Counters<Plaintext>,
    /// Handshakes with other proxies that succeeded.
    pub handshakes: Counters<Handshake>,
    /// Handshakes with other proxies that failed, by reason.
    pub handshake_failures: Counters<HandshakeFailure>,
    /// Times that accepting failed, for want of descriptors or memory.
    pub accept_errors: Counter,
    /// Multiplexed connections that are open.
    pub links: Gauge,
    /// Those that were ended for what the peer did, by the code that it was told.
    pub violations: Counters<Code>,
    /// Streams of them that were given up for what the peer did, by the code that it was told.
    pub faults: Counters<Code>,
    /// Requests refused before anybody was asked, by what is wrong with their heads.
    pub refused_requests: Counters<Refusal>,
}

impl Traffic {
    /// Connections that are being carried now.
    pub fn open(&self) -> u64 {
        // `ended` first: a connection that begins and ends in between must not make the difference negative.
        let ended = self.ended.get();
        self.connections.sum().saturating_sub(ended)
    }
}

/// What one worker counts.
#[derive(Debug, Default)]
pub struct WorkerMetrics {
    /// Connections that other proxies opened, by their identity.
    pub peers: Peers,
    /// Requests, by who asks whom.
    pub requests: requests::Requests,
    /// Connections of HTTP/1 that wait for a request, as they were counted last.
    pub waiting: Gauge,
    inbound: Traffic,
    outbound: Traffic,
}

impl WorkerMetrics {
    /// The counters of one direction.
    pub fn of(&self, direction: Direction) -> &Traffic {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    /// Connections that are being carried now, in both directions.
    pub fn open(&self) -> u64 {
        self.inbound.open() + self.outbound.open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices_are_places<L: Labelled>() {
        for (place, member) in L::ALL.iter().enumerate() {
            assert_eq!(member.index(), place, "{}", member.label());
        }
        let mut labels: Vec<_> = L::ALL.iter().map(|member| member.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), L::ALL.len());
    }

    #[test]
    fn every_closed_set_is_complete_and_distinct() {
        indices_are_places::<Direction>();
        indices_are_places::<Opaque>();
        indices_are_places::<refuse::Reason>();
        indices_are_places::<dial::Failure>();
        indices_are_places::<crate::identity::Outcome>();
        indices_are_places::<Plaintext>();
        indices_are_places::<Handshake>();
        indices_are_places::<HandshakeFailure>();
        indices_are_places::<crate::discovery::Brought>();
        indices_are_places::<crate::discovery::Fault>();
        indices_are_places::<crate::discovery::Stream>();
        indices_are_places::<crate::policy::Denial>();
        indices_are_places::<crate::preface::Fault>();
        indices_are_places::<crate::probe::ProbeKind>();
        indices_are_places::<crate::probe::Verdict>();
        indices_are_places::<crate::http::reason::Reason>();
        indices_are_places::<crate::http::h1::head::Refusal>();
        indices_are_places::<crate::http::h1::head::Fault>();
        indices_are_places::<crate::http::h2::frame::Code>();
        indices_are_places::<requests::Class>();
        indices_are_places::<requests::Version>();
    }

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let gauge = Gauge::default();
        let (one, two) = (gauge.hold(), gauge.hold());
        drop(one);
        assert_eq!(gauge.get(), 1);
        drop(two);
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn open_is_begun_less_ended() {
        let metrics = WorkerMetrics::default();
        metrics.of(Direction::Inbound).connections.of(Opaque::No).add(2);
        metrics.of(Direction::Outbound).connections.of(Opaque::Declared).add(1);
        metrics.of(Direction::Inbound).ended.add(1);
        assert_eq!(metrics.open(), 2);
    }
}
