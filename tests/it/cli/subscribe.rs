//! `ternmq sub` against our server.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::{PATIENCE, Running, client, done, mqtt, run};
use crate::support::process::{Home, wait_until};

#[test]
fn count_ends_it_and_what_comes_later_stays() {
    let server = Home::new("").start();
    let session = ["sub", "c", "--id", "keeper", "--session-expiry", "1h"];
    done(mqtt(&server), &[&session[..], &["--count", "0"]].concat());
    let bodies = b"1\n2\n3\n4\n";
    let sent = super::run_with(mqtt(&server), &["pub", "c", "--lines"], bodies);
    assert_eq!(sent.code, Some(0));
    for expected in ["1\n2\n", "3\n4\n"] {
        let rest = ["--count", "2", "--format", "{body}"];
        assert_eq!(
            done(mqtt(&server), &[&session[..], &rest].concat()),
            expected
        );
    }
    let gone = run(
        mqtt(&server),
        &[&session[..], &["--idle", "200ms"]].concat(),
    );
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(0), ""));
}

/// Mutant: `take_message` acknowledges at once. Whoever reads stops after one line; what was
/// written to nobody comes again.
#[test]
fn what_nobody_read_is_not_acknowledged() {
    let server = Home::new("").start();
    let session = ["sub", "a", "--id", "keeper", "--session-expiry", "1h"];
    done(mqtt(&server), &[&session[..], &["--count", "0"]].concat());
    let listener = [&session[..], &["--verbose", "--format", "{body}"]].concat();
    let mut child = client(mqtt(&server), &listener)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("subscribed") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    // Nobody reads any more: the first line fails with EPIPE.
    drop(child.stdout.take());
    done(mqtt(&server), &["pub", "a", "kept"]);
    assert_eq!(
        child.wait().unwrap().code(),
        Some(0),
        "a closed pipe is no error"
    );
    let again = [&session[..], &["--count", "1", "--format", "{body}"]].concat();
    assert_eq!(done(mqtt(&server), &again), "kept\n");
}

/// Mutant: only `batch` asked before lines are given to the output.
#[test]
fn a_message_that_a_template_writes_nothing_of_is_acknowledged() {
    let server = Home::new("").start();
    let session = ["sub", "a", "--id", "keeper", "--session-expiry", "1h"];
    done(mqtt(&server), &[&session[..], &["--count", "0"]].concat());
    done(mqtt(&server), &["pub", "a", "x"]);
    let silent = ["--count", "1", "--format", "\\c"];
    assert_eq!(done(mqtt(&server), &[&session[..], &silent].concat()), "");
    let again = run(
        mqtt(&server),
        &[&session[..], &["--idle", "200ms"]].concat(),
    );
    assert_eq!(again.stdout, "");
}

