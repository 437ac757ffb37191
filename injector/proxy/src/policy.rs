//! What is let through when nobody has said more: who may open connections to this pod, and whether the pod may open
//! one to a destination of which nobody told in time.

use std::net::IpAddr;
use std::str::FromStr;

use crate::config::Networks;
use crate::metrics::Labelled;

/// The setting `injector.mesh/default-inbound-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Everybody.
    #[default]
    AllUnauthenticated,
    /// Whoever comes from the cluster's networks.
    ClusterUnauthenticated,
    /// Whoever has an identity of the mesh.
    AllAuthenticated,
    /// Whoever has an identity of the mesh and comes from the cluster's networks.
    ClusterAuthenticated,
    /// Nobody.
    Deny,
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The policy asks for an identity, and there is none.
    Unauthenticated,
    /// The policy asks for a source in the cluster's networks, and this one is not.
    OutsideNetworks,
    /// The policy lets nobody in.
    Nobody,
}

impl Policy {
    const ALL: [Self; 5] = [
        Self::AllUnauthenticated,
        Self::ClusterUnauthenticated,
        Self::AllAuthenticated,
        Self::ClusterAuthenticated,
        Self::Deny,
    ];

    /// As the annotation has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllUnauthenticated => "all-unauthenticated",
            Self::ClusterUnauthenticated => "cluster-unauthenticated",
            Self::AllAuthenticated => "all-authenticated",
            Self::ClusterAuthenticated => "cluster-authenticated",
            Self::Deny => "deny",
        }
    }

    /// Judges a connection from `source`, whose opener has proven an identity or not, in a cluster of these `networks`.
    pub fn judge(self, source: IpAddr, authenticated: bool, networks: &Networks) -> Result<(), Denial> {
        let identity = || if authenticated { Ok(()) } else { Err(Denial::Unauthenticated) };
        let cluster = || if networks.contains(source) { Ok(()) } else { Err(Denial::OutsideNetworks) };
        match self {
            Self::AllUnauthenticated => Ok(()),
            // An identity is proof enough of belonging to the cluster, wherever its packets come from (a pod on its
            // node's network).
            Self::ClusterUnauthenticated => identity().or_else(|_| cluster()),
            Self::AllAuthenticated => identity(),
            Self::ClusterAuthenticated => identity().and_then(|()| cluster()),
            Self::Deny => Err(Denial::Nobody),
        }
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|policy| policy.name() == text);
        named.ok_or_else(|| format!("expected one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

impl Labelled for Denial {
    const ALL: &'static [Self] = &[Self::Unauthenticated, Self::OutsideNetworks, Self::Nobody];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::OutsideNetworks => "outside_networks",
            Self::Nobody => "nobody",
        }
    }
}

/// The setting `injector.mesh/unknown-destinations`: what becomes of a connection to a destination that discovery did
/// not answer for in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownDestinations {
    /// Inside the cluster's networks it may be a meshed pod, which nobody should send plain bytes to: refused. Outside
    /// them it cannot be: passed.
    #[default]
    Auto,
    /// All of them pass, as plain bytes.
    Pass,
    /// None of them passes.
    Refuse,
}

impl UnknownDestinations {
    /// Whether a connection passes whose destination is, or is not, `inside` the cluster's networks.
    pub fn pass(self, inside: bool) -> bool {
        match self {
            Self::Auto => !inside,
            Self::Pass => true,
            Self::Refuse => false,
        }
    }
}

impl FromStr for UnknownDestinations {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "pass" => Ok(Self::Pass),
            "refuse" => Ok(Self::Refuse),
            _ => Err("expected auto, pass or refuse".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_destinations_pass_outside_the_networks_or_as_told() {
        for (setting, inside, outside) in [("auto", false, true), ("pass", true, true), ("refuse", false, false)] {
            let setting: UnknownDestinations = setting.parse().unwrap();
            assert_eq!(setting.pass(true), inside, "{setting:?}");
            assert_eq!(setting.pass(false), outside, "{setting:?}");
        }
        assert!("drop".parse::<UnknownDestinations>().is_err());
    }

    /// What each policy says to: a stranger outside, a stranger inside, a member outside, a member inside.
    #[test]
    fn the_whole_table() {
        use Denial::{Nobody, OutsideNetworks, Unauthenticated};
        let networks = Networks::parse(["10.0.0.0/8"]).unwrap();
        let (outside, inside) = ("192.0.2.1".parse().unwrap(), "10.0.0.1".parse().unwrap());
        for (policy, expected) in [
            (Policy::AllUnauthenticated, [Ok(()), Ok(()), Ok(()), Ok(())]),
            (Policy::ClusterUnauthenticated, [Err(OutsideNetworks), Ok(()), Ok(()), Ok(())]),
            (Policy::AllAuthenticated, [Err(Unauthenticated), Err(Unauthenticated), Ok(()), Ok(())]),
            (Policy::ClusterAuthenticated, [Err(Unauthenticated), Err(Unauthenticated), Err(OutsideNetworks), Ok(())]),
            (Policy::Deny, [Err(Nobody), Err(Nobody), Err(Nobody), Err(Nobody)]),
        ] {
            let judged = [(outside, false), (inside, false), (outside, true), (inside, true)]
                .map(|(source, authenticated)| policy.judge(source, authenticated, &networks));
            assert_eq!(judged, expected, "{}", policy.name());
        }
    }

    #[test]
    fn names_are_the_annotations() {
        for policy in Policy::ALL {
            assert_eq!(policy.name().parse(), Ok(policy));
        }
        assert_eq!("allow".parse::<Policy>().unwrap_err().matches("authenticated").count(), 4);
    }
}
