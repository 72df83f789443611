use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    connect: ConnectArguments,
}

fn options(line: &[&str]) -> Result<Options, Failure> {
    let line = [&["sub"], line].concat();
    Line::try_parse_from(line).unwrap().connect.options()
}

#[test]
fn without_arguments_a_client_speaks_mqtt_5_to_this_machine() {
    let options = options(&[]).unwrap();
    assert_eq!(options.server(), "127.0.0.1:1883");
    assert_eq!(options.version, Version::V5);
    assert_eq!(
        (
            options.keep_alive_s,
            options.clean,
            options.session_expiry_s
        ),
        (60, true, 0)
    );
    assert!(options.client_id.starts_with("ternmq-") && options.client_id.len() == 23);
    assert!(options.will.is_none());
    assert_ne!(options.client_id, self::options(&[]).unwrap().client_id);
}

#[test]
fn arguments_go_over_the_url_and_a_file_over_its_password() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "from file\r\nrest\n").unwrap();
    let url = ["--url", "mqtt://ann:in%20url@[::1]:99"];
    let plain = options(&url).unwrap();
    assert_eq!(plain.server(), "[::1]:99");
    assert_eq!(plain.user.as_deref(), Some("ann"));
    assert_eq!(plain.password.as_deref(), Some(&b"in url"[..]));
    let file = ["--password-file", path.to_str().unwrap()];
    let over = options(&[&url[..], &["--user", "bob"], &file].concat()).unwrap();
    assert_eq!(over.user.as_deref(), Some("bob"));
    assert_eq!(over.password.as_deref(), Some(&b"from file"[..]));
}

#[test]
fn a_will_has_all_its_options() {
    let line = [
        "--will-topic",
        "gone",
        "--will-body",
        "x",
        "--will-qos",
        "2",
        "--will-retain",
    ];
    let will = options(&[&line[..], &["--will-delay", "1500ms"]].concat())
        .unwrap()
        .will
        .unwrap();
    assert_eq!(
        (will.message.topic.as_str(), &will.message.body[..]),
        ("gone", &b"x"[..])
    );
    assert_eq!(
        (will.message.qos, will.message.retain, will.delay_s),
        (QoS::ExactlyOnce, true, 2)
    );
}

#[test]
fn values_that_do_not_fit_are_usage_errors() {
    let table: [&[&str]; 6] = [
        &["--keep-alive", "65536s"],
        &["--url", "broker"],
        &["--will-topic", "a/#"],
        &["--mqtt", "3", "--will-topic", "a", "--will-delay", "1s"],
        &["--mqtt", "3", "--url", "mqtt://:secret@broker"],
        &["--will-topic", ""],
    ];
    for line in table {
        let failure = options(line).unwrap_err();
        assert_eq!(failure.exit_code(), 2, "{line:?}: {failure}");
        assert!(!failure.to_string().contains("secret"), "{failure}");
    }
    let missing = options(&["--password-file", "/nonexistent"]).unwrap_err();
    assert_eq!(missing.exit_code(), 1);
}

#[test]
fn times_have_units_and_an_end() {
    assert_eq!(time("1m 30s"), Ok(Duration::from_secs(90)));
    assert_eq!(time("0s"), Ok(Duration::ZERO));
    for text in ["", "5", "101years", "-1s", "99999999999999999999s"] {
        assert!(time(text).is_err(), "{text}");
    }
    assert_eq!(
        seconds_u32("--expiry", Duration::from_millis(1)).unwrap(),
        1
    );
    assert!(seconds_u32("--expiry", Duration::from_secs(u64::from(u32::MAX))).is_err());
}
