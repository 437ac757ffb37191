//! A set of ports, written as the annotation `injector.mesh/opaque-ports` is: "25,3306,5000-5010".

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Ports and ranges of ports, ascending, neither overlapping nor adjacent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortSet(Vec<RangeInclusive<u16>>);

impl PortSet {
    /// Whether the port is one of them.
    pub fn contains(&self, port: u16) -> bool {
        let after = self.0.partition_point(|range| *range.start() <= port);
        after > 0 && self.0[after - 1].contains(&port)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(formatter, "{comma}{first}")?,
                (first, last) => write!(formatter, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for PortSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let mut ranges = items.map(range).collect::<Result<Vec<_>, _>>()?;
        ranges.sort_by_key(|range| *range.start());
        Ok(Self(merge(ranges)))
    }
}

fn range(item: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err("expected ports from 1 to 65535 and rising ranges, like 25,5000-5010".to_owned()),
    }
}

fn port(text: &str) -> Option<u16> {
    let text = text.trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()); // `parse` would take "+1"
    if digits { text.parse().ok().filter(|port| *port > 0) } else { None }
}

fn merge(sorted: Vec<RangeInclusive<u16>>) -> Vec<RangeInclusive<u16>> {
    let mut merged: Vec<RangeInclusive<u16>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match merged.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=(*last.end()).max(*range.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ports_and_ranges() {
        let set: PortSet = "25, 3306,5000-5010".parse().unwrap();
        for port in [25, 3306, 5000, 5005, 5010] {
            assert!(set.contains(port), "{port}");
        }
        for port in [0, 24, 26, 4999, 5011, 65535] {
            assert!(!set.contains(port), "{port}");
        }
        assert_eq!("".parse(), Ok(PortSet::default()));
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in ["0", "65536", "+1", "-1", "1-", "5-4", "http", "1;2", "1-2-3"] {
            assert!(text.parse::<PortSet>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn contains_what_was_written_and_nothing_else(
            pairs in prop::collection::vec((1u16.., 0u16..300), 0..20),
            probed in prop::collection::vec(any::<u16>(), 0..50),
        ) {
            let ranges: Vec<_> = pairs.iter().map(|(first, more)| *first..=first.saturating_add(*more)).collect();
            let items: Vec<String> = ranges.iter().map(|r| format!("{}-{}", r.start(), r.end())).collect();
            let set: PortSet = items.join(",").parse().unwrap();
            let edges = ranges.iter().flat_map(|r| [*r.start(), *r.end(), r.start() - 1, r.end().saturating_add(1)]);
            for port in edges.chain(probed) {
                prop_assert_eq!(set.contains(port), ranges.iter().any(|range| range.contains(&port)));
            }
            prop_assert_eq!(set.to_string().parse::<PortSet>().unwrap(), set.clone());
            let apart = set.0.windows(2).all(|pair| u32::from(*pair[0].end()) + 1 < u32::from(*pair[1].start()));
            prop_assert!(apart, "overlapping or adjacent: {:?}", set);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<PortSet>();
        }
    }
}
