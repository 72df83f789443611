//! ST-F: framing and header encoding.

use super::{VERSIONS, accepted, connected, fault, one, refusal, refused, sent};
use crate::error::Fault;
use crate::event::Event;
use crate::{Encoding, Version};

fn header(version: Version, input: &[u8], name: &str) -> Option<String> {
    sent(version, input).headers.get(name).map(String::from)
}

#[test]
fn st_f1_frames_in_one_octet_pieces_and_many_in_one_read_give_the_same() {
    let frame = b"SEND\ndestination:/queue/a\nk:v\n\nbody\0\n";
    let mut machine = connected(Version::V1_1);
    let (mut start, mut seen) = (0, 0);
    for end in 1..=frame.len() {
        let mut consumed = 0;
        let unread = &frame[start..end];
        if let Some(event) = machine.poll_event(0, unread, &mut consumed) {
            let Ok(Event::Send(send)) = event else {
                panic!("{event:?}")
            };
            assert_eq!((send.body, &*send.destination), (&b"body"[..], "/queue/a"));
            seen += 1;
        }
        start += consumed;
    }
    assert_eq!(seen, 1);
    let hundred = frame.repeat(100);
    let mut consumed = 0;
    while let Some(event) = machine.poll_event(0, &hundred, &mut consumed) {
        assert!(matches!(event, Ok(Event::Send(send)) if send.body == b"body"));
        seen += 1;
    }
    assert_eq!((seen, consumed), (101, hundred.len()));
}

#[test]
fn st_f2_both_line_ends_mix_in_1_2_and_bodies_stay_untouched() {
    for mask in 0..16_u32 {
        let end = |bit: u32| if mask >> bit & 1 == 1 { "\r\n" } else { "\n" };
        let mut machine = accepted();
        let connect = format!(
            "CONNECT{}accept-version:1.2{}host:h{}{}\0",
            end(0),
            end(1),
            end(2),
            end(3)
        );
        let Ok(Event::Connect(frame)) = one(&mut machine, connect.as_bytes()) else {
            panic!()
        };
        assert_eq!(frame.host.as_deref(), Some("h"));
        let send = format!(
            "SEND{}destination:/q{}k:v{}{}a\r\nb\r\0",
            end(0),
            end(1),
            end(2),
            end(3)
        );
        let Ok(Event::Send(frame)) = one(&mut machine, send.as_bytes()) else {
            panic!()
        };
        assert_eq!(frame.headers.get("k").as_deref(), Some("v"));
        assert_eq!(frame.body, b"a\r\nb\r");
    }
}

#[test]
fn st_f3_a_trailing_cr_belongs_to_the_value_in_1_1() {
    let frame = b"SEND\ndestination:/q\na:b\r\n\n\0";
    assert_eq!(header(Version::V1_1, frame, "a").as_deref(), Some("b\r"));
    assert_eq!(header(Version::V1_2, frame, "a").as_deref(), Some("b"));
    for version in [Version::V1_0, Version::V1_1] {
        let blank_with_cr = b"SEND\ndestination:/q\n\r\n\0\n";
        assert_eq!(fault(version, blank_with_cr), Fault::MalformedHeader);
        assert_eq!(
            fault(version, b"SEND\r\ndestination:/q\n\n\0"),
            Fault::UnknownCommand
        );
    }
}

#[test]
fn st_f4_line_ends_between_frames_are_heart_beats() {
    for version in VERSIONS {
        let mut input = vec![b'\n'; 1000];
        input.extend_from_slice(b"SEND\ndestination:/q\n\n\0");
        assert_eq!(sent(version, &input).body, b"");
    }
    let mut input = b"\r\n".repeat(1000);
    input.extend_from_slice(b"SEND\ndestination:/q\n\n\0");
    assert_eq!(sent(Version::V1_2, &input).body, b"");
    assert_eq!(fault(Version::V1_1, &input), Fault::UnknownCommand);
    let mut machine = connected(Version::V1_2);
    let mut consumed = 0;
    assert!(machine.poll_event(0, b"\n\r\n\r", &mut consumed).is_none());
    assert_eq!(consumed, 3, "a lone CR waits for its LF");
    assert_eq!(machine.needed(), 0);
    let mut consumed = 0;
    assert!(machine.poll_event(0, b"\r\n", &mut consumed).is_none());
    assert_eq!(consumed, 2);
}

#[test]
fn st_f5_commands_and_header_names_are_case_sensitive() {
    for version in VERSIONS {
        assert_eq!(
            fault(version, b"send\ndestination:/q\n\n\0"),
            Fault::UnknownCommand
        );
        let missing = Fault::MissingHeader("destination");
        assert_eq!(fault(version, b"SEND\nDestination:/q\n\n\0"), missing);
    }
}

