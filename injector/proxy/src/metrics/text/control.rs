//! What serves the path, and the process.

use super::{Exposition, Page};
use crate::discovery::{Brought, Counts, Fault, Stream};
use crate::identity::Outcome;
use crate::metrics::{Labelled as _, process};

impl Exposition {
    pub(super) fn probes(&self, page: &mut Page) {
        page.family("probes_total", "counter", "Probes and hooks performed on the application.");
        for (kind, verdict, count) in self.probes.samples() {
            page.sample(&[("kind", kind.label()), ("result", verdict.label())], count);
        }
    }

    pub(super) fn certificates(&self, page: &mut Page) {
        page.family("certificate_renewals_total", "counter", "Times that a certificate was asked for.");
        for &outcome in Outcome::ALL {
            page.sample(&[("result", outcome.label())], self.certificates.renewals.of(outcome).get());
        }
        let help = "The certificate's last moment, in seconds since 1970; 0: there is none yet.";
        page.family("certificate_not_after_seconds", "gauge", help);
        page.sample(&[], self.certificates.not_after());
    }

    pub(super) fn discovery(&self, page: &mut Page) {
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

    pub(super) fn process(&self, page: &mut Page) {
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
}
