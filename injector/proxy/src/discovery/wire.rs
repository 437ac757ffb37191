//! From messages of the contract to what is known, and back. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::known::{Endpoint, Group, Known, Peer, Protocol, Readiness, Workload};
use crate::api;
use crate::api::destination::State;
use crate::config::INBOUND_PORT;
use crate::metrics::Labelled;
use crate::tls::SpiffeId;

/// Where this proxy stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// Whose identities it knows.
    pub trust_domain: String,
    /// Its node.
    pub node: String,
}

/// What a message makes of what is known.
#[derive(Debug)]
pub enum Taken {
    /// This is known now.
    Known(Known),
    /// The controller does not follow this destination for us.
    Refused,
    /// A difference from a version that is not the one here: ask for all of it again.
    OtherBase,
}

/// Why a message is not understood. What was known before stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An address is missing or is none.
    Address,
    /// A meshed endpoint names nobody who could have a certificate.
    Identity,
}

impl Labelled for Fault {
    const ALL: &'static [Self] = &[Self::Address, Self::Identity];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Identity => "identity",
        }
    }
}

/// The address in a message.
pub fn address(wire: Option<&api::Address>) -> Result<SocketAddr, Fault> {
    let wire = wire.ok_or(Fault::Address)?;
    let ip = match wire.ip.len() {
        4 => <[u8; 4]>::try_from(&wire.ip[..]).map(IpAddr::from),
        _ => <[u8; 16]>::try_from(&wire.ip[..]).map(IpAddr::from),
    };
    let port = u16::try_from(wire.port).ok().filter(|port| *port > 0);
    Ok(SocketAddr::new(ip.map_err(|_| Fault::Address)?, port.ok_or(Fault::Address)?))
}

/// An address for a message.
pub fn to_address(address: SocketAddr) -> api::Address {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    api::Address { ip, port: address.port().into() }
}

/// What is known after `state` came for a destination of which `before` was known, in that version of this stream.
pub fn take(before: Option<&Known>, version: Option<u64>, state: Option<State>, place: &Place) -> Result<Taken, Fault> {
    let group = before.and_then(|known| match known {
        Known::Group(group) => Some(&**group),
        Known::NotOurs => None,
    });
    match state {
        None | Some(State::NotOurs(_)) => Ok(Taken::Known(Known::NotOurs)),
        Some(State::Refused(_)) => Ok(Taken::Refused),
        Some(State::Endpoints(all)) => {
            let group = snapshot(group, all, place)?;
            Ok(Taken::Known(Known::Group(Arc::new(group))))
        }
        Some(State::Delta(delta)) => match group {
            Some(group) if version == Some(delta.base_version) => {
                let group = difference(group, delta, place)?;
                Ok(Taken::Known(Known::Group(Arc::new(group))))
            }
            _ => Ok(Taken::OtherBase),
        },
    }
}

fn snapshot(before: Option<&Group>, all: api::Endpoints, place: &Place) -> Result<Group, Fault> {
    let protocol = protocol(all.protocol());
    let known = before.map(Group::endpoints).unwrap_or_default();
    let known: HashMap<SocketAddr, &Endpoint> = known.iter().map(|endpoint| (endpoint.address, endpoint)).collect();
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(all.endpoints.len());
    for wire in all.endpoints {
        let mut endpoint = endpoint(&wire, endpoints.last(), place)?;
        if let Some(same) = known.get(&endpoint.address) {
            endpoint.load = Arc::clone(&same.load);
        }
        endpoints.push(endpoint);
    }
    let affinity = (all.affinity_seconds > 0).then(|| Duration::from_secs(all.affinity_seconds.into()));
    Ok(Group::new(all.target, protocol, endpoints, affinity, all.node_local, before))
}

fn difference(before: &Group, delta: api::Delta, place: &Place) -> Result<Group, Fault> {
    let mut endpoints = before.endpoints().to_vec();
    let mut places: HashMap<SocketAddr, usize> =
        endpoints.iter().enumerate().map(|(place, endpoint)| (endpoint.address, place)).collect();
    for wire in delta.changed {
        let mut changed = endpoint(&wire, endpoints.last(), place)?;
        if let Some(&at) = places.get(&changed.address) {
            changed.load = Arc::clone(&endpoints[at].load);
            endpoints[at] = changed;
        } else {
            places.insert(changed.address, endpoints.len());
            endpoints.push(changed);
        }
    }
    for wire in delta.removed {
        let gone = address(Some(&wire))?;
        if let Some(at) = places.remove(&gone) {
            endpoints.swap_remove(at);
            if let Some(moved) = endpoints.get(at) {
                places.insert(moved.address, at);
            }
        }
    }
    Ok(Group::new(before.target.clone(), before.protocol, endpoints, before.affinity, before.node_local, Some(before)))
}

