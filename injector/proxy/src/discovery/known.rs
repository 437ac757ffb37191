//! What is known of one destination, in the form that connections use.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::api::endpoints::Target;
use crate::balance::{self, Candidate, Load, Open, Standing};
use crate::tls::SpiffeId;

/// What a destination is.
#[derive(Clone, Debug)]
pub enum Known {
    /// Neither a Service's nor a pod's.
    NotOurs,
    /// A Service's or a pod's, with these endpoints.
    Group(Arc<Group>),
}

/// The endpoints of a destination, as of one version.
#[derive(Debug)]
pub struct Group {
    /// Whose they are; none if it is something that this proxy has not heard of.
    pub target: Option<Target>,
    /// What its port is declared to carry. An endpoint that is opaque carries plain bytes, whatever stands here.
    pub protocol: Protocol,
    /// How long this pod stays with an endpoint.
    pub affinity: Option<Duration>,
    /// Whether only endpoints of this node may be chosen.
    pub node_local: bool,
    /// Those that may be chosen first, then the others.
    endpoints: Vec<Endpoint>,
    candidates: usize,
    opaque: bool,
    kept: Arc<Kept>,
}

/// The endpoint that this pod was given last, and when. Only read and written where a Service asks for affinity.
type Kept = Mutex<Option<(SocketAddr, Instant)>>;

/// Where a connection may go.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// How its proxy is reached; none where it has none.
    pub peer: Option<Peer>,
    /// Whether it serves.
    pub readiness: Readiness,
    /// Whether it is on this proxy's node.
    pub near: bool,
    /// Whether its port is declared to carry plain bytes.
    pub opaque: bool,
    /// What its pod belongs to; none where that is not known.
    pub workload: Option<Arc<Workload>>,
    /// Kept from version to version.
    pub load: Arc<Load>,
}

/// The proxy in front of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who must answer.
    pub identity: SpiffeId,
    /// Its port for mesh traffic.
    pub port: u16,
}

/// What a person would name when asked what a pod belongs to, in the pod's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Such as `Deployment`.
    pub kind: Box<str>,
    /// Such as `web`.
    pub name: Box<str>,
}

/// What a destination's port is declared to carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Nobody has said: the first bytes of a connection decide.
    #[default]
    Undeclared,
    /// Plain bytes, at which nobody looks.
    Opaque,
    /// HTTP/1.1, and whatever a connection upgrades to from there.
    Http,
    /// HTTP/2 from the first byte (prior knowledge), gRPC too.
    Http2,
}

/// Whether an endpoint serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// New connections go there.
    Ready,
    /// It is going; chosen where nobody is ready.
    Terminating,
    /// It is not for a Service's clients.
    NotReady,
}

impl Group {
    /// The endpoints of a destination of which nothing was known before, or as they follow those `before`.
    pub fn new(
        target: Option<Target>,
        protocol: Protocol,
        mut endpoints: Vec<Endpoint>,
        affinity: Option<Duration>,
        node_local: bool,
        before: Option<&Self>,
    ) -> Self {
        let wanted = wanted(target.as_ref(), &endpoints, node_local);
        let chosen = |endpoint: &Endpoint| {
            (!node_local || endpoint.near) && wanted.is_none_or(|readiness| endpoint.readiness == readiness)
        };
        endpoints.sort_by_key(|endpoint| !chosen(endpoint));
        let candidates = endpoints.partition_point(chosen);
        let opaque = protocol == Protocol::Opaque || endpoints[..candidates].iter().any(|endpoint| endpoint.opaque);
        let kept = before.map(|group| Arc::clone(&group.kept)).unwrap_or_default();
        Self { target, protocol, affinity, node_local, endpoints, candidates, opaque, kept }
    }

    /// All of them, in no order.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Whether it is declared to carry plain bytes: by the Service, or by any of those that may be chosen.
    pub fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// How many of them may be chosen.
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    /// The endpoint for the next connection, none of those `tried` already; none if there is none.
    pub fn choose(&self, tried: &[SocketAddr]) -> Option<&Endpoint> {
        self.choose_by(tried, |_| true, balance::choose)
    }

    /// The endpoint for the next request, none of those `tried` already or left alone for a while; none if there is none.
    pub fn choose_healthy(&self, tried: &[SocketAddr]) -> Option<&Endpoint> {
        let is_in = |endpoint: &Endpoint| endpoint.load.health.standing(balance::clock()) == Standing::In;
        self.choose_by(tried, is_in, balance::choose_healthy)
    }

    fn choose_by(
        &self,
        tried: &[SocketAddr],
        may_stay: impl Fn(&Endpoint) -> bool,
        lot: impl Fn(&[Endpoint], &[SocketAddr], u32) -> Option<usize>,
    ) -> Option<&Endpoint> {
        let candidates = &self.endpoints[..self.candidates];
        let by_lot = || lot(candidates, tried, balance::clock()).map(|place| &candidates[place]);
        let Some(affinity) = self.affinity else { return by_lot() };
        // As kube-proxy does it: every new connection begins the time anew.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let last = kept.filter(|(address, at)| at.elapsed() < affinity && !tried.contains(address));
        let is_last = |endpoint: &&Endpoint| last.is_some_and(|(address, _)| endpoint.address == address);
        let same = candidates.iter().find(is_last).filter(|endpoint| may_stay(endpoint));
        let chosen = same.or_else(by_lot)?;
        *kept = Some((chosen.address, Instant::now()));
        Some(chosen)
    }
}

