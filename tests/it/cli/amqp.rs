//! `ternmq pub` and `ternmq sub` over AMQP against our server, alone and with those of MQTT.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::{Outcome, Running, command, done, mqtt};
use crate::support::process::{Home, Process};

/// A command that speaks AMQP to `server`.
fn client(server: &Process, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    let address = server.address("amqp");
    command.env("TERNMQ_URL", format!("amqp://{address}"));
    command
}

fn run(server: &Process, arguments: &[&str]) -> Outcome {
    Running::start(client(server, arguments), b"").finish()
}

/// Runs a command that must succeed; what it wrote to standard output.
fn succeed(server: &Process, arguments: &[&str]) -> String {
    let outcome = run(server, arguments);
    assert_eq!(outcome.code, Some(0), "{arguments:?}: {}", outcome.stderr);
    outcome.stdout
}

/// A `sub --verbose` that has subscribed.
fn subscribed(server: &Process, arguments: &[&str]) -> Running {
    let all = [&["sub", "--verbose"], arguments].concat();
    let mut running = Running::start(client(server, &all), b"");
    running.wait_for("subscribed to");
    running
}

#[test]
fn a_message_and_its_properties_arrive_over_amqp_and_mqtt() {
    let server = Home::new("").start();
    let over_amqp = subscribed(&server, &["news", "--topic", "--count", "1"]);
    let over_mqtt = Running::subscribed(mqtt(&server), &["news", "--count", "1"]);
    let properties = [
        "--subject",
        "s",
        "--priority",
        "7",
        "--prop",
        "color=red",
        "--reply-to",
        "answers",
        "--correlation",
        "c-1",
        "--content-type",
        "text/plain",
        "--ttl",
        "1h",
    ];
    succeed(
        &server,
        &[&["pub", "news", "hello", "--topic"], &properties[..]].concat(),
    );
    let seen = over_amqp.finish();
    let seen: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(
        (&seen["topic"], &seen["body"]),
        (&"news".into(), &"hello".into())
    );
    let properties = &seen["properties"];
    for (key, value) in [
        ("subject", "s"),
        ("response_topic", "answers"),
        ("correlation", "c-1"),
        ("content_type", "text/plain"),
    ] {
        assert_eq!(properties[key], value, "{key}");
    }
    assert_eq!(properties["priority"], 7);
    assert_eq!(properties["user"], serde_json::json!([["color", "red"]]));
    let expiry_s = properties["expiry_s"].as_u64().unwrap();
    assert!((3_590..=3_600).contains(&expiry_s), "{expiry_s}");
    let seen = over_mqtt.finish();
    let seen: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(seen["body"], "hello");
    assert_eq!(seen["properties"]["correlation"], "c-1");
}

#[test]
fn what_mqtt_publishes_is_text_over_amqp() {
    let server = Home::new("").start();
    let listener = subscribed(
        &server,
        &["a.b", "--count", "1", "--format", "{topic} {body}"],
    );
    done(mqtt(&server), &["pub", "a/b", "21.5"]);
    assert_eq!(listener.finish().stdout, "a.b 21.5\n");
}

/// More than the window: it turns over many times.
#[test]
fn r66_many_lines_are_confirmed_kept_and_consumed_in_order() {
    let home = Home::new("").start();
    let lines: String = (0..5_000).map(|n| format!("{n}\n")).collect();
    let publish = client(&home, &["pub", "load", "--lines", "--queue", "--verbose"]);
    let outcome = Running::start(publish, lines.as_bytes()).finish();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("confirmed: 5000"),
        "{}",
        outcome.stderr
    );
    let consume = [
        "sub", "load", "--queue", "--count", "5000", "--format", "{body}",
    ];
    assert!(succeed(&home, &consume) == lines);
}

#[test]
fn whoever_wants_few_messages_leaves_the_others() {
    let server = Home::new("").start();
    succeed(&server, &["pub", "few", "x", "--queue", "--repeat", "5"]);
    let consume = |count: &str| {
        let format = ["--format", "{body}{dup}", "--idle", "500ms"];
        let line = [&["sub", "few", "--queue", "--count", count], &format[..]].concat();
        run(&server, &line)
    };
    assert_eq!(consume("2").stdout, "x0\nx0\n");
    let rest = consume("4");
    assert_eq!(
        (rest.stdout.as_str(), rest.code),
        ("x0\nx0\nx0\n", Some(124))
    );
}

#[test]
fn r60_a_body_larger_than_a_frame_arrives_whole() {
    let server = Home::new("").start();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let body: Vec<u8> = (0..700_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    file.write_all(&body).unwrap();
    let path = file.path().to_str().unwrap();
    succeed(&server, &["pub", "big", "--file", path, "--queue"]);
    let format = ["--format", "{body}\\c"];
    let consume = [&["sub", "big", "--queue", "--count", "1"], &format[..]].concat();
    assert!(succeed(&server, &consume).as_bytes() == body);
}

#[test]
fn what_was_not_written_is_not_acknowledged() {
    let server = Home::new("").start();
    let body = "x".repeat(1_000);
    succeed(
        &server,
        &["pub", "kept", &body, "--queue", "--repeat", "300"],
    );
    let mut command = client(&server, &["sub", "kept", "--queue", "--format", "{body}"]);
    let mut stuck = command.stdout(Stdio::piped()).spawn().unwrap();
    // Nobody reads on, so it cannot write more than the pipe holds.
    let mut pipe = stuck.stdout.take().unwrap();
    pipe.read_exact(&mut [0]).unwrap();
    stuck.kill().unwrap();
    stuck.wait().unwrap();
    let mut written = String::new();
    pipe.read_to_string(&mut written).unwrap();
    let written = written.matches('\n').count();
    assert!(written < 300, "all was written");
    let rest = run(&server, &["sub", "kept", "--queue", "--idle", "500ms"]);
    let rest = rest.stdout.lines().count();
    assert!(rest >= 300 - written, "{written} written, {rest} left");
}

#[test]
fn a_settled_message_arrives_and_does_not_outlive_the_server() {
    let home = Home::new("");
    let server = home.start();
    succeed(&server, &["pub", "q", "kept", "--queue"]);
    succeed(&server, &["pub", "q", "lost", "--queue", "--qos", "0"]);
    drop(server);
    let server = home.start();
    let seen = run(
        &server,
        &[
            "sub", "q", "--queue", "--idle", "500ms", "--format", "{body}",
        ],
    );
    assert_eq!((seen.stdout.as_str(), seen.code), ("kept\n", Some(0)));
}

#[test]
fn wrong_arguments_and_servers_have_exit_codes_of_their_own() {
    let server = Home::new("").start();
    let table: [(&[&str], i32, &str); 5] = [
        (&["pub", "a", "x", "--retain"], 2, "--retain is MQTT's"),
        (&["pub", "a", "x", "--qos", "2"], 2, "--qos 2 is MQTT's"),
        (&["sub", "a", "--no-local"], 2, "--no-local is MQTT's"),
        (
            &["pub", "a", "x", "--protocol", "mqtt"],
            2,
            "say different things",
        ),
        (
            &["sub", "a", "--count", "1", "--timeout", "200ms"],
            124,
            "out of time",
        ),
    ];
    for (line, code, text) in table {
        let outcome = run(&server, line);
        assert_eq!(outcome.code, Some(code), "{line:?}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains(text),
            "{line:?}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn a_server_that_stops_ends_the_listener() {
    let server = Home::new("").start();
    let listener = subscribed(&server, &["a"]);
    drop(server);
    let outcome = listener.finish();
    assert_eq!(outcome.code, Some(6), "{}", outcome.stderr);
}
