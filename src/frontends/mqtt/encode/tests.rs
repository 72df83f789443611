use bytes::Bytes;
use ternmq_mqtt::QoS;

use super::*;
use crate::frontends::tests::envelope;

/// A QoS 1 packet as it was published.
const PACKET: &[u8] = b"\x32\x08\x00\x01t\x00\x07abc";

fn run(count: u32) -> Run {
    let block = Bytes::from(PACKET.repeat(count as usize));
    let length = u32::try_from(PACKET.len()).unwrap();
    Run::even(envelope("t"), FORMAT, block, count, length).unwrap()
}

/// Mutant caught: ids that begin anew with each part of a long run.
#[test]
fn copies_of_a_long_run_have_consecutive_ids_over_the_wrap() {
    let run = run(200);
    let patch = Patch {
        first_id: packet_id(65_500),
        qos: QoS::AtLeastOnce,
        dup: true,
        retain: false,
    };
    let mut messages = Messages {
        run: &run,
        first: 10,
        count: 150,
        patch,
        expiry_s: None,
        subscription_ids: &[],
        added: Properties::default(),
    };
    let mut output = Output::default();
    copy(&messages, 0, 150, &mut output);
    let bytes = output.buffer().clone();
    assert_eq!(bytes.len(), 150 * PACKET.len());
    for (n, packet) in bytes.chunks(PACKET.len()).enumerate() {
        let id = packet_id(65_500 + n as Tag).to_be_bytes();
        let wanted = [b"\x3a\x08\x00\x01t", &id[..], b"abc"].concat();
        assert_eq!(packet, wanted, "{n}");
    }
    let mut output = Output::default();
    messages.first = 0;
    messages.patch = Patch {
        qos: QoS::AtMostOnce,
        dup: false,
        retain: true,
        ..patch
    };
    copy(&messages, 0, 130, &mut output);
    assert_eq!(*output.buffer(), b"\x31\x06\x00\x01tabc".repeat(130));
}
