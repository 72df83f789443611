//! `ternmq pub` against our server.

use std::io::Write;

use super::{Running, client, done, mqtt, run, run_with};
use crate::support::process::Home;

/// What a subscriber to `filter` gets of one publish.
fn body(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap()
}

#[test]
fn a_publish_arrives_in_every_version_and_qos() {
    let server = Home::new("").start();
    for version in ["3", "5"] {
        for qos in ["0", "1", "2"] {
            let topic = format!("t/{version}/{qos}");
            let listener = Running::subscribed(
                mqtt(&server),
                &[&topic, "--qos", qos, "--count", "1", "--mqtt", version],
            );
            done(
                mqtt(&server),
                &["pub", &topic, "hello", "--qos", qos, "--mqtt", version],
            );
            let seen = listener.finish();
            assert_eq!(seen.code, Some(0), "{}", seen.stderr);
            let seen = body(&seen.stdout);
            assert_eq!(seen["body"], "hello", "{topic}");
            assert_eq!(seen["qos"].to_string(), qos, "{topic}");
        }
    }
}

#[test]
fn properties_arrive() {
    let server = Home::new("").start();
    let listener = Running::subscribed(mqtt(&server), &["p", "--count", "1"]);
    let properties = [
        "--content-type",
        "application/json",
        "--response-topic",
        "answers",
        "--correlation",
        "c-1",
        "--expiry",
        "1h",
        "--payload-format",
        "utf8",
        "--prop",
        "color=red",
        "--prop",
        "color=blue",
    ];
    done(
        mqtt(&server),
        &[&["pub", "p", "{}"], &properties[..]].concat(),
    );
    let seen = body(&listener.finish().stdout);
    let seen = &seen["properties"];
    assert_eq!(seen["content_type"], "application/json");
    assert_eq!(seen["response_topic"], "answers");
    assert_eq!(seen["correlation"], "c-1");
    assert_eq!(seen["payload_format"], "utf8");
    assert_eq!(
        seen["user"],
        serde_json::json!([["color", "red"], ["color", "blue"]])
    );
    let expiry_s = seen["expiry_s"].as_u64().unwrap();
    assert!((3_590..=3_600).contains(&expiry_s), "{expiry_s}");
}

#[test]
fn standard_input_is_one_body_or_a_message_a_line() {
    let server = Home::new("").start();
    let listener = Running::subscribed(
        mqtt(&server),
        &["in", "--count", "4", "--format", "[{body}]"],
    );
    let input = b"one\n\ntwo\nthree";
    for arguments in [["pub", "in", "--stdin"], ["pub", "in", "--lines"]] {
        assert_eq!(run_with(mqtt(&server), &arguments, input).code, Some(0));
    }
    assert_eq!(
        listener.finish().stdout,
        "[one\n\ntwo\nthree]\n[one]\n[two]\n[three]\n"
    );
}

#[test]
fn a_file_of_a_mebibyte_arrives_whole() {
    let server = Home::new("").start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("body");
    let sent = "0123456789abcde\n".repeat(65_536);
    std::fs::write(&path, &sent).unwrap();
    let listener = Running::subscribed(
        mqtt(&server),
        &["f", "--count", "1", "--format", "{body}\\c"],
    );
    done(
        mqtt(&server),
        &["pub", "f", "--file", path.to_str().unwrap()],
    );
    assert!(listener.finish().stdout == sent);
}

/// More than the window: it turns over many times.
#[test]
fn many_lines_are_confirmed_in_order_before_the_end() {
    let server = Home::new("").start();
    let session = ["sub", "many", "--id", "keeper", "--session-expiry", "1h"];
    done(mqtt(&server), &[&session[..], &["--count", "0"]].concat());
    let lines: Vec<String> = (1..=5_000).map(|n| n.to_string()).collect();
    let input = lines.join("\n");
    let outcome = run_with(
        mqtt(&server),
        &["pub", "many", "--lines", "--verbose"],
        input.as_bytes(),
    );
    assert!(
        outcome.stderr.contains("confirmed: 5000"),
        "{}",
        outcome.stderr
    );
    let rest = ["--count", "5000", "--format", "{body}"];
    let seen = done(mqtt(&server), &[&session[..], &rest].concat());
    assert!(seen.lines().eq(lines.iter().map(String::as_str)));
}

