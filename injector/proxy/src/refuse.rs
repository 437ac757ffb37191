//! Which connections are not carried, and why: a closed list. Where a connection was going is judged first, before
//! anything is dialled; who opened it is for `policy`.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::config::OWN_PORTS;
use crate::metrics::{Direction, Labelled};
use crate::policy::Denial;

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The kernel knows no original destination: connection tracking is missing or has forgotten.
    NoOriginalDestination,
    /// Spoken to directly, without redirection, and not by another proxy: there is nowhere to carry it.
    Direct,
    /// The proxy's own ports, on an address of this pod: it would talk to itself.
    OwnPort,
    /// Loopback is the application's own; redirection never sends it here.
    Loopback,
    /// An inbound connection for an address that is not this pod's: the proxy is nobody's router.
    NotThisPod,
    /// The proxy's own connection came back to it: redirection does not exempt the proxy's user.
    Loop,
    /// Spoken to directly, by somebody who is no proxy of this mesh: the handshake failed.
    Handshake,
    /// A proxy of this mesh that did not say what it carries, or something that we cannot carry.
    Preface,
    /// Nobody told where it goes in time, and such connections do not pass.
    UnknownDestination,
    /// The inbound policy asks for an identity.
    PolicyUnauthenticated,
    /// The inbound policy asks for a source in the cluster's networks.
    PolicyOutsideNetworks,
    /// The inbound policy lets nobody in.
    PolicyNobody,
}

impl From<Denial> for Reason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Unauthenticated => Self::PolicyUnauthenticated,
            Denial::OutsideNetworks => Self::PolicyOutsideNetworks,
            Denial::Nobody => Self::PolicyNobody,
        }
    }
}

impl Labelled for Reason {
    const ALL: &'static [Self] = &[
        Self::NoOriginalDestination,
        Self::Direct,
        Self::OwnPort,
        Self::Loopback,
        Self::NotThisPod,
        Self::Loop,
        Self::Handshake,
        Self::Preface,
        Self::UnknownDestination,
        Self::PolicyUnauthenticated,
        Self::PolicyOutsideNetworks,
        Self::PolicyNobody,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::NoOriginalDestination => "no_original_destination",
            Self::Direct => "direct",
            Self::OwnPort => "own_port",
            Self::Loopback => "loopback",
            Self::NotThisPod => "not_this_pod",
            Self::Loop => "loop",
            Self::Handshake => "handshake",
            Self::Preface => "preface",
            Self::UnknownDestination => "unknown_destination",
            Self::PolicyUnauthenticated => "policy_unauthenticated",
            Self::PolicyOutsideNetworks => "policy_outside_networks",
            Self::PolicyNobody => "policy_nobody",
        }
    }
}

/// What is known of an accepted connection. Addresses are canonical (see `orig_dst`).
#[derive(Debug)]
pub struct Arrival<'a> {
    /// By which listener it came.
    pub direction: Direction,
    /// Who opened it.
    pub peer: SocketAddr,
    /// The accepted socket's own address.
    pub local: SocketAddr,
    /// What the kernel says it was going to.
    pub original: io::Result<SocketAddr>,
    /// The pod's addresses.
    pub pod_ips: &'a [IpAddr],
}

/// Where a connection that may be carried goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It was redirected, and this is where it was going.
    To(SocketAddr),
    /// It is for the proxy itself, at this address of the pod: another proxy will say to which port it goes.
    Mesh(IpAddr),
}

/// Where a connection goes, or why it is refused. Loops are judged by `dial`, which knows what it dialled.
pub fn judge(arrival: &Arrival) -> Result<Way, Reason> {
    let Ok(original) = arrival.original else { return Err(Reason::NoOriginalDestination) };
    if original == arrival.local {
        // By loopback comes a port-forward that wants to see our certificate; it gets no further (`judge_port`).
        let mesh = arrival.direction == Direction::Inbound;
        return if mesh { Ok(Way::Mesh(original.ip())) } else { Err(Reason::Direct) };
    }
    if is_here(original.ip(), arrival) && OWN_PORTS.contains(&original.port()) {
        return Err(Reason::OwnPort);
    }
    if original.ip().is_loopback() || original.ip().is_unspecified() {
        return Err(Reason::Loopback);
    }
    if arrival.direction == Direction::Inbound && !is_here(original.ip(), arrival) {
        return Err(Reason::NotThisPod);
    }
    Ok(Way::To(original))
}

