//! The sidecar's settings, probes among them: any text is read or refused with faults that name their variable.
#![no_main]

use injector_proxy::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(4, '\n');
    let mut next = || parts.next().unwrap_or_default().to_owned();
    let (ports, ips, workers, probes) = (next(), next(), next(), next());
    let lookup = |name: &str| match name {
        "INJECTOR_OPAQUE_PORTS" => Some(ports.clone()),
        "INJECTOR_POD_IPS" => Some(ips.clone()),
        "INJECTOR_WORKERS" => Some(workers.clone()),
        "INJECTOR_PROBES" => Some(probes.clone()),
        _ => None,
    };
    let faults = Config::parse(lookup).expect_err("the pod's name is missing");
    assert!(faults.iter().all(|fault| fault.starts_with("INJECTOR_")), "{faults:?}");
});
