use proptest::prelude::*;

use super::Dialect::{Amq, Canonical, Mqtt};
use super::{Dialect, Kind, MAX_LEVELS, MAX_NAME_BYTES, NameError};

const DIALECTS: [Dialect; 3] = [Mqtt, Amq, Canonical];

fn name(dialect: Dialect, text: &str) -> Result<String, NameError> {
    dialect.parse(text, Kind::Name, MAX_NAME_BYTES)
}

fn filter(dialect: Dialect, text: &str) -> Result<String, NameError> {
    dialect.parse(text, Kind::Filter, MAX_NAME_BYTES)
}

/// The canonical form of segments, as the design words it: an oracle apart from the code.
fn canonical_form(segments: &[String]) -> String {
    let encoded = segments.iter().map(|segment| {
        let mut segment = segment.replace('%', "%25");
        for (character, code) in [
            ('.', "%2E"),
            ('*', "%2A"),
            ('#', "%23"),
            ('>', "%3E"),
            ('/', "%2F"),
        ] {
            segment = segment.replace(character, code);
        }
        for run in (2..=10).rev() {
            segment = segment.replace(&":".repeat(run), &"%3A".repeat(run));
        }
        segment
    });
    encoded.collect::<Vec<_>>().join(".")
}

/// Segments of text dense in what has a meaning somewhere: delimiters, wildcards, escapes.
fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a.*#>%/:+$]{0,8}",
        "(%|%25|25|2F|2B|23|2E|2A|3E|3A|2f|/|\\+|#|::|:|x){0,6}",
        "[^\\x00]{0,6}",
    ]
}

fn segments() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(segment(), 1..6).prop_filter("empty", |all| {
        all.iter().any(|s| !s.is_empty()) || all.len() > 1
    })
}

/// Segments of a canonical filter: literals, `*`, and perhaps a last `#`.
fn canonical_filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![
        2 => segment().prop_map(|text| canonical_form(&[text])),
        1 => Just("*".to_owned()),
    ];
    (prop::collection::vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, many)| {
            if many {
                levels.push("#".to_owned());
            }
            levels.join(".")
        })
        .prop_filter("empty", |text| !text.is_empty())
}

/// Text that may or may not be legal in some dialect.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "(%25|%2F|%2B|%23|%2E|%2A|%3E|%3A|%2f|%|25|2F|/|\\.|\\+|\\*|#|>|:|a|\u{feff}){1,10}",
        "[a-c./+*#>%:]{1,10}",
        "(a|b|\\+|\\*|#|>)([./](a|b|%2B|%2E|%23|\\+|\\*|#|>|)){0,4}",
        "[^\\x00]{1,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_canonical_name_survives_each_dialect(segments in segments()) {
        let canonical = canonical_form(&segments);
        prop_assert_eq!(name(Canonical, &canonical), Ok(canonical.clone()));
        for dialect in DIALECTS {
            let text = dialect.render(&canonical);
            prop_assert_eq!(name(dialect, &text), Ok(canonical.clone()), "{:?} {}", dialect, text);
            prop_assert!(text.len() <= 3 * canonical.len());
        }
    }

    #[test]
    fn every_canonical_filter_survives_each_dialect(canonical in canonical_filter()) {
        for dialect in DIALECTS {
            let text = dialect.render(&canonical);
            prop_assert_eq!(filter(dialect, &text), Ok(canonical.clone()), "{:?} {}", dialect, text);
        }
    }

    #[test]
    fn an_accepted_text_comes_back_as_it_was(text in text()) {
        for dialect in DIALECTS {
            if let Ok(canonical) = name(dialect, &text) {
                prop_assert_eq!(dialect.render(&canonical), text.as_str(), "{:?}", dialect);
                prop_assert_eq!(name(Canonical, &canonical), Ok(canonical.clone()));
                prop_assert_eq!(filter(dialect, &text), Ok(canonical));
            }
            if let Ok(canonical) = filter(dialect, &text) {
                // The one alias: `#` for `>`.
                let many = dialect == Amq && (text == "#" || text.ends_with(".#"));
                let spelled = if many { text.trim_end_matches('#').to_owned() + ">" } else { text.clone() };
                prop_assert_eq!(dialect.render(&canonical), spelled, "{:?}", dialect);
                prop_assert_eq!(filter(Canonical, &canonical), Ok(canonical.clone()));
            }
        }
    }

    #[test]
    fn every_legal_mqtt_topic_is_a_name(topic in "[^\\x00+#]{1,20}|(%|25|2F|2B|23|/|\\.|a|:){1,12}") {
        let canonical = name(Mqtt, &topic);
        prop_assert!(canonical.is_ok());
        prop_assert_eq!(Mqtt.render(&canonical.unwrap()), topic);
    }

    #[test]
    fn mqtt_filters_are_legal_exactly_as_the_standard_says(text in "[ab+#/%.]{1,8}") {
        let levels: Vec<&str> = text.split('/').collect();
        let legal = levels.iter().enumerate().all(|(at, level)| {
            let last = at + 1 == levels.len();
            *level == "+" || (*level == "#" && last) || !level.contains(['+', '#'])
        });
        prop_assert_eq!(filter(Mqtt, &text).is_ok(), legal);
    }
}

