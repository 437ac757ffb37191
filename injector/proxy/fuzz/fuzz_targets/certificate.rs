//! A peer's certificate, as it is before anybody has checked its signature: read or refused, and what is read is strict.
#![no_main]

use injector_proxy::tls::{Identity, SpiffeId};
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;

fuzz_target!(|der: &[u8]| {
    let chain = [CertificateDer::from(der), CertificateDer::from(der)];
    if let Ok(identity) = Identity::of(&chain) {
        assert_eq!(identity.spiffe.as_str().parse::<SpiffeId>().as_ref(), Ok(&identity.spiffe));
    }
});
