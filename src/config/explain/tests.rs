use serde::Deserialize;

use super::*;

fn message_of<'de, T: Deserialize<'de> + std::fmt::Debug>(text: &'de str) -> String {
    toml::from_str::<T>(text).unwrap_err().message().to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the messages of failed parses matter")]
struct Section {
    level: Option<Word>,
    max_count: u16,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Info,
    Warn,
}

#[test]
fn misspelt_key_gets_the_allowed_keys_and_a_guess() {
    let explanation = explain(&message_of::<Section>("max-count = 1"));
    assert_eq!(explanation.reason, "unknown key");
    assert_eq!(explanation.allowed.as_deref(), Some("`level`, `max_count`"));
    assert_eq!(explanation.suggestion.as_deref(), Some("max_count"));
}

#[test]
fn wrong_word_gets_the_allowed_words() {
    let explanation = explain(&message_of::<Section>("level = 'wran'"));
    assert_eq!(explanation.allowed.as_deref(), Some("`info`, `warn`"));
    assert_eq!(explanation.suggestion.as_deref(), Some("warn"));
    assert_eq!(
        explain(&message_of::<Section>("level = 'loudest'")).suggestion,
        None
    );
}

#[test]
fn missing_key_is_named() {
    let explanation = explain(&message_of::<Section>("level = 'info'"));
    assert_eq!(explanation.missing.as_deref(), Some("max_count"));
}

#[test]
fn wrong_type_is_told_in_words_of_toml() {
    let explanation = explain(&message_of::<Section>("max_count = 70000"));
    assert_eq!(
        explanation.allowed.as_deref(),
        Some("a whole number from 0 to 65535")
    );
    assert_eq!(explanation.reason, "invalid value: integer `70000`");
}

#[test]
fn distance_counts_edits() {
    let table = [
        ("", "abc", 3),
        ("abc", "abc", 0),
        ("acb", "abc", 1),
        ("ac", "abc", 1),
        ("abcd", "abc", 1),
        ("axc", "abc", 1),
        ("kitten", "sitting", 3),
        ("é", "e", 1),
    ];
    for (a, b, expected) in table {
        assert_eq!(distance(a, b), expected, "{a} {b}");
    }
}

#[test]
fn far_or_overlong_word_gets_no_guess() {
    assert_eq!(nearest("zzzzzz", &["level", "format"]), None);
    assert_eq!(nearest(&"level".repeat(20), &["level"]), None);
    assert_eq!(nearest("level", &[]), None);
}
