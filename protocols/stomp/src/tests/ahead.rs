//! Looking through frames that wait.

use super::{VERSIONS, connected};
use crate::event::AckTarget;
use crate::{Ahead, Connection, HeartBeat, Limits, Version};

#[test]
fn before_connect_nothing_is_looked_through() {
    let machine = Connection::server(Limits::default(), HeartBeat::default(), 0);
    assert!(machine.look_ahead().is_none());
}

#[test]
fn settlements_are_told_from_frames_that_must_wait() {
    let frames: [(&[u8], bool); 6] = [
        (b"SEND\ndestination:/queue/a\n\nACK\n\0", false),
        (b"ACK\nid:1\n\n\0", true),
        (b"ACK\nid:1\ntransaction:t\n\n\0", false),
        (b"ACK\n\n\0", false),
        (b"NACK\nid:2\n\n\0", true),
        (b"DISCONNECT\n\n\0", false),
    ];
    let input: Vec<u8> = frames
        .iter()
        .flat_map(|(frame, _)| *frame)
        .copied()
        .collect();
    let mut ahead = connected(Version::V1_2).look_ahead().unwrap();
    let mut consumed = 0;
    for (frame, settles) in frames {
        let before = consumed;
        let found = ahead.poll(&input, &mut consumed).unwrap();
        assert_eq!(consumed - before, frame.len());
        let is_settlement = matches!(found, Ahead::Ack(_) | Ahead::Nack(_));
        assert_eq!(is_settlement, settles, "{found:?}");
        let is_last = frame.starts_with(b"DISCONNECT");
        assert_eq!(found == Ahead::Disconnect, is_last, "{found:?}");
    }
    assert!(ahead.poll(&input, &mut consumed).is_none());
}

#[test]
fn an_unfinished_frame_is_seen_again_and_a_broken_one_is_not_consumed() {
    let mut ahead = connected(Version::V1_2).look_ahead().unwrap();
    let (mut consumed, frame) = (0, b"\n\nACK\nid:a\\cb\n\n\0");
    assert!(ahead.poll(&frame[..8], &mut consumed).is_none());
    let Some(Ahead::Ack(ack)) = ahead.poll(frame, &mut consumed) else {
        panic!("no ACK");
    };
    assert_eq!(ack.target, AckTarget::Ack("a:b".into()));
    let (mut consumed, broken) = (0, b"WHAT\n\n\0");
    assert_eq!(ahead.poll(broken, &mut consumed), Some(Ahead::Broken));
    assert_eq!(consumed, 0);
}

#[test]
fn st_a7_nack_of_1_0_waits_for_the_machine() {
    for version in VERSIONS {
        let mut ahead = connected(version).look_ahead().unwrap();
        let nack = b"NACK\nid:1\nmessage-id:1\nsubscription:1\n\n\0";
        let found = ahead.poll(nack, &mut 0).unwrap();
        let passes = matches!(found, Ahead::Nack(_));
        assert_eq!(passes, version > Version::V1_0, "{version}: {found:?}");
    }
}
