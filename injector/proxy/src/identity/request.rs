//! The request for a certificate: PKCS #10 (RFC 2986), with what the contract asks for and nothing else.

use crate::tls::der::{tag, value};
use crate::tls::{Key, SUBJECT_ALTERNATIVE_NAME, SpiffeId, URI};

/// extensionRequest of PKCS #9, 1.2.840.113549.1.9.14.
const EXTENSION_REQUEST: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// ecdsa-with-SHA256, 1.2.840.10045.4.3.2.
const ECDSA_WITH_SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// dNSName of a GeneralName (RFC 5280, 4.2.1.6).
const DNS_NAME: u8 = tag::primitive(2);
/// Bits that a BIT STRING leaves out of its last byte; ours leave out none.
const ALL_BITS: &[u8] = &[0];

/// Asks for a certificate for `key` in this name, DER. The subject is empty: nobody reads it.
pub fn request(key: &Key, identity: &SpiffeId) -> Result<Vec<u8>, String> {
    let version = value(tag::INTEGER, &[&[0]]);
    let subject = value(tag::SEQUENCE, &[]);
    let attributes = value(tag::constructed(0), &[&extension_request(identity)]);
    let body = value(tag::SEQUENCE, &[&version, &subject, key.public()?.as_ref(), &attributes]);
    let algorithm = value(tag::SEQUENCE, &[&value(tag::OID, &[&ECDSA_WITH_SHA256])]);
    let signature = value(tag::BIT_STRING, &[ALL_BITS, &key.sign(&body)?]);
    Ok(value(tag::SEQUENCE, &[&body, &algorithm, &signature]))
}

fn extension_request(identity: &SpiffeId) -> Vec<u8> {
    let uri = value(URI, &[identity.as_str().as_bytes()]);
    let dns = identity.dns_name().map(|name| value(DNS_NAME, &[name.as_bytes()])).unwrap_or_default();
    let names = value(tag::OCTET_STRING, &[&value(tag::SEQUENCE, &[&uri, &dns])]);
    let extension = value(tag::SEQUENCE, &[&value(tag::OID, &[&SUBJECT_ALTERNATIVE_NAME]), &names]);
    let extensions = value(tag::SEQUENCE, &[&extension]);
    value(tag::SEQUENCE, &[&value(tag::OID, &[&EXTENSION_REQUEST]), &value(tag::SET, &[&extensions])])
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateSigningRequestParams, SanType};
    use rustls_pki_types::CertificateSigningRequestDer;

    use super::*;

    /// As another implementation reads it, which checks the signature too.
    fn names(identity: &SpiffeId) -> Vec<SanType> {
        let der = CertificateSigningRequestDer::from(request(&Key::generate().unwrap(), identity).unwrap());
        CertificateSigningRequestParams::from_der(&der).unwrap().params.subject_alt_names
    }

    #[test]
    fn both_names_are_in_it() {
        let identity = SpiffeId::new("cluster.local", "shop", "web").unwrap();
        let [SanType::URI(uri), SanType::DnsName(dns)] = &names(&identity)[..] else { panic!("other names") };
        assert_eq!(uri.as_str(), "spiffe://cluster.local/ns/shop/sa/web");
        assert_eq!(dns.as_str(), "web.shop.id.cluster.local");
    }

    #[test]
    fn a_name_that_is_no_host_name_is_left_out() {
        let identity = SpiffeId::new("cluster.local", "shop", &"a".repeat(64)).unwrap();
        assert_eq!(names(&identity).len(), 1);
    }

    #[test]
    fn the_longest_fits_the_contract() {
        let identity = SpiffeId::new(&"d".repeat(255), &"n".repeat(63), &"s".repeat(253)).unwrap();
        assert!(request(&Key::generate().unwrap(), &identity).unwrap().len() < 4096);
    }
}
