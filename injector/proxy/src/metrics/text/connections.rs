//! Connections, whatever they carry.

use super::{Exposition, Page};
use crate::metrics::{Direction, Labelled as _, Opaque, Peers, Traffic};

impl Exposition {
    pub(super) fn connections(&self, page: &mut Page) {
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

    pub(super) fn security(&self, page: &mut Page) {
        page.family("tls_handshakes_total", "counter", "Handshakes with other proxies that succeeded.");
        self.by(page, "kind", |traffic| &traffic.handshakes);
        page.family("tls_handshake_failures_total", "counter", "Handshakes with other proxies that failed.");
        self.by(page, "reason", |traffic| &traffic.handshake_failures);
        page.family("tcp_plaintext_total", "counter", "Connections, or legs of them, carried as plain bytes.");
        self.by(page, "reason", |traffic| &traffic.plaintext);
    }

    pub(super) fn peers(&self, page: &mut Page) {
        page.family("tcp_peers_total", "counter", "Connections that other proxies opened, by their identity.");
        for (identity, count) in Peers::sum(self.workers.iter().map(|worker| &worker.peers)) {
            page.sample(&[("direction", Direction::Inbound.label()), ("identity", &identity)], count);
        }
    }

    pub(super) fn failures(&self, page: &mut Page) {
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
}
