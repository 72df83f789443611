use ternmq_amqp::types::Value;

use super::*;
use crate::frontends::amqp::samples::hex;
use crate::frontends::canonical::Value as Seen;

fn seen(encoded: &str) -> Option<Seen<'static>> {
    property(&Value::decode(hex(encoded).leak()).unwrap())
}

/// Every type, by its bytes.
#[test]
fn xp_04_properties_keep_what_the_others_have_types_for() {
    let text = |text: &'static str| Some(Seen::Text(text.into()));
    for (encoded, wanted) in [
        ("41", Some(Seen::Bool(true))),
        ("56 00", Some(Seen::Bool(false))),
        ("50 ff", Some(Seen::Int(255))),
        ("60 ffff", Some(Seen::Int(65_535))),
        ("43", Some(Seen::Int(0))),
        ("70 ffffffff", Some(Seen::Int(4_294_967_295))),
        ("53 07", Some(Seen::Int(7))),
        ("80 7fffffffffffffff", Some(Seen::Int(i64::MAX))),
        ("80 8000000000000000", text("9223372036854775808")),
        ("51 ff", Some(Seen::Int(-1))),
        ("61 8000", Some(Seen::Int(-32_768))),
        ("54 fe", Some(Seen::Int(-2))),
        ("71 80000000", Some(Seen::Int(-2_147_483_648))),
        ("81 8000000000000000", Some(Seen::Int(i64::MIN))),
        ("72 3dcccccd", Some(Seen::Double(0.1))),
        ("82 3fb999999999999a", Some(Seen::Double(0.1))),
        ("82 7ff8000000000000", text("NaN")),
        ("72 ff800000", text("-Infinity")),
        ("74 31800096", text("1.50")),
        ("73 0001f600", text("\u{1f600}")),
        ("83 00000000000003e8", Some(Seen::Int(1_000))),
        (
            "98 00112233 44556677 8899aabb ccddeeff",
            text("00112233-4455-6677-8899-aabbccddeeff"),
        ),
        ("a0 02 00ff", text("AP8=")),
        ("a1 02 c3a9", text("\u{e9}")),
        ("a3 01 \"s\"", text("s")),
        ("40", None),
        ("c0 05 02 41 a1 01 \"x\"", text("[true,\"x\"]")),
        ("c1 05 02 a1 01 \"k\" 40", text("{\"k\":null}")),
        ("e0 04 02 50 01 02", text("[1,2]")),
        ("00 53 01 a1 01 \"d\"", text("\"d\"")),
        ("c0 02 01 ff", None),
    ] {
        assert_eq!(seen(encoded), wanted, "{encoded}");
    }
}

/// From the tables of IEEE 754-2008, binary integer encoding.
#[test]
fn decimals_are_read_to_their_last_digit() {
    for (encoded, shown) in [
        ("74 32800001", "1"),
        ("74 b2800007", "-7"),
        ("74 32000000", "0.0"),
        ("74 33000005", "5E1"),
        ("74 78000000", "Infinity"),
        ("74 f8000000", "-Infinity"),
        ("74 7c000000", "NaN"),
        // The largest: its coefficient begins with 100.
        ("74 77f8967f", "9999999E90"),
        // Above the largest coefficient: 0.
        ("74 6cb89680", "0"),
        ("74 00000001", "1E-101"),
        ("84 31a000000000000f", "1.5"),
        ("84 31c0000000000001", "1"),
        ("84 77fb86f26fc0ffff", "9999999999999999E369"),
        ("94 30400000000000000000000000000001", "1"),
        ("94 b03c000000000000000000000000000c", "-0.12"),
        (
            "94 3041ed09bead87c0378d8e63ffffffff",
            "9999999999999999999999999999999999",
        ),
        ("94 60000000000000000000000000000001", "0E-6176"),
        ("94 00000000000000000000000000000001", "1E-6176"),
    ] {
        let bytes = hex(encoded);
        let value = Value::decode(&bytes).unwrap();
        assert_eq!(text(&value).as_deref(), Some(shown), "{encoded}");
    }
}

#[test]
fn r91_ids_of_every_type_have_a_text_and_bytes() {
    let uuid = [
        0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
    ];
    for (id, shown) in [
        (MessageId::Text("ID:AMQP_ULONG:7"), "ID:AMQP_ULONG:7"),
        (MessageId::Ulong(u64::MAX), "18446744073709551615"),
        (
            MessageId::Uuid(uuid),
            "00112233-4455-6677-8899-aabbccddeeff",
        ),
        (MessageId::Binary(b"text"), "text"),
    ] {
        assert_eq!(id_text(id), shown);
        assert_eq!(&*id_bytes(id), shown.as_bytes());
    }
    let bytes = MessageId::Binary(&[0, 0xff]);
    assert_eq!(id_text(bytes), "00ff");
    assert_eq!(&*id_bytes(bytes), [0, 0xff]);
}
