//! What an application answers to a gRPC health check: read or refused.
#![no_main]

use injector_proxy::probe::decode_answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|framed: &[u8]| {
    let _ = decode_answer(framed);
});
