//! ST-C: versions, CONNECT and CONNECTED; ST-E2, ST-X1: errors.

use super::{VERSIONS, accepted, connected, one, refusal, refused};
use crate::encode::{ConnectedFrame, connected as write_connected};
use crate::error::{Error, Fault};
use crate::event::{ConnectFrame, Event};
use crate::{Intervals, Version};

fn connect(input: &[u8]) -> ConnectFrame<'_> {
    match one(&mut accepted(), input) {
        Ok(Event::Connect(connect)) => connect,
        other => panic!("no CONNECT but {other:?}"),
    }
}

fn error_frame(error: &Error, version: Option<Version>) -> String {
    let mut out = Vec::new();
    error.encode(&mut out, version);
    String::from_utf8(out).unwrap()
}

#[test]
fn st_c1_stomp_is_connect() {
    for command in ["STOMP", "CONNECT"] {
        let frame = format!("{command}\naccept-version:1.1\nhost:h\n\n\0");
        assert_eq!(connect(frame.as_bytes()).version, Version::V1_1);
    }
}

#[test]
fn st_c2_the_highest_common_version_is_chosen() {
    let table = [
        ("accept-version:1.0\n", Version::V1_0),
        ("accept-version:1.1\n", Version::V1_1),
        ("accept-version:1.2\n", Version::V1_2),
        ("accept-version:1.0,1.1,1.2\n", Version::V1_2),
        ("accept-version:1.2,1.0\n", Version::V1_2),
        ("accept-version:1.1,9.9\n", Version::V1_1),
        ("accept-version:1.1, 1.2\n", Version::V1_2),
        ("", Version::V1_0),
    ];
    for (header, version) in table {
        let frame = format!("CONNECT\n{header}host:h\n\n\0");
        assert_eq!(connect(frame.as_bytes()).version, version, "{header}");
    }
}

#[test]
fn st_c3_without_a_common_version_the_error_lists_ours() {
    for list in ["9.9", "", "1.3,2.0", "1"] {
        let frame = format!("CONNECT\naccept-version:{list}\nhost:h\n\n\0");
        let mut machine = accepted();
        let error = refusal(&mut machine, frame.as_bytes());
        assert_eq!(error.fault, Fault::NoCommonVersion);
        let written = error_frame(&error, machine.version());
        assert!(
            written.starts_with("ERROR\nmessage:no common protocol version\n"),
            "{written}"
        );
        assert!(written.contains("\nversion:1.0,1.1,1.2\n"), "{written}");
    }
}

#[test]
fn st_c4_host_may_be_missing() {
    assert_eq!(connect(b"CONNECT\naccept-version:1.2\n\n\0").host, None);
    let frame = connect(b"CONNECT\naccept-version:1.2\nhost:a.b\n\n\0");
    assert_eq!(frame.host.as_deref(), Some("a.b"));
}

#[test]
fn st_c5_connected_carries_version_server_session_and_heart_beat() {
    let mut frame = ConnectedFrame {
        version: Version::V1_2,
        session: Some("s"),
        server: Some("TernMQ/1.2.3"),
        heart_beat: Intervals {
            send_ms: 1,
            receive_ms: 2,
        },
        response_id: Some("r"),
    };
    let mut out = Vec::new();
    write_connected(&mut out, &frame);
    let expected = "CONNECTED\nversion:1.2\nheart-beat:1,2\nsession:s\nserver:TernMQ/1.2.3\nresponse-id:r\n\n\0";
    assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
    out.clear();
    frame = ConnectedFrame {
        version: Version::V1_0,
        server: None,
        response_id: None,
        ..frame
    };
    frame.session = Some("a\nforged:1");
    write_connected(&mut out, &frame);
    assert_eq!(out, b"CONNECTED\nversion:1.0\n\n\0");
}

#[test]
fn st_c7_connect_comes_first_and_once() {
    for frame in [
        "SEND\ndestination:/q\n\n\0",
        "DISCONNECT\n\n\0",
        "CONNECTED\n\n\0",
    ] {
        assert_eq!(
            refusal(&mut accepted(), frame.as_bytes()).fault,
            Fault::NotConnected
        );
    }
    for version in VERSIONS {
        for command in ["CONNECT", "STOMP"] {
            let frame = format!("{command}\naccept-version:1.2\n\n\0");
            assert_eq!(
                refused(version, frame.as_bytes()).fault,
                Fault::AlreadyConnected
            );
        }
    }
}

