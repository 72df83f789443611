use proptest::prelude::*;

use super::*;

fn full() -> View<'static> {
    View {
        body: Cow::Borrowed(b"\x00body"),
        content_type: Some("text/plain".into()),
        content_encoding: Some("gzip".into()),
        correlation_id: Some(b"\xffid"[..].into()),
        reply_to: Some(names::parse_reply("queue://answers.a")),
        subject: Some("order".into()),
        group: Some("g".into()),
        message_id: Some("m-1".into()),
        properties: vec![
            ("Color".into(), Value::Text("red".into())),
            ("n".into(), Value::Int(-5)),
            ("Color".into(), Value::Text("blue".into())),
            ("x".into(), Value::Double(0.25)),
            ("yes".into(), Value::Bool(true)),
        ],
    }
}

fn stored(view: &View<'_>) -> Vec<u8> {
    let mut bytes = encode_head(view).unwrap();
    bytes.extend_from_slice(&view.body);
    bytes
}

#[test]
fn every_field_comes_back_in_order() {
    assert_eq!(read(&stored(&full())), full());
    let empty = View::default();
    assert_eq!(read(&stored(&empty)), empty);
}

/// Messages of released versions are in journals: these bytes must be readable for ever.
#[test]
fn format_3_is_frozen() {
    let bytes = b"\x01\x1e\0\0\0\x02\x03\0\0\0a/b\x12\x0b\0\0\0\x01\0n\x05\0\0\0\0\0\0\0\x63\x01\0\0\0zbody";
    let view = read(bytes);
    assert_eq!(view.content_type.as_deref(), Some("a/b"));
    assert_eq!(view.properties, [("n".into(), Value::Int(5))]);
    assert_eq!(&*view.body, b"body", "unknown kinds are passed over");
}

#[test]
fn fields_have_a_limit() {
    let mut view = View {
        subject: Some("s".repeat(MAX_FIELDS_BYTES - FIELD_BYTES).into()),
        ..View::default()
    };
    assert!(encode_head(&view).is_ok());
    view.group = Some("".into());
    assert_eq!(encode_head(&view), Err(TooLong));
}

#[test]
fn damaged_messages_are_shown_whole() {
    let whole = stored(&full());
    for end in 0..encode_head(&full()).unwrap().len() {
        let cut = &whole[..end];
        assert_eq!(&*read(cut).body, cut);
    }
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut message = vec![1, u8::try_from(bytes.len() / 2).unwrap(), 0, 0, 0];
        message.extend_from_slice(&bytes);
        let view = read(&message);
        prop_assert!(view.body.len() <= message.len());
    }
}
