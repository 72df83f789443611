//! The process: start, signals, exit codes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::arguments;

fn ternmq(directory: &std::path::Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ternmq"));
    for set in arguments(directory) {
        command.args(["--set", &set]);
    }
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// Lines of standard error until one holds `text`.
fn wait_for(child: &mut Child, text: &'static str) {
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (found, finding) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if line.contains(text) {
                found.try_send(()).ok();
            }
        }
    });
    finding.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn sigterm_stops_with_exit_code_zero_within_five_seconds() {
    let directory = tempfile::tempdir().unwrap();
    for signal in ["-TERM", "-INT"] {
        let mut child = ternmq(directory.path());
        wait_for(&mut child, "listening");
        let begun = Instant::now();
        let kill = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn l8_a_data_directory_that_vanishes_ends_the_process_with_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = ternmq(directory.path());
    wait_for(&mut child, "listening");
    // Moved in one step: the server may be making files in it.
    let gone = directory.path().join("gone");
    std::fs::rename(directory.path().join("data"), gone).unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = ternmq(directory.path());
    wait_for(&mut first, "listening");
    let second = ternmq(directory.path()).wait_with_output().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains("storage in"), "{text}");
}
