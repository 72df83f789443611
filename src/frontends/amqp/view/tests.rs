use ternmq_core::address::Address;
use ternmq_core::dialect::Dialect;

use super::*;
use crate::frontends::amqp::samples::hex;
use crate::frontends::canonical::Value as Seen;

fn view(parts: &str) -> View<'static> {
    read(hex(parts).leak())
}

/// Mutant caught: a content type that was sent, instead of that of the JSON.
#[test]
fn xp_02_every_kind_of_body_is_shown_as_what_it_says() {
    let typed = "00 53 73 c0 (07 40 40 40 40 40 40 a3 (\"a/b\"))";
    for (parts, body, plain, with_type) in [
        ("00 53 75 a0 02 ff00", &b"\xff\0"[..], None, "a/b"),
        (
            "00 53 75 a0 01\"a\" 00 53 75 a0 00 00 53 75 a0 02\"bc\"",
            b"abc",
            None,
            "a/b",
        ),
        ("00 53 75 a0 00", b"", None, "a/b"),
        (
            "00 53 77 a1 02 c3a9",
            "\u{e9}".as_bytes(),
            Some(TEXT),
            "a/b",
        ),
        ("00 53 77 a3 01 \"s\"", b"s", Some(TEXT), "a/b"),
        ("00 53 77 a0 01 ff", b"\xff", None, "a/b"),
        ("00 53 77 40", b"", None, "a/b"),
        ("", b"", None, "a/b"),
        ("00 53 77 52 07", b"7", Some(JSON), JSON),
        ("00 53 77 56 01", b"true", Some(JSON), JSON),
        (
            "00 53 77 c1 (02 a1 (\"k\") 52 01)",
            b"{\"k\":1}",
            Some(JSON),
            JSON,
        ),
        ("00 53 77 c0 03 01 52 01", b"[1]", Some(JSON), JSON),
        (
            "00 53 76 c0 02 01 41 00 53 76 c0 02 01 42",
            b"[true,false]",
            Some(JSON),
            JSON,
        ),
    ] {
        let seen = view(parts);
        assert_eq!(&*seen.body, body, "{parts}");
        assert_eq!(seen.content_type.as_deref(), plain, "{parts}");
        let seen = view(&format!("{typed}{parts}"));
        assert_eq!(&*seen.body, body, "{parts}");
        assert_eq!(seen.content_type.as_deref(), Some(with_type), "{parts}");
    }
}

#[test]
fn one_data_section_is_not_copied() {
    let bytes = hex("00 53 75 a0 01 78");
    assert!(matches!(read(&bytes).body, Cow::Borrowed(b"x")));
    let text = hex("00 53 77 a1 01 78");
    assert!(matches!(read(&text).body, Cow::Borrowed(b"x")));
}

#[test]
fn a_jms_text_in_data_is_text() {
    let marked = "00 53 72 c1 (02 a3 (\"x-opt-jms-msg-type\") 51 05)";
    let seen = view(&format!("{marked} 00 53 75 a0 01 78"));
    assert_eq!(seen.content_type.as_deref(), Some(TEXT));
    let seen = view(&format!("{marked} 00 53 75 a0 01 ff"));
    assert_eq!(seen.content_type, None);
}

