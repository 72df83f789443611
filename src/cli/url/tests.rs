use super::*;

fn url(
    host: &str,
    port: impl Into<Option<u16>>,
    user: Option<&str>,
    password: Option<&str>,
) -> Url {
    Url {
        protocol: Protocol::Mqtt,
        host: host.to_owned(),
        port: port.into(),
        user: user.map(str::to_owned),
        password: password.map(|text| text.as_bytes().to_vec()),
    }
}

#[test]
fn a_url_names_host_port_user_and_password() {
    let table = [
        ("mqtt://broker", url("broker", None, None, None)),
        ("MQTT://broker:2000/", url("broker", 2000, None, None)),
        ("tcp://127.0.0.1:1", url("127.0.0.1", 1, None, None)),
        ("mqtt://[::1]", url("::1", None, None, None)),
        ("mqtt://[::1]:99", url("::1", 99, None, None)),
        ("mqtt://ann@broker", url("broker", None, Some("ann"), None)),
        (
            "mqtt://ann:s3cret@broker:5",
            url("broker", 5, Some("ann"), Some("s3cret")),
        ),
        (
            "mqtt://a%40b:p%3A%2F%25@broker",
            url("broker", None, Some("a@b"), Some("p:/%")),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn the_scheme_says_what_is_spoken() {
    let table = [
        ("mqtt://b", Protocol::Mqtt, 1883),
        ("tcp://b", Protocol::Mqtt, 1883),
        ("amqp://b", Protocol::Amqp, 5672),
    ];
    for (text, protocol, port) in table {
        let found = parse(text).unwrap().protocol;
        assert_eq!((found, found.port()), (protocol, port), "{text}");
    }
}

#[test]
fn what_is_no_url_of_ours_is_refused_with_a_reason() {
    let table = [
        ("broker:1883", "not of the form"),
        ("mqtts://broker", "mqtts:// is not served yet"),
        ("ws://broker", "ws:// is not served yet"),
        ("amqps://broker", "amqps:// is not served yet"),
        ("http://broker", "unknown scheme `http`"),
        ("mqtt://", "the host is missing"),
        ("mqtt://:1883", "the host is missing"),
        ("mqtt://broker:port", "`port` is no port"),
        ("mqtt://broker:0", "`0` is no port"),
        ("mqtt://broker:65536", "`65536` is no port"),
        ("mqtt://[::1", "`]`"),
        ("mqtt://[::1]5", "`:`"),
        ("mqtt://[broker]:5", "no IPv6 address"),
        ("mqtt://broker/topic", "nothing may follow the port"),
        ("mqtt://%FF@broker", "the user is not UTF-8"),
    ];
    for (text, reason) in table {
        let error = parse(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn an_error_does_not_repeat_the_password() {
    let error = parse("mqtt://ann:s3cret/x@broker").unwrap_err();
    assert!(!error.contains("s3cret"), "{error}");
}
