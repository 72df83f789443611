//! SUBSCRIBE, UNSUBSCRIBE and topic filters.

use super::{V5, V31, V311, decode, hex, packet, verdict};
use crate::error::Error;
use crate::packet::{Packet, Subscription};
use crate::topic::{Filter, check_name};

#[test]
fn rule_50_subscribe_is_strict() {
    let id = Error::Protocol("MQTT-2.2.1-3");
    let none = Error::Protocol("MQTT-3.8.3-2");
    let bits = Error::Malformed("MQTT-3.8.3-5");
    let value = Error::Protocol("3.8.3.1");
    let short = Error::Malformed("MQTT-4.13.1-1");
    let table = [
        (V311, "0000 0001 74 00", id),
        (V5, "0000 00 0001 74 00", id),
        (V311, "0001", none),
        (V5, "0001 00", none),
        (V311, "0001 0001 74 03", bits),
        (V311, "0001 0001 74 04", bits),
        (V31, "0001 0001 74 80", bits),
        (V5, "0001 00 0001 74 03", value),
        (V5, "0001 00 0001 74 30", value),
        (V5, "0001 00 0001 74 40", bits),
        (V5, "0001 00 0001 74 80", bits),
        (V311, "0001 0001 74", short),
        (V311, "0001 0001 74 00 0001 75", short),
        (V311, "00", short),
    ];
    for (version, body, error) in table {
        assert_eq!(verdict(version, &packet(0x82, body)), Some(error), "{body}");
    }
    assert_eq!(verdict(V5, &packet(0x82, "0001 00 0001 74 2E")), None);
}

#[test]
fn rule_50_unsubscribe_is_strict() {
    let table = [
        (V311, "0000 0001 74", Error::Protocol("MQTT-2.2.1-3")),
        (V311, "0001", Error::Protocol("MQTT-3.10.3-2")),
        (V5, "0001 00", Error::Protocol("MQTT-3.10.3-2")),
        (V311, "0001 0001 74 00", Error::Malformed("MQTT-4.13.1-1")),
        (V5, "0001 03 0B01 00 0001 74", Error::Malformed("2.2.2.2")),
    ];
    for (version, body, error) in table {
        assert_eq!(verdict(version, &packet(0xA2, body)), Some(error), "{body}");
    }
}

#[test]
fn rule_56_a_subscription_id_is_not_zero_and_single() {
    let with = |properties: &str| {
        let len = hex(properties).len();
        verdict(
            V5,
            &packet(0x82, &format!("0001 {len:02x} {properties} 0001 74 00")),
        )
    };
    assert_eq!(with("0B00"), Some(Error::Protocol("3.8.2.1.2")));
    assert_eq!(with("0B01 0B02"), Some(Error::Protocol("2.2.2.2")));
    assert_eq!(with("0B FFFFFF7F"), None);
}

/// Filters that are refused, with the statement.
const BAD_FILTERS: [(&str, &str); 13] = [
    ("", "MQTT-4.7.3-1"),
    ("a/#/b", "MQTT-4.7.1-1"),
    ("#/", "MQTT-4.7.1-1"),
    ("a#", "MQTT-4.7.1-1"),
    ("##", "MQTT-4.7.1-1"),
    ("a/b#", "MQTT-4.7.1-1"),
    ("a+", "MQTT-4.7.1-2"),
    ("+a/b", "MQTT-4.7.1-2"),
    ("++", "MQTT-4.7.1-2"),
    ("$share/g", "MQTT-4.8.2-2"),
    ("$share//x", "MQTT-4.8.2-1"),
    ("$share/g+/x", "MQTT-4.8.2-1"),
    ("$share/g/", "MQTT-4.7.3-1"),
];

#[test]
fn rule_51_and_59_filters_are_checked() {
    for (text, statement) in BAD_FILTERS {
        assert_eq!(
            Filter::parse(text),
            Err(Error::TopicFilterInvalid(statement)),
            "{text}"
        );
    }
    for text in [
        "#", "+", "/", "a//b", "+/+/#", "/#", "$SYS/#", "$share", "é/+", "\u{FEFF}",
    ] {
        let filter = Filter::parse(text).unwrap();
        assert_eq!(
            (filter.text, filter.share, filter.pattern),
            (text, None, text)
        );
    }
    let shared = Filter::parse("$share/g/a/#").unwrap();
    assert_eq!((shared.share, shared.pattern), (Some("g"), "a/#"));
    assert_eq!(Filter::parse("$share/g//").unwrap().pattern, "/");
}