#[test]
fn time_that_runs_out_is_code_124_and_idleness_is_not() {
    let server = Home::new("").start();
    let table: [(&[&str], i32); 4] = [
        (&["sub", "t", "--timeout", "200ms"], 124),
        (&["sub", "t", "--timeout", "200ms", "--count", "1"], 124),
        (&["sub", "t", "--idle", "200ms"], 0),
        (&["sub", "t", "--idle", "200ms", "--count", "1"], 124),
    ];
    for (arguments, code) in table {
        let outcome = run(mqtt(&server), arguments);
        assert_eq!(
            outcome.code,
            Some(code),
            "{arguments:?}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn a_signal_ends_it_with_a_goodbye_and_without_the_will() {
    let server = Home::new("").start();
    let watcher = ["gone", "--count", "1", "--format", "{body}"];
    let watcher = Running::subscribed(mqtt(&server), &watcher);
    for signal in ["-INT", "-TERM"] {
        let listener = Running::subscribed(mqtt(&server), &["x", "--will-topic", "gone"]);
        listener.signal(signal);
        let outcome = listener.finish();
        assert_eq!(outcome.code, Some(0), "{signal}: {}", outcome.stderr);
    }
    done(mqtt(&server), &["pub", "gone", "no will"]);
    assert_eq!(watcher.finish().stdout, "no will\n");
}

#[test]
fn a_shared_subscription_splits_messages_between_processes() {
    let server = Home::new("").start();
    let arguments = ["$share/g/s/#", "--count", "3", "--format", "{body}"];
    let one = Running::subscribed(mqtt(&server), &arguments);
    let two = Running::subscribed(mqtt(&server), &arguments);
    let sent = super::run_with(
        mqtt(&server),
        &["pub", "s/x", "--lines"],
        b"1\n2\n3\n4\n5\n6\n",
    );
    assert_eq!(sent.code, Some(0));
    let all = [one.finish().stdout, two.finish().stdout].concat();
    let mut all: Vec<&str> = all.lines().collect();
    all.sort_unstable();
    assert_eq!(all, ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn options_of_retained_values_reach_the_server() {
    let server = Home::new("").start();
    done(mqtt(&server), &["pub", "state", "on", "--retain"]);
    let never = [
        "sub",
        "state",
        "--retain-handling",
        "never",
        "--idle",
        "200ms",
    ];
    assert_eq!(run(mqtt(&server), &never).stdout, "");
    let flags = |rest: &[&str]| {
        let arguments = [&["live", "--count", "1", "--format", "{retain}"], rest].concat();
        let listener = Running::subscribed(mqtt(&server), &arguments);
        done(mqtt(&server), &["pub", "live", "x", "--retain"]);
        done(mqtt(&server), &["pub", "live", "--empty", "--retain"]);
        listener.finish().stdout
    };
    assert_eq!(flags(&[]), "0\n");
    assert_eq!(flags(&["--retain-as-published"]), "1\n");
}

#[test]
fn a_refused_filter_is_named_with_code_3() {
    let server = Home::new("mqtt.deny = [\"closed/#\"]").start();
    let outcome = run(mqtt(&server), &["sub", "open", "closed/#"]);
    assert_eq!(outcome.code, Some(3));
    let expected = "ternmq: the subscription to `closed/#` was refused: not authorized (0x87)\n";
    assert!(outcome.stderr.starts_with(expected), "{}", outcome.stderr);
}

#[test]
fn another_client_of_the_same_id_is_a_conflict() {
    let server = Home::new("").start();
    let first = Running::subscribed(mqtt(&server), &["x", "--id", "same"]);
    done(mqtt(&server), &["sub", "x", "--id", "same", "--count", "0"]);
    let outcome = first.finish();
    assert_eq!(outcome.code, Some(5), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("session taken over"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_server_that_goes_is_unavailable() {
    let server = Home::new("").start();
    let address = mqtt(&server);
    let listener = Running::subscribed(address, &["x"]);
    let other = Running::subscribed(address, &["x"]);
    server.terminate();
    let outcome = listener.finish();
    assert_eq!(outcome.code, Some(6), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("server shutting down"),
        "{}",
        outcome.stderr
    );
    drop(other);
    drop(server);
    let outcome = run(address, &["sub", "x"]);
    assert_eq!(outcome.code, Some(6));
    assert!(
        outcome.stderr.contains("hint: is the server running?"),
        "{}",
        outcome.stderr
    );
}

/// A reader that does not read stops the flow, and Ctrl-C works all the same.
#[test]
fn a_slow_reader_slows_the_server_and_not_the_signal() {
    let server = Home::new("").start();
    let arguments = ["sub", "flood", "--verbose", "--format", "{body}"];
    let mut child = client(mqtt(&server), &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("subscribed") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    let body = "x".repeat(10_000);
    done(mqtt(&server), &["pub", "flood", &body, "--repeat", "2000"]);
    let status = format!("/proc/{}/statm", child.id());
    let resident = std::fs::read_to_string(&status).unwrap();
    let pages: u64 = resident.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(pages * 4_096 < 64 << 20, "{pages} pages");
    let id = child.id().to_string();
    std::process::Command::new("kill")
        .args(["-INT", &id])
        .status()
        .unwrap();
    let mut code = None;
    wait_until("end", PATIENCE, || {
        code = child.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(0));
}
