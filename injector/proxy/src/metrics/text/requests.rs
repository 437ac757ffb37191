//! Requests, by who asks whom, and what they use.

use super::{Exposition, Page, listed};
use crate::http::reason::Reason;
use crate::metrics::requests::{BUCKETS, Class, GRPC_STATUSES, Key, Requests, Sum};
use crate::metrics::{Counters, Direction, Labelled, Traffic};

/// Microseconds of a second, in which Prometheus counts time.
const MICROS: f64 = 1e6;

/// Rows with their labels as they are written.
type Rows = [(String, Sum)];

impl Exposition {
    /// What is counted in rows. Classes and statuses that have not occurred are left out: most never do.
    pub(super) fn requests(&self, page: &mut Page) {
        let sums = Requests::sum(self.workers.iter().map(|worker| &worker.requests));
        let rows: Vec<_> = sums.into_iter().map(|(key, sum)| (labels(&key), sum)).collect();
        each(page, &rows, "http_requests_total", "counter", "Requests that came.", |sum| sum.begun);
        each(page, &rows, "http_open_requests", "gauge", "Requests that have not ended.", Sum::open);
        let help = "Requests that have ended, by the answer's class; abandoned: the client went before it.";
        occurred(page, &rows, "http_responses_total", help, "class", |sum| named::<Class>(&sum.ended));
        let help = "Requests that the proxy answered itself, by injector-error.";
        occurred(page, &rows, "http_errors_total", help, "reason", |sum| named::<Reason>(&sum.errors));
        let help = "Responses of gRPC, by grpc-status.";
        occurred(page, &rows, "grpc_responses_total", help, "status", |sum| GRPC_STATUSES.into_iter().zip(&sum.grpc));
        let help = "Times that a request was tried again.";
        each(page, &rows, "http_retries_total", "counter", help, |sum| sum.retries);
        let help = "Bytes of requests' bodies.";
        each(page, &rows, "http_request_bytes_total", "counter", help, |sum| sum.request_bytes);
        let help = "Bytes of responses' bodies.";
        each(page, &rows, "http_response_bytes_total", "counter", help, |sum| sum.response_bytes);
        durations(page, &rows);
        let help = "Times that an endpoint was left alone for a while, for it had failed too often in a row.";
        each(page, &rows, "balance_ejections_total", "counter", help, |sum| sum.ejections);
    }

    /// What is counted of connections that carry requests.
    pub(super) fn http(&self, page: &mut Page) {
        page.family("http_links", "gauge", "Multiplexed connections that are open.");
        for &direction in Direction::ALL {
            page.sample(&[("direction", direction.label())], self.sum(direction, |traffic| traffic.links.get()));
        }
        let help = "Connections of HTTP/1 that are open and wait for a request; counted once a second.";
        page.family("http_waiting_connections", "gauge", help);
        page.sample(&[], self.workers.iter().map(|worker| worker.waiting.get()).sum::<u64>());
        let help = "Requests that were refused before anybody was asked, by what is wrong with their heads.";
        page.family("http_refused_requests_total", "counter", help);
        self.by_occurred(page, "reason", |traffic| &traffic.refused_requests);
        let help = "Multiplexed connections that were ended for what the peer did, by the code that it was told.";
        page.family("http_connection_errors_total", "counter", help);
        self.by_occurred(page, "code", |traffic| &traffic.violations);
        let help = "Streams of those that were given up for what the peer did, by the code that it was told.";
        page.family("http_stream_errors_total", "counter", help);
        self.by_occurred(page, "code", |traffic| &traffic.faults);
    }

    fn by_occurred<L: Labelled>(&self, page: &mut Page, label: &str, counters: impl Fn(&Traffic) -> &Counters<L>) {
        for &direction in Direction::ALL {
            for &member in L::ALL {
                let count = self.sum(direction, |traffic| counters(traffic).of(member).get());
                if count > 0 {
                    page.sample(&[("direction", direction.label()), (label, member.label())], count);
                }
            }
        }
    }
}

fn labels((direction, version, whom): &Key) -> String {
    listed(&[
        ("direction", direction),
        ("protocol", version.label()),
        ("namespace", &whom.namespace),
        ("service", &whom.service),
        ("port", &whom.port),
        ("workload_kind", &whom.workload_kind),
        ("workload", &whom.workload),
        ("peer", &whom.peer),
        ("tls", if whom.tls { "true" } else { "false" }),
    ])
}

fn named<L: Labelled>(counts: &[u64]) -> impl Iterator<Item = (&'static str, &u64)> {
    L::ALL.iter().map(|member| member.label()).zip(counts)
}

/// A family with one sample a row.
fn each(page: &mut Page, rows: &Rows, name: &'static str, kind: &str, help: &str, number: impl Fn(&Sum) -> u64) {
    page.family(name, kind, help);
    for (labels, sum) in rows {
        page.line("", labels, None, number(sum));
    }
}

/// A family with a sample for each member of a set that has occurred in a row.
fn occurred<'s, I>(
    page: &mut Page,
    rows: &'s Rows,
    name: &'static str,
    help: &str,
    label: &str,
    members: impl Fn(&'s Sum) -> I,
) where
    I: Iterator<Item = (&'static str, &'s u64)>,
{
    page.family(name, "counter", help);
    for (labels, sum) in rows {
        for (member, count) in members(sum).filter(|(_, count)| **count > 0) {
            page.line("", labels, Some((label, member)), count);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn durations(page: &mut Page, rows: &Rows) {
    let help = "Time from a request's head to the last byte of its answer.";
    page.family("http_request_duration_seconds", "histogram", help);
    let ends = BUCKETS.map(|micros| (micros as f64 / MICROS).to_string());
    let ends = || ends.iter().map(String::as_str).chain(["+Inf"]);
    for (labels, sum) in rows {
        for (end, count) in ends().zip(&sum.buckets) {
            page.line("_bucket", labels, Some(("le", end)), count);
        }
        page.line("_sum", labels, None, sum.micros as f64 / MICROS);
        page.line("_count", labels, None, sum.buckets.last().copied().unwrap_or_default());
    }
}
