//! Who somebody is: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`, and nothing looser.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls_pki_types::ServerName;

/// What every identity begins with (SPIFFE-ID, section 2).
const SCHEME: &str = "spiffe://";
/// Stands before the namespace; no trust domain holds a slash.
const NAMESPACE: &str = "/ns/";
/// Stands before the service account; no namespace holds a slash.
const ACCOUNT: &str = "/sa/";
/// Characters of a trust domain: those of a host name (SPIFFE-ID, section 2.1).
const MOST_DOMAIN: usize = 255;
/// Characters of a label: RFC 1123, and what Kubernetes allows a namespace's name.
const MOST_LABEL: usize = 63;
/// Characters of a subdomain: RFC 1123, and what Kubernetes allows a service account's name.
const MOST_NAME: usize = 253;

/// An identity, checked. Cloning it costs a counter.
///
/// Equal identities are equal texts: there is one way to write each, so that comparing needs no rules.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    uri: Arc<str>,
    /// Where the namespace begins in `uri`.
    namespace: usize,
    /// Where the service account begins in `uri`.
    account: usize,
}

/// A text or a name that makes no identity; says which part, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSpiffe(String);

impl SpiffeId {
    /// The identity of a service account. Names are checked as Kubernetes checks them, for they come from outside.
    pub fn new(trust_domain: &str, namespace: &str, service_account: &str) -> Result<Self, NotSpiffe> {
        if !is_trust_domain(trust_domain) {
            return Err(not("trust domain", "lower-case letters, digits, dots, dashes and underscores", trust_domain));
        }
        if !is_label(namespace) {
            return Err(not("namespace", "lower-case letters, digits and dashes, 63 at most", namespace));
        }
        if !is_subdomain(service_account) {
            let expected = "lower-case letters, digits, dashes and dots, 253 at most";
            return Err(not("service account", expected, service_account));
        }
        let uri = format!("{SCHEME}{trust_domain}{NAMESPACE}{namespace}{ACCOUNT}{service_account}");
        let start = SCHEME.len() + trust_domain.len() + NAMESPACE.len();
        Ok(Self { uri: uri.into(), namespace: start, account: start + namespace.len() + ACCOUNT.len() })
    }

    /// The whole of it, as it stands in a certificate.
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// Whose names these are.
    pub fn trust_domain(&self) -> &str {
        &self.uri[SCHEME.len()..self.namespace - NAMESPACE.len()]
    }

    /// The service account's namespace.
    pub fn namespace(&self) -> &str {
        &self.uri[self.namespace..self.account - ACCOUNT.len()]
    }

    /// The service account's name.
    pub fn service_account(&self) -> &str {
        &self.uri[self.account..]
    }

    /// `<service account>.<namespace>.id.<trust domain>`, the second name in a certificate, for clients that cannot match
    /// URIs. None where that is no host name.
    ///
    /// No two identities of a trust domain share one: a namespace has no dots, so the last label before `.id.` is it.
    pub fn dns_name(&self) -> Option<String> {
        let name = format!("{}.{}.id.{}", self.service_account(), self.namespace(), self.trust_domain());
        let fits = is_subdomain(&name) && name.split('.').all(|label| label.len() <= MOST_LABEL);
        fits.then_some(name)
    }

    /// What a client writes into its ClientHello: the host name, or nothing (an address is not sent, RFC 6066 section 3).
    pub fn server_name(&self) -> ServerName<'static> {
        let name = self.dns_name().and_then(|name| ServerName::try_from(name).ok());
        name.unwrap_or(ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into()))
    }
}

impl FromStr for SpiffeId {
    type Err = NotSpiffe;

    fn from_str(text: &str) -> Result<Self, NotSpiffe> {
        let parts = || {
            let (trust_domain, rest) = text.strip_prefix(SCHEME)?.split_once(NAMESPACE)?;
            let (namespace, service_account) = rest.split_once(ACCOUNT)?;
            Some((trust_domain, namespace, service_account))
        };
        let expected = "spiffe://<trust domain>/ns/<namespace>/sa/<service account>";
        let (trust_domain, namespace, service_account) = parts().ok_or_else(|| not("identity", expected, text))?;
        Self::new(trust_domain, namespace, service_account)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.uri)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.uri)
    }
}

