//! The cluster's networks: where pods and Services have their addresses.

use std::net::IpAddr;
use std::str::FromStr;

/// Ranges of addresses, in CIDR form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Cidr>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cidr {
    /// As 128 bits, from the left: a v4 address has the leftmost 32.
    bits: u128,
    prefix: u32,
    v6: bool,
}

impl Networks {
    /// The networks in these texts ("10.244.0.0/16"), or a sentence for each that is none.
    pub fn parse<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<Self, Vec<String>> {
        let (mut networks, mut faults) = (Vec::new(), Vec::new());
        for text in texts {
            match text.as_ref().parse() {
                Ok(network) => networks.push(network),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Self(networks)) } else { Err(faults) }
    }

    /// Whether the address lies in one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let (bits, v6) = bits(ip);
        self.0.iter().any(|network| network.v6 == v6 && (network.bits ^ bits) & mask(network.prefix) == 0)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || {
            let shown: String = text.chars().take(64).collect();
            format!("expected a network like 10.244.0.0/16 or fd00:244::/48, got {shown:?}")
        };
        let (address, prefix) = text.split_once('/').ok_or_else(fault)?;
        let (address, digits) = (address.parse::<IpAddr>().map_err(|_| fault())?, prefix.as_bytes());
        let prefix = prefix.parse::<u32>().ok().filter(|_| digits.iter().all(u8::is_ascii_digit)).ok_or_else(fault)?;
        let (bits, v6) = bits(address);
        if prefix > if v6 { 128 } else { 32 } { Err(fault()) } else { Ok(Self { bits, prefix, v6 }) }
    }
}

/// An address from the left of 128 bits, and whether it is one of IPv6; a v4-mapped one (::ffff:10.0.0.1) is not.
fn bits(ip: IpAddr) -> (u128, bool) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, false),
        IpAddr::V6(ip) => (ip.to_bits(), true),
    }
}

fn mask(prefix: u32) -> u128 {
    // A shift by all 128 bits is none that Rust knows: /0 means no bit counts.
    u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn networks(texts: &[&str]) -> Networks {
        Networks::parse(texts).unwrap()
    }

    #[test]
    fn addresses_are_inside_or_outside() {
        let all = networks(&["10.244.0.0/16", "10.96.0.1/12", "fd00:244::/48", "192.0.2.7/32"]);
        for inside in ["10.244.255.255", "10.111.0.1", "fd00:244:0:ffff::1", "192.0.2.7", "::ffff:10.244.1.2"] {
            assert!(all.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["10.245.0.0", "10.112.0.0", "fd00:245::", "192.0.2.6", "::1", "8.8.8.8"] {
            assert!(!all.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(!Networks::default().contains(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(networks(&["0.0.0.0/0"]).contains("8.8.8.8".parse().unwrap()));
        assert!(!networks(&["0.0.0.0/0"]).contains("fd00::1".parse().unwrap()), "a family of its own");
    }

    #[test]
    fn every_fault_is_told() {
        let texts = ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "10.0.0.0/", "x/8", "10.0.0.0/8"];
        let faults = Networks::parse(texts).unwrap_err();
        assert_eq!(faults.len(), 6, "{faults:?}");
        assert!(faults[0].contains("\"10.0.0.0\""), "{}", faults[0]);
    }

    proptest! {
        #[test]
        fn as_many_bits_as_the_prefix_count(address: u32, other: u32, prefix in 0u32..=32) {
            let network = networks(&[&format!("{}/{prefix}", Ipv4Addr::from_bits(address))]);
            let same = (address ^ other).leading_zeros() >= prefix;
            prop_assert_eq!(network.contains(Ipv4Addr::from_bits(other).into()), same);
        }

        #[test]
        fn as_many_bits_as_the_prefix_count_in_v6(address: u128, flipped in 0u32..128, prefix in 0u32..=128) {
            let network = networks(&[&format!("{}/{prefix}", Ipv6Addr::from_bits(address))]);
            let other = Ipv6Addr::from_bits(address ^ (1 << (127 - flipped)));
            prop_assume!(other.to_ipv4_mapped().is_none() && Ipv6Addr::from_bits(address).to_ipv4_mapped().is_none());
            prop_assert_eq!(network.contains(other.into()), flipped >= prefix);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            let _ = Networks::parse([text]);
        }
    }
}
