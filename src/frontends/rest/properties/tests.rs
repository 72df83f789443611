use proptest::prelude::*;

use super::*;

fn parse(json: &str) -> Option<Vec<(Cow<'static, str>, Value<'static>)>> {
    serde_json::from_str(json).ok().map(|Properties(all)| all)
}

#[test]
fn values_keep_their_type() {
    let table = [
        ("true", Value::Bool(true)),
        ("\"ü\"", Value::Text("ü".into())),
        ("-9223372036854775808", Value::Int(i64::MIN)),
        ("9223372036854775807", Value::Int(i64::MAX)),
        (
            "9223372036854775808",
            Value::Double(9_223_372_036_854_775_808.0),
        ),
        ("1.0", Value::Double(1.0)),
        ("1e3", Value::Double(1_000.0)),
    ];
    for (json, value) in table {
        let parsed = parse(&format!("{{\"n\":{json}}}"));
        assert_eq!(parsed, Some(vec![("n".into(), value)]), "{json}");
    }
}

#[test]
fn what_is_no_property_is_refused() {
    for json in [
        "[]",
        "1",
        "{\"a\":null}",
        "{\"a\":[1]}",
        "{\"a\":{}}",
        "{\"a\":1e999}",
        "{1:2}",
    ] {
        assert_eq!(parse(json), None, "{json}");
    }
}

#[test]
fn they_have_a_limit_before_they_are_all_in_memory() {
    let many = format!("{{{}\"z\":1}}", "\"a\":1,".repeat(MAX_FIELDS_BYTES / 9));
    assert_eq!(parse(&many), None);
    let some = format!("{{{}\"z\":1}}", "\"a\":1,".repeat(1_000));
    assert_eq!(parse(&some).map(|all| all.len()), Some(1_001));
}

proptest! {
    #[test]
    fn names_and_order_are_kept(names in proptest::collection::vec(".{0,8}", 0..20)) {
        let members: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(at, name)| format!("{}:{at}", serde_json::Value::from(name.as_str())))
            .collect();
        let parsed = parse(&format!("{{{}}}", members.join(","))).unwrap();
        let wanted: Vec<_> = names.iter().map(String::as_str).collect();
        let got: Vec<_> = parsed.iter().map(|(name, _)| &**name).collect();
        prop_assert_eq!(got, wanted);
    }
}