impl fmt::Display for NotSpiffe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for NotSpiffe {}

/// Repeats at most a label's length of what came, escaped: it came from outside.
fn not(part: &str, expected: &str, got: &str) -> NotSpiffe {
    let shown: String = got.chars().take(MOST_LABEL).collect();
    NotSpiffe(format!("{part}: expected {expected}, got {shown:?}"))
}

fn is_trust_domain(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    (1..=MOST_DOMAIN).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_label(text: &str) -> bool {
    text.len() <= MOST_LABEL && is_word(text)
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= MOST_NAME && text.split('.').all(is_word)
}

/// Letters, digits and dashes, no dash at an end.
fn is_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_found_again() {
        let identity: SpiffeId = "spiffe://cluster.local/ns/shop/sa/web.front".parse().unwrap();
        assert_eq!(identity.trust_domain(), "cluster.local");
        assert_eq!((identity.namespace(), identity.service_account()), ("shop", "web.front"));
        assert_eq!(identity.dns_name().unwrap(), "web.front.shop.id.cluster.local");
    }

    #[test]
    fn names_may_be_ns_and_sa() {
        let identity = SpiffeId::new("ns", "sa", "ns").unwrap();
        assert_eq!(identity.to_string().parse(), Ok(identity));
    }

    #[test]
    fn anything_looser_is_refused() {
        for text in [
            "",
            "spiffe://cluster.local",
            "spiffe:///ns/shop/sa/web",
            "SPIFFE://cluster.local/ns/shop/sa/web",
            "spiffe://Cluster.local/ns/shop/sa/web",
            "spiffe://cluster.local:1/ns/shop/sa/web",
            "spiffe://u@cluster.local/ns/shop/sa/web",
            "spiffe://cluster.local//ns/shop/sa/web",
            "spiffe://cluster.local/ns/shop/sa/",
            "spiffe://cluster.local/ns//sa/web",
            "spiffe://cluster.local/ns/shop/sa/web/",
            "spiffe://cluster.local/ns/shop/sa/web/more",
            "spiffe://cluster.local/ns/sh.op/sa/web",
            "spiffe://cluster.local/ns/shop/sa/we%62",
            "spiffe://cluster.local/ns/shop/sa/web?x",
            "spiffe://cluster.local/ns/shop/sa/web#x",
            "spiffe://cluster.local/ns/shop/sa/web\0",
            "spiffe://cluster.local/ns/shop/sa/..",
            "spiffe://cluster.local/sa/web/ns/shop",
            " spiffe://cluster.local/ns/shop/sa/web",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_that_are_no_host_names_have_no_dns_form() {
        assert_eq!(SpiffeId::new("cluster.local", "shop", &"a".repeat(64)).unwrap().dns_name(), None);
        assert_eq!(SpiffeId::new("cluster_local", "shop", "web").unwrap().dns_name(), None);
        assert_eq!(SpiffeId::new("cluster.local", "shop", &"a.".repeat(126)[..251]).unwrap().dns_name(), None);
    }

    proptest! {
        #[test]
        fn whatever_parses_is_written_the_same(text in "(spiffe://)?[a-z./-]{0,12}(/ns/)?[a-z./-]{0,9}(/sa/)?[a-z./-]{0,9}") {
            if let Ok(identity) = text.parse::<SpiffeId>() {
                prop_assert_eq!(identity.as_str(), &text);
                let again = SpiffeId::new(identity.trust_domain(), identity.namespace(), identity.service_account());
                prop_assert_eq!(again.unwrap(), identity);
            }
        }

        #[test]
        fn names_as_kubernetes_has_them_make_an_identity(
            namespace in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
            account in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z0-9]{1,20}){0,9}",
        ) {
            let identity = SpiffeId::new("cluster.local", &namespace, &account).unwrap();
            prop_assert_eq!(identity.as_str().parse::<SpiffeId>().unwrap(), identity.clone());
            prop_assert_eq!((identity.namespace(), identity.service_account()), (&*namespace, &*account));
        }

        #[test]
        fn any_text_is_judged(text in any::<String>()) {
            let _ = text.parse::<SpiffeId>();
            let _ = SpiffeId::new("cluster.local", &text, &text);
        }
    }
}
