use proptest::prelude::*;

use super::{Children, FEW_MAX, Node, TopicTrie, Values, matches_filter};
use crate::address::{Address, Filter};
use crate::dialect::{Dialect, MAX_LEVELS};
use crate::map::Seed;

fn address(topic: &str) -> Address {
    Address::parse(topic, Dialect::Mqtt, 65_535).unwrap()
}

fn filter(text: &str) -> Filter {
    Filter::parse(text, Dialect::Mqtt, 65_535).unwrap()
}

fn trie(filters: &[&str]) -> TopicTrie<usize> {
    let mut trie = TopicTrie::new(Seed::new(1));
    for (value, text) in filters.iter().enumerate() {
        trie.insert(&filter(text), value);
    }
    trie
}

fn found(trie: &TopicTrie<usize>, topic: &str) -> Vec<usize> {
    let mut found = Vec::new();
    trie.matches(&address(topic), |value| found.push(*value));
    found
}

/// How many nodes and wildcard boxes are reachable: what the trie keeps in memory.
fn size<T>(node: &Node<T>) -> usize {
    let literal: usize = match &node.literal {
        Children::Few(few) => few.iter().map(|(_, child)| size(child)).sum(),
        Children::Many(many) => {
            let mut sum = 0;
            many.for_each(|_, child| sum += size(child));
            sum
        }
    };
    let wild = node.wild.as_ref().map_or(0, |wild| {
        1 + wild.any.as_ref().map_or(0, |child| size(child))
    });
    1 + literal + wild
}

/// MQTT 5.0 4.7 written down without a trie and without our names.
fn naive(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => naive(filter, topic),
        ([wanted, filter @ ..], [level, topic @ ..]) => wanted == level && naive(filter, topic),
        _ => false,
    }
}

fn naive_matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    naive(
        &filter.split('/').collect::<Vec<_>>(),
        &topic.split('/').collect::<Vec<_>>(),
    )
}

fn topics() -> impl Strategy<Value = String> {
    prop_oneof![
        "(|a|b|\\$|\\$a|\\*)(/(|a|b|\\$a|A)){0,4}",
        "[a-z](/[a-z]){0,1}",
    ]
    .prop_filter("empty", |topic| !topic.is_empty())
}

