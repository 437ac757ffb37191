//! The file of known destinations: whatever it holds is read or refused. What it holds are messages of the contract, so
//! this is also what a controller might say.
#![no_main]

use injector_proxy::discovery::{Place, decode_store};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let place = Place { trust_domain: "cluster.local".to_owned(), node: "node-1".to_owned() };
    let _ = decode_store(bytes, &place);
});
