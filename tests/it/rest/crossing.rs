//! One message through REST and another protocol, field by field (artemis-features.md 3.6).

use super::*;
use crate::support::mqtt::{Mqtt, Session};
use crate::support::process::Home;
use crate::support::stomp::Stomp;

#[test]
fn rs_9_fields_of_rest_become_headers_of_stomp() {
    let process = Home::new("").start();
    let mut stomp = Stomp::connect(process.tcp("stomp")).unwrap();
    stomp.subscribe("/queue/q").unwrap();
    let headers = [
        "Content-Type: text/plain",
        "Tmq-Correlation-Id: c:1",
        "Tmq-Reply-To: topic://a%2Fb.c",
        "Tmq-Type: order",
        "Tmq-Group-Id: g",
        "Tmq-Priority: 7",
        r#"Tmq-Properties: {"Color":"rot","half":0.5,"n":5,"yes":true}"#,
    ];
    let line = "POST /v1/queues/q/messages";
    call(&process, line, &headers, b"b\0dy")
        .expect(201)
        .unwrap();
    let message = stomp.next().unwrap();
    assert_eq!(message.body, b"b\0dy");
    let table = [
        ("destination", "/queue/q"),
        ("content-type", "text/plain"),
        ("content-length", "4"),
        ("correlation-id", "c:1"),
        // A `/` needs no escape in this dialect.
        ("reply-to", "/topic/a/b.c"),
        ("type", "order"),
        ("JMSXGroupID", "g"),
        ("priority", "7"),
        ("persistent", "true"),
        ("Color", "rot"),
        ("half", "0.5"),
        ("n", "5"),
        ("yes", "true"),
    ];
    for (name, value) in table {
        assert_eq!(message.header(name), Some(value), "{name}");
    }
}

#[test]
fn rs_9_headers_of_stomp_become_fields_of_rest() {
    let process = Home::new("").start();
    let mut stomp = Stomp::connect(process.tcp("stomp")).unwrap();
    let headers = [
        ("destination", "/queue/q"),
        ("content-type", "text/plain"),
        ("correlation-id", "c"),
        ("reply-to", "/queue/answers"),
        ("type", "größe"),
        ("JMSXGroupID", "g"),
        ("priority", "2"),
        ("persistent", "true"),
        ("Color", "red"),
    ];
    stomp.confirmed("SEND", &headers, b"body").unwrap();
    let message = receive(&process, "q", "").expect(200).unwrap();
    assert_eq!(message.body, b"body");
    let table = [
        ("content-type", "text/plain"),
        ("tmq-correlation-id", "c"),
        ("tmq-reply-to", "queue://answers"),
        ("tmq-type", "größe"),
        ("tmq-group-id", "g"),
        ("tmq-priority", "2"),
        ("tmq-destination", "q"),
        ("tmq-properties", r#"{"Color":"red"}"#),
    ];
    for (name, value) in table {
        assert_eq!(message.header(name), Some(value), "{name}");
    }
    assert!(message.header("tmq-message-id").is_some());
}

/// MQTT 3.1.1 has a body and nothing else; what it has is kept octet by octet.
#[test]
fn rs_9_bodies_cross_between_rest_and_mqtt() {
    let process = Home::new("[[queue]]\nname = \"a%2Eb.c\"\n").start();
    let mut mqtt = Mqtt::connect(process.tcp("mqtt"), "m", Session::Clean, 0).unwrap();
    let body = [0, 255, 10, 0xc3];
    mqtt.publish("a.b/c", &body).unwrap();
    let message = receive(&process, "a%252Eb.c", "ack=auto")
        .expect(200)
        .unwrap();
    assert_eq!(message.body, body);
    assert_eq!(message.header("tmq-destination"), Some("a%2Eb.c"));
    assert_eq!(message.header("tmq-priority"), Some("4"));
    for name in ["content-type", "tmq-properties", "tmq-reply-to", "tmq-type"] {
        assert_eq!(message.header(name), None, "{name}");
    }
    mqtt.subscribe("x/+", 1).unwrap();
    let headers = [r#"Tmq-Properties: {"a":"b"}"#, "Content-Type: x/y"];
    let line = "POST /v1/topics/x.y%252Ez/messages";
    call(&process, line, &headers, &body).expect(201).unwrap();
    let publish = mqtt.next().unwrap();
    assert_eq!((&*publish.topic, &publish.body[..]), ("x/y.z", &body[..]));
    assert_eq!((publish.qos, publish.retain), (1, false));
}
