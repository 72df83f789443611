//! `ternmq pub`, `ternmq sub` and `ternmq config check`: arguments in; lines, servers' answers and
//! exit codes out.

mod amqp;
mod check;
mod publish;
mod strange_server;
mod subscribe;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::process::Process;

/// How long a command may take for what must happen soon.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a command has left behind.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A command that runs; dropping it kills it.
struct Running {
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    /// Lines of standard error.
    said: Receiver<String>,
    heard: Vec<String>,
}

/// A command of the binary under test, out of reach of the environment of whoever runs the tests.
fn command(arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ternmq"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TERNMQ_") {
            command.env_remove(name);
        }
    }
    command
}

/// A command that talks to `server`.
fn client(server: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.env("TERNMQ_URL", format!("mqtt://{server}"));
    command
}

fn mqtt(server: &Process) -> SocketAddr {
    server.address("mqtt")
}

impl Running {
    /// Starts a command, `input` being all of its standard input.
    fn start(command: Command, input: &[u8]) -> Self {
        let (running, mut stdin) = Self::open(command);
        let input = input.to_vec();
        // A command that does not read its input is none of the writer's business.
        thread::spawn(move || stdin.write_all(&input).ok());
        running
    }

    /// Starts a command whose standard input stays open.
    fn open(mut command: Command) -> (Self, ChildStdin) {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let stdout = thread::spawn(move || {
            let mut all = Vec::new();
            stdout.read_to_end(&mut all).unwrap();
            all
        });
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (say, said) = sync_channel(1_000);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if say.try_send(line).is_err() {
                    break;
                }
            }
        });
        let running = Self {
            child,
            stdout: Some(stdout),
            said,
            heard: Vec::new(),
        };
        (running, stdin)
    }

    /// A `sub --verbose` that has subscribed to everything it was asked for.
    fn subscribed(server: SocketAddr, arguments: &[&str]) -> Self {
        let all = [&["sub", "--verbose"], arguments].concat();
        let mut running = Self::start(client(server, &all), b"");
        running.wait_for("subscribed to");
        running
    }

    /// Waits for a line of standard error that holds `text`.
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.said.recv_timeout(patience) else {
                panic!("no `{text}` in {:?}", self.heard);
            };
            let found = line.contains(text);
            self.heard.push(line);
            if found {
                return;
            }
        }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    fn finish(mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "still running: {:?}", self.heard);
            thread::sleep(Duration::from_millis(5));
        };
        let stdout = self.stdout.take().unwrap().join().unwrap();
        let mut stderr = std::mem::take(&mut self.heard);
        stderr.extend(self.said.iter());
        Outcome {
            code: status.code(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: stderr.join("\n"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if the command has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client command to its end.
fn run(server: SocketAddr, arguments: &[&str]) -> Outcome {
    run_with(server, arguments, b"")
}

fn run_with(server: SocketAddr, arguments: &[&str], input: &[u8]) -> Outcome {
    Running::start(client(server, arguments), input).finish()
}

/// Runs a client command that must succeed; what it wrote to standard output.
fn done(server: SocketAddr, arguments: &[&str]) -> String {
    let outcome = run(server, arguments);
    assert_eq!(outcome.code, Some(0), "{arguments:?}: {}", outcome.stderr);
    outcome.stdout
}

#[test]
fn help_of_each_command_names_what_it_can() {
    let table: [(&[&str], &[&str]); 4] = [
        (&["--help"], &["serve", "pub", "sub", "config"]),
        (
            &["pub", "--help"],
            &[
                "--lines",
                "--qos <QOS>",
                "--retain",
                "--prop <NAME=VALUE>",
                "--will-topic",
                "Examples",
            ],
        ),
        (
            &["sub", "--help"],
            &[
                "--count <N>",
                "--idle <TIME>",
                "--session-expiry",
                "{props.NAME}",
                "$share/GROUP",
            ],
        ),
        (
            &["config", "check", "--help"],
            &["--config <FILE>", "--set <KEY=VALUE>"],
        ),
    ];
    for (arguments, words) in table {
        let outcome = Running::start(command(arguments), b"").finish();
        assert_eq!(outcome.code, Some(0));
        for word in words {
            assert!(
                outcome.stdout.contains(word),
                "{word} in {}",
                outcome.stdout
            );
        }
    }
}
