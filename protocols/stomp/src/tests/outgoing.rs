//! ST-S2, ST-M, ST-F10 on the way out: MESSAGE out of a stored header block.

use super::{VERSIONS, sent};
use crate::encode::{FrameWriter, MessageHead, heart_beat, message};
use crate::frame::Command;
use crate::parser::Parser;
use crate::{Encoding, Headers, Limits, Version};

const HEAD: MessageHead<'_> = MessageHead {
    subscription: Some("s"),
    message_id: "m",
    destination: "/queue/a",
    ack: None,
    redelivered: false,
    extra: &[],
};

fn written(head: &MessageHead<'_>, stored: Headers<'_>, target: Version, body: &[u8]) -> String {
    let mut out = Vec::new();
    message(&mut out, head, stored, target, body);
    String::from_utf8(out).unwrap()
}

/// Headers and body of a written frame as a peer of that version reads them.
fn read(frame: &str, version: Version) -> (Vec<(String, String)>, Vec<u8>) {
    let mut parser = Parser::new(Limits::default());
    parser.set_version(version);
    let mut consumed = 0;
    let read = parser
        .poll_frame(frame.as_bytes(), &mut consumed)
        .unwrap()
        .unwrap();
    assert_eq!(consumed, frame.len());
    let headers = read
        .headers
        .iter()
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect();
    (headers, read.body.to_vec())
}

fn value(headers: &[(String, String)], name: &str) -> Option<String> {
    headers
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.clone())
}

#[test]
fn st_s2_user_headers_pass_and_server_owned_ones_are_replaced() {
    let input = b"SEND\ndestination:/queue/a\nmessage-id:x\nredelivered:x\nsubscription:x\nack:x\n\
        receipt:x\ntransaction:x\nJMSXUserID:x\ncontent-length:2\nk:v\nMessage-Id:y\n\nhi\0";
    for version in VERSIONS {
        let stored = sent(version, input).headers;
        assert_eq!(
            written(&HEAD, stored, version, b"hi"),
            "MESSAGE\nsubscription:s\nmessage-id:m\ndestination:/queue/a\n\
             k:v\nMessage-Id:y\ncontent-length:2\n\nhi\0"
        );
    }
}

#[test]
fn st_m1_the_head_stands_first_and_extra_headers_win_over_stored_ones() {
    let stored = Headers::new(b"timestamp:1\n", Encoding::V1_2);
    let head = MessageHead {
        ack: Some("a:1"),
        redelivered: true,
        extra: &[("timestamp", "2"), ("delivery-count", "3")],
        ..HEAD
    };
    let frame = written(&head, stored, Version::V1_2, b"");
    assert_eq!(
        frame,
        "MESSAGE\nsubscription:s\nmessage-id:m\ndestination:/queue/a\nack:a\\c1\nredelivered:true\n\
         timestamp:2\ndelivery-count:3\ntimestamp:1\ncontent-length:0\n\n\0"
    );
    let (headers, _) = read(&frame, Version::V1_2);
    assert_eq!(value(&headers, "timestamp").as_deref(), Some("2"));
}

#[test]
fn st_m2_content_length_is_always_there_and_counts_octets() {
    for body in [&b""[..], b"a\0b", "äöü".as_bytes(), &[b'x'; 1234]] {
        let frame = written(
            &HEAD,
            Headers::new(b"", Encoding::V1_2),
            Version::V1_2,
            body,
        );
        let (headers, read_body) = read(&frame, Version::V1_2);
        assert_eq!(read_body, body);
        assert_eq!(
            value(&headers, "content-length"),
            Some(body.len().to_string())
        );
    }
}

#[test]
fn st_f10_lines_are_copied_as_they_are_where_both_versions_escape_alike() {
    let table = [
        (
            &b"k:a\\cb:c\\n\n"[..],
            Encoding::V1_1,
            Version::V1_2,
            "k:a\\cb:c\\n\n",
        ),
        (b"k:a\\cb\r\n", Encoding::V1_2, Version::V1_1, "k:a\\cb\n"),
        (b"k:a\\cb\r\n", Encoding::V1_2, Version::V1_2, "k:a\\cb\n"),
        (b"k:\\\\rx\n", Encoding::V1_2, Version::V1_1, "k:\\\\rx\n"),
        (b" k : a:b \n", Encoding::V1_0, Version::V1_0, " k : a:b \n"),
    ];
    for (block, encoding, target, line) in table {
        let frame = written(&HEAD, Headers::new(block, encoding), target, b"");
        assert!(
            frame.contains(&format!("\n{line}content-length")),
            "{frame}"
        );
    }
}

#[test]
fn st_f10_lines_are_escaped_anew_where_versions_differ() {
    let table = [
        (&b"k:a\\rb\n"[..], Encoding::V1_2, Version::V1_1, "k:a\rb\n"),
        (b"k:b\r\n", Encoding::V1_1, Version::V1_2, "k:b\\r\n"),
        (
            b" k : a:b\\c \n",
            Encoding::V1_0,
            Version::V1_2,
            "k:a\\cb\\\\c\n",
        ),
        (b"k:a\\cb\\\\\n", Encoding::V1_1, Version::V1_0, "k:a:b\\\n"),
    ];
    for (block, encoding, target, line) in table {
        let frame = written(&HEAD, Headers::new(block, encoding), target, b"");
        assert!(
            frame.contains(&format!("\n{line}content-length")),
            "{frame:?}"
        );
    }
}

#[test]
fn headers_that_1_0_cannot_carry_are_left_out_rather_than_forge_others() {
    let stored = Headers::new(b"k:a\\nack:1\nx\\cy:1\nz\\nz:1\nok:1\n", Encoding::V1_2);
    let frame = written(&HEAD, stored, Version::V1_0, b"");
    assert!(frame.contains("/queue/a\nok:1\ncontent-length"), "{frame}");
    let mut out = Vec::new();
    let mut writer = FrameWriter::new(&mut out, Command::Connect, Encoding::Handshake);
    writer
        .header("a", "b\r")
        .header("a:b", "c")
        .header("", "c")
        .header("k", "v\\:w");
    writer.end();
    assert_eq!(out, b"CONNECT\nk:v\\:w\n\n\0");
}

#[test]
fn a_heart_beat_is_one_line_end() {
    let mut out = Vec::new();
    heart_beat(&mut out);
    assert_eq!(out, b"\n");
}
