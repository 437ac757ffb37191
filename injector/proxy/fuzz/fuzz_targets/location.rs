//! Where an application redirects a probe: nowhere, or to an absolute URL that leads to itself.
#![no_main]

use injector_proxy::config::Scheme;
use injector_proxy::probe::{Location, follow};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|reference: &str| {
    let base = Location { scheme: Scheme::Http, host: "10.0.0.2".to_owned(), port: 8080, path: "/a/b?c".to_owned() };
    if let Some(location) = follow(&base, reference) {
        assert!(location.path.starts_with('/') && !location.host.is_empty());
        assert_eq!(follow(&location, ""), Some(location.clone()));
    }
});
