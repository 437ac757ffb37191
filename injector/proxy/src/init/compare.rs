//! Compares the rules that should be there with what `iptables-save` prints. Both are text in the same normal form.

use std::collections::BTreeMap;

/// What the chains that the webhook makes are called.
const OURS: &str = "INJECTOR_";

/// Differences that a message shows; the first says most.
const SHOWN: usize = 3;

/// Rules of ours: the text, and what it says of our chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    text: String,
    ours: Ours,
}

/// How a table compares with the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Nothing of ours is there.
    Absent,
    /// All of it is there, in order, and nothing else of ours.
    Same,
    /// Something of ours is there, but not this; a sentence says how.
    Different(String),
}

impl Rules {
    /// Reads rules for `iptables-restore`; they must be for the nat table and have chains of ours.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.lines().any(|line| line.trim() == "*nat") || !text.lines().any(|line| line.trim() == "COMMIT") {
            return Err("expected rules from *nat to COMMIT, as iptables-restore takes them".to_owned());
        }
        let ours = Ours::of(text);
        if ours.is_empty() {
            return Err(format!("expected chains named {OURS}*, got none"));
        }
        Ok(Self { text: text.to_owned(), ours })
    }

    /// The text as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many rules there are: those in our chains, and those elsewhere that lead there.
    pub fn count(&self) -> usize {
        self.ours.rules.values().map(Vec::len).sum()
    }

    /// Compares with a whole table as `iptables-save -t nat` prints it. Others' chains and all counters are ignored.
    pub fn compare(&self, saved: &str) -> Comparison {
        let found = Ours::of(saved);
        if found == self.ours {
            Comparison::Same
        } else if found.is_empty() {
            Comparison::Absent
        } else {
            Comparison::Different(self.ours.difference(&found))
        }
    }
}

/// By chain, in order: all rules of our chains, and of other chains those that jump into ours. How chains are ordered
/// among themselves differs between the back ends and means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ours {
    rules: BTreeMap<String, Vec<String>>,
}

impl Ours {
    fn of(text: &str) -> Self {
        let mut rules: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if let Some(declaration) = line.strip_prefix(':') {
                let name = declaration.split_ascii_whitespace().next().unwrap_or_default();
                if name.starts_with(OURS) {
                    rules.entry(name.to_owned()).or_default();
                }
            } else if let Some((chain, rule)) = appended(line)
                && (chain.starts_with(OURS) || leads_to_us(rule))
            {
                rules.entry(chain.to_owned()).or_default().push(rule.to_owned());
            }
        }
        Self { rules }
    }

    fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    fn difference(&self, found: &Self) -> String {
        let missing = self.lines().filter(|line| !found.has(line)).map(|line| format!("missing {:?}", show(line)));
        let extra = found.lines().filter(|line| !self.has(line)).map(|line| format!("unexpected {:?}", show(line)));
        let all: Vec<String> = missing.chain(extra).take(SHOWN).collect();
        if all.is_empty() { "the same rules in another order or number".to_owned() } else { all.join(", ") }
    }

    /// Chain and rule of every line; a chain's own line has no rule.
    fn lines(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.rules.iter().flat_map(|(chain, rules)| {
            let own = chain.starts_with(OURS).then_some((chain.as_str(), None));
            own.into_iter().chain(rules.iter().map(move |rule| (chain.as_str(), Some(rule.as_str()))))
        })
    }

    fn has(&self, (chain, rule): &(&str, Option<&str>)) -> bool {
        self.rules.get(*chain).is_some_and(|rules| rule.is_none_or(|rule| rules.iter().any(|other| other == rule)))
    }
}

fn show((chain, rule): (&str, Option<&str>)) -> String {
    rule.map_or_else(|| format!(":{chain}"), |rule| format!("-A {chain} {rule}"))
}

/// Chain and rule of `-A CHAIN RULE`, which may have counters before it (`[1:60] -A …`).
fn appended(line: &str) -> Option<(&str, &str)> {
    let line = match line.strip_prefix('[') {
        Some(counted) => counted.split_once(']')?.1.trim_start(),
        None => line,
    };
    let rest = line.strip_prefix("-A ")?;
    Some(rest.split_once(' ').unwrap_or((rest, "")))
}

