use std::net::TcpListener;

use rustix::fs::{FlockOperation, flock};

use super::limits::Machine;
use super::*;

fn config(sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Config::load(None, &sets).unwrap()
}

fn keys(findings: &[Finding], severity: Severity) -> Vec<&str> {
    let found = findings.iter().filter(|found| found.severity == severity);
    found.map(|found| found.key.as_str()).collect()
}

/// What the rules about `sets` find on a machine that is large enough for everything.
fn limits_of(sets: &[&str]) -> Vec<String> {
    let machine = Machine {
        files: None,
        memory_bytes: Some(1 << 40),
    };
    let findings = limits::examine(&config(sets), &machine);
    findings.into_iter().map(|found| found.key).collect()
}

#[test]
fn defaults_are_right_on_a_large_machine() {
    assert_eq!(limits_of(&["limits.memory=1GiB"]), [""; 0]);
}

#[test]
fn keys_that_do_not_go_together_are_found() {
    let http = "listeners.mqtt.protocols=[\"mqtt\"]";
    assert_eq!(limits_of(&["limits.memory=1GiB", http]), [""; 0]);
    let table: [(&[&str], &str); 4] = [
        (&["limits.memory=15MiB"], "limits.max_frame_bytes"),
        (
            &["limits.memory=1GiB", "limits.outbox_bytes=1GiB"],
            "limits.outbox_bytes",
        ),
        (
            &[
                "limits.memory=1GiB",
                "security.allow_anonymous_remote=true",
                "listeners.http.bind=0.0.0.0:8161",
            ],
            "security.allow_anonymous_remote",
        ),
        (&["limits.memory=800GiB"], "limits.memory"),
    ];
    for (sets, key) in table {
        assert_eq!(limits_of(sets), [key], "{sets:?}");
    }
}

#[test]
fn origins_without_a_listener_for_web_pages_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.toml");
    let text = "limits.memory = \"1GiB\"\nsecurity.allowed_origins = [\"https://a.example\"]\n\
                [listeners.mqtt]\n";
    std::fs::write(&path, text).unwrap();
    let machine = Machine {
        files: None,
        memory_bytes: None,
    };
    let config = Config::load(Some(&path), &[]).unwrap();
    let findings = limits::examine(&config, &machine);
    assert_eq!(
        keys(&findings, Severity::Warning),
        ["security.allowed_origins"]
    );
}

/// Mutant: `OTHER_FILES` left out of `wanted`.
#[test]
fn connections_are_held_against_the_limit_of_open_files() {
    let config = config(&["limits.max_connections=1000", "limits.memory=1GiB"]);
    let found = |files| {
        let machine = Machine {
            files,
            memory_bytes: None,
        };
        limits::examine(&config, &machine).pop()
    };
    assert_eq!(found(None), None);
    assert_eq!(found(Some(1_128)), None);
    let finding = found(Some(1_127)).unwrap();
    assert_eq!(finding.key, "limits.max_connections");
    assert!(finding.text.contains("999 only"), "{finding}");
}

#[test]
fn listeners_that_cover_each_other_are_found() {
    let table = [
        ("0.0.0.0:1", "127.0.0.1:1", true),
        ("127.0.0.1:1", "0.0.0.0:1", true),
        ("[::]:1", "127.0.0.1:1", true),
        ("[::]:1", "0.0.0.0:1", true),
        ("[::1]:1", "[::]:1", true),
        ("0.0.0.0:1", "[::1]:1", false),
        ("127.0.0.1:1", "[::1]:1", false),
        ("0.0.0.0:1", "127.0.0.1:2", false),
        ("127.0.0.2:1", "127.0.0.1:1", false),
        ("0.0.0.0:0", "0.0.0.0:0", false),
    ];
    for (a, b, expected) in table {
        let found = places::overlap(a.parse().unwrap(), b.parse().unwrap());
        assert_eq!(found, expected, "{a} {b}");
    }
}

/// The default listeners on ports of the system's choice but the ones set.
fn free(sets: &[&str]) -> Config {
    let names = ["amqp", "auto", "http", "mqtt", "stomp", "websocket"];
    let all: Vec<String> = names
        .iter()
        .map(|name| format!("listeners.{name}.bind=127.0.0.1:0"))
        .collect();
    let all: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .chain(sets.iter().copied())
        .collect();
    config(&all)
}

