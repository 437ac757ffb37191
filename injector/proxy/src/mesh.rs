//! What the connections of all workers share: who we are, who is where, and what is let through.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::discovery::Directory;
use crate::identity::MeshFacts;
use crate::policy::{Policy, UnknownDestinations};
use crate::tls::Credentials;

/// The pod's part in the mesh.
#[derive(Debug)]
pub struct Mesh {
    /// Who this pod is, and whom it trusts.
    pub credentials: Arc<Credentials>,
    /// Where connections go.
    pub directory: Arc<Directory>,
    /// What every pod is told of the cluster, as it changes.
    pub facts: watch::Receiver<MeshFacts>,
    /// Who may open connections to this pod.
    pub inbound_policy: Policy,
    /// Whether connections pass of whose destination nobody told.
    pub unknown_destinations: UnknownDestinations,
}

impl Mesh {
    /// Whether an address is inside the cluster's networks.
    pub fn is_inside(&self, ip: IpAddr) -> bool {
        self.facts.borrow().networks.contains(ip)
    }
}
