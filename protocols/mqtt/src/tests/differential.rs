//! A second opinion: what `mqtt-proto` rejects we reject, but for the differences listed here.

use mqtt_proto::{v3, v5};

use super::{V5, vectors};
use crate::codec::{Framed, frame};
use crate::packet::{Packet, Version};
use crate::properties::PropertyId;

/// Whether `mqtt-proto` rejects a complete packet. Wanting more than the packet has is one way.
fn rejects(version: Version, packet: &[u8]) -> bool {
    if version == V5 {
        !matches!(v5::Packet::decode(packet), Ok(Some(_)))
    } else {
        !matches!(v3::Packet::decode(packet), Ok(Some(_)))
    }
}

/// What it rejects without a rule.
fn is_known(packet: &Packet<'_>) -> bool {
    match packet {
        // A copy for overlapping subscriptions carries all their ids (3.3.2.3.8).
        Packet::Publish(publish) => {
            let ids = publish.properties.iter();
            ids.filter(|(id, _)| *id == PropertyId::SubscriptionId)
                .count()
                > 1
        }
        // A filter that is not well formed is refused alone, with 0x8F in its place (3.9.3).
        Packet::Subscribe(subscribe) => subscribe
            .subscriptions
            .iter()
            .any(|entry| entry.filter.is_err()),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.iter().any(|f| f.is_err()),
        _ => false,
    }
}

/// Compares verdicts on the first packet of `data`.
pub(super) fn compare(data: &[u8]) {
    let Ok(Framed::Frame(found)) = frame(data, data.len()) else {
        return;
    };
    // MQTT 3.1 differs from 3.1.1 in flags that mqtt-proto does not know.
    for version in [Version::V311, V5] {
        let Ok(packet) = Packet::decode(found, version) else {
            continue;
        };
        let version = match packet {
            Packet::Connect(connect) => connect.version,
            _ => version,
        };
        if rejects(version, found.bytes) {
            assert!(is_known(&packet), "{version:?} {packet:?}");
        }
    }
}

#[test]
fn both_accept_every_vector_but_three_subscription_ids() {
    let mut known = 0;
    for (version, text, packet) in vectors::all() {
        if version == Version::V31 && !matches!(packet, Packet::Connect(_)) {
            continue;
        }
        let rejected = rejects(version, &super::hex(text));
        assert_eq!(rejected, is_known(&packet), "{text}");
        known += usize::from(rejected);
    }
    assert_eq!(known, 1);
}
