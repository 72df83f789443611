//! ST-L: each limit at N, which is allowed, and at N + 1, which is not.

use super::{connected, connected_with, one, refusal};
use crate::connection::Timeout;
use crate::error::Fault;
use crate::event::Event;
use crate::{Connection, HeartBeat, Limits, Version};

/// What a frame gives whose end never comes or comes: both must agree.
fn outcome(limits: Limits, input: &[u8]) -> Result<(), Fault> {
    one(&mut connected_with(Version::V1_2, limits), input)
        .map(|_| ())
        .map_err(|error| error.fault)
}

#[test]
fn st_l1_command_of_32_octets() {
    let unknown = [&b"X".repeat(32)[..], b"\r\n\n\0"].concat();
    assert_eq!(
        outcome(Limits::default(), &unknown),
        Err(Fault::UnknownCommand)
    );
    let long = [&b"X".repeat(33)[..], b"\n\n\0"].concat();
    assert_eq!(
        outcome(Limits::default(), &long),
        Err(Fault::CommandTooLong)
    );
    let endless = b"X".repeat(34);
    assert_eq!(
        outcome(Limits::default(), &endless),
        Err(Fault::CommandTooLong)
    );
}

#[test]
fn st_l2_header_line_of_16_kib() {
    let line = |length: usize| [b"k:", &b"v".repeat(length - 2)[..]].concat();
    let frame = |length| [b"SEND\ndestination:/q\n", &line(length)[..], b"\r\n\n\0"].concat();
    assert_eq!(outcome(Limits::default(), &frame(16 * 1024)), Ok(()));
    assert_eq!(
        outcome(Limits::default(), &frame(16 * 1024 + 1)),
        Err(Fault::HeaderLineTooLong)
    );
    let waiting = [b"SEND\n", &line(16 * 1024)[..], b"\r"].concat();
    let mut machine = connected(Version::V1_2);
    assert!(
        machine.poll_event(0, &waiting, &mut 0).is_none(),
        "the CR may end the line"
    );
    let endless = [b"SEND\n", &line(16 * 1024 + 2)[..]].concat();
    assert_eq!(
        outcome(Limits::default(), &endless),
        Err(Fault::HeaderLineTooLong)
    );
}

#[test]
fn st_l3_256_headers_in_a_block_of_64_kib() {
    let frame = |count| {
        [
            b"SEND\ndestination:/q\n",
            &b"k:v\n".repeat(count)[..],
            b"\n\0",
        ]
        .concat()
    };
    assert_eq!(outcome(Limits::default(), &frame(255)), Ok(()));
    assert_eq!(
        outcome(Limits::default(), &frame(256)),
        Err(Fault::TooManyHeaders)
    );
    let block = |length: usize| {
        let head = b"destination:/q\n";
        let lines = [b"k:", &b"v".repeat(1021)[..], b"\n"].concat().repeat(63);
        let last = b"v".repeat(length - head.len() - lines.len() - 3);
        [b"SEND\n", &head[..], &lines, b"k:", &last, b"\n\n\0"].concat()
    };
    assert_eq!(outcome(Limits::default(), &block(64 * 1024)), Ok(()));
    assert_eq!(
        outcome(Limits::default(), &block(64 * 1024 + 1)),
        Err(Fault::HeadersTooLarge)
    );
}

#[test]
fn st_l4_body_of_the_limit_with_and_without_length() {
    let limits = Limits {
        body_bytes: 1000,
        ..Limits::default()
    };
    for length in [1000, 1001] {
        let body = b"b".repeat(length);
        let counted = format!("SEND\ndestination:/q\ncontent-length:{length}\n\n");
        let expected = if length == 1000 {
            Ok(())
        } else {
            Err(Fault::BodyTooLarge)
        };
        let head = b"SEND\ndestination:/q\n\n";
        assert_eq!(
            outcome(limits, &[counted.as_bytes(), &body, b"\0"].concat()),
            expected
        );
        assert_eq!(
            outcome(limits, &[head, &body[..], b"\0"].concat()),
            expected
        );
    }
    let endless = [b"SEND\ndestination:/q\n\n", &b"b".repeat(1001)[..]].concat();
    assert_eq!(outcome(limits, &endless), Err(Fault::BodyTooLarge));
}

#[test]
fn a_body_before_connect_has_the_limit_of_headers() {
    let frame = b"SEND\ndestination:/q\ncontent-length:65537\n\n";
    let mut machine = super::accepted();
    assert_eq!(refusal(&mut machine, frame).fault, Fault::BodyTooLarge);
}