/// What an endpoint must be to be chosen; none where it does not matter: a pod's own address is dialled, as without us,
/// whatever its probes say.
fn wanted(target: Option<&Target>, endpoints: &[Endpoint], node_local: bool) -> Option<Readiness> {
    if matches!(target, Some(Target::Pod(_))) {
        return None;
    }
    let ready = |endpoint: &Endpoint| endpoint.readiness == Readiness::Ready && (!node_local || endpoint.near);
    Some(if endpoints.iter().any(ready) { Readiness::Ready } else { Readiness::Terminating })
}

impl Endpoint {
    /// Counts a connection to it for as long as the result is kept.
    pub fn open(&self) -> Open {
        self.load.open()
    }
}

impl Candidate for Endpoint {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn load(&self) -> &Load {
        &self.load
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Pod, ServicePort};

    fn endpoint(port: u16, readiness: Readiness, near: bool) -> Endpoint {
        let address = ([10, 0, 0, 1], port).into();
        Endpoint { address, peer: None, readiness, near, opaque: false, workload: None, load: Arc::default() }
    }

    /// The ports that are ever chosen.
    fn chosen(group: &Group) -> Vec<u16> {
        let mut ports: Vec<u16> =
            (0..200).filter_map(|_| group.choose(&[])).map(|endpoint| endpoint.address.port()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    fn service(endpoints: Vec<Endpoint>, node_local: bool) -> Group {
        Group::new(
            Some(Target::Service(ServicePort::default())),
            Protocol::Undeclared,
            endpoints,
            None,
            node_local,
            None,
        )
    }

    #[test]
    fn the_ready_ones_come_first_then_those_that_are_going() {
        use Readiness::{NotReady, Ready, Terminating};
        let all = [(1, Ready), (2, Terminating), (3, NotReady), (4, Ready), (5, Terminating)];
        let of = |ports: &[u16]| {
            let some = all.iter().filter(|(port, _)| ports.contains(port));
            service(some.map(|(port, readiness)| endpoint(*port, *readiness, false)).collect(), false)
        };
        assert_eq!(chosen(&of(&[1, 2, 3, 4, 5])), [1, 4]);
        assert_eq!(chosen(&of(&[2, 3, 5])), [2, 5]);
        assert!(chosen(&of(&[3])).is_empty());
        assert!(chosen(&of(&[])).is_empty());
        assert_eq!(of(&[1, 2, 3, 4, 5]).endpoints().len(), 5, "the others are not forgotten");
    }

    #[test]
    fn node_local_means_this_node_only() {
        use Readiness::{Ready, Terminating};
        let endpoints = || vec![endpoint(1, Ready, false), endpoint(2, Terminating, true)];
        assert_eq!(chosen(&service(endpoints(), true)), [2]);
        assert_eq!(chosen(&service(endpoints(), false)), [1]);
        assert!(chosen(&service(vec![endpoint(1, Ready, false)], true)).is_empty());
    }

    #[test]
    fn a_pods_own_address_is_dialled_whatever_it_says() {
        let endpoints = vec![endpoint(1, Readiness::NotReady, false)];
        let group = Group::new(Some(Target::Pod(Pod::default())), Protocol::Undeclared, endpoints, None, false, None);
        assert_eq!(chosen(&group), [1]);
    }

    #[test]
    fn affinity_stays_while_the_endpoint_is_there_and_answers() {
        let endpoints: Vec<_> = (1..20).map(|port| endpoint(port, Readiness::Ready, false)).collect();
        let group =
            Group::new(None, Protocol::Undeclared, endpoints.clone(), Some(Duration::from_mins(1)), false, None);
        let [first] = chosen(&group)[..] else { panic!("one endpoint all the time") };
        let newer = Group::new(
            None,
            Protocol::Undeclared,
            endpoints.clone(),
            Some(Duration::from_mins(1)),
            false,
            Some(&group),
        );
        assert_eq!(chosen(&newer), [first], "versions come and go");
        let second = newer.choose(&[([10, 0, 0, 1], first).into()]).unwrap().address.port();
        assert_ne!(second, first, "it did not answer");
        assert_eq!(chosen(&newer), [second]);
        let without = endpoints.into_iter().filter(|endpoint| endpoint.address.port() != second).collect();
        let without =
            Group::new(None, Protocol::Undeclared, without, Some(Duration::from_mins(1)), false, Some(&newer));
        assert!(chosen(&without).len() == 1 && chosen(&without) != [second], "it is gone");
    }

    #[test]
    fn affinity_ends_for_requests_where_the_endpoint_is_put_out() {
        let endpoints: Vec<_> = (1..20).map(|port| endpoint(port, Readiness::Ready, false)).collect();
        let group =
            Group::new(None, Protocol::Undeclared, endpoints.clone(), Some(Duration::from_mins(1)), false, None);
        let first = group.choose_healthy(&[]).unwrap().clone();
        assert_eq!(group.choose_healthy(&[]).unwrap().address, first.address);
        while !first.load.health.failed(false, balance::clock()) {}
        assert_ne!(group.choose_healthy(&[]).unwrap().address, first.address);
    }

    #[test]
    fn affinity_ends() {
        let endpoints = (1..20).map(|port| endpoint(port, Readiness::Ready, false)).collect();
        let group = Group::new(None, Protocol::Undeclared, endpoints, Some(Duration::ZERO), false, None);
        assert!(chosen(&group).len() > 5);
    }
}