fn leads_to_us(rule: &str) -> bool {
    let mut words = rule.split_ascii_whitespace();
    while let Some(word) = words.next() {
        if (word == "-j" || word == "-g") && words.next().is_some_and(|target| target.starts_with(OURS)) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: &str = "*nat\n:INJECTOR_INBOUND - [0:0]\n:INJECTOR_OUTBOUND - [0:0]\n\
        -A PREROUTING -p tcp -j INJECTOR_INBOUND\n-A OUTPUT -p tcp -j INJECTOR_OUTBOUND\n\
        -A INJECTOR_INBOUND -p tcp -m multiport --dports 4143,4190,4191 -j RETURN\n\
        -A INJECTOR_INBOUND -p tcp -j REDIRECT --to-ports 4143\n\
        -A INJECTOR_OUTBOUND -p tcp -j REDIRECT --to-ports 4140\nCOMMIT\n";

    const SAVED: &str = "# Generated by iptables-nft-save v1.8.9 (nf_tables)\n*nat\n:PREROUTING ACCEPT [2:120]\n\
        :OUTPUT ACCEPT [7:420]\n:INJECTOR_OUTBOUND - [0:0]\n:INJECTOR_INBOUND - [3:180]\n:CNI-DN - [0:0]\n\
        -A PREROUTING -j CNI-DN\n-A PREROUTING -p tcp -j INJECTOR_INBOUND\n[9:540] -A OUTPUT -p tcp -j INJECTOR_OUTBOUND\n\
        -A INJECTOR_INBOUND -p tcp -m multiport --dports 4143,4190,4191 -j RETURN\n\
        -A INJECTOR_INBOUND -p tcp -j REDIRECT --to-ports 4143\n\
        -A INJECTOR_OUTBOUND -p tcp -j REDIRECT --to-ports 4140\nCOMMIT\n";

    fn rules() -> Rules {
        Rules::parse(RULES).unwrap()
    }

    #[test]
    fn the_same_rules_among_others_are_the_same() {
        assert_eq!(rules().compare(SAVED), Comparison::Same);
        assert_eq!(rules().count(), 5);
    }

    #[test]
    fn an_empty_table_has_nothing_of_ours() {
        assert_eq!(rules().compare("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"), Comparison::Absent);
        assert_eq!(rules().compare(""), Comparison::Absent);
    }

    #[test]
    fn every_difference_is_seen_and_named() {
        for (from, to, named) in [
            ("4143,4190,4191", "4143", "missing"),
            ("-A OUTPUT -p tcp -j INJECTOR_OUTBOUND\n", "\n", "missing \"-A OUTPUT"),
            (":CNI-DN - [0:0]", ":INJECTOR_OTHER - [0:0]", "unexpected \":INJECTOR_OTHER\""),
            ("-A PREROUTING -j CNI-DN", "-A PREROUTING -g INJECTOR_INBOUND", "unexpected \"-A PREROUTING -g"),
            ("-A PREROUTING -j CNI-DN", "-A PREROUTING -p tcp -j INJECTOR_INBOUND", "another order or number"),
        ] {
            let changed = SAVED.replace(from, to);
            assert_ne!(changed, SAVED);
            match rules().compare(&changed) {
                Comparison::Different(how) => assert!(how.contains(named), "{how}"),
                other => panic!("{from} -> {to}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_not_ours_to_apply_is_refused() {
        for text in ["", "*filter\n:INJECTOR_X - [0:0]\nCOMMIT\n", "*nat\n-A OUTPUT -j RETURN\nCOMMIT\n"] {
            assert!(Rules::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_compares_without_panic(lines in prop::collection::vec("(-A |:|\\[1:2\\] -A )?[A-Z_]{0,12} ?-?[jg]? ?.{0,20}", 0..20)) {
            let _ = rules().compare(&lines.join("\n"));
        }

        #[test]
        fn rules_that_were_printed_compare_the_same(kept in 0usize..5) {
            // Counters and chains of others come and go; what is ours stays.
            let noise = ["# comment", ":OTHER - [1:2]", "-A OTHER -j RETURN", "", "COMMIT"];
            let saved = format!("{}\n{SAVED}", noise[..kept].join("\n"));
            prop_assert_eq!(rules().compare(&saved), Comparison::Same);
        }
    }
}
