//! Random bytes, and real frames with a few bytes changed.

use proptest::prelude::*;

use crate::fuzz;
use crate::{
    Attach, Begin, Close, DeliveryState, Fault, Open, Outcome, Performative, Role, Source, Transfer,
};

/// Frame bodies to begin with.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let rejected = Outcome::Rejected(Some(Fault::new("amqp:not-found", "no such node")));
    let source = Source {
        address: Some("orders"),
        default_outcome: Some(rejected),
        ..Source::default()
    };
    let attach = Attach {
        source: Some(source),
        ..Attach::new("link", 0, Role::Receiver)
    };
    let transfer = Transfer {
        delivery_id: Some(1),
        delivery_tag: Some(b"tag"),
        state: Some(DeliveryState::Outcome(Outcome::Accepted)),
        ..Transfer::new(3)
    };
    let performatives = [
        Performative::Open(Open::new("container")),
        Performative::Attach(Box::new(attach)),
        Performative::Transfer(transfer),
    ];
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for performative in performatives {
        let mut out = Vec::new();
        performative.put(&mut out, 0);
        seeds.push(out.split_off(8));
    }
    seeds.push(super::hex(
        "00 53 70 c0 04 02 41 50 05 00 53 73 c0 05 01 a1 02 6964 00 53 77 a1 01 78",
    ));
    seeds
}

/// What a client says that opens, attaches and sends.
pub(super) fn conversation() -> Vec<u8> {
    let mut bytes = b"AMQP\0\x01\0\0".to_vec();
    Performative::Open(Open::new("c")).put(&mut bytes, 0);
    let begin = Begin {
        remote_channel: None,
        next_outgoing_id: 0,
        incoming_window: 10,
        outgoing_window: 10,
        handle_max: 10,
        offered_capabilities: Default::default(),
        desired_capabilities: Default::default(),
        properties: None,
    };
    Performative::Begin(begin).put(&mut bytes, 0);
    for (handle, role) in [(0, Role::Sender), (1, Role::Receiver)] {
        let attach = Attach {
            initial_delivery_count: Some(0),
            ..Attach::new("l", handle, role)
        };
        Performative::Attach(Box::new(attach)).put(&mut bytes, 0);
    }
    for id in 0..4 {
        let transfer = Transfer {
            delivery_id: Some(id),
            delivery_tag: Some(b"t"),
            ..Transfer::new(0)
        };
        Performative::Transfer(transfer).put(&mut bytes, 0);
    }
    Performative::Close(Close::default()).put(&mut bytes, 0);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn random_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::decode(&bytes);
    }

    #[test]
    fn r24_to_r62_two_machines_find_no_fault_with_each_other(
        choices in prop::collection::vec(any::<u8>(), 0..1_500),
    ) {
        fuzz::pair(&choices);
    }

    #[test]
    fn a_server_holds_against_changed_conversations(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        piece in 1..60usize,
    ) {
        let mut bytes = conversation();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzz::input(&bytes, piece);
    }

    #[test]
    fn changed_frames_hold(
        seed in 0..4usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = seeds().swap_remove(seed);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzz::decode(&bytes);
        bytes.truncate(cut.index(bytes.len() + 1));
        fuzz::decode(&bytes);
    }
}
