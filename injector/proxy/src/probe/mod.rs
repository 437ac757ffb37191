//! Performs the declared probes on the application, as the kubelet would have.
//!
//! A probe through a transparent proxy would find the proxy, not the application: every connect succeeds. So the
//! kubelet asks the admin port, and the proxy, whose own connections are not redirected, asks the application.

mod grpc;
mod http;
mod location;
mod target;
mod tls;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::config::{Declaration, Handler, Kind};
use crate::metrics::{Counters, Labelled};
pub use grpc::decode_answer;
pub use location::{Location, follow};
use target::Target;

/// How a probe is performed, for its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// By an HTTP or HTTPS request.
    Http,
    /// By connecting.
    Tcp,
    /// By gRPC's health protocol.
    Grpc,
}

impl Labelled for ProbeKind {
    const ALL: &'static [Self] = &[Self::Http, Self::Tcp, Self::Grpc];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Grpc => "grpc",
        }
    }
}

/// How a probe went, for its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The application is well.
    Passed,
    /// It answered that it is not, or did not answer.
    Failed,
    /// It did not answer in time.
    TimedOut,
}

impl Labelled for Verdict {
    const ALL: &'static [Self] = &[Self::Passed, Self::Failed, Self::TimedOut];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }
}

/// Counts probes. Written by the main thread alone.
#[derive(Debug, Default)]
pub struct ProbeMetrics {
    http: Counters<Verdict>,
    tcp: Counters<Verdict>,
    grpc: Counters<Verdict>,
}

impl ProbeMetrics {
    fn of(&self, kind: ProbeKind) -> &Counters<Verdict> {
        match kind {
            ProbeKind::Http => &self.http,
            ProbeKind::Tcp => &self.tcp,
            ProbeKind::Grpc => &self.grpc,
        }
    }

    /// Every combination with its count.
    pub fn samples(&self) -> impl Iterator<Item = (ProbeKind, Verdict, u64)> {
        let pairs = ProbeKind::ALL.iter().flat_map(|&kind| Verdict::ALL.iter().map(move |&verdict| (kind, verdict)));
        pairs.map(|(kind, verdict)| (kind, verdict, self.of(kind).of(verdict).get()))
    }
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 200.
    Passed,
    /// 503, with the reason.
    Failed(String),
    /// A hook whose application could not be asked. Of a hook, the kubelet sees only whether an answer came (its
    /// lifecycle handlers look at no status), so none must come.
    Unreached(String),
}

/// Performs the declared probes and counts them.
#[derive(Debug)]
pub struct Prober {
    declarations: HashMap<String, Declaration>,
    pod_ip: Option<IpAddr>,
    metrics: Arc<ProbeMetrics>,
}

impl Prober {
    /// Performs these probes on the pod at `pod_ip` (the address that the kubelet would probe).
    pub fn new(declarations: Vec<Declaration>, pod_ip: Option<IpAddr>) -> Self {
        let declarations = declarations.into_iter().map(|one| (one.path.clone(), one)).collect();
        Self { declarations, pod_ip, metrics: Arc::default() }
    }

    /// The counters.
    pub fn metrics(&self) -> Arc<ProbeMetrics> {
        Arc::clone(&self.metrics)
    }

    /// How many probes and hooks are declared.
    pub fn declared(&self) -> usize {
        self.declarations.len()
    }

    /// The longest that a declared probe may take.
    pub fn longest(&self) -> Duration {
        self.declarations.values().map(|one| one.timeout).max().unwrap_or_default()
    }

    /// Performs the probe declared for `path`; none if there is no such.
    pub async fn perform(&self, path: &str) -> Option<Outcome> {
        let declaration = self.declarations.get(path)?;
        let kind = match declaration.handler {
            Handler::HttpGet(_) => ProbeKind::Http,
            Handler::TcpSocket(_) => ProbeKind::Tcp,
            Handler::Grpc(_) => ProbeKind::Grpc,
        };
        let (verdict, result) = match timeout(declaration.timeout, self.ask(declaration)).await {
            Ok(Ok(())) => (Verdict::Passed, Ok(())),
            Ok(Err(reason)) => (Verdict::Failed, Err(reason)),
            Err(_) => {
                let reason = format!("no answer from the application within {} s", declaration.timeout.as_secs());
                (Verdict::TimedOut, Err(reason))
            }
        };
        self.metrics.of(kind).of(verdict).add(1);
        Some(match result {
            Ok(()) => Outcome::Passed,
            Err(reason) if declaration.kind == Kind::Hook => Outcome::Unreached(reason),
            Err(reason) => Outcome::Failed(reason),
        })
    }

    async fn ask(&self, declaration: &Declaration) -> Result<(), String> {
        let target = |host| Target::new(host, declaration.port, self.pod_ip);
        match &declaration.handler {
            Handler::HttpGet(action) => {
                let status = http::get(action, &target(&action.host)?).await?;
                // Any answer to a hook will do; see `Kind::Hook`.
                if declaration.kind == Kind::Hook { Ok(()) } else { http::judge(status) }
            }
            Handler::TcpSocket(action) => target(&action.host)?.connect().await.map(drop),
            Handler::Grpc(action) => grpc::check(&target("")?, &action.service).await,
        }
    }
}