fn filters() -> impl Strategy<Value = String> {
    prop_oneof![
        "(|a|b|\\$|\\$a|\\*|\\+)(/(|a|b|\\$a|A|\\+)){0,4}(/#)?",
        "[a-z](/[a-z]){0,1}",
        Just("#".to_owned()),
    ]
    .prop_filter("empty", |filter| !filter.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn finds_what_a_naive_matcher_finds_and_forgets_what_is_removed(
        filters in prop::collection::vec((filters(), any::<bool>()), 0..120),
        topics in prop::collection::vec(topics(), 1..20),
        seed in any::<u64>(),
    ) {
        let mut trie = TopicTrie::new(Seed::new(seed));
        let mut survivors = TopicTrie::new(Seed::new(!seed));
        for (value, (text, stays)) in filters.iter().enumerate() {
            trie.insert(&filter(text), value);
            if *stays {
                survivors.insert(&filter(text), value);
            }
        }
        for topic in &topics {
            let mut all = found(&trie, topic);
            all.sort_unstable();
            let expected: Vec<usize> = (0..filters.len())
                .filter(|value| naive_matches(&filters[*value].0, topic))
                .collect();
            prop_assert_eq!(all, expected, "{}", topic);
        }
        for (value, (text, stays)) in filters.iter().enumerate() {
            if !stays {
                prop_assert!(trie.remove(&filter(text), &value));
                prop_assert!(!trie.remove(&filter(text), &value));
            }
        }
        prop_assert_eq!(trie.len(), survivors.len());
        prop_assert_eq!(size(&trie.root), size(&survivors.root));
        for topic in &topics {
            // Equal in order too: neither the seed nor the history of the trie shows.
            prop_assert_eq!(found(&trie, topic), found(&survivors, topic), "{}", topic);
        }
        for (value, (text, _)) in filters.iter().enumerate().rev() {
            trie.remove(&filter(text), &value);
        }
        prop_assert!(trie.is_empty());
        prop_assert!(trie.root.is_empty());
    }

    #[test]
    fn matches_filter_agrees_with_a_naive_matcher(text in filters(), topic in topics()) {
        let matched = matches_filter(&filter(&text), &address(&topic));
        prop_assert_eq!(matched, naive_matches(&text, &topic));
    }
}

// Catches: `matches` that asks the root's wildcards for every name.
#[test]
fn mqtt_63_a_first_wildcard_never_matches_a_dollar_name() {
    let trie = trie(&["#", "+/x", "$SYS/#", "$SYS/+", "+/#", "$SYS/x", "a/+", "+"]);
    assert_eq!(found(&trie, "$SYS/x"), [5, 3, 2]);
    assert_eq!(found(&trie, "$SYS"), [2]);
    assert_eq!(found(&trie, "a/$x"), [6, 4, 0]);
    assert_eq!(found(&trie, "$other/x"), [] as [usize; 0]);
}

// Catches: `matches_filter` that does not look for levels left over.
#[test]
fn mqtt_64_levels_match_as_the_standard_says() {
    for (text, topic, expected) in [
        ("a/#", "a", true),
        ("a/#", "a/", true),
        ("a/#", "a/b/c", true),
        ("a/#", "ab", false),
        ("a/+", "a/", true),
        ("a/+", "a", false),
        ("a/+", "a/b/c", false),
        ("+", "/a", false),
        ("+/+", "/a", true),
        ("/+", "/a", true),
        ("/a", "a", false),
        ("a", "A", false),
        ("a/+/#", "a/b", true),
        ("a/+/#", "a", false),
        ("a.b", "a/b", false),
        ("a/%2B", "a/%2B", true),
        ("a/+", "a/%2B", true),
        ("caf\u{e9}", "cafe\u{301}", false),
    ] {
        assert_eq!(
            found(&trie(&[text]), topic).len(),
            usize::from(expected),
            "{text} {topic}"
        );
        assert_eq!(
            matches_filter(&filter(text), &address(topic)),
            expected,
            "{text} {topic}"
        );
    }
}

#[test]
fn a_literal_star_is_no_wildcard() {
    let trie = trie(&["*/a", "+/a"]);
    assert_eq!(found(&trie, "b/a"), [1]);
    assert_eq!(found(&trie, "*/a"), [0, 1]);
}

#[test]
fn values_come_in_the_order_of_insertion_then_literal_one_level_many_levels() {
    let trie = trie(&["#", "a/+", "a/b", "+/b", "a/b", "a/#", "a/b/#", "a/b"]);
    assert_eq!(found(&trie, "a/b"), [2, 4, 7, 6, 1, 5, 3, 0]);
}

#[test]
fn removing_a_value_keeps_the_order_of_the_others() {
    let mut trie = trie(&["a", "a", "a", "a"]);
    assert!(trie.remove(&filter("a"), &1));
    assert_eq!(found(&trie, "a"), [0, 2, 3]);
    trie.insert(&filter("a"), 0);
    assert!(trie.remove(&filter("a"), &0));
    assert_eq!(found(&trie, "a"), [2, 3, 0]);
    assert_eq!(trie.len(), 3);
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    let mut trie = trie(&["a/b", "a/+", "a/#"]);
    let before = size(&trie.root);
    for absent in ["a", "a/b/c", "a/c", "b", "#", "+", "+/#", "a/+/#", "a/+/b"] {
        assert!(!trie.remove(&filter(absent), &0), "{absent}");
    }
    assert!(!trie.remove(&filter("a/b"), &1));
    assert_eq!(size(&trie.root), before);
    assert_eq!(found(&trie, "a/b"), [0, 1, 2]);
}

// Catches: an emptied `*` child or wildcard box that stays; children that stay in a table or in a
// vector at its full capacity.
#[test]
fn l25_memory_of_removed_filters_comes_back() {
    const FILTERS: usize = 5_000;
    let mut trie = TopicTrie::new(Seed::new(9));
    let name = |n: usize| filter(&format!("device{n}/+/state"));
    (0..FILTERS).for_each(|n| trie.insert(&name(n), n));
    assert!(matches!(&trie.root.literal, Children::Many(many) if many.len() == FILTERS));
    for n in 100..FILTERS {
        assert!(trie.remove(&name(n), &n));
    }
    for n in FEW_MAX / 2..100 {
        assert!(trie.remove(&name(n), &n));
    }
    assert!(matches!(trie.root.literal, Children::Few(_)));
    for n in 0..FEW_MAX / 2 {
        assert_eq!(found(&trie, &format!("device{n}/x/state")), [n]);
        assert!(trie.remove(&name(n), &n));
    }
    assert!(trie.root.is_empty());
    assert!(matches!(&trie.root.literal, Children::Few(few) if few.capacity() == 0));
}

// Catches: `Values::remove` without `shrink`.
#[test]
fn l25_a_crowded_filter_gives_its_memory_back() {
    let mut trie = TopicTrie::new(Seed::new(9));
    let crowd = filter("a");
    (0..1_000).for_each(|n| trie.insert(&crowd, n));
    for n in (10..1_000).rev() {
        assert!(trie.remove(&crowd, &n));
    }
    let here = |trie: &TopicTrie<usize>| match &trie.root.literal.find("a").unwrap().here {
        Values::Many(values) => values.capacity(),
        Values::One(_) | Values::None => 0,
    };
    assert!((10..=40).contains(&here(&trie)), "{}", here(&trie));
    for n in (1..10).rev() {
        assert!(trie.remove(&crowd, &n));
    }
    assert_eq!(found(&trie, "a"), [0]);
    assert_eq!(here(&trie), 0);
}

// Catches: a node that does not count itself.
#[test]
fn l21_a_match_visits_only_nodes_on_matching_paths() {
    let mut trie = TopicTrie::new(Seed::new(2));
    for n in 0..1_000 {
        trie.insert(&filter(&format!("d/{n}/t")), n);
    }
    assert_eq!(trie.matches(&address("d/7/t"), |_| {}), 4);
    assert_eq!(trie.matches(&address("d/x/t"), |_| {}), 2);
    assert_eq!(trie.matches(&address("$d/7/t"), |_| {}), 1);
}

/// Numbers below what is asked, from a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (self.0 >> 33) as usize % end
    }

    /// A topic, or a filter: many devices, and short names of few words.
    fn name(&mut self, wild: bool) -> String {
        if self.below(4) > 0 {
            let device = self.below(40_000);
            let door = if wild { "+" } else { "door" };
            return format!("dev/{device}/{door}/{}", ["state", "log"][self.below(2)]);
        }
        let words = ["a", "b", "c", "$d", "e", "", "+", "#"];
        let mut levels = Vec::new();
        for _ in 0..=self.below(4) {
            levels.push(words[self.below(if wild { 8 } else { 5 })]);
            if levels.last() == Some(&"#") {
                break;
            }
        }
        match levels.join("/") {
            empty if empty.is_empty() => "a".to_owned(),
            name => name,
        }
    }
}