#[test]
fn repeat_and_interval_pace_the_same_body() {
    let server = Home::new("").start();
    let began = std::time::Instant::now();
    let outcome = run(
        mqtt(&server),
        &[
            "pub",
            "r",
            "x",
            "--repeat",
            "3",
            "--interval",
            "100ms",
            "-v",
        ],
    );
    assert!(
        outcome.stderr.contains("confirmed: 3"),
        "{}",
        outcome.stderr
    );
    assert!(began.elapsed().as_millis() >= 200);
}

#[test]
fn a_retained_value_is_set_and_cleared() {
    let server = Home::new("").start();
    done(mqtt(&server), &["pub", "state", "on", "--retain"]);
    let first = [
        "sub",
        "state",
        "--count",
        "1",
        "--format",
        "{body} {retain}",
    ];
    assert_eq!(done(mqtt(&server), &first), "on 1\n");
    done(mqtt(&server), &["pub", "state", "--empty", "--retain"]);
    let none = run(mqtt(&server), &["sub", "state", "--idle", "200ms"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), ""));
}

#[test]
fn a_message_that_nobody_gets_is_told() {
    let server = Home::new("").start();
    let outcome = run(mqtt(&server), &["pub", "nobody", "x"]);
    assert_eq!(outcome.code, Some(0));
    assert!(
        outcome.stderr.contains("1 of 1 matched no subscription"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_refused_message_ends_with_its_reason_and_code_3() {
    let server = Home::new("mqtt.deny = [\"closed/#\"]").start();
    let outcome = run(mqtt(&server), &["pub", "closed/a", "x"]);
    assert_eq!(outcome.code, Some(3));
    let expected = "ternmq: message 1 to `closed/a` was refused: not authorized (0x87)\n  hint: ";
    assert!(outcome.stderr.starts_with(expected), "{}", outcome.stderr);
}

#[test]
fn what_cannot_be_sent_is_told_before_or_at_the_line() {
    let server = Home::new("").start();
    let usage = run(mqtt(&server), &["pub", "a/+", "x"]);
    assert_eq!(usage.code, Some(2), "{}", usage.stderr);
    let lines = b"good\nb\xffd\nnever";
    let text = run_with(
        mqtt(&server),
        &["pub", "a", "--lines", "--payload-format", "utf8"],
        lines,
    );
    assert_eq!(text.code, Some(2));
    assert!(
        text.stderr.contains("message 2 is not UTF-8"),
        "{}",
        text.stderr
    );
    let missing = run(mqtt(&server), &["pub", "a", "--file", "/nonexistent"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stderr.contains("cannot read `/nonexistent`"),
        "{}",
        missing.stderr
    );
}

#[test]
fn a_will_is_published_when_its_client_vanishes() {
    let server = Home::new("").start();
    let listener = Running::subscribed(
        mqtt(&server),
        &["gone", "--count", "1", "--format", "{body}"],
    );
    let will = [
        "pub",
        "x",
        "--lines",
        "-v",
        "--will-topic",
        "gone",
        "--will-body",
        "vanished",
    ];
    let (mut publisher, _stdin) = Running::open(client(mqtt(&server), &will));
    publisher.wait_for("connected");
    drop(publisher);
    assert_eq!(listener.finish().stdout, "vanished\n");
}

/// Mutant: the first signal ends it at once, without a goodbye.
#[test]
fn a_signal_ends_lines_after_their_confirms_and_with_a_goodbye() {
    let server = Home::new("").start();
    let one = ["--count", "1", "--format", "{body}"];
    let listener = Running::subscribed(mqtt(&server), &[&["a"], &one[..]].concat());
    let watcher = Running::subscribed(mqtt(&server), &[&["gone"], &one[..]].concat());
    let lines = ["pub", "a", "--lines", "-v", "--will-topic", "gone"];
    let (mut publisher, mut stdin) = Running::open(client(mqtt(&server), &lines));
    stdin.write_all(b"one\n").unwrap();
    assert_eq!(listener.finish().stdout, "one\n");
    publisher.signal("-INT");
    publisher.wait_for("confirmed: 1");
    assert_eq!(publisher.finish().code, Some(0));
    done(mqtt(&server), &["pub", "gone", "no will"]);
    assert_eq!(watcher.finish().stdout, "no will\n");
}
