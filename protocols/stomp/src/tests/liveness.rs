//! ST-H, CN-01, CN-03: heart-beats, with a clock that the test turns.

use super::{accepted, one, refusal};
use crate::connection::Timeout;
use crate::error::Fault;
use crate::event::Event;
use crate::{Connection, HeartBeat, Intervals, Limits};

/// A server that has answered CONNECT at time 0.
fn beating(own: HeartBeat, version: &str, header: &str) -> Connection {
    let mut machine = Connection::server(Limits::default(), own, 0);
    let frame = format!("CONNECT\naccept-version:{version}\nhost:h\n{header}\n\0");
    assert!(one(&mut machine, frame.as_bytes()).is_ok());
    machine.note_sent(0);
    machine
}

fn own(send_ms: u64, receive_ms: u64) -> HeartBeat {
    HeartBeat {
        send_ms,
        receive_ms,
        minimum_ms: 500,
    }
}

fn dead() -> Option<Timeout> {
    Some(Timeout::Dead(Fault::PeerSilent.into()))
}

#[test]
fn st_h1_the_larger_interval_is_agreed_and_0_means_none() {
    // (our header, the client's header) -> (our sends, our receipts).
    let table = [
        ((10_000, 10_000), (0, 0), (0, 0)),
        ((10_000, 10_000), (0, 1_000), (10_000, 0)),
        ((10_000, 10_000), (1_000, 0), (0, 10_000)),
        ((10_000, 10_000), (20_000, 30_000), (30_000, 20_000)),
        ((0, 10_000), (20_000, 30_000), (0, 20_000)),
        ((10_000, 0), (20_000, 30_000), (30_000, 0)),
        ((0, 0), (1_000, 1_000), (0, 0)),
    ];
    for ((send_ms, receive_ms), client, agreed) in table {
        let client = Intervals {
            send_ms: client.0,
            receive_ms: client.1,
        };
        let agreement = own(send_ms, receive_ms).offer().agree(client);
        assert_eq!((agreement.send_ms, agreement.receive_ms), agreed);
    }
}

#[test]
fn st_h1_the_offer_is_told_and_never_below_the_minimum() {
    let mut machine = Connection::server(Limits::default(), own(100, 499), 0);
    let frame = b"CONNECT\naccept-version:1.2\nheart-beat:1,1\n\n\0";
    let Ok(Event::Connect(connect)) = one(&mut machine, frame) else {
        panic!()
    };
    assert_eq!(connect.heart_beat.to_string(), "500,500");
    assert_eq!(
        machine.poll_timeout(),
        Some(500 * 9 / 4),
        "no beat before CONNECTED"
    );
    machine.note_sent(10);
    assert_eq!(machine.poll_timeout(), Some(10 + 400));
    assert_eq!(own(0, 0).offer(), Intervals::default());
}

#[test]
fn st_h2_a_beat_is_due_after_idleness_only() {
    let mut machine = beating(own(1_000, 0), "1.2", "heart-beat:0,1000\n");
    assert_eq!(machine.poll_timeout(), Some(800));
    assert_eq!(machine.handle_timeout(799), None);
    assert_eq!(machine.handle_timeout(800), Some(Timeout::SendBeat));
    assert_eq!(machine.handle_timeout(800), None, "it counts as sent");
    assert_eq!(machine.poll_timeout(), Some(1_600));
    for now_ms in (900..100_000).step_by(500) {
        machine.note_sent(now_ms);
        assert_eq!(
            machine.handle_timeout(now_ms + 499),
            None,
            "a busy connection sends none"
        );
    }
}

#[test]
fn st_h3_a_silent_peer_is_dropped_between_2_and_2_5_intervals() {
    let mut machine = beating(own(0, 1_000), "1.1", "heart-beat:1000,0\n");
    for now_ms in (1_300..300_000).step_by(1_300) {
        assert_eq!(machine.handle_timeout(now_ms), None, "late by 30 %");
        machine.note_received(now_ms);
    }
    let last = machine.poll_timeout().unwrap() - 2_250;
    machine.note_received(last);
    assert_eq!(machine.handle_timeout(last + 2_000), None);
    assert_eq!(machine.handle_timeout(last + 2_500), dead());
    assert_eq!(
        (machine.handle_timeout(u64::MAX), machine.poll_timeout()),
        (None, None)
    );
}