#[test]
fn slow_loris_is_cut_at_the_connect_timeout() {
    let mut machine = Connection::server(Limits::default(), HeartBeat::default(), 5_000);
    let connect = b"CONNECT\naccept-version:1.2\nhost:h\n\n\0";
    for (second, end) in (1..10).enumerate() {
        let now_ms = 5_000 + second as u64 * 1_000;
        machine.note_received(now_ms);
        assert!(
            machine
                .poll_event(now_ms, &connect[..end], &mut 0)
                .is_none()
        );
        assert_eq!(
            machine.poll_timeout(),
            Some(15_000),
            "octets do not move it"
        );
        assert_eq!(machine.handle_timeout(now_ms), None);
    }
    let timeout = machine.handle_timeout(15_000);
    assert_eq!(timeout, Some(Timeout::Dead(Fault::ConnectTimeout.into())));
    assert_eq!(machine.handle_timeout(15_000), None);
    let mut consumed = 0;
    assert!(machine.poll_event(15_000, connect, &mut consumed).is_none());
    assert_eq!((consumed, machine.version()), (connect.len(), None));
}

#[test]
fn needed_names_the_length_of_a_counted_frame_and_never_more_than_the_limits() {
    let mut machine = connected(Version::V1_2);
    assert_eq!(machine.needed(), 0);
    let head = b"SEND\ndestination:/q\ncontent-length:1000\n\n";
    for end in 1..head.len() {
        let mut consumed = 0;
        assert!(machine.poll_event(0, &head[..end], &mut consumed).is_none());
        assert_eq!((consumed, machine.needed()), (0, end + 1));
    }
    assert!(machine.poll_event(0, head, &mut 0).is_none());
    assert_eq!(machine.needed(), head.len() + 1000 + 1);
    let whole = [&head[..], &b"b".repeat(1000), b"\0"].concat();
    assert!(matches!(one(&mut machine, &whole), Ok(Event::Send(send)) if send.body.len() == 1000));
    assert_eq!(machine.needed(), 0);
}

#[test]
fn subscriptions_have_a_limit_by_number_and_by_octets_of_names() {
    let subscribe = |id: &str| format!("SUBSCRIBE\nid:{id}\ndestination:/q\n\n\0");
    let few = Limits {
        subscriptions: 2,
        ..Limits::default()
    };
    let small = Limits {
        subscription_bytes: 2,
        ..Limits::default()
    };
    for limits in [few, small] {
        let mut machine = connected_with(Version::V1_2, limits);
        assert!(one(&mut machine, subscribe("1").as_bytes()).is_ok());
        assert!(one(&mut machine, subscribe("2").as_bytes()).is_ok());
        assert!(one(&mut machine, b"UNSUBSCRIBE\nid:1\n\n\0").is_ok());
        assert!(
            one(&mut machine, subscribe("3").as_bytes()).is_ok(),
            "room is given back"
        );
        let error = refusal(&mut machine, subscribe("4").as_bytes());
        assert_eq!(error.fault, Fault::TooManySubscriptions);
    }
}

#[test]
fn a_large_body_in_small_pieces_is_not_scanned_again() {
    // 16 MiB in pieces of 1 KiB: looking at everything for each piece would touch 128 GiB.
    let mut frame = b"SEND\ndestination:/q\n\n".to_vec();
    frame.resize(frame.len() + 16 * 1024 * 1024, b'b');
    frame.push(0);
    let mut machine = connected(Version::V1_2);
    for end in (0..frame.len()).step_by(1024) {
        assert!(machine.poll_event(0, &frame[..end], &mut 0).is_none());
    }
    assert!(one(&mut machine, &frame).is_ok());
}

#[test]
fn limits_without_end_do_not_overflow() {
    let limits = Limits {
        command_bytes: usize::MAX,
        header_line_bytes: usize::MAX,
        header_count: usize::MAX,
        header_block_bytes: usize::MAX,
        body_bytes: usize::MAX,
        connect_timeout_ms: u64::MAX,
        subscriptions: usize::MAX,
        subscription_bytes: usize::MAX,
    };
    let mut machine = connected_with(Version::V1_2, limits);
    let head = format!(
        "SEND\ndestination:/q\ncontent-length:{}\n\nbody\0",
        usize::MAX
    );
    for end in 0..=head.len() {
        assert!(
            machine
                .poll_event(0, &head.as_bytes()[..end], &mut 0)
                .is_none()
        );
    }
    assert_eq!(machine.needed(), usize::MAX);
}