/// Mutants seen caught: a table that keeps empty children, one that is not made a list again.
#[test]
fn l26_among_100_000_filters_the_matching_are_found_and_none_leaves_a_node() {
    let mut draw = Draw(7);
    let filters: Vec<String> = (0..100_000).map(|_| draw.name(true)).collect();
    let levels: Vec<Vec<&str>> = filters.iter().map(|f| f.split('/').collect()).collect();
    let mut trie = TopicTrie::new(Seed::new(3));
    for (value, text) in filters.iter().enumerate() {
        trie.insert(&filter(text), value);
    }
    let mut hits = 0;
    for _ in 0..40 {
        let topic = draw.name(false);
        let names: Vec<&str> = topic.split('/').collect();
        let matches = |filter: &[&str]| {
            let hidden = topic.starts_with('$') && matches!(filter[0], "+" | "#");
            !hidden && naive(filter, &names)
        };
        let expected = (0..filters.len()).filter(|value| matches(&levels[*value]));
        let mut all = found(&trie, &topic);
        all.sort_unstable();
        assert_eq!(all, expected.collect::<Vec<_>>(), "{topic}");
        hits += all.len();
    }
    assert!(hits > 1_000, "{hits}");
    // Not in the order in which they came.
    for value in (0..filters.len()).map(|place| place * 7_919 % filters.len()) {
        assert!(trie.remove(&filter(&filters[value]), &value));
    }
    assert!(trie.is_empty());
    assert_eq!(size(&trie.root), 1);
    assert!(matches!(&trie.root.literal, Children::Few(few) if few.capacity() <= FEW_MAX));
}

#[test]
fn the_deepest_names_are_matched_and_removed() {
    let topic = vec!["a"; MAX_LEVELS].join("/");
    let stars = vec!["+"; MAX_LEVELS].join("/");
    let mut trie = trie(&[&topic, &stars, "#"]);
    assert_eq!(found(&trie, &topic), [0, 1, 2]);
    assert!(trie.remove(&filter(&topic), &0));
    assert!(trie.remove(&filter(&stars), &1));
    assert!(trie.remove(&filter("#"), &2));
    assert!(trie.root.is_empty());
}

#[test]
fn a_node_is_small() {
    assert!(size_of::<Node<u32>>() <= 64, "{}", size_of::<Node<u32>>());
}
