use super::*;

#[test]
fn the_payload_is_the_body_whatever_the_qos() {
    for message in [
        &b"\x30\x06\x00\x01ta\0b"[..],
        b"\x3b\x08\x00\x01t\x00\x07a\0b",
    ] {
        let view = read(message);
        assert_eq!(&*view.body, b"a\0b");
        assert!(view.properties.is_empty());
    }
}

#[test]
fn properties_of_5_0_become_fields_in_their_order() {
    let message = b"\x30\x26\x00\x01t\x21\x03\x00\x03t/p\x08\x00\x03a/b\x09\x00\x02\x00\xff\
        \x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w\x01\x01x";
    let view = read_v5(message);
    assert_eq!(&*view.body, b"x");
    assert_eq!(view.content_type.as_deref(), Some("t/p"));
    assert_eq!(view.correlation_id.as_deref(), Some(&b"\x00\xff"[..]));
    let address = Address::parse("a.b", Dialect::Canonical, 100).unwrap();
    let routing = Some(RoutingType::Multicast);
    assert_eq!(view.reply_to, Some(ReplyTo::Address { address, routing }));
    let pair = |value: &'static str| (Cow::Borrowed("k"), Value::Text(value.into()));
    assert_eq!(view.properties, [pair("v"), pair("w")]);
}

#[test]
fn what_is_no_publish_is_a_body() {
    for message in [
        &b""[..],
        b"\x30",
        b"\x30\x05\x00\x09t",
        b"\x36\x03\x00\x01t",
    ] {
        assert_eq!(&*read(message).body, message);
    }
}

#[test]
fn a_payload_format_of_1_is_text_where_no_content_type_says_more() {
    let text = b"\x30\x07\x00\x01t\x02\x01\x01x";
    let content_type = read_v5(text).content_type.map(Cow::into_owned);
    assert_eq!(content_type.as_deref(), Some("text/plain;charset=utf-8"));
    let json = b"\x30\x0b\x00\x01t\x06\x01\x01\x03\x00\x01jx";
    assert_eq!(read_v5(json).content_type.as_deref(), Some("j"));
    let bytes = b"\x30\x07\x00\x01t\x02\x01\x00x";
    assert_eq!(read_v5(bytes).content_type, None);
}
