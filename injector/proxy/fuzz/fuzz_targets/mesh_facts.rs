//! What the controller tells every pod: read, or refused with a reason.
#![no_main]

use injector_proxy::identity::MeshFacts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| match MeshFacts::parse(json) {
    Ok(facts) => assert_eq!(facts.issuer.trust_domain(), facts.trust_domain),
    Err(fault) => assert!(!fault.is_empty()),
});