#[test]
fn mqtt_names_have_these_canonical_forms() {
    for (topic, canonical) in [
        ("a/b", "a.b"),
        ("v1.2/temp", "v1%2E2.temp"),
        ("50%/x", "50%25.x"),
        ("/", "."),
        ("/a//b/", ".a..b."),
        ("%2F", "%2F"),
        ("%2B", "+"),
        ("%23", "%23"),
        ("%252F", "%252F"),
        ("%25252B", "%25252B"),
        ("%252B", "%252B"),
        ("%25", "%2525"),
        ("%252E", "%25252E"),
        ("%2E", "%252E"),
        ("%2f", "%252f"),
        ("%%2F", "%25%2F"),
        ("a*b>c", "a%2Ab%3Ec"),
        ("*/>", "%2A.%3E"),
        ("a:b", "a:b"),
        ("a::b", "a%3A%3Ab"),
        ("a:::b", "a%3A%3A%3Ab"),
        ("$SYS/x", "$SYS.x"),
        ("\u{feff}a", "\u{feff}a"),
    ] {
        assert_eq!(name(Mqtt, topic).as_deref(), Ok(canonical), "{topic}");
        assert_eq!(Mqtt.render(canonical), topic, "{canonical}");
    }
}

#[test]
fn st_a3_stomp_destinations_have_these_canonical_forms() {
    for (destination, canonical) in [
        ("foo/bar", "foo%2Fbar"),
        ("a.b", "a.b"),
        ("v1%2E2.temp", "v1%2E2.temp"),
        ("50%25", "50%25"),
        ("%252F", "%252F"),
        ("a%2Ab%23c%3E", "a%2Ab%23c%3E"),
        ("a+b", "a+b"),
        ("a%3A%3Ab", "a%3A%3Ab"),
        (".a..", ".a.."),
    ] {
        assert_eq!(
            name(Amq, destination).as_deref(),
            Ok(canonical),
            "{destination}"
        );
        assert_eq!(Amq.render(canonical), destination, "{canonical}");
    }
}

#[test]
fn one_name_is_spelled_in_every_dialect() {
    let canonical = "v1%2E2.a%2Fb.c+d.*.#";
    assert_eq!(Mqtt.render(canonical), "v1.2/a%2Fb/c%2Bd/+/#");
    assert_eq!(Amq.render(canonical), "v1%2E2.a/b.c+d.*.>");
    assert_eq!(Canonical.render(canonical), canonical);
}

#[test]
fn a_second_spelling_of_a_name_is_refused() {
    for (dialect, text, error) in [
        (Amq, "50%", NameError::Escape),
        (Amq, "50%off", NameError::Escape),
        (Amq, "%2F", NameError::Escape),
        (Amq, "%2e", NameError::Escape),
        (Amq, "%41", NameError::Escape),
        (Amq, "a%3Ab", NameError::Escape),
        (Amq, "a:%3Ab", NameError::Escape),
        (Amq, "%", NameError::Escape),
        (Amq, "%2", NameError::Escape),
        (Amq, "%\u{e9}", NameError::Escape),
        (Amq, "a::b", NameError::Reserved(':')),
        (Amq, "order#5", NameError::Reserved('#')),
        (Amq, "a*", NameError::Reserved('*')),
        (Amq, "a>.b", NameError::Reserved('>')),
        (Canonical, "a/b", NameError::Reserved('/')),
        (Canonical, "%2B", NameError::Escape),
        (Canonical, "a>", NameError::Reserved('>')),
        (Canonical, ">", NameError::Reserved('>')),
        (Canonical, "%25%", NameError::Escape),
        (Mqtt, "a+", NameError::Reserved('+')),
        (Mqtt, "a#/b", NameError::Reserved('#')),
    ] {
        assert_eq!(name(dialect, text), Err(error), "{dialect:?} {text}");
        assert_eq!(filter(dialect, text), Err(error), "{dialect:?} {text}");
    }
}

