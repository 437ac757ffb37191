//! The metrics in Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::Instant;

use super::{Counters, Direction, Labelled, Opaque, Peers, Traffic, WorkerMetrics, process};
use crate::config::Pod;
use crate::discovery::{Brought, ClientMetrics, Counts, Fault, Stream};
use crate::identity::{IdentityMetrics, Outcome};
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
        self.probes(&mut page);
        self.certificates(&mut page);
        self.discovery(&mut page);
        self.process(&mut page);
        page.text
    }

    fn connections(&self, page: &mut Page) {
        page.family("tcp_connections_total", "counter", "Connections accepted and not refused.");
        for &direction in Direction::ALL {
            for &opaque in Opaque::ALL {
                let labels = [("direction", direction.label()), ("opaque", opaque.label())];
                page.sample(&labels, self.sum(direction, |traffic| traffic.connections.of(opaque).get()));
            }
        }
        page.family("tcp_open_connections", "gauge", "Connections that are being carried now.");
        for &direction in Direction::ALL {
            page.sample(&[("direction", direction.label())], self.sum(direction, Traffic::open));
        }
        let help = "Bytes read from (in) and written to (out) the peers that opened the connections.";
        page.family("tcp_bytes_total", "counter", help);
        for &direction in Direction::ALL {
            let labels = |flow| [("direction", direction.label()), ("flow", flow)];
            page.sample(&labels("in"), self.sum(direction, |traffic| traffic.bytes_in.get()));
            page.sample(&labels("out"), self.sum(direction, |traffic| traffic.bytes_out.get()));
        }
    }

    fn security(&self, page: &mut Page) {
        page.family("tls_handshakes_total", "counter", "Handshakes with other proxies that succeeded.");
        self.by(page, "kind", |traffic| &traffic.handshakes);
        page.family("tls_handshake_failures_total", "counter", "Handshakes with other proxies that failed.");
        self.by(page, "reason", |traffic| &traffic.handshake_failures);
        page.family("tcp_plaintext_total", "counter", "Connections, or legs of them, carried as plain bytes.");
        self.by(page, "reason", |traffic| &traffic.plaintext);
    }

    fn peers(&self, page: &mut Page) {
        page.family("tcp_peers_total", "counter", "Connections that other proxies opened, by their identity.");
        for (identity, count) in Peers::sum(self.workers.iter().map(|worker| &worker.peers)) {
            page.sample(&[("direction", Direction::Inbound.label()), ("identity", &identity)], count);
        }
    }

    fn failures(&self, page: &mut Page) {
        page.family("tcp_refused_total", "counter", "Connections that the proxy does not carry.");
        self.by(page, "reason", |traffic| &traffic.refused);
        page.family("tcp_connect_failures_total", "counter", "Destinations that could not be reached.");
        self.by(page, "reason", |traffic| &traffic.connect_failures);
        page.family("tcp_accept_errors_total", "counter", "Times that no connection could be accepted.");
        for &direction in Direction::ALL {
            page.sample(
                &[("direction", direction.label())],
                self.sum(direction, |traffic| traffic.accept_errors.get()),
            );
        }
    }

    fn by<L: Labelled>(&self, page: &mut Page, label: &str, counters: impl Fn(&Traffic) -> &Counters<L>) {
        for &direction in Direction::ALL {
            for &member in L::ALL {
                let labels = [("direction", direction.label()), (label, member.label())];
                page.sample(&labels, self.sum(direction, |traffic| counters(traffic).of(member).get()));
            }
        }
    }

    fn probes(&self, page: &mut Page) {
        page.family("probes_total", "counter", "Probes and hooks performed on the application.");
        for (kind, verdict, count) in self.probes.samples() {
            page.sample(&[("kind", kind.label()), ("result", verdict.label())], count);
        }
    }

    fn certificates(&self, page: &mut Page) {
        page.family("certificate_renewals_total", "counter", "Times that a certificate was asked for.");
        for &outcome in Outcome::ALL {
            page.sample(&[("result", outcome.label())], self.certificates.renewals.of(outcome).get());
        }
        let help = "The certificate's last moment, in seconds since 1970; 0: there is none yet.";
        page.family("certificate_not_after_seconds", "gauge", help);
        page.sample(&[], self.certificates.not_after());
    }

    fn discovery(&self, page: &mut Page) {
        let directory = self.discovery.directory.get();
        let (stream, counts) = directory.map_or((Stream::Beginning, Counts::default()), |directory| directory.state());
        page.family("discovery_stream", "gauge", "How the stream to the controller stands: 1 for what it is.");
        for &state in Stream::ALL {
            page.sample(&[("state", state.label())], u8::from(state == stream));
        }
        page.family("discovery_destinations", "gauge", "Destinations that are known, or asked for.");
        page.sample(&[("state", "followed")], counts.followed);
        page.sample(&[("state", "unanswered")], counts.unanswered);
        page.sample(&[("state", "remembered")], counts.remembered);
        page.family("discovery_streams_total", "counter", "Streams to the controller that were opened.");
        page.sample(&[], self.discovery.streams.get());
        page.family("discovery_answers_total", "counter", "What the controller said of destinations.");
        for &brought in Brought::ALL {
            page.sample(&[("result", brought.label())], self.discovery.answers.of(brought).get());
        }
        page.family("discovery_faults_total", "counter", "What it said that made no sense.");
        for &fault in Fault::ALL {
            page.sample(&[("reason", fault.label())], self.discovery.faults.of(fault).get());
        }
    }

    fn process(&self, page: &mut Page) {
        page.family("workers", "gauge", "Threads that carry connections.");
        page.sample(&[], self.workers.len());
        page.family("uptime_seconds", "gauge", "Time since the process began.");
        page.sample(&[], format_args!("{:.3}", self.started.elapsed().as_secs_f64()));
        if let Some(bytes) = process::resident_bytes() {
            page.family("process_resident_memory_bytes", "gauge", "Resident memory, shared file pages included.");
            page.sample(&[], bytes);
        }
        if let Some(seconds) = process::cpu_seconds() {
            page.family("process_cpu_seconds_total", "counter", "CPU time of all threads.");
            page.sample(&[], seconds);
        }
        page.family("info", "gauge", "Which proxy this is, in which pod.");
        let pod = &self.pod;
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("namespace", &pod.namespace),
            ("pod", &pod.name),
            ("uid", &pod.uid),
            ("node", &pod.node),
            ("service_account", &pod.service_account),
            ("workload_kind", &pod.workload_kind),
            ("workload", &pod.workload_name),
        ];
        page.sample(&labels, 1);
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
        let _ = write!(self.text, "{PREFIX}{}", self.family);
        for (place, (name, text)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{name}=\"{}\"", if place == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

/// A label's value as the text format writes it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refuse::Reason;

    fn exposition() -> Exposition {
        let pod = Pod {
            name: "web-1".to_owned(),
            namespace: "shop".to_owned(),
            uid: "5a".to_owned(),
            node: "a\"b\\c\nd".to_owned(),
            service_account: "web".to_owned(),
            workload_kind: "Deployment".to_owned(),
            workload_name: "web".to_owned(),
            ips: Vec::new(),
        };
        let workers = vec![Arc::default(), Arc::default()];
        Exposition::new(pod, Instant::now(), workers, Arc::default(), Arc::default(), Arc::default())
    }

    #[test]
    fn workers_are_added_up() {
        let exposition = exposition();
        for worker in &exposition.workers {
            worker.of(Direction::Outbound).bytes_in.add(21);
            worker.of(Direction::Outbound).refused.of(Reason::Loop).add(1);
        }
        let page = exposition.render();
        assert!(page.contains("injector_proxy_tcp_bytes_total{direction=\"outbound\",flow=\"in\"} 42\n"), "{page}");
        assert!(page.contains("injector_proxy_tcp_refused_total{direction=\"outbound\",reason=\"loop\"} 2\n"));
        assert!(page.contains("injector_proxy_workers 2\n"));
    }

    #[test]
    fn labels_are_escaped() {
        assert!(exposition().render().contains(r#"node="a\"b\\c\nd""#));
    }

    #[test]
    fn every_sample_belongs_to_the_family_above_it() {
        let page = exposition().render();
        let mut family = String::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                rest.split(' ').next().unwrap().clone_into(&mut family);
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(name, family);
                assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
            }
        }
    }
}
