use proptest::prelude::*;

use super::{Detected, Foreign, MOST_BYTES, detect};
use crate::frontends::ByteProtocol;

const MQTT: Detected = Detected::Byte(ByteProtocol::Mqtt);
const AMQP: Detected = Detected::Byte(ByteProtocol::Amqp);
const STOMP: Detected = Detected::Byte(ByteProtocol::Stomp);

#[test]
fn first_bytes_tell_the_protocol() {
    let foreign = Detected::Foreign;
    let table: &[(&[u8], Detected)] = &[
        (b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", MQTT),
        (b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00", MQTT),
        (b"CONNECT\naccept-version:1.2\n\n\0", STOMP),
        (b"CONNECT\r\naccept-version:1.2\r\n\r\n\0", STOMP),
        (b"STOMP\naccept-version:1.2\n\n\0", STOMP),
        (b"\nCONNECT\n\n\0", STOMP),
        (b"\n\r\n\n\nSTOMP\n\n\0", STOMP),
        (b"SEND\ndestination:/queue/a\n\n\0", STOMP),
        (b"GET / HTTP/1.1\r\n", Detected::Http1),
        (b"POST /v1/queues/a HTTP/1.1\r\n", Detected::Http1),
        (b"PUT / HTTP/1.1\r\n", Detected::Http1),
        (b"DELETE / HTTP/1.1\r\n", Detected::Http1),
        (b"PATCH / HTTP/1.1\r\n", Detected::Http1),
        (b"HEAD / HTTP/1.1\r\n", Detected::Http1),
        (b"OPTIONS * HTTP/1.1\r\n", Detected::Http1),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Detected::Http2),
        (
            b"CONNECT example.com:443 HTTP/1.1\r\n",
            foreign(Foreign::Unknown),
        ),
        (b"AMQP\x00\x01\x00\x00", AMQP),
        (b"AMQP\x03\x01\x00\x00", AMQP),
        (
            b"\x00\x00\x00\xf0\x01ActiveMQ\x00\x00\x00\x0c",
            foreign(Foreign::OpenWire),
        ),
        (b"ARTEMIS", foreign(Foreign::Core)),
        (b"HORNETQ", foreign(Foreign::Core)),
        (
            b"\x00\x00\x00\x1a\x1f\x00\x00\x00\x00\x00",
            foreign(Foreign::Core),
        ),
        (b"\x16\x03\x01\x02\x00\x01", foreign(Foreign::Tls)),
        (b"connect\n\n\0", foreign(Foreign::Unknown)),
        (b"QUIT\r\n", foreign(Foreign::Unknown)),
        (b"\x20\x02\x00\x00", foreign(Foreign::Unknown)),
        (b"ABCDEFGHIJKLMNOPQ", foreign(Foreign::Unknown)),
    ];
    for (first, expected) in table {
        let first_text = String::from_utf8_lossy(first);
        assert_eq!(detect(first), Some(*expected), "{first_text:?}");
        // Byte by byte the verdict is the same, once there is one.
        let early = (1..=first.len()).find_map(|n| detect(&first[..n]));
        assert_eq!(early, Some(*expected), "{first_text:?} in single bytes");
    }
}

#[test]
fn eols_alone_are_undecided_but_not_for_ever() {
    assert_eq!(detect(b""), None);
    assert_eq!(detect(b"\n\r\n"), None);
    let most = [b'\n'; MOST_BYTES];
    assert_eq!(detect(&most), Some(Detected::Foreign(Foreign::Unknown)));
}

proptest! {
    #[test]
    fn l20_every_client_is_decided_within_bounds(
        first in prop::collection::vec(any::<u8>(), MOST_BYTES..2 * MOST_BYTES),
    ) {
        prop_assert!(detect(&first).is_some());
    }

    #[test]
    fn more_bytes_never_change_a_verdict(
        first in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[\n\r]{0,3}[A-Z]{0,18}[ \n\ra-z]?".prop_map(String::into_bytes),
        ],
        more in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        if let Some(verdict) = detect(&first) {
            let longer = [first, more].concat();
            prop_assert_eq!(detect(&longer), Some(verdict));
        }
    }
}
