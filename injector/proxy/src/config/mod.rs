//! The settings of `run`, from environment variables. All faults are found at once; nothing is guessed.

mod networks;
mod ports;
mod probes;

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::log;
use crate::policy::{Policy, UnknownDestinations};
pub use networks::Networks;
pub use ports::PortSet;
pub use probes::{Declaration, Grpc, Handler, Header, HttpGet, Kind, Scheme, TcpSocket};

/// Where the application's own connections are redirected to; on loopback only.
pub const OUTBOUND_PORT: u16 = 4140;
/// Where connections to the pod are redirected to.
pub const INBOUND_PORT: u16 = 4143;
/// Reserved for watching requests live; nothing listens there yet, and nothing is carried to it.
pub const TAP_PORT: u16 = 4190;
/// Liveness, readiness, metrics and the pod's probes.
pub const ADMIN_PORT: u16 = 4191;
/// Ports that the proxy never dials on its own pod.
pub const OWN_PORTS: [u16; 4] = [OUTBOUND_PORT, INBOUND_PORT, TAP_PORT, ADMIN_PORT];

/// Where the webhook mounts the volume `injector-token`; tests have their own place.
const TOKEN_DIRECTORY: &str = "/var/run/injector/token";
/// Where the webhook mounts the volume `injector-identity`; tests have their own place.
const IDENTITY_DIRECTORY: &str = "/var/run/injector/identity";

/// More workers than any machine has cores are a mistake in the setting.
const MAX_WORKERS: usize = 1024;
/// One hour: what the annotation `injector.mesh/shutdown-grace` allows at most.
const MAX_GRACE_SECONDS: u64 = 3600;
/// Characters of a bad value that a message repeats.
const SHOWN_VALUE: usize = 64;

/// Everything that `run` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is logged, and how.
    pub log: log::Settings,
    /// Threads that carry connections.
    pub workers: NonZeroUsize,
    /// How long open connections may go on after SIGTERM.
    pub grace: Duration,
    /// Destination ports that are declared to carry no protocol that the proxy should look at.
    pub opaque_ports: PortSet,
    /// Ports of this pod that are not redirected, for the log: the rules are what skips them.
    pub skip_inbound_ports: PortSet,
    /// Who may open connections to this pod.
    pub inbound_policy: Policy,
    /// What becomes of connections to destinations that nobody told of.
    pub unknown_destinations: UnknownDestinations,
    /// Where the kubelet projects `token`, `roots.pem` and `mesh.json`.
    pub token_directory: PathBuf,
    /// Where the proxy keeps its key, its chain and the destinations it knows: in memory, as long as the pod lives.
    pub identity_directory: PathBuf,
    /// Who this pod is.
    pub pod: Pod,
    /// What the proxy probes in the kubelet's stead.
    pub probes: Vec<Declaration>,
}