#[test]
fn mqtt_51_wildcards_stand_alone_and_many_levels_stand_last() {
    for (dialect, text, canonical) in [
        (Mqtt, "a/+/#", Ok("a.*.#")),
        (Mqtt, "#", Ok("#")),
        (Mqtt, "+", Ok("*")),
        (Mqtt, "+//+", Ok("*..*")),
        (Mqtt, "#/a", Err(NameError::WildcardNotLast)),
        (Mqtt, "a/#/", Err(NameError::WildcardNotLast)),
        (Mqtt, "a/b#", Err(NameError::Reserved('#'))),
        (Mqtt, "++", Err(NameError::Reserved('+'))),
        (Mqtt, "", Err(NameError::Empty)),
        (Mqtt, "a\0", Err(NameError::Nul)),
        (Amq, "a.*.>", Ok("a.*.#")),
        (Amq, "a.*.#", Ok("a.*.#")),
        (Amq, ">.a", Err(NameError::WildcardNotLast)),
        (Amq, "#.a", Err(NameError::WildcardNotLast)),
        (Amq, "a/*", Err(NameError::Reserved('*'))),
        (Canonical, "a.*.#", Ok("a.*.#")),
        (Canonical, "#.a", Err(NameError::WildcardNotLast)),
    ] {
        assert_eq!(
            filter(dialect, text).as_deref(),
            canonical.as_ref().copied(),
            "{text}"
        );
    }
}

#[test]
fn names_take_no_wildcard() {
    for (dialect, text) in [
        (Mqtt, "a/+"),
        (Mqtt, "#"),
        (Amq, "*.a"),
        (Amq, "a.>"),
        (Amq, "#"),
        (Canonical, "a.#"),
    ] {
        assert_eq!(name(dialect, text), Err(NameError::Wildcard), "{text}");
    }
    for dialect in DIALECTS {
        assert_eq!(name(dialect, ""), Err(NameError::Empty));
        assert_eq!(name(dialect, "a\0b"), Err(NameError::Nul));
    }
}

// Catches: the limit of the configuration above 65,535, compared before the escapes are made, or
// compared with the spelling instead of the canonical form.
#[test]
fn l25_length_is_limited_in_canonical_bytes() {
    for dialect in DIALECTS {
        let parse = |length, limit| dialect.parse(&"a".repeat(length), Kind::Name, limit);
        assert!(parse(20, 20).is_ok());
        assert_eq!(parse(21, 20), Err(NameError::TooLong { max_bytes: 20 }));
        assert_eq!(parse(1_000, 20), Err(NameError::TooLong { max_bytes: 20 }));
        assert_eq!(parse(1, 0), Err(NameError::TooLong { max_bytes: 0 }));
        assert!(parse(MAX_NAME_BYTES, usize::MAX).is_ok());
        let over = Err(NameError::TooLong {
            max_bytes: MAX_NAME_BYTES,
        });
        assert_eq!(parse(MAX_NAME_BYTES + 1, usize::MAX), over);
    }
    // Four bytes of canonical form from two of MQTT, and the other way round.
    assert!(Mqtt.parse("a.", Kind::Name, 4).is_ok());
    assert_eq!(
        Mqtt.parse("a.", Kind::Name, 3),
        Err(NameError::TooLong { max_bytes: 3 })
    );
    assert!(Mqtt.parse("%2B%2B", Kind::Name, 2).is_ok());
}

// Catches: `level > MAX_LEVELS`.
#[test]
fn l25_depth_is_limited() {
    for (dialect, delimiter) in [(Mqtt, "/"), (Amq, "."), (Canonical, ".")] {
        let deep = vec!["a"; MAX_LEVELS].join(delimiter);
        assert!(name(dialect, &deep).is_ok());
        let deeper = deep + delimiter;
        assert_eq!(name(dialect, &deeper), Err(NameError::TooDeep));
        assert_eq!(filter(dialect, &deeper), Err(NameError::TooDeep));
    }
}

#[test]
fn mqtt_24_bytes_are_not_normalised() {
    let composed = name(Mqtt, "caf\u{e9}").unwrap();
    let decomposed = name(Mqtt, "cafe\u{301}").unwrap();
    assert_ne!(composed, decomposed);
    assert_ne!(name(Mqtt, "\u{feff}a"), name(Mqtt, "a"));
    assert_eq!(Mqtt.render(&decomposed), "cafe\u{301}");
}

#[test]
fn errors_say_what_to_do() {
    assert_eq!(
        NameError::Reserved('#').to_string(),
        "'#' must be percent-encoded here"
    );
    assert!(NameError::TooDeep.to_string().contains("128"));
}
