use bytes::Bytes;

use super::*;
use crate::client::QoS;

fn message(topic: &str, body: &[u8]) -> Message {
    Message {
        topic: topic.to_owned(),
        body: Bytes::copy_from_slice(body),
        qos: QoS::AtLeastOnce,
        retain: true,
        dup: false,
        properties: Properties {
            content_type: Some("text/plain".to_owned()),
            response_topic: Some("answers".to_owned()),
            correlation: Some(Bytes::from_static(b"c-1")),
            expiry_s: Some(60),
            utf8: true,
            user: vec![
                ("color".to_owned(), "red".to_owned()),
                ("color".to_owned(), "blue".to_owned()),
                ("a}b".to_owned(), "x".to_owned()),
            ],
            subscription_ids: vec![7],
            ..Properties::default()
        },
    }
}

fn written(form: &Form, message: &Message) -> Vec<u8> {
    let mut out = b"before ".to_vec();
    form.write(message, &mut out);
    out.split_off(7)
}

fn template(text: &str) -> Form {
    Form::Template(Template::parse(text).unwrap())
}

#[test]
fn json_has_the_schema_of_the_documentation() {
    let line = written(&Form::Json, &message("a/b", "21.5 \u{b0}C\n".as_bytes()));
    let expected = "{\"topic\":\"a/b\",\"body\":\"21.5 \u{b0}C\\n\",\"qos\":1,\"retain\":true,\"dup\":false,\
                    \"properties\":{\"content_type\":\"text/plain\",\"response_topic\":\"answers\",\
                    \"correlation\":\"c-1\",\"expiry_s\":60,\"payload_format\":\"utf8\",\
                    \"subscription_ids\":[7],\"user\":[[\"color\",\"red\"],[\"color\",\"blue\"],\
                    [\"a}b\",\"x\"]]}}\n";
    assert_eq!(String::from_utf8(line).unwrap(), expected);
}

#[test]
fn json_has_bytes_in_base64_and_leaves_out_what_is_not_there() {
    let mut message = message("t", &[0xff, 0]);
    message.properties = Properties {
        correlation: Some(Bytes::from_static(&[0xfe])),
        ..Properties::default()
    };
    let line = written(&Form::Json, &message);
    let expected = "{\"topic\":\"t\",\"body_base64\":\"/wA=\",\"qos\":1,\"retain\":true,\"dup\":false,\
                    \"properties\":{\"correlation_base64\":\"/g==\"}}\n";
    assert_eq!(String::from_utf8(line).unwrap(), expected);
}

/// Mutant: `printable` not called for the topic.
#[test]
fn nothing_that_commands_a_terminal_reaches_it() {
    let line = written(&Form::Human, &message("a\u{9b}b", b"x\x1b[2J\ty\nz\x07"));
    let expected = "a\\u{9b}b x\\u{1b}[2J\ty\nz\\u{7}\n";
    assert_eq!(String::from_utf8(line).unwrap(), expected);
    assert_eq!(
        written(&Form::Human, &message("t", &[0xff])),
        b"t base64:/w==\n"
    );
}

#[test]
fn a_template_writes_fields_and_escapes() {
    let table: [(&str, &[u8]); 9] = [
        ("{topic} {props.color} {body}", b"a/b red \xffx\n"),
        ("{qos}{retain}{dup} {expiry_s}", b"110 60\n"),
        (
            "{content_type}|{response_topic}|{correlation}",
            b"text/plain|answers|c-1\n",
        ),
        ("{props.none}", b"\n"),
        ("{body_base64}", b"/3g=\n"),
        ("\\{{body}\\}\\\\\\t\\r\\0\\n", b"{\xffx}\\\t\r\0\n\n"),
        ("{body}\\c", b"\xffx"),
        ("", b"\n"),
        ("\\c", b""),
    ];
    for (text, expected) in table {
        let found = written(&template(text), &message("a/b", b"\xffx"));
        assert_eq!(found, expected, "{text}");
    }
    let mut json = written(&Form::Json, &message("t", b"b"));
    assert_eq!(written(&template("{json}"), &message("t", b"b")), json);
    json.pop();
    assert_eq!(written(&template("{json}\\c"), &message("t", b"b")), json);
}

#[test]
fn a_template_that_cannot_be_is_refused_with_what_can() {
    let table = [
        ("{boddy}", "{body}"),
        ("{body", "without `}`"),
        ("body}", "without `{`"),
        ("\\x", "after `\\`"),
        ("a\\", "after `\\`"),
        ("\\c more", "after `\\`"),
        ("{}", "no field ``"),
    ];
    for (text, reason) in table {
        let error = Template::parse(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn what_amqp_adds_is_written_where_it_is() {
    let mut message = message("a", b"x");
    message.properties = Properties {
        subject: Some("s".to_owned()),
        priority: Some(7),
        message_id: Some("m-1".to_owned()),
        ..Properties::default()
    };
    let line = String::from_utf8(written(&Form::Json, &message)).unwrap();
    let properties = r#""properties":{"subject":"s","priority":7,"message_id":"m-1"}"#;
    assert!(line.contains(properties), "{line}");
    let fields = template("{subject} {priority} {message_id}");
    assert_eq!(written(&fields, &message), b"s 7 m-1\n");
}
