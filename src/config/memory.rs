//! How much memory this process may use: the machine's, or less if a cgroup says so.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A quarter of the usable memory in bytes; 256 MiB where the system does not tell (no `/proc`).
pub(super) fn default_budget() -> u64 {
    usable_bytes().map_or(FALLBACK_BYTES, |usable| usable / 4)
}

/// What this process may use: the machine's memory or the lowest limit of its cgroups, in bytes.
pub(super) fn usable_bytes() -> Option<u64> {
    let machine = read("/proc/meminfo".as_ref()).and_then(|text| machine_bytes(&text));
    let groups =
        read("/proc/self/cgroup".as_ref()).map_or_else(Vec::new, |text| limit_files(&text));
    let limits = groups
        .iter()
        .filter_map(|path| read(path)?.trim().parse().ok());
    limits.chain(machine).min()
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim_end()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// The files that may hold a limit for the groups of `/proc/self/cgroup`. A limit of any ancestor
/// holds too; inside a container the group's path may be the host's, and then only the root exists.
fn limit_files(cgroup: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let ancestors = Path::new(path.trim_start_matches('/')).ancestors();
        files.extend(ancestors.map(|group| Path::new(root).join(group).join(file)));
    }
    files
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

const FALLBACK_BYTES: u64 = 256 << 20;
/// More than any of these files holds.
const MAX_BYTES: u64 = 1 << 20;
