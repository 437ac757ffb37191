//! Where a probe goes: an address or a name, and a port.

use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpStream, lookup_host};

use crate::config::OWN_PORTS;

/// A host and port to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A name or an address; a v6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    pod_ip: Option<IpAddr>,
}

impl Target {
    /// `host` as the handler has it; empty means the pod's own address, as with the kubelet.
    pub fn new(host: &str, port: u16, pod_ip: Option<IpAddr>) -> Result<Self, String> {
        let host = match (host, pod_ip) {
            ("", Some(ip)) => ip.to_string(),
            ("", None) => return Err("the proxy was not told the pod's address".to_owned()),
            (host, _) => host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        };
        Ok(Self { host, port, pod_ip })
    }

    /// The same host at another port.
    pub fn at(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    /// Host and port as a URL has them; the port is left out where it is the scheme's own.
    pub fn authority(&self, default_port: u16) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port { host } else { format!("{host}:{}", self.port) }
    }

    /// Connects. The error is a sentence for the pod's events.
    pub async fn connect(&self) -> Result<TcpStream, String> {
        let addresses: Vec<SocketAddr> = match self.host.parse::<IpAddr>() {
            Ok(ip) => vec![(ip, self.port).into()],
            Err(_) => lookup_host((self.host.as_str(), self.port))
                .await
                .map_err(|error| format!("cannot find the host {:?}: {error}", self.host))?
                .collect(),
        };
        let mut reason = format!("the host {:?} has no address", self.host);
        for address in addresses {
            self.refuse_ourselves(address)?;
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => reason = format!("cannot connect to {address}: {error}"),
            }
        }
        Err(reason)
    }

    /// An application that redirects a probe to the admin port would have the proxy probe itself for ever.
    fn refuse_ourselves(&self, address: SocketAddr) -> Result<(), String> {
        let ip = address.ip().to_canonical();
        let ours = ip.is_loopback() || ip.is_unspecified() || Some(ip) == self.pod_ip;
        if ours && OWN_PORTS.contains(&address.port()) {
            return Err(format!("{address} is the proxy itself, not the application"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, port: u16) -> Target {
        Target::new(host, port, Some("10.0.0.2".parse().unwrap())).unwrap()
    }

    #[test]
    fn an_empty_host_is_the_pod() {
        assert_eq!(target("", 80).host, "10.0.0.2");
        assert!(Target::new("", 80, None).is_err());
        assert_eq!(target("", 8080).authority(80), "10.0.0.2:8080");
        assert_eq!(target("fd00::2", 443).authority(443), "[fd00::2]");
        assert_eq!(target("[fd00::2]", 80).authority(443), "[fd00::2]:80");
    }

    #[tokio::test]
    async fn the_proxy_is_not_probed() {
        for host in ["", "127.0.0.1", "::1", "0.0.0.0", "::ffff:10.0.0.2"] {
            let reason = target(host, 4191).connect().await.unwrap_err();
            assert!(reason.contains("is the proxy itself"), "{host}: {reason}");
        }
    }
}