#[test]
fn case_cn_01_beats_at_1150_and_1400_ms_keep_a_1000_ms_connection() {
    let mut machine = beating(own(1_000, 1_000), "1.2", "heart-beat:1000,1000\n");
    let mut now_ms = 0;
    for (interval, times) in [(1_000, 100), (1_150, 260), (1_400, 100)] {
        for _ in 0..times {
            now_ms += interval;
            assert_ne!(machine.handle_timeout(now_ms), dead());
            machine.note_received(now_ms);
            let mut consumed = 0;
            assert!(machine.poll_event(now_ms, b"\n", &mut consumed).is_none());
            assert_eq!(consumed, 1);
        }
    }
    assert_ne!(machine.handle_timeout(now_ms + 2_000), dead());
    assert_eq!(machine.handle_timeout(now_ms + 3_000), dead());
}

#[test]
fn st_h4_the_header_is_two_numbers() {
    for value in [
        "abc",
        "1",
        "1,2,3",
        "-1,0",
        "+1,0",
        "9223372036854775808,0",
        "",
        ",",
        "1,",
        "1.5,2",
    ] {
        let frame = format!("CONNECT\naccept-version:1.2\nheart-beat:{value}\n\n\0");
        assert_eq!(
            refusal(&mut accepted(), frame.as_bytes()).fault,
            Fault::BadHeartBeat,
            "{value}"
        );
    }
    let huge = Intervals::parse(Some("9223372036854775807,0")).unwrap();
    assert_eq!(huge.send_ms, u64::from(u32::MAX));
    assert_eq!(
        Intervals::parse(Some("1, 2")),
        Ok(Intervals {
            send_ms: 1,
            receive_ms: 2
        })
    );
    assert_eq!(Intervals::parse(None), Ok(Intervals::default()));
}

#[test]
fn st_h5_a_frame_that_trickles_keeps_the_connection_alive() {
    let mut machine = beating(own(0, 1_000), "1.2", "heart-beat:1000,0\n");
    let mut input = b"SEND\ndestination:/q\ncontent-length:100\n\n".to_vec();
    for second in 1..100 {
        let now_ms = second * 1_000;
        assert_eq!(machine.handle_timeout(now_ms), None);
        input.push(b'x');
        machine.note_received(now_ms);
        assert!(machine.poll_event(now_ms, &input, &mut 0).is_none());
    }
}

#[test]
fn st_h6_case_cn_03_1_0_and_0_0_are_never_cut() {
    let headers = [
        ("1.0", "heart-beat:1000,1000\n"),
        ("1.1", ""),
        ("1.2", "heart-beat:0,0\n"),
    ];
    for (version, header) in headers {
        let mut machine = beating(HeartBeat::default(), version, header);
        assert_eq!(machine.poll_timeout(), None);
        assert_eq!(machine.handle_timeout(600_000), None);
        let frame = b"SEND\ndestination:/q\n\n\0";
        assert!(matches!(one(&mut machine, frame), Ok(Event::Send(_))));
    }
    let ignored = b"CONNECT\nheart-beat:nonsense\n\n\0";
    assert!(
        one(&mut accepted(), ignored).is_ok(),
        "1.0 does not know the header"
    );
}

#[test]
fn silence_proves_nothing_while_this_side_does_not_read() {
    let mut machine = beating(own(0, 1_000), "1.2", "heart-beat:1000,0\n");
    machine.suspend_liveness();
    assert_eq!(machine.poll_timeout(), None);
    assert_eq!(machine.handle_timeout(1_000_000), None);
    machine.note_received(1_000_000);
    assert_eq!(machine.poll_timeout(), Some(1_002_250));
}
