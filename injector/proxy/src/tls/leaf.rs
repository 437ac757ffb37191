//! What a certificate says that webpki does not tell: which URIs, and valid when.
//!
//! Read before its signature was checked, so of hostile bytes. webpki's own list of URIs leaves out those that are no
//! ASCII, and "exactly one" must count them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::der::{Reader, tag};
use super::spiffe::SpiffeId;

/// id-ce-subjectAltName, 2.5.29.17 (RFC 5280, 4.2.1.6).
pub const SUBJECT_ALTERNATIVE_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
/// id-ce-extKeyUsage, 2.5.29.37, and two of its purposes (RFC 5280, 4.2.1.12).
const EXTENDED_KEY_USAGE: [u8; 3] = [0x55, 0x1d, 0x25];
const SERVER_AUTH: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const CLIENT_AUTH: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
/// uniformResourceIdentifier of a GeneralName (RFC 5280, 4.2.1.6).
pub const URI: u8 = tag::primitive(6);
/// The extensions of a TBSCertificate (RFC 5280, 4.1).
const EXTENSIONS: u8 = tag::constructed(3);

/// The part of a certificate that we judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The one URI it holds, if that is one of our identities; none if there are several, or others.
    pub spiffe: Option<SpiffeId>,
    /// Whether it says that it is for TLS, as server and as client: what the mesh issues is. One that says nothing is good
    /// for everything (RFC 5280), which under a company's root could be anybody's.
    pub is_for_both_ends: bool,
    /// Valid from then on.
    pub not_before: SystemTime,
    /// Valid until then, inclusively.
    pub not_after: SystemTime,
}

impl Leaf {
    /// Reads a certificate (RFC 5280, 4.1). None: it is not one.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let mut certificate = Reader::new(der).inside(tag::SEQUENCE)?;
        let mut body = certificate.inside(tag::SEQUENCE)?;
        body.skip(tag::constructed(0))?; // version
        body.value(tag::INTEGER)?; // serial number
        body.value(tag::SEQUENCE)?; // signature algorithm
        body.value(tag::SEQUENCE)?; // issuer
        let mut validity = body.inside(tag::SEQUENCE)?;
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        body.value(tag::SEQUENCE)?; // subject
        body.value(tag::SEQUENCE)?; // public key
        body.skip(tag::primitive(1))?; // unique identifiers, of issuer and subject
        body.skip(tag::primitive(2))?;
        let said = if body.is_next(EXTENSIONS) { Said::by(body.inside(EXTENSIONS)?)? } else { Said::default() };
        let only = if let [uri] = said.uris[..] { str::from_utf8(uri).ok() } else { None };
        let spiffe = only.and_then(|uri| uri.parse().ok());
        Some(Self { spiffe, is_for_both_ends: said.for_server && said.for_client, not_before, not_after })
    }
}

/// What the extensions say.
#[derive(Default)]
struct Said<'a> {
    /// Every URI among the subject's names.
    uris: Vec<&'a [u8]>,
    for_server: bool,
    for_client: bool,
}

impl<'a> Said<'a> {
    fn by(mut extensions: Reader<'a>) -> Option<Self> {
        let (mut extensions, mut said) = (extensions.inside(tag::SEQUENCE)?, Self::default());
        while !extensions.is_empty() {
            let mut extension = extensions.inside(tag::SEQUENCE)?;
            let name = extension.value(tag::OID)?;
            extension.skip(tag::BOOLEAN)?; // critical
            let content = extension.value(tag::OCTET_STRING)?;
            if name == SUBJECT_ALTERNATIVE_NAME {
                said.add_names(content)?;
            } else if name == EXTENDED_KEY_USAGE {
                said.add_purposes(content)?;
            }
        }
        Some(said)
    }

    fn add_names(&mut self, content: &'a [u8]) -> Option<()> {
        let mut names = Reader::new(content).inside(tag::SEQUENCE)?;
        while !names.is_empty() {
            let (kind, name) = names.any()?;
            if kind == URI {
                self.uris.push(name);
            }
        }
        Some(())
    }

