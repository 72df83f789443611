use std::num::NonZeroU32;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> AddressPattern {
    AddressPattern::parse(text).unwrap()
}

fn rule(text: &str) -> AddressRule {
    AddressRule::new(pattern(text))
}

fn delayed(text: &str, delay_ms: u64) -> AddressRule {
    AddressRule {
        redelivery_delay_ms: Some(delay_ms),
        ..rule(text)
    }
}

#[test]
fn an_address_without_a_rule_has_the_documented_defaults() {
    let settings = SettingsTable::default().resolve("orders");
    assert_eq!(settings, AddressSettings::default());
    assert_eq!(settings.dead_letter_address.as_deref(), Some("DLQ"));
    assert_eq!(settings.expiry_address.as_deref(), Some("ExpiryQueue"));
    let ten = DeliveryAttempts::AtMost(NonZeroU32::new(10).unwrap());
    assert_eq!(settings.max_delivery_attempts, ten);
    assert_eq!(settings.redelivery_delay_ms, 0);
    assert!((settings.redelivery_multiplier - 1.0).abs() < f64::EPSILON);
    assert_eq!(settings.max_redelivery_delay_ms, 0);
    assert!(settings.auto_create_queues && settings.auto_delete_queues);
    assert!(settings.auto_create_addresses && settings.auto_delete_addresses);
    assert_eq!(settings.auto_delete_queues_delay_ms, 0);
    assert_eq!(settings.default_routing, RoutingType::Anycast);
    assert_eq!(settings.dispatch, Dispatch::Durable);
}

#[test]
fn pattern_matches_whole_segments() {
    let table = [
        ("a.b", "a.b", true),
        ("a.b", "a", false),
        ("a.b", "a.b.c", false),
        ("a.*", "a.b", true),
        ("a.*", "a", false),
        ("a.*", "a.", true),
        ("a.*", "a.b.c", false),
        ("*.b", "a.b", true),
        ("a.#", "a", true),
        ("a.#", "a.b.c", true),
        ("a.#", "ab", false),
        ("#", "", true),
        ("#", "a.b", true),
        ("#.c", "a.b.c", true),
        ("#.c", "c", true),
        ("#.c", "a.b.d", false),
        ("a.#.c", "a.c", true),
        ("a.#.c", "a.c.b.c", true),
        ("a.#.c", "a.c.b", false),
        ("#.a.#.b", "x.a.a.y.b", true),
        ("#.*", "a", true),
        ("a..b", "a..b", true),
        ("a.*.b", "a..b", true),
    ];
    for (text, address, expected) in table {
        assert_eq!(
            pattern(text).matches(address),
            expected,
            "{text} on {address:?}"
        );
    }
}

#[test]
fn malformed_pattern_is_refused_with_its_reason() {
    assert_eq!(AddressPattern::parse(""), Err(PatternError::Empty));
    assert_eq!(
        AddressPattern::parse("a.b*"),
        Err(PatternError::WildcardInSegment)
    );
    assert_eq!(
        AddressPattern::parse("##"),
        Err(PatternError::WildcardInSegment)
    );
    let long = "x".repeat(MAX_PATTERN_BYTES);
    assert!(AddressPattern::parse(&long).is_ok());
    assert_eq!(
        AddressPattern::parse(&format!("{long}x")),
        Err(PatternError::TooLong)
    );
    let deep = vec!["x"; MAX_PATTERN_SEGMENTS].join(".");
    assert!(AddressPattern::parse(&deep).is_ok());
    assert_eq!(
        AddressPattern::parse(&format!("{deep}.x")),
        Err(PatternError::TooDeep)
    );
}

