//! Texts of networks: read or refused, and what is read has its own address inside.
#![no_main]

use injector_proxy::config::Networks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(networks) = Networks::parse([text]) {
        let address = text.split('/').next().unwrap().parse().unwrap();
        assert!(networks.contains(address));
    }
});
