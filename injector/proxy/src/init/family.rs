//! One family's rules: find the back end, see what is there, apply, read back.

use std::net::Ipv6Addr;
use std::{fmt, fs};

use super::backend::Backend;
use super::compare::{Comparison, Rules};

/// An address family, with tables of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// How things stand at the end; the number is that of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The rules are there now.
    Applied(Backend, usize),
    /// They were there before.
    AlreadyThere(Backend, usize),
    /// There is nothing to redirect.
    NotNeeded,
}

/// Makes sure that `rules` are in the nat table of the pod. The error is a sentence.
pub fn settle(family: Family, rules: &Rules) -> Result<Settled, String> {
    let mut refusals = Vec::new();
    let mut candidates = Vec::new();
    for backend in [Backend::Nft, Backend::Legacy] {
        // Opening the legacy table creates it, hooks and all: only where it exists or nothing else does.
        if backend == Backend::Legacy && !candidates.is_empty() && !legacy_in_use(family) {
            continue;
        }
        match backend.save(family) {
            Ok(saved) => match rules.compare(&saved) {
                Comparison::Absent => candidates.push(backend),
                Comparison::Same => return Ok(Settled::AlreadyThere(backend, rules.count())),
                Comparison::Different(how) => return Err(foreign(family, backend, &how)),
            },
            Err(refusal) => refusals.push(refusal),
        }
    }
    for backend in candidates {
        match backend.restore(family, rules.text()) {
            Ok(()) => return read_back(family, backend, rules),
            Err(refusal) => refusals.push(refusal), // atomic: nothing was changed, so the next may try
        }
    }
    if family == Family::V6 && !has_v6_address() {
        return Ok(Settled::NotNeeded);
    }
    Err(format!(
        "{family}: no nat table opens in this pod, by nft or by legacy; the node's kernel lacks a module (nft_nat or \
         iptable_nat) or the container a capability (NET_ADMIN, for legacy NET_RAW too): {}",
        refusals.join("; ")
    ))
}

fn foreign(family: Family, backend: Backend, how: &str) -> String {
    format!(
        "{family}: chains named INJECTOR_* are in the pod already ({backend}) and are not the ones to apply: {how}; \
         create the pod again"
    )
}

fn read_back(family: Family, backend: Backend, rules: &Rules) -> Result<Settled, String> {
    match rules.compare(&backend.save(family)?) {
        Comparison::Same => Ok(Settled::Applied(backend, rules.count())),
        Comparison::Absent => Err(format!("{family}: the rules were applied by {backend} and are not there")),
        Comparison::Different(how) => {
            Err(format!("{family}: the rules were applied by {backend} and read back differently: {how}"))
        }
    }
}

/// Whether the legacy nat table exists in this network namespace.
fn legacy_in_use(family: Family) -> bool {
    let path = match family {
        Family::V4 => "/proc/net/ip_tables_names",
        Family::V6 => "/proc/net/ip6_tables_names",
    };
    fs::read_to_string(path).is_ok_and(|names| names.lines().any(|name| name == "nat"))
}

/// Whether anyone could reach the pod, or it anyone, by IPv6.
fn has_v6_address() -> bool {
    fs::read_to_string("/proc/net/if_inet6").is_ok_and(|text| text.lines().filter_map(address).any(reaches_out))
}

/// The first field of a line of /proc/net/if_inet6: 32 hexadecimal digits.
fn address(line: &str) -> Option<Ipv6Addr> {
    let digits = line.split_ascii_whitespace().next().filter(|field| field.len() == 32)?;
    u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from_bits)
}

fn reaches_out(address: Ipv6Addr) -> bool {
    !address.is_loopback() && !address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_link_local_addresses_reach_nobody() {
        let line = |digits: &str| address(&format!("{digits} 01 80 10 80       lo"));
        assert!(!reaches_out(line("00000000000000000000000000000001").unwrap()));
        assert!(!reaches_out(line("fe80000000000000000000fffe000001").unwrap()));
        assert!(reaches_out(line("fd000000000000000000000000000002").unwrap()));
        assert_eq!(line("1"), None);
    }
}