/// Who this pod is, as the downward API tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.name`
    pub name: String,
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.uid`
    pub uid: String,
    /// `spec.nodeName`
    pub node: String,
    /// `spec.serviceAccountName`
    pub service_account: String,
    /// The kind of what owns the pod, e.g. Deployment.
    pub workload_kind: String,
    /// The name of what owns the pod.
    pub workload_name: String,
    /// `status.podIPs`; the first is the one that the kubelet probes.
    pub ips: Vec<IpAddr>,
}

impl Config {
    /// Reads the settings through `lookup` (a variable's name to its value). On failure: every fault, a sentence each.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut reader = Reader { lookup, faults: Vec::new() };
        let config = Self {
            log: log::Settings {
                level: reader.optional("INJECTOR_LOG_LEVEL", LevelFilter::INFO, level),
                format: reader.optional("INJECTOR_LOG_FORMAT", log::Format::Text, format),
            },
            workers: reader.optional("INJECTOR_WORKERS", NonZeroUsize::MIN, workers),
            grace: reader.optional("INJECTOR_SHUTDOWN_GRACE_SECONDS", Duration::from_secs(30), grace),
            opaque_ports: reader.optional("INJECTOR_OPAQUE_PORTS", PortSet::default(), PortSet::from_str),
            skip_inbound_ports: reader.optional("INJECTOR_SKIP_INBOUND_PORTS", PortSet::default(), PortSet::from_str),
            inbound_policy: reader.optional("INJECTOR_DEFAULT_INBOUND_POLICY", Policy::default(), Policy::from_str),
            unknown_destinations: reader.optional(
                "INJECTOR_UNKNOWN_DESTINATIONS",
                UnknownDestinations::default(),
                UnknownDestinations::from_str,
            ),
            token_directory: reader.directory("INJECTOR_TOKEN_DIRECTORY", TOKEN_DIRECTORY),
            identity_directory: reader.directory("INJECTOR_IDENTITY_DIRECTORY", IDENTITY_DIRECTORY),
            pod: reader.pod(),
            probes: reader.several("INJECTOR_PROBES", probes::parse),
        };
        if reader.faults.is_empty() { Ok(config) } else { Err(reader.faults) }
    }
}

struct Reader<L> {
    lookup: L,
    faults: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    /// An empty value is none: Kubernetes drops the difference (core/v1 `EnvVar`).
    fn value(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    fn optional<T>(&mut self, name: &str, default: T, read: impl FnOnce(&str) -> Result<T, String>) -> T {
        let Some(value) = self.value(name) else { return default };
        read(&value).unwrap_or_else(|expected| {
            let shown: String = value.chars().take(SHOWN_VALUE).collect();
            self.faults.push(format!("{name}: {expected}, got {shown:?}"));
            default
        })
    }

    /// Any text is a path; whether there is something is found out by whoever looks.
    fn directory(&self, name: &str, default: &str) -> PathBuf {
        self.value(name).unwrap_or_else(|| default.to_owned()).into()
    }

    fn several<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<Vec<T>, Vec<String>>) -> Vec<T> {
        let Some(value) = self.value(name) else { return Vec::new() };
        read(&value).unwrap_or_else(|faults| {
            self.faults.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
            Vec::new()
        })
    }

    fn required(&mut self, name: &str, source: &str) -> String {
        self.value(name).unwrap_or_else(|| {
            self.faults.push(format!("{name}: expected {source}, got nothing; the webhook sets it on the sidecar"));
            String::new()
        })
    }

    fn pod(&mut self) -> Pod {
        let missing = self.value("INJECTOR_POD_IPS").is_none();
        Pod {
            name: self.required("INJECTOR_POD_NAME", "the pod's name"),
            namespace: self.required("INJECTOR_POD_NAMESPACE", "the pod's namespace"),
            uid: self.required("INJECTOR_POD_UID", "the pod's uid"),
            node: self.required("INJECTOR_NODE_NAME", "the node's name"),
            service_account: self.required("INJECTOR_SERVICE_ACCOUNT", "the pod's service account"),
            workload_kind: self.required("INJECTOR_WORKLOAD_KIND", "the kind of the pod's owner"),
            workload_name: self.required("INJECTOR_WORKLOAD_NAME", "the name of the pod's owner"),
            ips: if missing {
                self.required("INJECTOR_POD_IPS", "the pod's addresses");
                Vec::new()
            } else {
                self.optional("INJECTOR_POD_IPS", Vec::new(), addresses)
            },
        }
    }
}

fn level(text: &str) -> Result<LevelFilter, String> {
    match text {
        "trace" => Ok(LevelFilter::TRACE),
        "debug" => Ok(LevelFilter::DEBUG),
        "info" => Ok(LevelFilter::INFO),
        "warn" => Ok(LevelFilter::WARN),
        "error" => Ok(LevelFilter::ERROR),
        _ => Err("expected trace, debug, info, warn or error".to_owned()),
    }
}

fn format(text: &str) -> Result<log::Format, String> {
    match text {
        "text" => Ok(log::Format::Text),
        "json" => Ok(log::Format::Json),
        _ => Err("expected text or json".to_owned()),
    }
}

fn workers(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MAX_WORKERS);
    number.ok_or_else(|| format!("expected a whole number from 1 to {MAX_WORKERS}"))
}

fn grace(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds <= MAX_GRACE_SECONDS);
    seconds.map(Duration::from_secs).ok_or_else(|| format!("expected seconds from 0 to {MAX_GRACE_SECONDS}"))
}

fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let parsed: Result<Vec<IpAddr>, _> = text.split(',').map(|item| item.trim().parse()).collect();
    parsed.map_err(|_| "expected IP addresses with commas between".to_owned())
}

#[cfg(test)]
mod tests;
