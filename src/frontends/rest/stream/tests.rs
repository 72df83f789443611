use proptest::prelude::*;

use super::*;

#[test]
fn cursors_come_back_as_they_were() {
    let cursor = Cursor {
        stream: 0xff,
        tag: 12,
    };
    assert_eq!(cursor.to_string(), format!("{}ff-12", "0".repeat(30)));
    assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
}

#[test]
fn nothing_else_is_a_cursor() {
    let zeros = "0".repeat(32);
    let table = [
        String::new(),
        "-".into(),
        zeros.clone(),
        format!("{zeros}-"),
        format!("{zeros}-x"),
        format!("{zeros}--1"),
        format!("{zeros}-18446744073709551616"),
        format!("0{zeros}-1"),
        format!("+{}-1", &zeros[1..]),
        format!("{}-1", "ü".repeat(16)),
    ];
    for text in table {
        assert_eq!(Cursor::parse(&text), None, "{text}");
    }
}

#[tokio::test]
async fn stream_that_is_not_open_is_not_acknowledged() {
    let streams = Streams::default();
    let cursor = Cursor {
        stream: streams.fresh(),
        tag: 1,
    };
    let answer = streams.acknowledge(cursor).await;
    assert_eq!(answer, Err(NotAcknowledged::NotOpen));
    assert_ne!(streams.fresh(), streams.fresh());
}

proptest! {
    #[test]
    fn any_text_can_be_parsed(text in ".{0,60}") {
        if let Some(cursor) = Cursor::parse(&text) {
            prop_assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }
    }
}
