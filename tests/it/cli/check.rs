//! `ternmq config check`, and variables of the environment.

use std::net::TcpListener;
use std::path::Path;

use super::{Outcome, Running, command};
use crate::support::arguments;
use crate::support::process::Home;

/// Checks with ports of the system's choice and state in `directory`.
fn check(directory: &Path, sets: &[&str]) -> Outcome {
    let mut all = vec!["config".to_owned(), "check".to_owned()];
    let own = arguments(directory);
    let sets = sets.iter().map(|set| (*set).to_owned());
    for set in own.into_iter().chain(sets) {
        all.extend(["--set".to_owned(), set]);
    }
    Running::start(command(&all), b"").finish()
}

#[test]
fn what_is_right_is_ok_and_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let outcome = check(directory.path(), &["limits.max_connections=10"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome.stdout.contains("listener mqtt: 127.0.0.1:0 (mqtt)"),
        "{}",
        outcome.stdout
    );
    assert!(
        outcome.stdout.ends_with("defaults: ok\n"),
        "{}",
        outcome.stdout
    );
    assert!(!directory.path().join("data").exists());
}

#[test]
fn a_mistake_is_shown_as_serve_shows_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f.toml");
    std::fs::write(&path, "[limits]\nmemroy = 5\n").unwrap();
    let path = path.to_str().unwrap();
    let outcome = Running::start(command(&["config", "check", "--config", path]), b"").finish();
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome
            .stderr
            .contains("f.toml:2:1: `limits.memroy`: unknown key"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("did you mean `memory`?"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn warnings_are_code_0_and_errors_code_2() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let bind = format!("listeners.mqtt.bind={address}");
    let warned = check(directory.path(), &[&bind, "limits.max_connections=10"]);
    assert_eq!(warned.code, Some(0), "{}", warned.stderr);
    let expected = format!("warning: `listeners.mqtt.bind`: {address} is in use now\n  hint: ");
    assert!(warned.stdout.starts_with(&expected), "{}", warned.stdout);
    assert!(
        warned.stdout.ends_with("defaults: ok, 1 warning\n"),
        "{}",
        warned.stdout
    );
    std::fs::write(directory.path().join("data"), b"").unwrap();
    let wrong = check(directory.path(), &["limits.max_connections=10"]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stdout.starts_with("error: `storage.data_dir`: "),
        "{}",
        wrong.stdout
    );
    assert_eq!(wrong.stderr, "ternmq: defaults: 1 error");
}

#[test]
fn a_broker_that_runs_on_the_same_data_is_named() {
    let home = Home::new("");
    let server = home.start();
    let set = format!("storage.data_dir={:?}", home.data().display().to_string());
    let mqtt = format!("listeners.mqtt.bind={}", server.address("mqtt"));
    let outcome = check(
        Path::new("/nonexistent"),
        &[&set, &mqtt, "limits.max_connections=10"],
    );
    assert_eq!(
        outcome.code,
        Some(0),
        "{}{}",
        outcome.stdout,
        outcome.stderr
    );
    assert!(
        outcome.stdout.contains("a broker runs on"),
        "{}",
        outcome.stdout
    );
    assert!(!outcome.stdout.contains("in use"), "{}", outcome.stdout);
}

#[test]
fn variables_go_between_file_and_arguments() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f.toml");
    let file = "[listeners.mqtt]\nbind = \"127.0.0.1:0\"\n[storage]\ndata_dir = \"/file\"\n\
                [limits]\nmax_connections = 10\n";
    std::fs::write(&path, file).unwrap();
    let shown = |arguments: &[&str]| {
        let mut command = command(&[&["config", "check"], arguments].concat());
        command.env("TERNMQ_CONFIG", &path);
        command.env("TERNMQ__LISTENERS__MQTT__PROTOCOLS", "auto");
        command.env("TERNMQ__STORAGE__DATA_DIR", "/variable");
        Running::start(command, b"").finish().stdout
    };
    let outcome = shown(&[]);
    assert!(
        outcome.contains("listener mqtt: 127.0.0.1:0 (auto)\nstate: /variable\n"),
        "{outcome}"
    );
    let outcome = shown(&["--set", "storage.data_dir=/argument"]);
    assert!(outcome.contains("state: /argument\n"), "{outcome}");
}

#[test]
fn a_wrong_variable_stops_the_start_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut serve = command(&["serve"]);
    serve
        .env("TERNMQ__LIMITS__MEMRY", "5")
        .current_dir(directory.path());
    let outcome = Running::start(serve, b"").finish();
    assert_eq!(outcome.code, Some(2));
    let expected = "ternmq: TERNMQ__LIMITS__MEMRY:1:8: `limits.memry`: unknown key";
    assert!(outcome.stderr.starts_with(expected), "{}", outcome.stderr);
    assert!(
        outcome.stderr.ends_with("did you mean `memory`?"),
        "{}",
        outcome.stderr
    );
}
