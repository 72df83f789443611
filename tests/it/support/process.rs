//! The `ternmq` binary as a child: started on ports of the system's choice, killed with SIGKILL,
//! started again on the same directory.
//!
//! `TERNMQ_BIN` names another build of the binary, such as the release one.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::http::Http;
use super::wire::{PATIENCE, Wire};

/// A directory with data and configuration, which outlives its server processes.
pub(crate) struct Home {
    directory: Arc<TempDir>,
}

/// A running server. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    /// Also when its [`Home`] is gone, the directory stays until the process has ended.
    _directory: Arc<TempDir>,
    addresses: BTreeMap<String, SocketAddr>,
    log: Arc<Mutex<VecDeque<String>>>,
    /// From exec until every listener was open, which is after recovery.
    pub(crate) started_in: Duration,
}

impl Home {
    /// An empty directory whose configuration is `config` and the default listeners.
    pub(crate) fn new(config: &str) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut text = config.to_owned();
        text.push_str("\n[logging]\nformat = \"json\"\n");
        for (name, protocols) in LISTENERS {
            text.push_str(&format!(
                "[listeners.{name}]\nbind = \"127.0.0.1:0\"\nprotocols = {protocols}\n"
            ));
        }
        std::fs::write(directory.path().join("ternmq.toml"), text).unwrap();
        Self { directory }
    }

    /// Starts a server here and waits until it is ready.
    pub(crate) fn start(&self) -> Process {
        self.start_with(&[])
    }

    /// As [`Home::start`], with some keys set by `--set`.
    pub(crate) fn start_with(&self, sets: &[&str]) -> Process {
        let binary =
            std::env::var_os("TERNMQ_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_ternmq").into());
        let began = Instant::now();
        let mut child = Command::new(binary)
            .arg("--config")
            .arg(self.directory.path().join("ternmq.toml"))
            .args(sets.iter().flat_map(|set| ["--set", set]))
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(VecDeque::new()));
        // Holds every announcement there can be, so the reading thread never waits for the test.
        let (announce, announced) = sync_channel(LISTENERS.len());
        let stderr = child.stderr.take().unwrap();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || follow(stderr, &kept, &announce));
        let mut process = Process {
            child,
            _directory: Arc::clone(&self.directory),
            addresses: BTreeMap::new(),
            log,
            started_in: Duration::ZERO,
        };
        process.collect_addresses(&announced);
        process.started_in = began.elapsed();
        let mut http = Http::new(process.tcp("http"));
        let ready = http.call("GET /readyz", &[], b"").unwrap();
        assert_eq!(ready.status, 200, "{}", process.last_words());
        process
    }

    /// The directory of all state; it is made by the first start.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The directory of the journal's files.
    pub(crate) fn journal(&self) -> PathBuf {
        self.data().join("journal")
    }
}

impl Process {
    /// Where the listener called `name` listens.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        self.addresses[name]
    }

    /// A TCP connection to the listener called `name`.
    pub(crate) fn tcp(&self, name: &str) -> Wire {
        match Wire::tcp(self.address(name)) {
            Ok(wire) => wire,
            Err(error) => panic!("{name}: {error}; {}", self.last_words()),
        }
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; the process may take its time.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until a process that was told to stop has ended well.
    pub(crate) fn stopped(mut self) {
        assert!(self.child.wait().unwrap().success());
    }

    /// The resident set, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
        pages * PAGE_BYTES
    }

    /// The newest lines of the log.
    pub(crate) fn last_words(&self) -> String {
        let log = self.log.lock().unwrap();
        log.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    fn collect_addresses(&mut self, announced: &Receiver<(String, SocketAddr)>) {
        let deadline = Instant::now() + PATIENCE;
        while self.addresses.len() < LISTENERS.len() {
            let patience = deadline.saturating_duration_since(Instant::now());
            let Ok((name, address)) = announced.recv_timeout(patience) else {
                panic!("server did not open its listeners: {}", self.last_words());
            };
            self.addresses.insert(name, address);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many files in `directory` end in `extension`.
pub(crate) fn count_files(directory: &Path, extension: &str) -> usize {
    std::fs::read_dir(directory)
        .unwrap()
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|end| end == extension))
        .count()
}

/// Calls `reached` until it says yes, for rules that only time or a counter can show.
pub(crate) fn wait_until(what: &str, patience: Duration, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !reached() {
        assert!(Instant::now() < deadline, "no {what} within {patience:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Keeps the newest lines and announces each listener of the log.
fn follow(
    stderr: ChildStderr,
    log: &Mutex<VecDeque<String>>,
    announce: &SyncSender<(String, SocketAddr)>,
) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some(listener) = listener_of(&line) {
            // Nobody listens once the server has started.
            let _ = announce.try_send(listener);
        }
        let mut log = log.lock().unwrap();
        if log.len() == LOG_LINES {
            log.pop_front();
        }
        log.push_back(line);
    }
}

fn listener_of(line: &str) -> Option<(String, SocketAddr)> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    if event["message"] != "listening" {
        return None;
    }
    let name = event["listener"].as_str()?.to_owned();
    Some((name, event["address"].as_str()?.parse().ok()?))
}

const LISTENERS: [(&str, &str); 6] = [
    ("amqp", "[\"amqp\"]"),
    ("mqtt", "[\"mqtt\"]"),
    ("stomp", "[\"stomp\"]"),
    ("auto", "\"auto\""),
    ("websocket", "[\"websocket\"]"),
    ("http", "[\"http\"]"),
];
const LOG_LINES: usize = 40;
const PAGE_BYTES: u64 = 4096;
