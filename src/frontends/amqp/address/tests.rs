use proptest::prelude::*;

use super::*;

fn address(canonical: &str) -> Address {
    Address::parse(canonical, Dialect::Canonical, 1_000).unwrap()
}

const ANYCAST: Option<RoutingType> = Some(RoutingType::Anycast);
const MULTICAST: Option<RoutingType> = Some(RoutingType::Multicast);

/// Mutant caught: prefixes taken off as long as there are any.
#[test]
fn a_prefix_is_taken_off_once_and_says_the_type() {
    for (text, canonical, routing) in [
        ("orders", "orders", None),
        ("queue://orders", "orders", ANYCAST),
        ("/queue/orders", "orders", ANYCAST),
        ("jms.queue.orders.eu", "orders.eu", ANYCAST),
        ("temp-queue://t", "t", ANYCAST),
        ("topic://news.eu", "news.eu", MULTICAST),
        ("/topic/news", "news", MULTICAST),
        ("jms.topic.news", "news", MULTICAST),
        ("temp-topic://t", "t", MULTICAST),
        ("queue://topic://x", "topic:%2F%2Fx", ANYCAST),
        ("a/b", "a%2Fb", None),
        ("$temp.7.x", "$temp.7.x", None),
    ] {
        let target = Names::AMQ.target(text).unwrap();
        assert_eq!(
            (target.name.as_str(), target.routing),
            (canonical, routing),
            "{text}"
        );
        assert_eq!(target.queue, None);
    }
    let mode = |text| Names::AMQ.target(text).unwrap().mode(None);
    assert_eq!(mode("x"), SendMode::Untyped);
    assert_eq!(mode("queue://x"), SendMode::Anycast);
    assert_eq!(mode("topic://x"), SendMode::Multicast);
}

#[test]
fn wildcards_are_those_of_artemis_users() {
    for (text, canonical) in [
        ("news.#", "news.#"),
        ("news.>", "news.#"),
        ("news.*", "news.*"),
        ("topic://*.eu", "*.eu"),
    ] {
        let source = Names::AMQ.source(text).unwrap();
        assert_eq!(source.name.as_str(), canonical, "{text}");
        let refused = Names::AMQ.target(text).unwrap_err();
        assert_eq!(refused, AddressError::Name(NameError::Wildcard));
        assert_eq!(refused.condition(), "amqp:invalid-field");
    }
    let source = Names::MQTT.source("a/+/#").unwrap();
    assert_eq!(source.name.as_str(), "a.*.#");
}

#[test]
fn a_fully_qualified_name_is_one_queue() {
    let target = Names::AMQ.target("queue://a.b::c").unwrap();
    assert_eq!(target.name, address("a.b"));
    assert_eq!(target.queue.unwrap().as_str(), "c");
    let source = Names::AMQ.source("a.b::c").unwrap();
    assert!(matches!(
        source.consumed(MULTICAST),
        Ok(Source::Queue { address, queue })
            if address.as_str() == "a.b" && queue.as_str() == "c"
    ));
    for broken in ["::c", "a::", "a::b::c", "a:::b"] {
        let refused = Names::AMQ.source(broken).unwrap_err();
        assert_eq!(refused, AddressError::QueueName, "{broken}");
    }
    // Every legal topic of MQTT is a name.
    let target = Names::MQTT.target("a::b").unwrap();
    assert_eq!(target.queue, None);
}

/// Mutant caught: the prefix before the capability.
#[test]
fn what_the_link_says_is_stronger_than_the_prefix() {
    let source = |text: &str| Names::AMQ.source(text).unwrap();
    let consumed = |text: &str, routing| source(text).consumed(routing);
    assert_eq!(
        consumed("topic://a", ANYCAST),
        Ok(Source::Anycast(address("a")))
    );
    let filter = source("a").name;
    let multicast = Source::Multicast(filter.clone());
    assert_eq!(consumed("queue://a", MULTICAST), Ok(multicast));
    assert_eq!(consumed("a", None), Ok(Source::Untyped(filter)));
    let wildcard = Err(AddressError::Name(NameError::Wildcard));
    assert_eq!(consumed("a.*", ANYCAST), wildcard);
    let target = Names::AMQ.target("queue://a").unwrap();
    assert_eq!(target.mode(MULTICAST), SendMode::Multicast);
}

#[test]
fn errors_say_what_is_wrong() {
    let names = Names {
        max_bytes: 3,
        ..Names::AMQ
    };
    let too_long = NameError::TooLong { max_bytes: 3 };
    assert_eq!(names.target("queue://abcd"), Err(too_long.into()));
    assert!(names.target("queue://abc").is_ok());
    for (text, words) in [
        ("", "the name is empty"),
        ("topic://", "the name is empty"),
        (
            "a::",
            "a fully qualified name has one address and one queue",
        ),
    ] {
        assert_eq!(Names::AMQ.target(text).unwrap_err().to_string(), words);
    }
}

#[test]
fn names_are_shown_so_that_sending_there_means_the_same() {
    for (canonical, routing, shown) in [
        ("a.b", None, "a.b"),
        ("a.b", ANYCAST, "queue://a.b"),
        ("a.b", MULTICAST, "topic://a.b"),
        ("a%2Fb", None, "a/b"),
        ("$temp.7.x", ANYCAST, "$temp.7.x"),
        ("$temp.7.x", MULTICAST, "$temp.7.x"),
        // A bare one would be taken for `b`.
        ("jms.topic.b", None, "queue://jms.topic.b"),
        ("jms.topic.b", MULTICAST, "topic://jms.topic.b"),
    ] {
        assert_eq!(Names::AMQ.render(&address(canonical), routing), shown);
    }
    assert_eq!(
        Names::MQTT.render(&address("a.b%2Ec"), MULTICAST),
        "topic://a/b.c"
    );
    let bare = Names {
        anycast_prefixes: Cow::default(),
        ..Names::AMQ
    };
    assert_eq!(bare.render(&address("a"), ANYCAST), "a");
}

fn segment() -> impl Strategy<Value = String> {
    "(jms|queue|topic|\\$temp|temp-queue:|[a-z.*#>%/:+\u{e9}]{0,6})"
}

proptest! {
    /// Mutant caught: a name that begins like a prefix shown bare.
    #[test]
    fn parse_of_render_is_the_name(
        segments in prop::collection::vec(segment(), 1..5),
        routing in prop::sample::select(vec![None, ANYCAST, MULTICAST]),
        names in prop::sample::select(vec![Names::AMQ, Names::MQTT]),
    ) {
        // Any text without `/` is a segment in the spelling of MQTT.
        let topic = segments.join("/").replace(['+', '#'], "x");
        let Ok(name) = Address::parse(&topic, Dialect::Mqtt, 1_000) else {
            return Ok(());
        };
        let shown = names.render(&name, routing);
        let read = names.target(&shown).unwrap();
        prop_assert_eq!(&read.name, &name, "{}", &shown);
        prop_assert_eq!(read.queue, None);
        if routing.is_some() && !is_temporary(&name) {
            prop_assert_eq!(read.routing, routing);
        }
    }

    #[test]
    fn any_text_can_be_read(text in ".{0,80}") {
        let _ = Names::AMQ.target(&text);
        let _ = Names::MQTT.source(&text);
    }
}
