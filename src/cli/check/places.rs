//! Addresses and directories, as this machine has them now.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;

use rustix::fs::{Access, FlockOperation, access, flock, statvfs};

use super::Finding;
use crate::config::{ByteSize, Config};

/// What the broker that runs on the data directory says of itself; `None` if none runs.
pub(super) fn lock_holder(config: &Config) -> Option<String> {
    let file = File::open(config.storage.data_dir.join("LOCK")).ok()?;
    // Given back at once, when the file is closed.
    let held = flock(&file, FlockOperation::NonBlockingLockShared);
    if !held.is_err_and(|error| error == rustix::io::Errno::WOULDBLOCK) {
        return None;
    }
    let mut line = String::new();
    let read = file.take(HOLDER_BYTES).read_to_string(&mut line);
    let line = line.trim();
    let told = read.is_ok() && !line.is_empty() && !line.contains(char::is_control);
    Some(if told { line } else { "another process" }.to_owned())
}

/// Listeners that are in each other's way, or cannot be bound here. An address in use is expected
/// where a broker runs on the same data.
pub(super) fn listeners(config: &Config, running: bool) -> Vec<Finding> {
    let all: Vec<_> = config.listeners.iter().collect();
    let mut findings = Vec::new();
    for (at, (name, listener)) in all.iter().enumerate() {
        let key = format!("listeners.{name}.bind");
        let mut others = all.iter().take(at);
        if let Some((other, _)) = others.find(|(_, other)| overlap(other.bind, listener.bind)) {
            findings.push(Finding::error(
                &key,
                format!("{} is taken by listeners.{other} already", listener.bind),
                "one of the two covers every address of the machine: give one another port",
            ));
        } else if listener.bind.port() != 0
            && let Err(error) = TcpListener::bind(listener.bind)
        {
            findings.extend(unbound(&key, listener.bind, &error, running));
        }
    }
    findings
}

/// Whether only one of two listeners can have its address.
pub(super) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    // On Linux `[::]` takes the port of IPv4 too.
    let covers =
        |wide: IpAddr, other: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || other.is_ipv4());
    let (x, y) = (a.ip(), b.ip());
    a.port() != 0 && a.port() == b.port() && (x == y || covers(x, y) || covers(y, x))
}

fn unbound(key: &str, bind: SocketAddr, error: &io::Error, running: bool) -> Option<Finding> {
    match error.kind() {
        io::ErrorKind::AddrInUse if running => None,
        io::ErrorKind::AddrInUse => Some(Finding::warning(
            key,
            format!("{bind} is in use now"),
            "stop what listens there before the start, or choose another port",
        )),
        io::ErrorKind::PermissionDenied => Some(Finding::error(
            key,
            format!("this user may not listen on {bind}"),
            "choose a port from 1024, or grant CAP_NET_BIND_SERVICE; or check as the broker's user",
        )),
        io::ErrorKind::AddrNotAvailable => Some(Finding::error(
            key,
            format!("no interface of this machine has the address {}", bind.ip()),
            "choose one that `ip address` lists",
        )),
        _ => Some(Finding::error(
            key,
            format!("cannot listen on {bind}: {error}"),
            "choose another address",
        )),
    }
}

/// What is wrong with the data directory; `holder` is the broker that runs on it.
pub(super) fn storage(config: &Config, holder: Option<&str>) -> Vec<Finding> {
    let path = &config.storage.data_dir;
    let mut findings = Vec::new();
    if let Some(holder) = holder {
        findings.push(Finding::warning(
            KEY,
            format!("a broker runs on `{}` now ({holder})", path.display()),
            "a second one needs a directory of its own; this one takes a change at its next start",
        ));
    }
    let Some(there) = existing(path) else {
        return findings;
    };
    if let Err(error) = usable(there) {
        let what = if there == path {
            "cannot be used"
        } else {
            "cannot be made"
        };
        findings.push(Finding::error(
            KEY,
            format!(
                "`{}` {what}: `{}`: {error}",
                path.display(),
                there.display()
            ),
            "choose a directory that the broker's user may write; or check as that user",
        ));
    } else if holder.is_none() {
        findings.extend(space(config, there));
    }
    findings
}

/// The path, or the nearest directory above it that is there.
fn existing(path: &Path) -> Option<&Path> {
    let here = Path::new(".");
    let above = path
        .ancestors()
        .map(|above| match above.as_os_str().is_empty() {
            true => here,
            false => above,
        });
    above
        .into_iter()
        .find(|above| above.symlink_metadata().is_ok())
}

fn usable(directory: &Path) -> io::Result<()> {
    if !directory.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn space(config: &Config, directory: &Path) -> Option<Finding> {
    let disk = statvfs(directory).ok()?;
    let free = disk.f_bavail.checked_mul(disk.f_frsize)?;
    let wanted = config.storage.segment_size.0 * SEGMENTS;
    let fresh = !config.storage.data_dir.join("LOCK").exists();
    // What is no disk at all, such as /proc, has no blocks.
    (fresh && disk.f_blocks > 0 && free < wanted).then(|| {
        Finding::warning(
            KEY,
            format!(
                "{} are free in `{}`, and an empty broker takes about {}",
                ByteSize(free),
                directory.display(),
                ByteSize(wanted)
            ),
            "make room, or lower storage.segment_size",
        )
    })
}

const KEY: &str = "storage.data_dir";
/// The line of a lock, see the journal.
const HOLDER_BYTES: u64 = 80;
/// Of an empty broker: the log's, one behind it, one reserved for settlements, one in the making.
const SEGMENTS: u64 = 4;
