//! The probes and hooks that the pod's author declared, as the webhook hands them on (`INJECTOR_PROBES`, JSON).
//!
//! A handler is the original Kubernetes one, so fields that this proxy does not know are let be; the port, which may be
//! a name there, comes resolved beside it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// A pod spec is at most 1.5 MiB in etcd; probes are a part of it. More is not ours.
const MAX_BYTES: usize = 1_500_000;

/// A hook runs as long as it needs, for the kubelet sets it no time; an hour is longer than any pod waits.
const HOOK_LIMIT: Duration = Duration::from_hours(1);

/// One probe or hook: asked for at `path` on the admin port, performed on the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// `/probes/<container>/<field>`
    pub path: String,
    /// The application's port.
    pub port: u16,
    /// How long it may take, all in all.
    pub timeout: Duration,
    /// What it is for.
    pub kind: Kind,
    /// What to do.
    pub handler: Handler,
}

/// What a declaration is for: the kubelet judges the two differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Liveness, readiness or startup: passes or fails by the application's answer.
    Probe,
    /// postStart or preStop: any answer of the application will do (kubelet's lifecycle handlers).
    Hook,
}

/// The original Kubernetes handler.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Handler {
    /// core/v1 `HTTPGetAction`
    HttpGet(HttpGet),
    /// core/v1 `TCPSocketAction`
    TcpSocket(TcpSocket),
    /// core/v1 `GRPCAction`
    Grpc(Grpc),
}

/// core/v1 `HTTPGetAction`, without the port.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpGet {
    /// HTTP, unless said otherwise.
    #[serde(deserialize_with = "or_default")]
    pub scheme: Scheme,
    /// An address or a name; empty for the pod's own address.
    #[serde(deserialize_with = "or_default")]
    pub host: String,
    /// Path and query.
    #[serde(deserialize_with = "or_default")]
    pub path: String,
    /// Sent as they are; a Host header becomes the request's host.
    #[serde(deserialize_with = "or_default")]
    pub http_headers: Vec<Header>,
}

/// The scheme of an HTTP probe.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Scheme {
    /// Plain.
    #[default]
    Http,
    /// TLS, without a look at the certificate, as the kubelet does it.
    Https,
}

/// core/v1 `HTTPHeader`
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Header {
    /// Its name, in any case.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// core/v1 `TCPSocketAction`, without the port.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct TcpSocket {
    /// An address or a name; empty for the pod's own address.
    #[serde(deserialize_with = "or_default")]
    pub host: String,
}

/// core/v1 `GRPCAction`, without the port.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Grpc {
    /// The service to ask for; empty for the server as a whole.
    #[serde(deserialize_with = "or_default")]
    pub service: String,
}

/// Kubernetes reads `null` as absent (`"service": null`).
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    path: String,
    port: u16,
    timeout_seconds: Option<u32>,
    handler: Handler,
}

/// The declarations in a JSON list, or every fault in it.
pub fn parse(text: &str) -> Result<Vec<Declaration>, Vec<String>> {
    if text.len() > MAX_BYTES {
        return Err(vec![format!("expected at most {MAX_BYTES} bytes, got {}", text.len())]);
    }
    let entries: Vec<Value> =
        serde_json::from_str(text).map_err(|fault| vec![format!("expected a JSON list of probes: {fault}")])?;
    let mut faults = Vec::new();
    let mut declarations: Vec<Declaration> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        match declaration(entry) {
            Ok(one) if declarations.iter().any(|other| other.path == one.path) => {
                faults.push(format!("[{index}]: {:?} is declared twice", one.path));
            }
            Ok(one) => declarations.push(one),
            Err(fault) => faults.push(format!("[{index}]: {fault}")),
        }
    }
    if faults.is_empty() { Ok(declarations) } else { Err(faults) }
}

fn declaration(entry: Value) -> Result<Declaration, String> {
    let entry = Entry::deserialize(entry).map_err(|fault| fault.to_string())?;
    let kind = kind(&entry.path)?;
    if entry.port == 0 {
        return Err("port: expected 1 to 65535, got 0".to_owned());
    }
    let timeout = match (kind, entry.timeout_seconds) {
        (_, Some(0)) => return Err("timeoutSeconds: expected at least 1, got 0".to_owned()),
        (_, Some(seconds)) => Duration::from_secs(seconds.into()),
        (Kind::Probe, None) => Duration::from_secs(1), // core/v1 Probe: "Defaults to 1 second"
        (Kind::Hook, None) => HOOK_LIMIT,
    };
    Ok(Declaration { path: entry.path, port: entry.port, timeout, kind, handler: entry.handler })
}

fn kind(path: &str) -> Result<Kind, String> {
    let mut parts = path.strip_prefix("/probes/").unwrap_or_default().split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(""), ..) => {}
        (Some(_), Some("livenessProbe" | "readinessProbe" | "startupProbe"), None) => return Ok(Kind::Probe),
        (Some(_), Some("postStart" | "preStop"), None) => return Ok(Kind::Hook),
        _ => {}
    }
    Err(format!(
        "path: expected /probes/<container>/<field>, field one of livenessProbe, readinessProbe, startupProbe, \
         postStart, preStop; got {path:?}"
    ))
}