/// `neighbour` is an endpoint of the same group: most likely of the same identity and workload, whose texts are then
/// shared.
fn endpoint(wire: &api::Endpoint, neighbour: Option<&Endpoint>, place: &Place) -> Result<Endpoint, Fault> {
    Ok(Endpoint {
        address: address(wire.address.as_ref())?,
        peer: wire.mesh.as_ref().map(|mesh| peer(mesh, neighbour, place)).transpose()?,
        readiness: match wire.readiness() {
            api::Readiness::Ready => Readiness::Ready,
            api::Readiness::Terminating => Readiness::Terminating,
            api::Readiness::NotReady => Readiness::NotReady,
        },
        near: wire.node == place.node,
        opaque: wire.opaque,
        workload: wire.workload.as_ref().map(|told| workload(told, neighbour)),
        load: Arc::default(),
    })
}

fn peer(mesh: &api::Mesh, neighbour: Option<&Endpoint>, place: &Place) -> Result<Peer, Fault> {
    let port = match mesh.port {
        0 => INBOUND_PORT,
        port => u16::try_from(port).map_err(|_| Fault::Address)?,
    };
    let like = neighbour.and_then(|endpoint| endpoint.peer.as_ref()).map(|peer| &peer.identity);
    let same = like.filter(|id| id.namespace() == mesh.namespace && id.service_account() == mesh.service_account);
    let identity = match same {
        Some(identity) => identity.clone(),
        None => {
            SpiffeId::new(&place.trust_domain, &mesh.namespace, &mesh.service_account).map_err(|_| Fault::Identity)?
        }
    };
    Ok(Peer { identity, port })
}

fn protocol(told: api::Protocol) -> Protocol {
    match told {
        api::Protocol::Undeclared => Protocol::Undeclared,
        api::Protocol::Opaque => Protocol::Opaque,
        api::Protocol::Http => Protocol::Http,
        api::Protocol::Http2 => Protocol::Http2,
    }
}

fn workload(told: &api::Workload, neighbour: Option<&Endpoint>) -> Arc<Workload> {
    let like = neighbour.and_then(|endpoint| endpoint.workload.as_ref());
    let same = like.filter(|workload| *workload.kind == *told.kind && *workload.name == *told.name);
    let new = || Arc::new(Workload { kind: told.kind.as_str().into(), name: told.name.as_str().into() });
    same.map_or_else(new, Arc::clone)
}

/// A message from which `take` would learn the same.
pub fn to_destination(at: SocketAddr, known: &Known, place: &Place) -> api::Destination {
    let state = match known {
        Known::NotOurs => State::NotOurs(api::NotOurs {}),
        Known::Group(group) => State::Endpoints(api::Endpoints {
            target: group.target.clone(),
            endpoints: group.endpoints().iter().map(|endpoint| to_endpoint(endpoint, place)).collect(),
            affinity_seconds: group.affinity.map_or(0, |time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX)),
            node_local: group.node_local,
            protocol: to_protocol(group.protocol).into(),
        }),
    };
    api::Destination { address: Some(to_address(at)), version: 0, state: Some(state) }
}

fn to_protocol(protocol: Protocol) -> api::Protocol {
    match protocol {
        Protocol::Undeclared => api::Protocol::Undeclared,
        Protocol::Opaque => api::Protocol::Opaque,
        Protocol::Http => api::Protocol::Http,
        Protocol::Http2 => api::Protocol::Http2,
    }
}

fn to_endpoint(endpoint: &Endpoint, place: &Place) -> api::Endpoint {
    let readiness = match endpoint.readiness {
        Readiness::Ready => api::Readiness::Ready,
        Readiness::Terminating => api::Readiness::Terminating,
        Readiness::NotReady => api::Readiness::NotReady,
    };
    api::Endpoint {
        address: Some(to_address(endpoint.address)),
        mesh: endpoint.peer.as_ref().map(|peer| api::Mesh {
            namespace: peer.identity.namespace().to_owned(),
            service_account: peer.identity.service_account().to_owned(),
            port: peer.port.into(),
        }),
        readiness: readiness.into(),
        node: if endpoint.near { place.node.clone() } else { String::new() },
        opaque: endpoint.opaque,
        workload: endpoint
            .workload
            .as_ref()
            .map(|workload| api::Workload { kind: workload.kind.to_string(), name: workload.name.to_string() }),
        ..api::Endpoint::default()
    }
}

#[cfg(test)]
mod tests;