#[test]
fn st_f6_a_body_where_none_belongs_is_refused_or_in_1_0_ignored() {
    let frames: [&[u8]; 2] = [
        b"SUBSCRIBE\nid:1\ndestination:/q\nreceipt:r\n\nbody\0",
        b"SUBSCRIBE\nid:1\ndestination:/q\nreceipt:r\ncontent-length:4\n\nbody\0",
    ];
    for frame in frames {
        for version in [Version::V1_1, Version::V1_2] {
            let error = refused(version, frame);
            assert_eq!(error.fault, Fault::UnexpectedBody);
            assert_eq!(error.receipt_id.as_deref(), Some("r"));
        }
        let event = one(&mut connected(Version::V1_0), frame);
        assert!(matches!(event, Ok(Event::Subscribe(frame)) if frame.id.as_deref() == Some("1")));
    }
    let error = refusal(&mut accepted(), b"CONNECT\n\nbody\0");
    assert_eq!(error.fault, Fault::UnexpectedBody);
}

#[test]
fn st_f7_content_length_counts_octets_and_a_nul_must_follow() {
    for version in VERSIONS {
        let frame = b"SEND\ndestination:/q\ncontent-length:5\n\na\0b\0c\0";
        let send = sent(version, frame);
        assert_eq!((send.body, send.content_length), (&b"a\0b\0c"[..], Some(5)));
        let short = b"SEND\ndestination:/q\nreceipt:7\ncontent-length:1\n\nabc\0";
        let error = refused(version, short);
        assert_eq!(error.fault, Fault::ContentLengthMismatch);
        assert_eq!(error.receipt_id.as_deref(), Some("7"));
        let send = sent(version, b"SEND\ndestination:/q\n\nabc\0");
        assert_eq!((send.body, send.content_length), (&b"abc"[..], None));
    }
}

#[test]
fn case_st_03_a_length_in_characters_is_refused_and_the_text_names_content_length() {
    let error = refused(
        Version::V1_2,
        "SEND\ndestination:/q\ncontent-length:3\n\näöü\0".as_bytes(),
    );
    assert!(error.to_string().contains("content-length"), "{error}");
    let send = sent(
        Version::V1_2,
        "SEND\ndestination:/q\ncontent-length:6\n\näöü\0".as_bytes(),
    );
    assert_eq!(send.body, "äöü".as_bytes());
}

#[test]
fn st_f8_an_invalid_content_length_is_refused_with_the_headers() {
    let big = u64::MAX.to_string() + "0";
    for value in [
        "-1",
        "+1",
        "1x",
        "",
        " 1",
        "1 ",
        "0x10",
        "16777217",
        "9223372036854775808",
        &big,
    ] {
        let head = format!("SEND\ndestination:/q\ncontent-length:{value}\n\n");
        let expected = match value {
            "16777217" | "9223372036854775808" => Fault::BodyTooLarge,
            text if text == big => Fault::BodyTooLarge,
            _ => Fault::BadContentLength,
        };
        assert_eq!(fault(Version::V1_2, head.as_bytes()), expected, "{value:?}");
    }
    let padded = b"SEND\ndestination:/q\ncontent-length: 1 \n\na\0";
    assert_eq!(sent(Version::V1_0, padded).body, b"a");
}

#[test]
fn st_f9_any_frame_may_carry_a_content_length_of_0() {
    for frame in ["ACK\nid:1", "BEGIN\ntransaction:1", "DISCONNECT\nreceipt:1"] {
        let frame = format!("{frame}\ncontent-length:0\n\n\0");
        assert!(one(&mut connected(Version::V1_2), frame.as_bytes()).is_ok());
    }
}

#[test]
fn st_f10_escapes_are_decoded_in_names_and_values() {
    let text = "SEND\ndestination:/q\nn\\c\\n\\\\:v\\c\\n\\\\ä\n\n\0";
    for version in [Version::V1_1, Version::V1_2] {
        let value = header(version, text.as_bytes(), "n:\n\\");
        assert_eq!(value.as_deref(), Some("v:\n\\ä"));
    }
    let frame = b"SEND\ndestination:/q\na\\r:b\\r\n\n\0";
    assert_eq!(header(Version::V1_2, frame, "a\r").as_deref(), Some("b\r"));
    assert_eq!(fault(Version::V1_1, frame), Fault::UndefinedEscape);
}

#[test]
fn st_f11_an_undefined_escape_is_fatal() {
    for line in ["k:\\t", "k:a\\", "\\x:v", "k:\\\\\\", "k:\\N"] {
        for version in [Version::V1_1, Version::V1_2] {
            let frame = format!("SEND\nreceipt:r\ndestination:/q\n{line}\n\n\0");
            let error = refused(version, frame.as_bytes());
            assert_eq!(error.fault, Fault::UndefinedEscape, "{line}");
            assert_eq!(error.receipt_id.as_deref(), Some("r"));
        }
    }
    assert_eq!(
        fault(Version::V1_2, b"SEND\nk:a\rb\n\n\0"),
        Fault::MalformedHeader
    );
    assert_eq!(
        fault(Version::V1_2, b"SEND\nk:a\r\r\n\n\0"),
        Fault::MalformedHeader
    );
}