/// Where in the pod another proxy's connection goes that names this port.
pub fn judge_port(ip: IpAddr, port: u16) -> Result<SocketAddr, Reason> {
    // Loopback is no way from another proxy, not even from this one: it dials the pod's own address.
    if ip.is_loopback() {
        return Err(Reason::Loopback);
    }
    if OWN_PORTS.contains(&port) { Err(Reason::OwnPort) } else { Ok(SocketAddr::new(ip, port)) }
}

fn is_here(ip: IpAddr, arrival: &Arrival) -> bool {
    // An outbound connection's source is an address of this pod, whatever the configuration lists.
    let own = match arrival.direction {
        Direction::Inbound => arrival.local,
        Direction::Outbound => arrival.peer,
    };
    ip.is_loopback() || ip == own.ip() || arrival.pod_ips.contains(&ip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Direction::{Inbound, Outbound};

    const POD: &str = "10.0.0.2";

    fn judged(direction: Direction, peer: &str, local: &str, original: Option<&str>) -> Result<Way, Reason> {
        let original = original.map(|text| text.parse().unwrap()).ok_or_else(|| io::Error::from_raw_os_error(2));
        let pod_ips = [POD.parse().unwrap(), "fd00::2".parse().unwrap()];
        let (peer, local) = (peer.parse().unwrap(), local.parse().unwrap());
        judge(&Arrival { direction, peer, local, original, pod_ips: &pod_ips })
    }

    fn inbound(original: &str) -> Result<Way, Reason> {
        judged(Inbound, "10.0.0.9:40000", "10.0.0.2:4143", Some(original))
    }

    fn outbound(original: &str) -> Result<Way, Reason> {
        judged(Outbound, "10.0.0.2:40000", "127.0.0.1:4140", Some(original))
    }

    fn to(address: &str) -> Way {
        Way::To(address.parse().unwrap())
    }

    #[test]
    fn connections_to_the_proxy_itself_are_other_proxies() {
        assert_eq!(inbound("10.0.0.2:4143"), Ok(Way::Mesh(POD.parse().unwrap())));
        assert_eq!(
            judged(Inbound, "10.0.0.2:40000", "10.0.0.2:4143", Some("10.0.0.2:4143")),
            Ok(Way::Mesh(POD.parse().unwrap())),
            "the pod itself, by way of a Service"
        );
    }

    #[test]
    fn by_loopback_our_certificate_is_shown_and_nothing_more() {
        for ip in ["127.0.0.1", "::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            let (peer, own) = (SocketAddr::new(ip, 40000).to_string(), SocketAddr::new(ip, 4143).to_string());
            assert_eq!(judged(Inbound, &peer, &own, Some(&own)), Ok(Way::Mesh(ip)));
            assert_eq!(judge_port(ip, 8080), Err(Reason::Loopback));
        }
    }

    #[test]
    fn other_proxies_reach_every_port_but_ours() {
        let ip = POD.parse().unwrap();
        assert_eq!(judge_port(ip, 8080), Ok("10.0.0.2:8080".parse().unwrap()));
        for port in OWN_PORTS {
            assert_eq!(judge_port(ip, port), Err(Reason::OwnPort));
        }
    }

    #[test]
    fn redirected_connections_go_where_they_were_going() {
        assert_eq!(inbound("10.0.0.2:8080"), Ok(to("10.0.0.2:8080")));
        assert_eq!(inbound("[fd00::2]:8080"), Ok(to("[fd00::2]:8080")));
        assert_eq!(outbound("10.0.0.9:80"), Ok(to("10.0.0.9:80")));
    }

    #[test]
    fn the_proxys_own_ports_of_another_pod_are_that_pods() {
        assert_eq!(outbound("10.0.0.9:4143"), Ok(to("10.0.0.9:4143")));
    }

    #[test]
    fn each_refusal_has_its_reason() {
        assert_eq!(judged(Inbound, "10.0.0.9:40000", "10.0.0.2:4143", None), Err(Reason::NoOriginalDestination));
        assert_eq!(judged(Outbound, "127.0.0.1:40000", "127.0.0.1:4140", Some("127.0.0.1:4140")), Err(Reason::Direct));
        for port in OWN_PORTS {
            assert_eq!(outbound(&format!("10.0.0.2:{port}")), Err(Reason::OwnPort));
            assert_eq!(outbound(&format!("[fd00::2]:{port}")), Err(Reason::OwnPort));
        }
        assert_eq!(inbound("10.0.0.2:4191"), Err(Reason::OwnPort));
        assert_eq!(inbound("127.0.0.1:8080"), Err(Reason::Loopback));
        assert_eq!(inbound("10.0.0.7:8080"), Err(Reason::NotThisPod));
    }
}