#[test]
fn an_address_in_use_is_a_warning_unless_our_own_broker_has_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let set = format!("listeners.mqtt.bind={}", taken.local_addr().unwrap());
    let config = free(&[&set]);
    let findings = places::listeners(&config, false);
    assert_eq!(keys(&findings, Severity::Warning), ["listeners.mqtt.bind"]);
    assert_eq!(places::listeners(&config, true), []);
    assert_eq!(places::listeners(&free(&[]), false), []);
}

#[test]
fn addresses_that_cannot_be_had_are_errors() {
    let config = free(&[
        "security.allow_anonymous_remote=true",
        "listeners.mqtt.bind=192.0.2.1:1883",
        "listeners.http.bind=0.0.0.0:1883",
    ]);
    let findings = places::listeners(&config, false);
    let expected = ["listeners.mqtt.bind"];
    assert_eq!(keys(&findings, Severity::Error), expected, "{findings:?}");
    assert!(
        findings[0].text.contains("listeners.http"),
        "{}",
        findings[0]
    );
    let config = free(&[
        "security.allow_anonymous_remote=true",
        "listeners.mqtt.bind=192.0.2.1:1883",
    ]);
    let findings = places::listeners(&config, false);
    assert_eq!(keys(&findings, Severity::Error), expected);
    assert!(findings[0].text.contains("no interface"), "{}", findings[0]);
}

#[test]
fn a_data_directory_that_cannot_be_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let storage = |path: &std::path::Path| {
        let set = format!("storage.data_dir={:?}", path.display().to_string());
        places::storage(&config(&[&set]), None)
    };
    for path in [file.clone(), file.join("data")] {
        let findings = storage(&path);
        assert_eq!(keys(&findings, Severity::Error), ["storage.data_dir"]);
        assert!(
            findings[0].text.contains("not a directory"),
            "{}",
            findings[0]
        );
    }
    for path in [directory.path().to_owned(), directory.path().join("a/b")] {
        assert_eq!(keys(&storage(&path), Severity::Error), [""; 0]);
        assert!(
            !directory.path().join("a").exists(),
            "a check makes nothing"
        );
    }
}

/// Mutant: `is_err_and` to `is_ok`.
#[test]
fn the_holder_of_the_lock_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let set = format!(
        "storage.data_dir={:?}",
        directory.path().display().to_string()
    );
    let config = config(&[&set]);
    assert_eq!(places::lock_holder(&config), None);
    let path = directory.path().join("LOCK");
    std::fs::write(&path, b"node 07 pid 42     \n").unwrap();
    assert_eq!(places::lock_holder(&config), None);
    let lock = std::fs::File::open(&path).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_eq!(
        places::lock_holder(&config).as_deref(),
        Some("node 07 pid 42")
    );
    std::fs::write(&path, b"\x1b[2J").unwrap();
    assert_eq!(
        places::lock_holder(&config).as_deref(),
        Some("another process")
    );
    let findings = places::storage(&config, Some("node 07 pid 42"));
    assert_eq!(keys(&findings, Severity::Warning), ["storage.data_dir"]);
}

#[test]
fn the_report_ends_with_ok_unless_there_is_an_error() {
    let text = |findings: &[Finding]| {
        let mut out = Vec::new();
        report(&mut out, "f.toml", &config(&[]), findings).unwrap();
        String::from_utf8(out).unwrap()
    };
    let plain = text(&[]);
    assert!(
        plain.contains("listener mqtt: 127.0.0.1:1883 (mqtt)\n"),
        "{plain}"
    );
    assert!(plain.ends_with("state: ./data\nf.toml: ok\n"), "{plain}");
    let warned = text(&[
        Finding::warning("a.b", "strange", "look"),
        Finding::warning("c", "d", "e"),
    ]);
    assert!(
        warned.starts_with("warning: `a.b`: strange\n  hint: look\n"),
        "{warned}"
    );
    assert!(warned.ends_with("f.toml: ok, 2 warnings\n"), "{warned}");
    let wrong = text(&[Finding::error("a.b", "wrong", "mend")]);
    assert!(
        wrong.starts_with("error: `a.b`: wrong\n  hint: mend\n"),
        "{wrong}"
    );
    assert!(!wrong.contains("ok"), "{wrong}");
}