#[test]
fn case_st_01_headers_are_decoded_by_version_and_extra_colons_are_tolerated() {
    let frame = b"SEND\ndestination:/q\nk:a\\cb\\\\c\\nd\\re\nx:x:y\n\n\0";
    let decoded = header(Version::V1_2, frame, "k");
    assert_eq!(decoded.as_deref(), Some("a:b\\c\nd\re"));
    assert_eq!(
        header(Version::V1_0, frame, "k").as_deref(),
        Some("a\\cb\\\\c\\nd\\re")
    );
    assert_eq!(fault(Version::V1_1, frame), Fault::UndefinedEscape);
    for version in VERSIONS {
        let frame = b"SEND\ndestination:/q\nk:x:y\n\n\0";
        assert_eq!(header(version, frame, "k").as_deref(), Some("x:y"));
        let frame = b"SUBSCRIBE\nid:1\ndestination:/q\nselector:JMSCorrelationID='i:1'\n\n\0";
        let Ok(Event::Subscribe(subscribe)) = one(&mut connected(version), frame) else {
            panic!()
        };
        let selector = subscribe.headers.get("selector");
        assert_eq!(selector.as_deref(), Some("JMSCorrelationID='i:1'"));
    }
}

#[test]
fn st_f13_padding_is_trimmed_in_1_0_and_colons_are_plain() {
    let send = sent(
        Version::V1_0,
        b"SEND\ndestination: /queue/a \n k :\ta:\\cb \n\n\0",
    );
    assert_eq!(send.destination, "/queue/a");
    assert_eq!(send.headers.get("k").as_deref(), Some("a:\\cb"));
}

#[test]
fn st_f14_nothing_is_trimmed_from_1_1_on() {
    for version in [Version::V1_1, Version::V1_2] {
        let frame = b"SEND\ndestination:/q\nsp: x \n\n\0";
        assert_eq!(header(version, frame, "sp").as_deref(), Some(" x "));
    }
}

#[test]
fn st_f15_the_first_of_repeated_headers_wins() {
    for version in VERSIONS {
        let frame = b"SEND\ndestination:/1\ndestination:/2\ndup:1\ndup:2\n\n\0";
        let send = sent(version, frame);
        assert_eq!(send.destination, "/1");
        assert_eq!(send.headers.get("dup").as_deref(), Some("1"));
        assert_eq!(
            send.headers
                .iter()
                .filter(|(name, _)| name == "dup")
                .count(),
            2
        );
    }
}

#[test]
fn st_f16_values_may_be_empty_but_names_and_colons_may_not_lack() {
    for version in VERSIONS {
        let frame = b"SEND\ndestination:/q\nk:\n\n\0";
        assert_eq!(header(version, frame, "k").as_deref(), Some(""));
        for line in [":v", "nocolon"] {
            let frame = format!("SEND\ndestination:/q\n{line}\nreceipt:r\n\n\0");
            let error = refused(version, frame.as_bytes());
            assert_eq!(error.fault, Fault::MalformedHeader);
            assert_eq!(
                error.receipt_id.as_deref(),
                Some("r"),
                "found behind the bad line"
            );
        }
    }
}

#[test]
fn a_frame_whose_blank_line_is_missing_is_refused_at_its_nul() {
    assert_eq!(
        fault(Version::V1_2, b"SEND\ndestination:/q\n\0"),
        Fault::MalformedHeader
    );
    let whole = b"SEND\ndestination:/q\n\0SEND\nk:v\n\n\0";
    assert_eq!(fault(Version::V1_2, whole), Fault::MalformedHeader);
}

#[test]
fn st_f17_header_text_is_utf_8() {
    for version in VERSIONS {
        let frame = "SEND\ndestination:/q\n😀:🦀\n\n\0";
        assert_eq!(
            header(version, frame.as_bytes(), "😀").as_deref(),
            Some("🦀")
        );
        for bad in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98"] {
            let frame = [b"SEND\ndestination:/q\nk:", bad, b"\n\n\0"].concat();
            assert_eq!(fault(version, &frame), Fault::NotUtf8);
        }
    }
    let error = refusal(&mut accepted(), b"CONNECT\nlogin:\xff\n\n\0");
    assert_eq!(error.fault, Fault::NotUtf8);
}

#[test]
fn a_stored_block_gives_the_same_headers_again() {
    let frame = b"SEND\r\ndestination:/q\r\nk:a\\rb\r\n\r\n\0";
    let send = sent(Version::V1_2, frame);
    assert_eq!(send.headers.block(), b"destination:/q\r\nk:a\\rb\r\n");
    assert_eq!(send.headers.encoding(), Encoding::V1_2);
    let again = crate::Headers::new(send.headers.block(), send.headers.encoding());
    assert!(again.iter().eq(send.headers.iter()));
    let lenient = crate::Headers::new(b"nocolon\nk:\\t\xff", Encoding::V1_1);
    let pairs: Vec<_> = lenient
        .iter()
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect();
    assert_eq!(pairs, [("k".into(), "\\t\u{fffd}".into())]);
}