#[test]
fn most_specific_rule_wins_in_whatever_order_rules_are_written() {
    // From the narrowest on; each line is one address and the rules that match it.
    let lines: [(&str, &[&str]); 5] = [
        (
            "a.b",
            &[
                "a.b", "a.b.#", "a.*", "a.#", "*.b", "*.*", "*.#", "#.b", "#.*", "#",
            ],
        ),
        ("a", &["a", "a.#", "*", "*.#", "#.a", "#"]),
        (
            "a.x.b",
            &[
                "a.x.b", "a.*.b", "a.*.*", "a.#.b", "a.#.*", "a.#", "#.x.b", "#",
            ],
        ),
        ("x.a", &["x.a", "*.a", "#.a", "#.a.#", "#"]),
        ("a.b.c", &["a.b.#", "a.*.c", "a.#.c", "*.b.c"]),
    ];
    for (address, patterns) in lines {
        for from in 0..patterns.len() {
            let remaining = &patterns[from..];
            let mut rules: Vec<_> = remaining
                .iter()
                .zip(1..)
                .map(|(text, delay_ms)| delayed(text, delay_ms))
                .collect();
            for _ in 0..2 {
                rules.reverse();
                let settings = SettingsTable::new(rules.clone()).resolve(address);
                assert_eq!(settings.redelivery_delay_ms, 1, "{address}: {remaining:?}");
            }
        }
    }
}

#[test]
fn of_equal_patterns_the_later_rule_wins() {
    let table = SettingsTable::new(vec![delayed("a.#", 1), delayed("a.#", 2)]);
    assert_eq!(table.resolve("a.b").redelivery_delay_ms, 2);
}

#[test]
fn keys_are_merged_one_by_one() {
    let table = SettingsTable::new(vec![
        AddressRule {
            dead_letter_address: Some(Arc::from("DLQ.all")),
            dispatch: Some(Dispatch::Immediate),
            default_routing: Some(RoutingType::Multicast),
            ..rule("#")
        },
        AddressRule {
            auto_delete_queues: Some(false),
            ..delayed("orders.#", 200)
        },
        AddressRule {
            dead_letter_address: Some(Arc::from("")),
            ..rule("orders.eu")
        },
    ]);
    let settings = table.resolve("orders.eu");
    assert_eq!(settings.dead_letter_address, None);
    assert_eq!(settings.redelivery_delay_ms, 200);
    assert!(!settings.auto_delete_queues);
    assert_eq!(settings.dispatch, Dispatch::Immediate);
    assert_eq!(settings.default_routing, RoutingType::Multicast);
    assert!(settings.auto_create_queues);
    assert_eq!(
        table.resolve("orders.us").dead_letter_address.as_deref(),
        Some("DLQ.all")
    );
}

#[test]
fn longest_redelivery_delay_is_ten_times_the_delay_unless_named() {
    let capped = AddressRule {
        max_redelivery_delay_ms: Some(500),
        ..rule("b")
    };
    let huge = delayed("c", u64::MAX);
    let table = SettingsTable::new(vec![delayed("#", 70), capped, huge]);
    assert_eq!(table.resolve("a").max_redelivery_delay_ms, 700);
    assert_eq!(table.resolve("b").max_redelivery_delay_ms, 500);
    assert_eq!(table.resolve("b").redelivery_delay_ms, 70);
    assert_eq!(table.resolve("c").max_redelivery_delay_ms, u64::MAX);
}

#[test]
fn minus_one_and_zero_attempts_mean_no_limit() {
    let one = DeliveryAttempts::AtMost(NonZeroU32::MIN);
    assert_eq!(
        DeliveryAttempts::from_number(-1),
        Some(DeliveryAttempts::Unlimited)
    );
    assert_eq!(
        DeliveryAttempts::from_number(0),
        Some(DeliveryAttempts::Unlimited)
    );
    assert_eq!(DeliveryAttempts::from_number(1), Some(one));
    assert_eq!(DeliveryAttempts::from_number(-2), None);
    assert_eq!(DeliveryAttempts::from_number(i64::from(u32::MAX) + 1), None);
}

/// The obvious recursive reading of a pattern, as the oracle.
fn matches_naively(pattern: &[&str], address: &[&str]) -> bool {
    match (pattern, address) {
        ([], []) => true,
        (["#", rest @ ..], _) => {
            (0..=address.len()).any(|taken| matches_naively(rest, &address[taken..]))
        }
        (["*", rest @ ..], [_, names @ ..]) => matches_naively(rest, names),
        ([literal, rest @ ..], [name, names @ ..]) if literal == name => {
            matches_naively(rest, names)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn matching_agrees_with_the_naive_reading(
        pattern_segments in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "#"]), 1..7),
        names in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..8),
    ) {
        let expected = matches_naively(&pattern_segments, &names);
        prop_assert_eq!(pattern(&pattern_segments.join(".")).matches(&names.join(".")), expected);
    }
}
