use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::testing::{address, filter};
use crate::topic_trie::matches_filter;

/// What a cursor finds, and how many addresses it looks at.
fn walk(addresses: &BTreeSet<Address>, filter: &Filter) -> (Vec<Address>, usize) {
    let (mut found, mut looked) = (Vec::new(), 0);
    let mut from = Some(Bound::Unbounded);
    while let Some(bound) = from {
        let bound = bound.as_ref().map(String::as_str);
        let Some(next) = addresses.range::<str, _>((bound, Bound::Unbounded)).next() else {
            break;
        };
        looked += 1;
        from = if matches_filter(filter, next) {
            found.push(next.clone());
            Some(Bound::Excluded(next.as_str().to_owned()))
        } else {
            seek(filter, next)
        };
    }
    (found, looked)
}

/// Few words, with characters on both sides of the dot.
fn levels(extra: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    let words = ["a", "b", "a-b", "a0", "$s", "a b", "ab"];
    let words: Vec<&str> = words.iter().chain(extra).copied().collect();
    prop::collection::vec(prop::sample::select(words), 1..5)
}

proptest! {
    /// Mutants caught: `seek_level` without its second place, and without its last.
    #[test]
    fn l16_a_cursor_that_seeks_finds_all_that_a_look_at_each_finds(
        names in prop::collection::vec(levels(&[]), 0..60),
        pattern in levels(&["*", "*"]),
        many in any::<bool>(),
    ) {
        let addresses: BTreeSet<Address> = names.iter().map(|l| address(&l.join("."))).collect();
        let pattern = pattern.join(".") + if many { ".#" } else { "" };
        let filter = filter(&pattern);
        let all: Vec<Address> = addresses
            .iter()
            .filter(|address| matches_filter(&filter, address))
            .cloned()
            .collect();
        prop_assert_eq!(walk(&addresses, &filter).0, all);
    }
}

/// Mutant caught: `seek` that goes on behind the address always.
#[test]
fn l16_subtrees_that_cannot_match_are_passed_over() {
    let names = (0..100).flat_map(|site| (0..100).map(move |n| format!("s{site}.n{n:02}.x")));
    let mut addresses: BTreeSet<Address> = names.map(|name| address(&name)).collect();
    addresses.extend((0..100).map(|site| address(&format!("s{site}.state"))));
    for (pattern, found, most) in [
        ("*.state", 100, 300),
        ("*.n50.x", 100, 400),
        ("*", 0, 100),
        ("*.*", 100, 10_100),
    ] {
        let (matched, looked) = walk(&addresses, &filter(pattern));
        assert_eq!(matched.len(), found, "{pattern}");
        assert!(looked <= most, "{pattern}: looked at {looked}");
    }
}