#[test]
fn st_c8_receipt_on_connect_is_ignored() {
    let error = refusal(
        &mut accepted(),
        b"CONNECT\naccept-version:9\nreceipt:r\n\n\0",
    );
    assert_eq!(error.receipt_id, None);
    let error = refusal(&mut accepted(), b"CONNECT\nreceipt:r\nnocolon\n\n\0");
    assert_eq!(
        (error.fault, error.receipt_id),
        (Fault::MalformedHeader, None)
    );
    let frame = connect(b"CONNECT\nrequest-id:7\nreceipt:r\n\n\0");
    assert_eq!(frame.headers.get("request-id").as_deref(), Some("7"));
}

#[test]
fn st_f12_connect_is_never_unescaped_in_any_version() {
    for version in VERSIONS {
        for passcode in ["a\\cb:c", "\\t:\\", "::"] {
            let frame = format!("CONNECT\naccept-version:{version}\npasscode:{passcode}\n\n\0");
            let frame = connect(frame.as_bytes());
            assert_eq!(frame.headers.get("passcode").as_deref(), Some(passcode));
        }
    }
    let padded = b"CONNECT\naccept-version:1.2\nlogin: a \n\n\0";
    assert_eq!(connect(padded).headers.get("login").as_deref(), Some(" a "));
    let padded = b"CONNECT\r\nlogin: a \r\n\r\n\0";
    assert_eq!(
        connect(padded).headers.get("login").as_deref(),
        Some("a"),
        "1.0 pads"
    );
}

#[test]
fn secrets_are_not_shown() {
    let input = b"CONNECT\naccept-version:1.2\nlogin:user\npasscode:hunter2\n\n\0";
    let shown = format!("{:?}", connect(input));
    assert!(
        shown.contains("user") && !shown.contains("hunter2"),
        "{shown}"
    );
    let error = refusal(&mut accepted(), b"CONNECT\npasscode:hunter2\nhunter2\n\n\0");
    let shown = format!("{error:?}{error}{}", error_frame(&error, None));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn st_e2_error_has_a_message_and_the_receipt_id_of_the_failing_frame() {
    let mut machine = connected(Version::V1_2);
    let error = refusal(&mut machine, b"SEND\nreceipt:a\\cb\n\n\0");
    assert_eq!(error.receipt_id.as_deref(), Some("a:b"));
    assert_eq!(
        error_frame(&error, machine.version()),
        "ERROR\nmessage:missing header destination\nreceipt-id:a\\cb\ncontent-type:text/plain\n\
         content-length:0\n\n\0"
    );
    let mut out = Vec::new();
    let long = "ä".repeat(2_000);
    let frame = crate::encode::ErrorFrame {
        message: "m",
        receipt_id: None,
        version: None,
        body: &long,
    };
    crate::encode::error(&mut out, Some(Version::V1_2), &frame);
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with(&format!("content-length:1024\n\n{}\0", "ä".repeat(512))));
}

#[test]
fn st_x1_an_unknown_command_is_refused() {
    for version in VERSIONS {
        let error = refused(version, b"PUBLISH\nreceipt:r\n\nbody\0");
        assert_eq!(error.fault, Fault::UnknownCommand);
        assert_eq!(error.receipt_id.as_deref(), Some("r"));
        for command in ["MESSAGE", "RECEIPT", "ERROR", "CONNECTED"] {
            let frame = format!("{command}\nmessage-id:1\n\n\0");
            assert_eq!(
                refused(version, frame.as_bytes()).fault,
                Fault::UnexpectedCommand
            );
        }
    }
    let error = refusal(&mut accepted(), b"GET / HTTP/1.1\r\n");
    assert_eq!(
        error.fault,
        Fault::UnknownCommand,
        "another protocol is refused at its first line"
    );
}

#[test]
fn st_d1_what_comes_after_disconnect_is_discarded() {
    let mut machine = connected(Version::V1_2);
    let input = b"DISCONNECT\nreceipt:77\n\n\0SEND\ndestination:/q\n\n\0garbage";
    let mut consumed = 0;
    let event = machine.poll_event(0, input, &mut consumed);
    let Some(Ok(Event::Disconnect { receipt })) = event else {
        panic!("{event:?}")
    };
    assert_eq!(receipt.as_deref(), Some("77"));
    assert!(machine.poll_event(0, input, &mut consumed).is_none());
    assert_eq!((consumed, machine.poll_timeout()), (input.len(), None));
}
