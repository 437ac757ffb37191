//! What is counted of requests: a row for each pair of who asks and who answers, as many as a page should have.
//!
//! A worker looks its row up once a connection and counts without a lock; whoever asks for the page adds the workers up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Counter, Counters, Direction, Labelled};
use crate::http::reason::Reason;

/// Rows of a worker: a pod speaks to some ten others; one that scans the cluster must not make a page of megabytes. A row
/// has 25 lines and one for each class and status that has occurred, some 30 of 350 bytes: 10 KB, and 2 MB for all rows.
/// Those that come later count together, a row for each direction and protocol.
const MOST: usize = 200;

/// Rows for all others: one for each direction and version.
const OTHERS: usize = 4;

/// What stands in the place of names in a row for all others.
const OTHER: &str = "other";

/// Upper ends of the histogram's buckets in microseconds: 1, 2, 5 a decade from a half of a millisecond, which a request
/// through two proxies takes, to a minute.
pub const BUCKETS: [u64; 16] = [
    500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// Statuses of gRPC (its `statuscodes.md`), 0 to 16, by the names that gRPC's own metrics have for them (its proposal A66).
pub const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Which HTTP it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 1.0 and 1.1.
    Http1,
    /// 2.
    Http2,
}

impl Labelled for Version {
    const ALL: &'static [Self] = &[Self::Http1, Self::Http2];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 1xx: another protocol was taken up.
    Switched,
    /// 2xx.
    Success,
    /// 3xx.
    Redirection,
    /// 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// Another status.
    Strange,
    /// The client gave up before there was an answer.
    Abandoned,
}

impl Class {
    /// That of a status.
    pub fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Switched,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            5 => Self::ServerError,
            _ => Self::Strange,
        }
    }
}

impl Labelled for Class {
    const ALL: &'static [Self] = &[
        Self::Switched,
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::Strange,
        Self::Abandoned,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Switched => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::Strange => "other",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Who asks whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whom {
    /// The Service's namespace, or the pod's; empty where it is not known.
    pub namespace: String,
    /// The Service that was dialled.
    pub service: String,
    /// Its port, or the pod's own.
    pub port: String,
    /// What owns the pod that answers, e.g. Deployment.
    pub workload_kind: String,
    /// Its name.
    pub workload: String,
    /// The identity at the other end; empty where there is none.
    pub peer: String,
    /// Whether the other end is under mutual TLS.
    pub tls: bool,
}

impl Whom {
    fn other() -> Self {
        let other = || OTHER.to_owned();
        Self { service: other(), workload: other(), peer: other(), ..Self::default() }
    }
}

/// What distinguishes a row.
pub type Key = (&'static str, Version, Whom);

/// The counters of one row.
#[derive(Debug, Default)]
pub struct Row {
    /// Requests that came whole enough to be carried.
    pub begun: Counter,
    /// Those that have ended, by how.
    pub ended: Counters<Class>,
    /// Responses of gRPC, by their status; statuses that nobody knows count as UNKNOWN (2).
    pub grpc: GrpcStatuses,
    /// Answers of the proxy itself, by reason.
    pub errors: Counters<Reason>,
    /// Times that a request was tried again elsewhere.
    pub retries: Counter,
    /// Times that the endpoint was put out (`balance::Health`).
    pub ejections: Counter,
    /// Bytes of requests' bodies.
    pub request_bytes: Counter,
    /// Bytes of responses' bodies.
    pub response_bytes: Counter,
    /// Requests by how long they took to the last byte of the answer; the last bucket has no end.
    buckets: [Counter; BUCKETS.len() + 1],
    /// Microseconds of all of them together.
    micros: Counter,
}

/// A counter for each status of gRPC.
#[derive(Debug, Default)]
pub struct GrpcStatuses([Counter; GRPC_STATUSES.len()]);

impl GrpcStatuses {
    /// Counts a status.
    pub fn add(&self, status: u8) {
        const UNKNOWN: usize = 2;
        self.0.get(usize::from(status)).unwrap_or(&self.0[UNKNOWN]).add(1);
    }
}

impl Row {
    /// Counts how long a request took.
    pub fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.buckets[BUCKETS.partition_point(|end| *end < micros)].add(1);
        self.micros.add(micros);
    }
}

/// Rows added up over workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Requests that came.
    pub begun: u64,
    /// Those that ended, by `Class`.
    pub ended: Vec<u64>,
    /// By status of gRPC.
    pub grpc: Vec<u64>,
    /// By `Reason`.
    pub errors: Vec<u64>,
    /// Tried again.
    pub retries: u64,
    /// Endpoints put out.
    pub ejections: u64,
    /// Bytes of requests' bodies.
    pub request_bytes: u64,
    /// Bytes of responses' bodies.
    pub response_bytes: u64,
    /// By `BUCKETS` and one more, each with those before it.
    pub buckets: Vec<u64>,
    /// Microseconds.
    pub micros: u64,
}

