//! The first bytes between two proxies, as a peer with an identity and bad intentions might send them.
#![no_main]

use injector_proxy::preface::{LENGTH, Preface};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: [u8; LENGTH]| {
    if let Ok((preface, options)) = Preface::decode(bytes) {
        assert!(preface.port > 0 && options <= 1020);
        let mut plain = bytes;
        plain[5] = 0; // what it says of options is not kept
        assert_eq!(preface.encode(), plain);
    }
});
