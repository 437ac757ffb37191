//! `init`: puts the pod's redirection rules in place and makes sure that they are.
//!
//! The webhook decides what the rules are; this applies exactly that text, one atomic restore a family, and reads it
//! back. Run again, it finds its own work and changes nothing.

mod backend;
mod compare;
mod family;

use std::process::ExitCode;
use std::{env, fs, thread};

use crate::cli;
pub use compare::{Comparison, Rules};
use family::{Family, Settled};

/// `CAP_NET_ADMIN` in the masks of proc_pid_status(5): the netfilter tables ask for it.
const NET_ADMIN: u64 = 1 << 12;

/// Applies the rules in the environment and says in one line what was done or what is missing.
pub fn main() -> ExitCode {
    let (v4, v6) = match rules(|name| env::var(name).ok()) {
        Ok(rules) => rules,
        Err(faults) => return cli::fail(cli::EXIT_USAGE, &faults),
    };
    if !may_administer_network() {
        let fault = "cannot redirect: no NET_ADMIN capability. The webhook adds it to the container injector-init; \
                     something took it away, or this is another container";
        return cli::fail(cli::EXIT_UNAVAILABLE, &[fault.to_owned()]);
    }
    // Both families at once: each is a few processes to wait for, and a pod waits for both.
    let (v4, v6) = thread::scope(|scope| {
        let v6 = scope.spawn(|| family::settle(Family::V6, &v6));
        (family::settle(Family::V4, &v4), v6.join().unwrap_or_else(|_| Err("IPv6: the thread ended".to_owned())))
    });
    match (v4, v6) {
        (Ok(v4), Ok(v6)) => {
            cli::say(&format!("injector-proxy: {}; {}\n", told(Family::V4, &v4), told(Family::V6, &v6)))
        }
        (v4, v6) => cli::fail(cli::EXIT_UNAVAILABLE, &[v4.err(), v6.err()].into_iter().flatten().collect::<Vec<_>>()),
    }
}

fn told(family: Family, settled: &Settled) -> String {
    match settled {
        Settled::Applied(backend, count) => format!("{family}: applied {count} rules by {backend}"),
        Settled::AlreadyThere(backend, count) => format!("{family}: {count} rules were in place already, by {backend}"),
        Settled::NotNeeded => format!("{family}: not redirected, for the pod has no such address"),
    }
}

fn rules(lookup: impl Fn(&str) -> Option<String>) -> Result<(Rules, Rules), Vec<String>> {
    let read = |name: &str| match lookup(name).filter(|text| !text.is_empty()) {
        Some(text) => Rules::parse(&text).map_err(|fault| format!("{name}: {fault}")),
        None => Err(format!("{name}: expected rules for iptables-restore, got nothing; the webhook sets it")),
    };
    match (read("INJECTOR_IPTABLES_RULES"), read("INJECTOR_IP6TABLES_RULES")) {
        (Ok(v4), Ok(v6)) => Ok((v4, v6)),
        (v4, v6) => Err([v4.err(), v6.err()].into_iter().flatten().collect()),
    }
}

/// Whether the effective capabilities have `CAP_NET_ADMIN`. Where `/proc` does not say, iptables will.
fn may_administer_network() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective_capabilities(&status).is_none_or(|mask| mask & NET_ADMIN != 0)
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_faults_are_told() {
        let faults = rules(|name| (name == "INJECTOR_IP6TABLES_RULES").then(|| "*filter\nCOMMIT\n".to_owned()));
        let faults = faults.unwrap_err();
        assert_eq!(faults.len(), 2);
        assert!(faults[0].starts_with("INJECTOR_IPTABLES_RULES: expected rules"), "{faults:?}");
        assert!(faults[1].starts_with("INJECTOR_IP6TABLES_RULES: expected"), "{faults:?}");
    }

    #[test]
    fn capabilities_are_the_kernels_mask() {
        assert_eq!(effective_capabilities("Name:\tx\nCapEff:\t0000000000003000\n"), Some(0x3000));
        assert_eq!(effective_capabilities(""), None);
    }
}
