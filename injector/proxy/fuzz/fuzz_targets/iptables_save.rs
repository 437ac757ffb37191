//! Rules against what iptables-save prints: no panic, and rules are always the same as themselves.
#![no_main]

use injector_proxy::init::{Comparison, Rules};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (rules, saved) = text.split_once("---\n").unwrap_or((text, ""));
    if let Ok(rules) = Rules::parse(rules) {
        assert_eq!(rules.compare(rules.text()), Comparison::Same);
        if let Comparison::Different(how) = rules.compare(saved) {
            assert!(!how.is_empty());
        }
    }
});