/// Mutant caught: a property without a value shown as an empty one.
#[test]
fn xp_04_properties_have_their_fields() {
    let seen = view(
        "00 53 73 d0 [0000000d
            a1 02\"id\" a0 04\"user\" a1 02\"to\" a1 01\"s\" a1 09\"queue://r\" a0 02 00ff
            a3 03\"t/p\" a3 04\"gzip\" 83 0000000000000001 83 0000000000000002
            a1 01\"g\" 52 07 a1 01\"h\"]
         00 53 74 c1 (08 a1 (\"k\") 52 05 a1 (\"n\") 40 a3 (\"s\") 42 43 41)
         00 53 75 a0 00",
    );
    assert_eq!(seen.message_id.as_deref(), Some("id"));
    assert_eq!(seen.correlation_id.as_deref(), Some(&[0, 0xff][..]));
    assert_eq!(seen.subject.as_deref(), Some("s"));
    assert_eq!(seen.content_type.as_deref(), Some("t/p"));
    assert_eq!(seen.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(seen.group.as_deref(), Some("g"));
    let wanted = [
        ("k".into(), Seen::Int(5)),
        ("s".into(), Seen::Bool(false)),
        ("JMSXGroupSeq".into(), Seen::Int(7)),
    ];
    assert_eq!(seen.properties, wanted);
}

#[test]
fn r91_ids_of_every_type_are_shown() {
    for (encoded, shown) in [
        ("a1 02 \"id\"", "id"),
        ("53 07", "7"),
        ("44", "0"),
        (
            "98 00112233445566778899aabbccddeeff",
            "00112233-4455-6677-8899-aabbccddeeff",
        ),
        ("a0 02 \"id\"", "id"),
    ] {
        let fields = format!("{encoded} 40 40 40 40 {encoded}");
        let seen = view(&format!("00 53 73 c0 (06 {fields})"));
        assert_eq!(seen.message_id.as_deref(), Some(shown));
        assert_eq!(seen.correlation_id.as_deref(), Some(shown.as_bytes()));
    }
}

/// Mutant caught: the annotation before the prefix.
#[test]
fn reply_addresses_are_names_of_the_sender() {
    let (anycast, multicast) = (Some(RoutingType::Anycast), Some(RoutingType::Multicast));
    let jms = |kind: u8| format!("00 53 72 c1 (02 a3 (\"x-opt-jms-reply-to\") 51 {kind:02x})");
    for (text, kind, canonical, routing) in [
        ("r.s", None, "r.s", None),
        ("topic://r", None, "r", multicast),
        ("r", Some(1), "r", multicast),
        ("r", Some(2), "r", anycast),
        ("topic://r", Some(0), "r", multicast),
        ("$temp.7.x", Some(2), "$temp.7.x", anycast),
        ("a::q", None, "a", anycast),
    ] {
        let section = format!("00 53 73 c0 (05 40 40 40 40 a1 (\"{text}\"))");
        let parts = kind.map(jms).unwrap_or_default() + &section;
        let address = Address::parse(canonical, Dialect::Canonical, 100).unwrap();
        let wanted = ReplyTo::Address { address, routing };
        assert_eq!(view(&parts).reply_to, Some(wanted), "{parts}");
    }
    let odd = view("00 53 73 c0 (05 40 40 40 40 a1 (\"a*\"))");
    assert_eq!(odd.reply_to, Some(ReplyTo::Text("a*".into())));
    let topic = hex("00 53 73 c0 (05 40 40 40 40 a1 (\"a/b\"))");
    let address = Address::parse("a.b", Dialect::Canonical, 100).unwrap();
    let routing = None;
    assert_eq!(
        read_mqtt_names(&topic).reply_to,
        Some(ReplyTo::Address { address, routing })
    );
}

#[test]
fn what_is_no_message_is_a_body() {
    assert_eq!(&*view("ff 00").body, b"\xff\0");
    // A body that would be a flood, or is broken inside, is shown as it is.
    assert_eq!(
        &*view("00 53 77 c0 02 01 ff").body,
        hex("00 53 77 c0 02 01 ff")
    );
    assert_eq!(&*read_foreign(b"\0\0\0\x01any").body, b"any");
    assert_eq!(&*read_foreign(b"\0").body, b"");
}

/// Mutant caught: all properties shown.
#[test]
fn l25_more_properties_than_anybody_has_are_not_shown() {
    let pairs = hex("a1 00 41").repeat(10_000);
    let mut bytes = hex("00 53 74 d1 00007534 00004e20");
    bytes.extend(pairs);
    let seen = read(&bytes);
    assert_eq!(seen.properties.len(), MAX_PROPERTIES);
}