#[test]
fn rule_51_and_mq_20_a_bad_filter_is_one_entry_in_v5_and_the_end_before() {
    let entry = |text: &str, options: &str| {
        let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{:04x} {digits} {options}", text.len())
    };
    for (text, statement) in BAD_FILTERS {
        let error = Error::TopicFilterInvalid(statement);
        let rest = format!(
            "{}{}{}",
            entry("ok", "00"),
            entry(text, "01"),
            entry("ok2", "02")
        );
        for version in [V31, V311] {
            let input = packet(0x82, &format!("0001 {rest}"));
            assert_eq!(verdict(version, &input), Some(error), "{text}");
        }
        let input = packet(0x82, &format!("0001 00 {rest}"));
        assert_eq!(verdict(V5, &input), None);
        let Ok(Packet::Subscribe(subscribe)) = decode(V5, &input) else {
            panic!("not a subscribe");
        };
        let entries: Vec<Subscription<'_>> = subscribe.subscriptions.iter().collect();
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[0].filter.map(|filter| filter.text), Ok("ok"));
        assert_eq!(entries[1].filter, Err(error));
        assert_eq!(entries[2].filter.map(|filter| filter.text), Ok("ok2"));
        let body: String = [entry("ok", ""), entry(text, "")].concat();
        let unsubscribe = |head| packet(0xA2, &format!("{head} {body}"));
        assert_eq!(verdict(V311, &unsubscribe("0001")), Some(error));
        assert_eq!(verdict(V5, &unsubscribe("0001 00")), None);
    }
    // A filter that is no string at all is malformed in every version.
    for filter in ["0003 610062", "0003 EDA080"] {
        for (version, head) in [(V311, "0001"), (V5, "0001 00")] {
            let input = packet(0x82, &format!("{head} {filter} 00"));
            assert_eq!(verdict(version, &input).map(Error::reason_code), Some(0x81));
        }
    }
}

#[test]
fn rule_55_no_local_on_a_shared_filter_is_a_protocol_error() {
    let shared = "000A 2473686172652F672F78";
    let input = |options| packet(0x82, &format!("0001 00 {shared} {options}"));
    assert_eq!(
        verdict(V5, &input("05")),
        Some(Error::Protocol("MQTT-3.8.3-4"))
    );
    assert_eq!(verdict(V5, &input("01")), None);
}

#[test]
fn rule_63_and_64_filters_match_byte_by_byte() {
    let table = [
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("a/#", "ab", false),
        ("#", "a/b", true),
        ("#", "/", true),
        ("+", "a", true),
        ("+", "/a", false),
        ("+/a", "/a", true),
        ("/+", "/", true),
        ("/a", "a", false),
        ("a/+", "a", false),
        ("a/+", "a/", true),
        ("a/+", "a/b/c", false),
        ("+/+", "/a", true),
        ("a/+/#", "a/b", true),
        ("a/+/#", "a", false),
        ("A", "a", false),
        ("a", "a/", false),
        ("e\u{301}", "\u{e9}", false),
        ("\u{FEFF}a", "a", false),
        ("#", "$SYS/x", false),
        ("+/x", "$SYS/x", false),
        ("+/#", "$SYS/x", false),
        ("$SYS/#", "$SYS/x", true),
        ("$SYS/+", "$SYS/x", true),
        ("$share/g/#", "$SYS/x", false),
        ("$share/g/a/+", "a/b", true),
        ("é/#", "é", true),
    ];
    for (filter, topic, expected) in table {
        assert_eq!(
            Filter::parse(filter).unwrap().matches(topic),
            expected,
            "{filter} {topic}"
        );
        assert_eq!(check_name(topic), Ok(()));
    }
}

#[test]
fn rule_52_answers_to_requests_are_checked() {
    let answers = Error::Protocol("MQTT-3.9.3-2");
    let ends = Error::Protocol("MQTT-3.11.3-2");
    let table = [
        (V311, "9002 0001", answers),
        (V311, "9003 0001 03", answers),
        (V31, "9003 0001 80", answers),
        (V311, "9003 0001 87", answers),
        (V5, "9004 0001 00 03", answers),
        (V5, "9003 0001 00", answers),
        (V5, "B003 0001 00", ends),
        (V5, "B004 0001 00 01", ends),
        (V311, "B003 0001 00", Error::Malformed("2.1.4")),
        (V311, "9103 0001 00", Error::Malformed("MQTT-2.1.3-1")),
        (V311, "9003 0000 00", Error::Protocol("MQTT-2.2.1-3")),
    ];
    for (version, text, error) in table {
        assert_eq!(decode(version, &hex(text)), Err(error), "{text}");
    }
}
