//! What the controller tells every pod of the mesh: `mesh.json`.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::config::Networks;
use crate::tls::SpiffeId;

/// The form of `mesh.json` that is read here; a form that older proxies cannot read has another number.
const VERSION: u32 = 1;
/// The issuer's ServiceAccount.
const ISSUER: &str = "injector-identity";
/// The discovery server's ServiceAccount.
const DISCOVERY: &str = "injector-discovery";

/// Where the control plane is, and who. Addresses are the Services' own, so a pod needs no DNS to find them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshFacts {
    /// Whose names all identities of this mesh are.
    pub trust_domain: String,
    /// Where certificates come from; one address of each family.
    pub identity: Vec<SocketAddr>,
    /// Who must answer there.
    pub issuer: SpiffeId,
    /// Where endpoints are known; one address of each family.
    pub discovery: Vec<SocketAddr>,
    /// Who must answer there.
    pub discoverer: SpiffeId,
    /// Where pods and Services have their addresses.
    pub networks: Networks,
}

/// As it is written; unknown keys are a newer controller's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    version: u32,
    trust_domain: String,
    system_namespace: String,
    identity: Vec<SocketAddr>,
    discovery: Vec<SocketAddr>,
    networks: Vec<String>,
}

impl MeshFacts {
    /// Reads the file's content. The error says what is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if written.version != VERSION {
            return Err(format!("expected version {VERSION}, got {}: this proxy is older than that", written.version));
        }
        let server = |account| {
            SpiffeId::new(&written.trust_domain, &written.system_namespace, account).map_err(|error| error.to_string())
        };
        Ok(Self {
            issuer: server(ISSUER)?,
            discoverer: server(DISCOVERY)?,
            networks: Networks::parse(&written.networks).map_err(|faults| faults.join("; "))?,
            trust_domain: written.trust_domain,
            identity: written.identity,
            discovery: written.discovery,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"version": 1, "trustDomain": "cluster.local", "systemNamespace": "injector-system",
        "identity": ["10.96.3.4:8443", "[fd00::4]:8443"], "discovery": ["10.96.3.5:8443"],
        "networks": ["10.244.0.0/16"], "certificateHours": 24}"#;

    #[test]
    fn servers_have_addresses_and_names() {
        let facts = MeshFacts::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(facts.identity, ["10.96.3.4:8443".parse().unwrap(), "[fd00::4]:8443".parse().unwrap()]);
        assert_eq!(facts.issuer.as_str(), "spiffe://cluster.local/ns/injector-system/sa/injector-identity");
        assert_eq!(facts.discoverer.as_str(), "spiffe://cluster.local/ns/injector-system/sa/injector-discovery");
        assert!(facts.networks.contains("10.244.3.3".parse().unwrap()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (good, bad, said) in [
            ("\"version\": 1", "\"version\": 2", "expected version 1, got 2"),
            ("cluster.local", "Cluster", "trust domain"),
            ("injector-system", "a.b", "namespace"),
            ("10.96.3.4:8443", "identity:8443", "socket address"),
            ("10.244.0.0/16", "10.244.0.0", "expected a network"),
            ("\"discovery\"", "\"elsewhere\"", "missing field `discovery`"),
        ] {
            let fault = MeshFacts::parse(GOOD.replace(good, bad).as_bytes()).unwrap_err();
            assert!(fault.contains(said), "{fault}");
        }
    }
}
