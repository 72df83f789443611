//! A full disk, seen by clients: a small file system of its own, which needs the right to mount. Where
//! that is missing the test says so and proves nothing.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::http::Http;
use crate::support::mqtt::{Mqtt, Session};
use crate::support::process::{Home, Process, wait_until};
use crate::support::stomp::Stomp;
use crate::support::wire::PATIENCE;

/// A mounted file system, unmounted at the end.
struct Mount(PathBuf);

impl Mount {
    fn new(directory: PathBuf) -> Option<Self> {
        std::fs::create_dir(&directory).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
            .arg(&directory)
            .output();
        let good = mounted.is_ok_and(|output| output.status.success());
        good.then_some(Self(directory))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: the server may not have ended when a test fails.
        let ended = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(ended.unwrap().success() || std::thread::panicking());
    }
}

/// Mutant seen caught: `hurry` that does nothing (acknowledgements are not answered any more: nothing
/// asks for the checkpoint that would free the segments).
#[test]
fn l28_and_du_07_a_full_disk_blocks_and_refuses_publishers_and_heals_when_consumers_drain() {
    let home = Home::new(CONFIG);
    let Some(_mount) = Mount::new(home.data()) else {
        println!("SKIPPED: no right to mount a file system here");
        return;
    };
    let process = home.start();
    let sent = fill(&process).unwrap();
    println!("full after {sent} messages of {BODY_BYTES} B");
    let (status, reasons) = readiness(&process);
    assert_eq!(status, 503);
    assert!(reasons.contains("filler-failed: fallocate of"), "{reasons}");
    assert!(process.last_words().contains("make room on that disk"));
    refuse(&process).unwrap();

    drain(&process, sent).unwrap();
    wait_until("room again", PATIENCE, || publish(&process).is_ok());
    wait_until("readiness", PATIENCE, || readiness(&process).0 == 200);
    process.kill();
}

/// Publishes, each confirmed, until one is refused; returns how many were taken.
fn fill(process: &Process) -> io::Result<u64> {
    let mut stomp = Stomp::connect(process.tcp("stomp"))?;
    for sent in 0..MOST {
        let began = Instant::now();
        if let Err(error) = stomp.send("/queue/full", &body(sent)) {
            assert!(error.to_string().contains("disk-full"), "{error}");
            assert!(began.elapsed() >= BLOCK_TIMEOUT, "refused at once");
            return Ok(sent);
        }
    }
    Err(io::Error::other("the disk never filled"))
}

/// Each protocol refuses in its own words (MQTT 3.1.1 has none but the end of the connection).
fn refuse(process: &Process) -> io::Result<()> {
    let mut stomp = Stomp::connect(process.tcp("stomp"))?;
    let error = stomp.send("/queue/full", &body(0)).unwrap_err();
    assert!(error.to_string().contains("disk-full"), "{error}");
    let mut http = Http::new(process.tcp("http"));
    let answer = http.call("POST /v1/queues/full/messages", &[], &body(0))?;
    assert_eq!(answer.status, 507);
    let mut mqtt = Mqtt::connect(process.tcp("mqtt"), "full", Session::Clean, 0)?;
    let error = mqtt.publish("full", &body(0)).unwrap_err();
    assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
    Ok(())
}

/// Takes everything, in order; each acknowledgement is answered.
fn drain(process: &Process, sent: u64) -> io::Result<()> {
    let mut stomp = Stomp::connect(process.tcp("stomp"))?;
    stomp.subscribe("/queue/full")?;
    for number in 0..sent {
        let message = stomp.next()?;
        assert_eq!(message.body, body(number));
        stomp.ack(&message)?;
    }
    Ok(())
}

fn publish(process: &Process) -> io::Result<()> {
    Stomp::connect(process.tcp("stomp"))?.send("/queue/again", b"again")?;
    Http::new(process.tcp("http")).publish("queues/again", b"again")?;
    let mut mqtt = Mqtt::connect(process.tcp("mqtt"), "again", Session::Clean, 0)?;
    mqtt.publish("again", b"again")
}

fn readiness(process: &Process) -> (u16, String) {
    let mut http = Http::new(process.tcp("http"));
    let answer = http.call("GET /readyz", &[], b"").unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

fn body(number: u64) -> Vec<u8> {
    let mut body = number.to_string().into_bytes();
    body.resize(BODY_BYTES, b'.');
    body
}

const CONFIG: &str = r#"
[storage]
segment_size = "1MiB"
[limits]
block_timeout_ms = 500
[[queue]]
name = "full"
[[queue]]
name = "again"
"#;
const BODY_BYTES: usize = 100_000;
/// More than the disk holds.
const MOST: u64 = 1_000;
const BLOCK_TIMEOUT: Duration = Duration::from_millis(500);
