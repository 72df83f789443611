use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::super::{Config, ConfigError, MAX_SET_BYTES, Problem};
use super::Variable;

fn variables(pairs: &[(&str, &str)]) -> Result<Vec<Variable>, ConfigError> {
    let pairs = pairs.iter();
    Variable::of(pairs.map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

fn load(pairs: &[(&str, &str)], sets: &[&str]) -> Result<Config, ConfigError> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Config::load_with(None, &variables(pairs)?, &sets)
}

fn problem(pairs: &[(&str, &str)]) -> Problem {
    match load(pairs, &[]).unwrap_err() {
        ConfigError::Invalid(problem) => *problem,
        other => panic!("{other}"),
    }
}

/// Mutant: no lower case in `Variable::of`.
#[test]
fn variables_set_keys_as_set_does() {
    let pairs = [
        ("TERNMQ__LIMITS__MEMORY", "512MiB"),
        ("TERNMQ__LISTENERS__MQTT__BIND", "127.0.0.1:1999"),
        ("TERNMQ__LIMITS__MAX_FRAME_BYTES__MQTT", "65536"),
        ("TERNMQ__STOMP__HEART_BEAT_MS", "[0, 5000]"),
        ("TERNMQ__Logging__Level", "debug"),
        ("TERNMQ__QUEUE", "[{ name = \"jobs\" }]"),
    ];
    let sets = [
        "limits.memory=512MiB",
        "listeners.mqtt.bind=127.0.0.1:1999",
        "limits.max_frame_bytes.mqtt=65536",
        "stomp.heart_beat_ms=[0, 5000]",
        "logging.level=debug",
        "queue=[{ name = \"jobs\" }]",
    ];
    let expected = load(&[], &sets).unwrap();
    assert_eq!(load(&pairs, &[]).unwrap(), expected);
    assert_ne!(expected, Config::default());
}

/// Mutant: arguments before variables in `Sources::read`.
#[test]
fn a_variable_goes_over_the_file_and_below_an_argument() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.toml");
    std::fs::write(
        &path,
        "[limits]\nmax_queues = 1\nmax_addresses = 1\nmax_retained = 1\n",
    )
    .unwrap();
    let pairs = [
        ("TERNMQ__LIMITS__MAX_ADDRESSES", "2"),
        ("TERNMQ__LIMITS__MAX_RETAINED", "2"),
    ];
    let sets = ["limits.max_retained=3".to_owned()];
    let config = Config::load_with(Some(&path), &variables(&pairs).unwrap(), &sets).unwrap();
    let limits = config.limits;
    let found = [limits.max_queues, limits.max_addresses, limits.max_retained];
    assert_eq!(found, [1, 2, 3]);
}

#[test]
fn an_unknown_key_names_the_variable_and_what_was_meant() {
    let problem = problem(&[("TERNMQ__LIMITS__MEMRY", "5")]);
    assert_eq!(problem.key, "limits.memry");
    assert_eq!(problem.suggestion.as_deref(), Some("memory"));
    let place = problem.place.unwrap();
    assert_eq!(
        (place.source.as_str(), place.line),
        ("TERNMQ__LIMITS__MEMRY", 1)
    );
}

#[test]
fn a_wrong_value_names_the_variable_among_others() {
    let problem = problem(&[
        ("TERNMQ__LIMITS__MAX_QUEUES", "7"),
        ("TERNMQ__LIMITS__MEMORY", "64MB"),
        ("TERNMQ__MQTT__SYS_INTERVAL_S", "7"),
    ]);
    assert_eq!(problem.place.unwrap().source, "TERNMQ__LIMITS__MEMORY");
    let empty = self::problem(&[("TERNMQ__LIMITS__MEMORY", "")]);
    assert_eq!(empty.place.unwrap().source, "TERNMQ__LIMITS__MEMORY");
}

#[test]
fn other_variables_are_none_of_ours() {
    let pairs = [
        ("TERNMQ_CONFIG", "x"),
        ("TERNMQ_BIN", "x"),
        ("ternmq__limits__memory", "x"),
        ("PATH", "x"),
    ];
    assert_eq!(variables(&pairs).unwrap(), []);
    let wild = OsStr::from_bytes(b"TERNMQ__\xff").to_owned();
    assert_eq!(
        Variable::of([(wild, OsString::new())].into_iter()).unwrap(),
        []
    );
}

#[test]
fn a_name_that_spells_no_key_is_refused() {
    for name in [
        "TERNMQ__",
        "TERNMQ____MEMORY",
        "TERNMQ__LIMITS__",
        "TERNMQ__A B",
    ] {
        let error = variables(&[(name, "5")]).unwrap_err();
        assert!(
            matches!(&error, ConfigError::NotAKey { name: found } if found == name),
            "{error}"
        );
    }
}

#[test]
fn a_value_that_is_not_utf_8_names_the_variable() {
    let value = OsStr::from_bytes(b"\xff").to_owned();
    let pair = (OsString::from("TERNMQ__LIMITS__MEMORY"), value);
    let error = Variable::of([pair].into_iter()).unwrap_err();
    assert!(
        error.to_string().starts_with("TERNMQ__LIMITS__MEMORY: "),
        "{error}"
    );
}

#[test]
fn one_key_in_two_spellings_is_refused() {
    let pairs = [
        ("TERNMQ__LIMITS__MEMORY", "1MiB"),
        ("TERNMQ__Limits__Memory", "2MiB"),
    ];
    let error = variables(&pairs).unwrap_err();
    assert!(matches!(error, ConfigError::SetTwice { .. }), "{error}");
}

/// Mutant: `size +=` without the value.
#[test]
fn variables_have_the_ceiling_of_arguments() {
    let value = "x".repeat(MAX_SET_BYTES / 2);
    let pairs = [("TERNMQ__A", value.as_str()), ("TERNMQ__B", value.as_str())];
    let error = variables(&pairs).unwrap_err();
    assert!(matches!(error, ConfigError::EnvironmentTooLarge), "{error}");
    assert_eq!(variables(&pairs[..1]).unwrap().len(), 1);
}
