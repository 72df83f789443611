use super::*;
use crate::frontends::tests::envelope;

fn run(format: Format, bytes: &'static [u8]) -> Run {
    Run::single(envelope("a"), format, Bytes::from_static(bytes))
}

#[test]
fn unknown_formats_and_messages_are_shown_as_stored() {
    let run = run(Format(250), b"stored");
    assert_eq!(&*view(&run, 0).body, b"stored");
    assert_eq!(view(&run, 7), View::default());
}

#[test]
fn body_shares_the_block_of_its_run() {
    let run = run(Format(250), b"stored");
    let view = view(&run, 0);
    let body = view.body_of(&run);
    assert_eq!(body.as_ptr(), run.block().as_ptr());
    let elsewhere = View {
        body: Cow::Owned(b"other".to_vec()),
        ..View::default()
    };
    assert_eq!(&elsewhere.body_of(&run)[..], b"other");
}

#[test]
fn values_read_as_text() {
    let table = [
        (Value::Text("a".into()), "a"),
        (Value::Bool(true), "true"),
        (Value::Int(-5), "-5"),
        (Value::Double(0.5), "0.5"),
    ];
    for (value, text) in table {
        assert_eq!(value.to_text(), text);
    }
}
