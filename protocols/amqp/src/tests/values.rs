//! Part 1: every encoding of every type, the shortest one back, and what is refused.

use super::hex;
use crate::Error;
use crate::types::{
    Descriptor, MAX_DEPTH, MAX_EMPTY_ELEMENTS, Symbols, Value, check, put_symbol, put_symbols,
    put_text, put_value,
};

/// Encodings, the shortest first, and the value that all of them are (Ty 1.6).
#[test]
fn r20_any_encoding_is_read_and_the_shortest_written() {
    let table: [(&[&str], Value<'_>); 27] = [
        (&["40"], Value::Null),
        (&["41", "56 01"], Value::Bool(true)),
        (&["42", "56 00"], Value::Bool(false)),
        (&["50 ff"], Value::Ubyte(255)),
        (&["60 0102"], Value::Ushort(258)),
        (&["43", "52 00", "70 00000000"], Value::Uint(0)),
        (&["52 ff", "70 000000ff"], Value::Uint(255)),
        (&["70 00000100"], Value::Uint(256)),
        (&["44", "53 00", "80 0000000000000000"], Value::Ulong(0)),
        (&["53 07", "80 0000000000000007"], Value::Ulong(7)),
        (&["80 ffffffffffffffff"], Value::Ulong(u64::MAX)),
        (&["51 80"], Value::Byte(-128)),
        (&["61 fffe"], Value::Short(-2)),
        (&["54 ff", "71 ffffffff"], Value::Int(-1)),
        (&["55 80", "81 ffffffffffffff80"], Value::Long(-128)),
        (&["81 ffffffffffffff7f"], Value::Long(-129)),
        (&["72 3f800000"], Value::Float(1.0)),
        (&["82 3ff0000000000000"], Value::Double(1.0)),
        (&["74 01020304"], Value::Decimal32([1, 2, 3, 4])),
        (
            &["84 0102030405060708"],
            Value::Decimal64([1, 2, 3, 4, 5, 6, 7, 8]),
        ),
        (
            &["94 000102030405060708090a0b0c0d0e0f"],
            Value::Decimal128(UPWARDS),
        ),
        (&["73 0001f600"], Value::Char('😀')),
        (&["83 ffffffffffffffff"], Value::Timestamp(-1)),
        (
            &["98 000102030405060708090a0b0c0d0e0f"],
            Value::Uuid(UPWARDS),
        ),
        (&["a0 02 0001", "b0 00000002 0001"], Value::Binary(&[0, 1])),
        (&["a1 02 c3a9", "b1 00000002 c3a9"], Value::Text("é")),
        (&["a3 01 61", "b3 00000001 61"], Value::Symbol("a")),
    ];
    for (encodings, value) in table {
        for encoding in encodings {
            let bytes = hex(encoding);
            assert_eq!(Value::decode(&bytes), Ok(value), "{encoding}");
            assert_eq!(check(&bytes), Ok(()), "{encoding}");
        }
        let mut out = Vec::new();
        put_value(&mut out, &value);
        assert_eq!(out, hex(encodings[0]));
    }
}

const UPWARDS: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

#[test]
fn compound_values_are_read_in_both_widths_and_written_as_they_were() {
    for list in ["c0 04 02 52 01 41", "d0 00000007 00000002 52 01 41"] {
        let bytes = hex(list);
        let Ok(Value::List(items)) = Value::decode(&bytes) else {
            panic!("{list}");
        };
        let items: Result<Vec<_>, _> = items.iter().collect();
        assert_eq!(items, Ok(vec![Value::Uint(1), Value::Bool(true)]));
        assert_eq!(written(&bytes), hex("c0 04 02 52 01 41"));
    }
    let bytes = hex("c1 09 04 a3 01 61 41 a1 01 61 42");
    let Ok(Value::Map(map)) = Value::decode(&bytes) else {
        panic!("no map");
    };
    assert_eq!((map.len(), map.find("a")), (2, Ok(Some(Value::Bool(true)))));
    assert_eq!(map.find("b"), Ok(None));
    assert_eq!(written(&bytes), bytes);
    for array in [
        "e0 06 02 a3 01 61 01 62",
        "f0 00000009 00000002 a3 01 61 01 62",
    ] {
        let bytes = hex(array);
        let Ok(Value::Array(elements)) = Value::decode(&bytes) else {
            panic!("{array}");
        };
        let elements: Result<Vec<_>, _> = elements.iter().collect();
        assert_eq!(elements, Ok(vec![Value::Symbol("a"), Value::Symbol("b")]));
        assert_eq!(written(&bytes), hex("e0 06 02 a3 01 61 01 62"));
    }
    assert_eq!(written(&hex("45")), hex("45"));
    let long = [
        hex("d0 00000142 00000002 b0 00000100"),
        vec![7; 256],
        hex("b0 00000034"),
        vec![8; 52],
    ]
    .concat();
    assert_eq!(written(&long)[..9], hex("d0 00000142 00000002"));
}

#[test]
fn described_values_name_their_type_by_number_or_symbol() {
    for (encoded, descriptor) in [
        ("00 53 24 45", Descriptor::Code(0x24)),
        ("00 80 0000000000000024 45", Descriptor::Code(0x24)),
        ("00 a3 01 61 45", Descriptor::Symbol("a")),
    ] {
        let bytes = hex(encoded);
        let Ok(Value::Described(described)) = Value::decode(&bytes) else {
            panic!("{encoded}");
        };
        assert_eq!(described.descriptor, descriptor);
        assert!(matches!(described.value(), Ok(Value::List(list)) if list.is_empty()));
    }
    // An array of described elements has its descriptor once.
    let bytes = hex("e0 08 02 00 53 75 a0 01 07 00");
    let Ok(Value::Array(array)) = Value::decode(&bytes) else {
        panic!("no array");
    };
    assert_eq!(array.descriptor(), Some(Descriptor::Code(0x75)));
    let elements: Result<Vec<_>, _> = array.iter().collect();
    assert_eq!(elements, Ok(vec![Value::Binary(&[7]), Value::Binary(&[])]));
    assert_eq!(written(&bytes), bytes);
}

#[test]
fn r19_what_is_malformed_is_refused() {
    for (what, encoding) in [
        ("nothing", ""),
        ("a code of no type", "57"),
        ("a code of no type that has a width", "b2 00000000"),
        ("a truncated number", "70 0000"),
        ("a truncated length", "b0 0000"),
        ("more length than bytes", "a1 05 61"),
        ("a boolean of 2", "56 02"),
        ("text that is not UTF-8", "a1 01 ff"),
        ("a symbol beyond ASCII", "a3 02 c3a9"),
        ("a surrogate", "73 0000d800"),
        ("more items than bytes", "c0 02 05 40"),
        ("a giant count", "d0 00000005 ffffffff 40"),
        ("items that are not counted", "c0 02 00 40"),
        ("pairs that are not counted", "c1 03 00 40 40"),
        ("half a pair", "c1 02 01 40"),
        ("a list that ends early", "c0 03 02 52 01"),
        ("bytes behind the items", "c0 03 01 40 40"),
        ("an array without elements enough", "e0 02 05 50"),
        ("an array of no type", "e0 02 00 57"),
        ("a described value without a value", "00 53 24"),
        ("a descriptor of another type", "00 40 45"),
        ("bytes behind the value", "40 40"),
    ] {
        let bytes = hex(encoding);
        assert!(matches!(check(&bytes), Err(Error::Decode(_))), "{what}");
    }
}

#[test]
fn r19_nesting_and_elements_without_bytes_are_bounded() {
    let nested = |depth: usize| {
        let mut value = hex("45");
        for _ in 0..depth {
            let size = u32::try_from(value.len() + 4).unwrap().to_be_bytes();
            value = [&[0xd0][..], &size, &[0, 0, 0, 1], &value].concat();
        }
        value
    };
    let most = MAX_DEPTH as usize;
    assert_eq!(check(&nested(most - 1)), Ok(()));
    assert!(check(&nested(most)).is_err());
    assert!(check(&nested(10_000)).is_err());
    let described = |n: usize| [hex("00 53 01").repeat(n), hex("40")].concat();
    assert_eq!(check(&described(most - 1)), Ok(()));
    assert!(check(&described(most + 1)).is_err());
    assert!(Value::decode(&[0; 100_000]).is_err());
    let empty = |n: u32| [&hex("f0 00000005")[..], &n.to_be_bytes(), &[0x40]].concat();
    assert_eq!(check(&empty(MAX_EMPTY_ELEMENTS)), Ok(()));
    assert!(check(&empty(MAX_EMPTY_ELEMENTS + 1)).is_err());
    assert!(check(&empty(u32::MAX)).is_err());
}

fn written(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_value(&mut out, &Value::decode(bytes).unwrap());
    assert_eq!(check(&out), Ok(()));
    out
}

#[test]
fn r20_symbols_are_one_or_an_array() {
    let (mut one, mut many, mut text) = (Vec::new(), Vec::new(), Vec::new());
    put_symbol(&mut one, "queue");
    put_symbols(&mut many, ["queue", "shared"].into_iter());
    put_text(&mut text, "queue");
    let names = |encoded| Symbols::decode(encoded).map(|found| found.iter().collect::<Vec<_>>());
    assert_eq!(names(&one), Ok(vec!["queue"]));
    assert_eq!(names(&many), Ok(vec!["queue", "shared"]));
    assert!(names(&text).is_err() && names(&[]).is_err());
}