impl Sum {
    /// Requests under way.
    pub fn open(&self) -> u64 {
        self.begun.saturating_sub(self.ended.iter().sum())
    }

    fn add(&mut self, row: &Row) {
        // What has ended first: see `Traffic::open`.
        add_each(&mut self.ended, Class::ALL.iter().map(|class| row.ended.of(*class).get()));
        add_each(&mut self.grpc, row.grpc.0.iter().map(Counter::get));
        add_each(&mut self.errors, Reason::ALL.iter().map(|reason| row.errors.of(*reason).get()));
        let mut so_far = 0;
        add_each(
            &mut self.buckets,
            row.buckets.iter().map(|bucket| {
                so_far += bucket.get();
                so_far
            }),
        );
        self.begun += row.begun.get();
        self.retries += row.retries.get();
        self.ejections += row.ejections.get();
        self.request_bytes += row.request_bytes.get();
        self.response_bytes += row.response_bytes.get();
        self.micros += row.micros.get();
    }
}

fn add_each(sums: &mut Vec<u64>, numbers: impl ExactSizeIterator<Item = u64>) {
    sums.resize(numbers.len(), 0);
    for (sum, number) in sums.iter_mut().zip(numbers) {
        *sum += number;
    }
}

/// The rows of one worker.
#[derive(Debug, Default)]
pub struct Requests(Mutex<BTreeMap<Key, Arc<Row>>>);

impl Requests {
    /// The row to count in, to be kept by whoever counts.
    pub fn row(&self, direction: Direction, version: Version, whom: Whom) -> Arc<Row> {
        let mut rows = self.rows();
        let key = (direction.label(), version, whom);
        let known = rows.len() < MOST || rows.contains_key(&key);
        let key = if known { key } else { (key.0, key.1, Whom::other()) };
        Arc::clone(rows.entry(key).or_default())
    }

    /// The rows of all of these together.
    pub fn sum<'r>(all: impl IntoIterator<Item = &'r Self>) -> BTreeMap<Key, Sum> {
        let mut sum: BTreeMap<Key, Sum> = BTreeMap::new();
        for requests in all {
            for (key, row) in &*requests.rows() {
                let known = sum.len() < MOST + OTHERS || sum.contains_key(key);
                let key = if known { key.clone() } else { (key.0, key.1, Whom::other()) };
                sum.entry(key).or_default().add(row);
            }
        }
        sum
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Row>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whom(number: usize) -> Whom {
        Whom { service: format!("web-{number}"), ..Whom::default() }
    }

    #[test]
    fn rows_are_bounded_and_nothing_is_lost() {
        let workers = [Requests::default(), Requests::default()];
        for worker in &workers {
            for number in 0..3 * MOST {
                worker.row(Direction::Outbound, Version::Http1, whom(number)).begun.add(1);
            }
        }
        let sum = Requests::sum(&workers);
        assert!(sum.len() <= MOST + OTHERS, "{}", sum.len());
        assert_eq!(sum.values().map(|row| row.begun).sum::<u64>(), 6 * MOST as u64);
        let other = &sum[&("outbound", Version::Http1, Whom::other())];
        assert_eq!(other.begun, 4 * MOST as u64);
    }

    #[test]
    fn the_histogram_is_cumulative_and_ends_are_inclusive() {
        let requests = Requests::default();
        let row = requests.row(Direction::Inbound, Version::Http2, whom(0));
        for micros in [1, 500, 501, 60_000_000, 60_000_001] {
            row.took(Duration::from_micros(micros));
        }
        let sum = &Requests::sum([&requests])[&("inbound", Version::Http2, whom(0))];
        assert_eq!(
            (sum.buckets[0], sum.buckets[1], sum.buckets[14], sum.buckets[15], sum.buckets[16]),
            (2, 3, 3, 4, 5)
        );
    }

    #[test]
    fn what_began_and_has_not_ended_is_open() {
        let row = Row::default();
        row.begun.add(3);
        row.ended.of(Class::of(204)).add(1);
        row.grpc.add(99);
        let mut sum = Sum::default();
        sum.add(&row);
        assert_eq!((sum.open(), sum.ended[Class::Success.index()], sum.grpc[2]), (2, 1, 1));
    }
}
