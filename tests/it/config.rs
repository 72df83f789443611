//! What an operator sees of arguments and configuration.

use std::path::Path;
use std::process::{Command, Output};

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn ternmq(arguments: &[&str]) -> Outcome {
    let binary = env!("CARGO_BIN_EXE_ternmq");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(binary).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome {
        code: status.code(),
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

fn file(directory: &Path, text: &str) -> String {
    let path = directory.join("ternmq.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn help_names_command_and_options() {
    let help = ternmq(&["--help"]);
    assert_eq!(help.code, Some(0));
    for word in ["serve", "--config <FILE>", "--set <KEY=VALUE>", "--version"] {
        assert!(help.stdout.contains(word), "{word} in {}", help.stdout);
    }
}

#[test]
fn version_is_that_of_the_package() {
    let version = ternmq(&["--version"]);
    assert_eq!(
        version.stdout.trim(),
        format!("ternmq {}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn bad_file_is_reported_with_line_column_key_and_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(
        directory.path(),
        "[limits]\nmax_queues = 5\n  max_conections = 7\n",
    );
    let outcome = ternmq(&["--config", &path]);
    let expected = format!(
        "ternmq: {path}:3:3: `limits.max_conections`: unknown key\n  |\n\
         3 |   max_conections = 7\n  |   ^^^^^^^^^^^^^^\n"
    );
    assert!(outcome.stderr.starts_with(&expected), "{}", outcome.stderr);
    assert!(
        outcome
            .stderr
            .ends_with("did you mean `max_connections`?\n"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.code, Some(2));
}

#[test]
fn bad_set_is_reported_under_its_own_name() {
    let outcome = ternmq(&["serve", "--set", "logging.level=loud"]);
    let place = "ternmq: --set logging.level=loud:1:15: `logging.level`: ";
    assert!(outcome.stderr.starts_with(place), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("allowed: `error`, `warn`, `info`"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.code, Some(2));
}

#[test]
fn missing_file_is_named_with_the_systems_reason() {
    let outcome = ternmq(&["--config", "/nonexistent/ternmq.toml"]);
    let expected = "ternmq: cannot read the configuration file `/nonexistent/ternmq.toml`: No such";
    assert!(outcome.stderr.starts_with(expected), "{}", outcome.stderr);
    assert_eq!(outcome.code, Some(2));
}

#[test]
fn binding_beyond_loopback_is_refused_with_the_key_that_allows_it() {
    let outcome = ternmq(&["--set", "listeners.mqtt.bind=0.0.0.0:1883"]);
    assert!(
        outcome.stderr.contains("`listeners.mqtt.bind`"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("security.allow_anonymous_remote"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.code, Some(2));
}
