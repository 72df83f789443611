//! Limits against the machine, and keys that do not go together.

use super::Finding;
use crate::config::{ByteSize, Config, Limits, Protocol};
use crate::process;

/// What the machine gives a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Open files that a process may have; `None` is no limit.
    pub(super) files: Option<u64>,
    /// Memory that a process may use, in bytes; `None` if the system does not tell.
    pub(super) memory_bytes: Option<u64>,
}

impl Machine {
    /// This machine.
    pub(super) fn look() -> Self {
        Self {
            files: process::file_limit(),
            memory_bytes: Limits::usable_memory_bytes(),
        }
    }
}

pub(super) fn examine(config: &Config, machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(files(config, machine));
    findings.extend(memory(config, machine));
    findings.extend(outbox(config));
    findings.extend(frames(config));
    findings.extend(origins(config));
    findings.extend(strangers(config));
    findings
}

fn files(config: &Config, machine: &Machine) -> Option<Finding> {
    let (files, connections) = (machine.files?, u64::from(config.limits.max_connections));
    let wanted = connections + OTHER_FILES;
    (files < wanted).then(|| {
        let room = files.saturating_sub(OTHER_FILES);
        Finding::warning(
            "limits.max_connections",
            format!("{connections} connections, but open files for {room} only (`ulimit -Hn` is {files})"),
            format!("raise the limit to {wanted} (LimitNOFILE= of systemd), or lower the key to {room}"),
        )
    })
}

fn memory(config: &Config, machine: &Machine) -> Option<Finding> {
    let (usable, budget) = (machine.memory_bytes?, config.limits.memory_bytes());
    let most = usable / 4 * 3;
    (budget > most).then(|| {
        Finding::warning(
            "limits.memory",
            format!(
                "a budget of {} out of {} that this process may use leaves too little for the rest",
                ByteSize(budget),
                ByteSize(usable)
            ),
            format!(
                "leave the key out for a quarter, {}, or stay below three quarters",
                ByteSize(usable / 4)
            ),
        )
    })
}

fn outbox(config: &Config) -> Option<Finding> {
    let (outbox, budget) = (config.limits.outbox_bytes, config.limits.memory_bytes());
    (outbox.0 > budget / 2).then(|| {
        Finding::warning(
            "limits.outbox_bytes",
            format!(
                "{outbox} for one connection is more than half of the budget of all, {}",
                ByteSize(budget)
            ),
            "raise limits.memory, or lower the key: one slow client would stop every publisher",
        )
    })
}

/// A message larger than the budget is refused at once, whatever a frame may be.
fn frames(config: &Config) -> Option<Finding> {
    let budget = config.limits.memory_bytes();
    let all = [
        Protocol::Mqtt,
        Protocol::Stomp,
        Protocol::Http,
        Protocol::WebSocket,
    ];
    let frames = all.map(|protocol| config.max_frame_bytes(protocol));
    let largest = frames.into_iter().max().filter(|bytes| *bytes > budget)?;
    Some(Finding::warning(
        "limits.max_frame_bytes",
        format!(
            "frames of {} are allowed, but a message larger than limits.memory, {}, is refused",
            ByteSize(largest),
            ByteSize(budget)
        ),
        "raise limits.memory, or lower the key (its default is a quarter of storage.segment_size)",
    ))
}

fn origins(config: &Config) -> Option<Finding> {
    let mut listeners = config.listeners.values();
    let web = listeners.any(|listener| {
        let offers = |protocol| listener.protocols.offers(protocol);
        offers(Protocol::Http) || offers(Protocol::WebSocket)
    });
    (!web && !config.security.allowed_origins.is_empty()).then(|| {
        Finding::warning(
            "security.allowed_origins",
            "origins of web pages are named, but no listener offers http or websocket",
            "add such a listener, or remove the key",
        )
    })
}

fn strangers(config: &Config) -> Option<Finding> {
    let mut listeners = config.listeners.iter();
    let (name, listener) =
        listeners.find(|(_, listener)| !listener.bind.ip().to_canonical().is_loopback())?;
    Some(Finding::warning(
        "security.allow_anonymous_remote",
        format!(
            "whoever reaches {} (listeners.{name}) may publish, consume and delete everything",
            listener.bind
        ),
        "bind to 127.0.0.1, or let a firewall decide who reaches it",
    ))
}

/// Open files beside the connections: log, checkpoints, listeners, runtime, standard streams.
const OTHER_FILES: u64 = 128;
