//! The import arrows of the house style, inside `src/` and in the leaf crates.

use std::fs;
use std::path::{Path, PathBuf};

/// What a part of `src/` may use: modules of this crate, and crates of ours.
const PARTS: [(&str, &[&str], &[&str]); 13] = [
    ("engine", &[], &["ternmq_core", "ternmq_journal"]),
    (
        "frontends/websocket",
        &["connection", "frontends"],
        &["ternmq_core"],
    ),
    (
        "frontends/mqtt",
        &["engine", "frontends"],
        &["ternmq_core", "ternmq_mqtt"],
    ),
    (
        "frontends/amqp",
        &["engine", "frontends"],
        &["ternmq_core", "ternmq_amqp"],
    ),
    (
        "frontends/stomp",
        &["engine", "frontends"],
        &["ternmq_core", "ternmq_stomp"],
    ),
    ("frontends", &["engine", "frontends"], &["ternmq_core"]),
    ("connection", &["engine", "frontends"], &["ternmq_core"]),
    ("listener", &["config", "connection", "frontends"], &[]),
    (
        "admin",
        &["config", "connection", "engine"],
        &["ternmq_core"],
    ),
    (
        "cli",
        &["client", "config", "engine", "process", "server"],
        &["ternmq_core"],
    ),
    ("client", &[], &["ternmq_amqp", "ternmq_mqtt"]),
    ("config", &[], &["ternmq_core"]),
    ("process", &["config"], &[]),
];

/// What a leaf crate must not name.
const LEAVES: [(&str, &[&str]); 4] = [
    (
        "core",
        &[
            "tokio", "tracing", "serde", "std::fs", "std::net", "ternmq_",
        ],
    ),
    ("journal", &["tokio", "serde", "ternmq_"]),
    (
        "protocols/mqtt",
        &[
            "tokio", "tracing", "serde", "std::fs", "std::net", "ternmq_",
        ],
    ),
    (
        "protocols/stomp",
        &[
            "tokio", "tracing", "serde", "std::fs", "std::net", "ternmq_",
        ],
    ),
];

/// Front-ends know nothing of each other.
const FRONTENDS: [&str; 5] = ["mqtt", "amqp", "stomp", "rest", "websocket"];

#[test]
fn imports_follow_the_arrows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in sources(&root.join("src")) {
        let name = path.strip_prefix(root.join("src")).unwrap();
        seen += 1;
        for import in wrong_imports(name.to_str().unwrap(), &text) {
            wrong.push(format!("src/{}: {import}", name.display()));
        }
    }
    for (leaf, banned) in LEAVES {
        for (path, text) in sources(&root.join(leaf).join("src")) {
            seen += 1;
            for import in banned_imports(&text, banned) {
                wrong.push(format!("{}: {import}", path.display()));
            }
        }
    }
    assert!(seen > 50, "only {seen} files found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn wrong_arrows_are_found() {
    let table = [
        ("engine/mod.rs", "use crate::connection::Connection;"),
        ("engine/mod.rs", "use axum::Router;"),
        ("frontends/mqtt/mod.rs", "use ternmq_stomp::Frame;"),
        (
            "frontends/mqtt/mod.rs",
            "use crate::frontends::stomp::Lane;",
        ),
        ("frontends/mqtt.rs", "use crate::admin::Admin;"),
        ("frontends/mod.rs", "use ternmq_journal::Journal;"),
        ("connection/mod.rs", "use ternmq_mqtt::Packet;"),
        (
            "connection/mod.rs",
            "    let x = crate::listener::Hall::new();",
        ),
        ("admin/health.rs", "use ternmq_stomp::Frame;"),
        (
            "admin/health.rs",
            "use crate::{config::Config, frontends::Registry};",
        ),
        ("listener/mod.rs", "use crate::server::Server;"),
        ("config/mod.rs", "use crate::engine::Engine;"),
        ("cli/mod.rs", "use ternmq_mqtt::Publish;"),
        ("client/mod.rs", "use crate::config::Config;"),
    ];
    for (file, line) in table {
        assert_eq!(wrong_imports(file, line).len(), 1, "{file}: {line}");
    }
    assert!(wrong_imports("frontends/mqtt/mod.rs", "use crate::engine::Link;").is_empty());
    assert!(wrong_imports("frontends/mqtt/mod.rs", "// crate::admin is not for us").is_empty());
    assert_eq!(
        banned_imports("use tokio::net::TcpStream;", &["tokio"]).len(),
        1
    );
    assert_eq!(
        banned_imports("use ternmq_core::Run;", &["ternmq_"]).len(),
        1
    );
    assert!(banned_imports("//! no tokio here", &["tokio"]).is_empty());
}

/// Rust files below `folder`, without tests.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            files.extend(sources(&path));
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = fs::read_to_string(&path).unwrap();
            files.push((path, text));
        }
    }
    files
}

/// What a file of `src/` names and may not.
fn wrong_imports(file: &str, text: &str) -> Vec<String> {
    let part = PARTS.iter().find(|(part, ..)| {
        file.strip_prefix(part)
            .is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    });
    let Some((part, modules, crates)) = part else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    for path in paths(text) {
        let mut segments = path.split("::");
        let allowed = match (segments.next().unwrap_or(""), segments.next()) {
            ("crate", Some(module)) => {
                let other = segments.next().filter(|name| FRONTENDS.contains(name));
                let own = part.strip_prefix("frontends/");
                let stranger = module == "frontends" && other.is_some() && other != own;
                let inside = part.split('/').next() == Some(module);
                (inside || modules.contains(&module))
                    && !(stranger && part.starts_with("frontends"))
            }
            ("axum" | "hyper", _) => *part != "engine",
            (name, _) if name.starts_with("ternmq_") => crates.contains(&name),
            _ => true,
        };
        if !allowed {
            wrong.push(path);
        }
    }
    wrong
}

/// What a leaf names and must not.
fn banned_imports(text: &str, banned: &[&str]) -> Vec<String> {
    paths(text)
        .into_iter()
        .filter(|path| banned.iter().any(|word| path.starts_with(word)))
        .collect()
}

/// Every path in the code that begins with a lower-case name, groups of a `use` taken apart one
/// level deep, which is where the arrows are.
fn paths(text: &str) -> Vec<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    let bytes = code.as_bytes();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    let mut at = 0;
    while at < bytes.len() {
        if !is_name(bytes[at]) {
            at += 1;
            continue;
        }
        let end = (at..bytes.len())
            .find(|k| !is_name(bytes[*k]))
            .unwrap_or(bytes.len());
        let path = &code[at..end];
        at = end;
        if let Some(prefix) = path
            .strip_suffix("::")
            .filter(|_| bytes.get(end) == Some(&b'{'))
        {
            let group = &code[end + 1..];
            let mut depth = 0;
            let inner = group.split(|c| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth < 0
            });
            let inner = inner.into_iter().next().unwrap_or("");
            for item in inner.split(',') {
                let item = item.trim().split([' ', '{']).next().unwrap_or("");
                found.push(format!("{prefix}::{item}"));
            }
        } else if path.contains("::") {
            found.push(path.to_owned());
        }
    }
    found
}