    fn add_purposes(&mut self, content: &[u8]) -> Option<()> {
        let mut purposes = Reader::new(content).inside(tag::SEQUENCE)?;
        while !purposes.is_empty() {
            let purpose = purposes.value(tag::OID)?;
            self.for_server |= purpose == SERVER_AUTH;
            self.for_client |= purpose == CLIENT_AUTH;
        }
        Some(())
    }
}

/// A point in time in one of its two forms (RFC 5280, 4.1.2.5): `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` after.
fn time(reader: &mut Reader) -> Option<SystemTime> {
    let (kind, text) = reader.any()?;
    let (text, [b'Z']) = text.split_last_chunk()? else { return None };
    if !text.iter().all(u8::is_ascii_digit) || text.len() % 2 != 0 {
        return None;
    }
    let pairs: Vec<u64> =
        text.chunks(2).map(|pair| u64::from(pair[0] - b'0') * 10 + u64::from(pair[1] - b'0')).collect();
    let (year, rest) = match (kind, &pairs[..]) {
        (tag::UTC_TIME, [year, rest @ ..]) => (if *year < 50 { 2000 + year } else { 1900 + year }, rest),
        (tag::GENERALIZED_TIME, [century, year, rest @ ..]) => (century * 100 + year, rest),
        _ => return None,
    };
    let &[month, day, hour, minute, second] = rest else { return None };
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    let days = in_range.then(|| days_since_1970(year, month, day)).flatten()?;
    Some(UNIX_EPOCH + Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

/// Days of the Gregorian calendar; none before 1970, which is no certificate's time.
///
/// Counted in years that begin in March, so that the leap day is a year's last and months before it have fixed places:
/// (153 m + 2) / 5 days lie before the m-th month after March. 719,468 days lie between 1 March of year 0 and 1970.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

    use super::*;

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = names;
        parameters.not_before = date_time_ymd(2024, 2, 29);
        parameters.not_after = date_time_ymd(2051, 12, 31);
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(Ia5String::try_from(text).unwrap())
    }

    #[test]
    fn identity_and_times_are_found() {
        let dns = SanType::DnsName("web.shop.id.cluster.local".try_into().unwrap());
        let leaf = Leaf::parse(&certificate(vec![dns, uri("spiffe://cluster.local/ns/shop/sa/web")])).unwrap();
        assert_eq!(leaf.spiffe.unwrap().as_str(), "spiffe://cluster.local/ns/shop/sa/web");
        let since_1970 = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(since_1970(leaf.not_before), 1_709_164_800);
        assert_eq!(since_1970(leaf.not_after), 2_587_593_600);
    }

    #[test]
    fn none_and_several_and_other_uris_are_no_identity() {
        let web = "spiffe://cluster.local/ns/shop/sa/web";
        for names in [vec![], vec![uri(web), uri(web)], vec![uri(web), uri("https://a.b")], vec![uri("https://a.b")]] {
            assert_eq!(Leaf::parse(&certificate(names)).unwrap().spiffe, None);
        }
    }

    #[test]
    fn days_that_are_not_are_refused() {
        let read = |kind, text: &[u8]| time(&mut Reader::new(&super::super::der::value(kind, &[text])));
        assert_eq!(read(tag::UTC_TIME, b"700101000000Z"), Some(UNIX_EPOCH));
        for text in [
            &b"700101000000"[..],
            b"7001010000Z",
            b"701301000000Z",
            b"700132000000Z",
            b"700101240000Z",
            b"x00101000000Z",
            b"Z",
            b"",
            b"690101000000Z",
        ] {
            assert_eq!(read(tag::UTC_TIME, text), None);
        }
        assert_eq!(read(tag::GENERALIZED_TIME, b"00000101000000Z"), None);
    }

    proptest! {
        #[test]
        fn any_change_to_a_certificate_is_judged(place in 0..400_usize, byte in any::<u8>(), cut in 0..400_usize) {
            let mut der = certificate(vec![uri("spiffe://cluster.local/ns/shop/sa/web")]);
            let length = der.len();
            der[place % length] = byte;
            let _ = Leaf::parse(&der);
            let _ = Leaf::parse(&der[..cut % length]);
        }
    }
}
