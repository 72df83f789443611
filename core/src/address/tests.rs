use std::hash::BuildHasher;

use super::{Address, Filter, QueueName, parse_fqqn};
use crate::dialect::{Dialect, NameError};
use crate::map::{Map, Seed};

const LIMIT: usize = 1_000;

#[test]
fn the_three_kinds_of_name_parse_and_render() {
    let address = Address::parse("v1.2/temp", Dialect::Mqtt, LIMIT).unwrap();
    assert_eq!(address.as_str(), "v1%2E2.temp");
    assert_eq!(address.to_string(), "v1%2E2.temp");
    assert_eq!(address.segments().collect::<Vec<_>>(), ["v1%2E2", "temp"]);
    assert_eq!(address.render(Dialect::Mqtt), "v1.2/temp");
    assert_eq!(
        Address::parse("v1%2E2.temp", Dialect::Amq, LIMIT),
        Ok(address)
    );

    let queue = QueueName::parse("foo/bar", Dialect::Amq, LIMIT).unwrap();
    assert_eq!(queue.as_str(), "foo%2Fbar");
    assert_eq!(queue.render(Dialect::Mqtt), "foo%2Fbar");
    assert_eq!(
        QueueName::parse("a.*", Dialect::Amq, LIMIT),
        Err(NameError::Wildcard)
    );

    let filter = Filter::parse("+/x/#", Dialect::Mqtt, LIMIT).unwrap();
    assert_eq!(filter.as_str(), "*.x.#");
    assert_eq!(filter.render(Dialect::Amq), "*.x.>");
}

#[test]
fn empty_segments_stay() {
    let address = Address::parse("/", Dialect::Mqtt, LIMIT).unwrap();
    assert_eq!(address.as_str(), ".");
    assert_eq!(address.segments().collect::<Vec<_>>(), ["", ""]);
}

#[test]
fn an_exact_filter_is_its_address() {
    let address = Address::parse("a.%2A.b", Dialect::Canonical, LIMIT).unwrap();
    let filter = Filter::from(&address);
    assert_eq!(filter.to_address(), Some(address.clone()));
    assert_eq!(QueueName::from(&address).as_str(), address.as_str());
    for wildcard in ["a.*", "*", "#", "a.#", "*.a"] {
        let filter = Filter::parse(wildcard, Dialect::Canonical, LIMIT).unwrap();
        assert_eq!(filter.to_address(), None, "{wildcard}");
    }
}

#[test]
fn a_name_is_found_in_a_map_by_its_text() {
    let address = Address::parse("a.b", Dialect::Canonical, LIMIT).unwrap();
    let seed = Seed::new(5);
    assert_eq!(seed.hash_one(&address), seed.hash_one("a.b"));
    let mut map = Map::with_hasher(seed);
    map.insert(address, 1);
    assert_eq!(map.get("a.b"), Some(&1));
    assert_eq!(map.get("a.c"), None);
}

#[test]
fn names_are_ordered_as_bytes() {
    let parse = |text| Address::parse(text, Dialect::Canonical, LIMIT).unwrap();
    let mut names = [parse("b"), parse("a.b"), parse("a"), parse("B")];
    names.sort();
    let names: Vec<_> = names.iter().map(Address::as_str).collect();
    assert_eq!(names, ["B", "a", "a.b", "b"]);
}

#[test]
fn a_fully_qualified_queue_name_is_split_where_it_can_be_read_in_one_way() {
    for (text, parts) in [
        ("a::q", Some(("a", "q"))),
        ("a.b::c.d", Some(("a.b", "c.d"))),
        ("a:b::c:d", Some(("a:b", "c:d"))),
        ("a%3A%3Ab::q", Some(("a%3A%3Ab", "q"))),
        ("a::b:", Some(("a", "b:"))),
        ("a", None),
        ("a:b", None),
        ("a%3A%3Ab", None),
        ("::q", None),
        ("a::", None),
        ("::", None),
        ("a:::b", None),
        ("a::::b", None),
        ("a::b::c", None),
        ("", None),
    ] {
        assert_eq!(parse_fqqn(text), parts, "{text}");
    }
}
