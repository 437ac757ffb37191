//! The metrics in Prometheus' text format, version 0.0.4.

mod connections;
mod control;
mod requests;
#[cfg(test)]
mod tests;

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::Instant;

use super::{Counters, Direction, Labelled, Traffic, WorkerMetrics};
use crate::config::Pod;
use crate::discovery::ClientMetrics;
use crate::identity::IdentityMetrics;
use crate::probe::ProbeMetrics;

const PREFIX: &str = "injector_proxy_";

/// Everything that `/metrics` shows.
#[derive(Debug)]
pub struct Exposition {
    pod: Pod,
    started: Instant,
    workers: Vec<Arc<WorkerMetrics>>,
    probes: Arc<ProbeMetrics>,
    certificates: Arc<IdentityMetrics>,
    discovery: Arc<ClientMetrics>,
}

impl Exposition {
    /// Shows the counters of these workers, probes, certificates and streams, for a process that runs since `started`.
    pub fn new(
        pod: Pod,
        started: Instant,
        workers: Vec<Arc<WorkerMetrics>>,
        probes: Arc<ProbeMetrics>,
        certificates: Arc<IdentityMetrics>,
        discovery: Arc<ClientMetrics>,
    ) -> Self {
        Self { pod, started, workers, probes, certificates, discovery }
    }

    /// The page.
    pub fn render(&self) -> String {
        let mut page = Page { text: String::with_capacity(12 * 1024), family: "" };
        self.connections(&mut page);
        self.security(&mut page);
        self.peers(&mut page);
        self.failures(&mut page);
        self.requests(&mut page);
        self.http(&mut page);
        self.probes(&mut page);
        self.certificates(&mut page);
        self.discovery(&mut page);
        self.process(&mut page);
        page.text
    }

    fn by<L: Labelled>(&self, page: &mut Page, label: &str, counters: impl Fn(&Traffic) -> &Counters<L>) {
        for &direction in Direction::ALL {
            for &member in L::ALL {
                let labels = [("direction", direction.label()), (label, member.label())];
                page.sample(&labels, self.sum(direction, |traffic| counters(traffic).of(member).get()));
            }
        }
    }

    fn sum(&self, direction: Direction, number: impl Fn(&Traffic) -> u64) -> u64 {
        self.workers.iter().map(|worker| number(worker.of(direction))).sum()
    }
}

/// The text as it grows; samples belong to the family begun last.
struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
        self.family = name;
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", &listed(labels), None, value);
    }

    /// A sample with labels that are written already, and perhaps one more behind them. Histograms' names have a suffix.
    fn line(&mut self, suffix: &str, labels: &str, more: Option<(&str, &str)>, value: impl Display) {
        let _ = write!(self.text, "{PREFIX}{}{suffix}", self.family);
        let _ = match more {
            None if labels.is_empty() => Ok(()),
            None => write!(self.text, "{{{labels}}}"),
            Some((name, text)) => write!(self.text, "{{{labels},{name}=\"{text}\"}}"),
        };
        let _ = writeln!(self.text, " {value}");
    }
}

/// Labels as the text format writes them.
fn listed(labels: &[(&str, &str)]) -> String {
    let mut list = String::new();
    for (place, (name, text)) in labels.iter().enumerate() {
        let _ = write!(list, "{}{name}=\"{}\"", if place == 0 { "" } else { "," }, escaped(text));
    }
    list
}

/// A label's value as the text format writes it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
