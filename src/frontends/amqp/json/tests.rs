use super::*;
use crate::frontends::amqp::samples::hex;

fn shown(encoded: &str) -> Option<String> {
    let bytes = hex(encoded);
    let json = of_value(&Value::decode(&bytes).unwrap())?;
    // Whatever comes out is JSON.
    serde_json::from_slice::<serde_json::Value>(&json).unwrap();
    Some(String::from_utf8(json).unwrap())
}

#[test]
fn xp_02_values_are_shown_as_json() {
    for (encoded, json) in [
        ("41", "true"),
        ("55 ff", "-1"),
        ("80 ffffffffffffffff", "18446744073709551615"),
        ("82 3ff8000000000000", "1.5"),
        ("72 3dcccccd", "0.1"),
        ("82 7ff0000000000000", "\"Infinity\""),
        ("83 00000000000003e8", "1000"),
        ("74 31800096", "\"1.50\""),
        ("73 00000022", "\"\\\"\""),
        ("a0 02 00ff", "\"AP8=\""),
        ("45", "[]"),
        ("c1 01 00", "{}"),
        ("c0 (03 40 a1 (0a 22) 45)", "[null,\"\\n\\\"\",[]]"),
        (
            "c1 (06 a1 (\"a\") c1 (02 52 01 42) a3 (\"b\") 43 40 45)",
            "{\"a\":{\"1\":false},\"b\":0,\"null\":[]}",
        ),
        ("e0 02 03 41", "[true,true,true]"),
        ("00 a3 (\"d\") c0 (01 43)", "[0]"),
    ] {
        assert_eq!(shown(encoded).as_deref(), Some(json), "{encoded}");
    }
    for broken in ["c0 02 01 ff", "c1 03 02 45 43", "00 53 01 c0 02 01 ff"] {
        assert_eq!(shown(broken), None, "{broken}");
    }
}

/// Mutant caught: each sequence a list in a list.
#[test]
fn sequences_are_one_list() {
    let lists = [hex("c0 03 02 41 42"), hex("45"), hex("c0 03 01 52 07")];
    let values = || lists.iter().map(|list| Value::decode(list).ok());
    let json = of_sequences(values(), 9).unwrap();
    assert_eq!(json, b"[true,false,7]");
    assert_eq!(of_sequences(values().chain([None]), 9), None);
}

/// Mutant caught: no limit on what is written.
#[test]
fn l25_elements_without_bytes_do_not_become_a_flood() {
    // An array of 1,024 nulls in 10 bytes, twice.
    let array = "f0 [00000400 40]";
    let list = hex(&format!("c0 (02 {array} {array})"));
    let value = Value::decode(&list).unwrap();
    assert_eq!(of_value(&value), None);
    // Honest ones pass.
    let array = [&hex("f0 00001388 00001383 50")[..], &[0xff; 4_995]].concat();
    let json = of_value(&Value::decode(&array).unwrap()).unwrap();
    assert_eq!(json.len(), 1 + 4 * 4_995);
    assert!(shown("e0 (c8 41)").is_some());
    let bytes = [0u8; 5_000];
    assert!(of_value(&Value::Binary(&bytes)).is_some());
    let control = "\u{1}".repeat(100_000);
    assert_eq!(of_value(&Value::Text(&control)).unwrap().len(), 600_002);
}

#[test]
fn l25_nesting_ends_somewhere() {
    let nested = |levels: usize| {
        let mut bytes = vec![0x40];
        for _ in 0..levels {
            let size = u8::try_from(bytes.len() + 1).unwrap();
            bytes.splice(0..0, [0xc0, size, 1]);
        }
        of_value(&Value::decode(&bytes).unwrap()).is_some()
    };
    assert!(nested(31));
    assert!(!nested(32));
}
