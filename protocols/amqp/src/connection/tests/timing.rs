//! Silence and patience.

use super::*;

fn opened_with(idle_timeout_ms: Option<u32>) -> Server {
    let limits = Limits {
        idle_timeout_ms: Some(4_000),
        ..Server::limits()
    };
    let mut server = Server::with(limits, OFFER);
    server.write(AMQP);
    let open = Open {
        idle_timeout_ms,
        ..Open::new("c")
    };
    server.send(0, Performative::Open(open));
    server
}

#[test]
fn r10_half_of_our_own_time_is_announced_and_the_peer_hears_us_twice_in_its() {
    let mut server = opened_with(Some(1_000));
    let (out, mut at) = (std::mem::take(&mut server.out), 8);
    let Ok(Framed::Frame(found)) = frame(&out[at..], 1 << 16) else {
        panic!("no open");
    };
    at += found.len;
    let Ok((Performative::Open(open), _)) = Performative::decode(found.body) else {
        panic!("no open");
    };
    assert_eq!((open.idle_timeout_ms, at), (Some(2_000), out.len()));
    assert_eq!(server.machine.poll_timeout(), Some(500));
    assert_eq!(server.machine.handle_timeout(499, &mut server.out), Ok(()));
    assert!(server.said().is_empty());
    assert_eq!(server.machine.handle_timeout(500, &mut server.out), Ok(()));
    assert_eq!(server.said(), ["empty"]);
    server.machine.note_said(700);
    assert_eq!(server.machine.poll_timeout(), Some(1_200));
}

#[test]
fn r10_a_silent_peer_is_told_and_left() {
    let mut server = opened_with(None);
    server.clear();
    server.now_ms = 1_000;
    server.write(&[0, 0, 0, 8, 2, 0, 0, 0]);
    assert_eq!(server.machine.poll_timeout(), Some(5_000));
    server.machine.forgive_silence(2_000);
    assert_eq!(
        server.machine.handle_timeout(5_999, &mut server.out),
        Ok(())
    );
    let silent = server.machine.handle_timeout(6_000, &mut server.out);
    assert_eq!(silent, Err(Error::Idle));
    assert_eq!(server.said(), ["close amqp:resource-limit-exceeded"]);
    assert!(server.machine.is_closed());
}

#[test]
fn r10_a_time_out_that_cannot_be_kept_is_refused() {
    let mut server = opened_with(Some(19));
    assert_eq!(server.failed, Some(Error::Impatient));
    assert_eq!(server.said()[2], "close amqp:resource-limit-exceeded");
    assert_eq!(opened_with(Some(0)).failed, None);
}

#[test]
fn r18_a_peer_that_does_not_open_or_close_in_time_is_left() {
    let mut server = Server::with(Server::limits(), OFFER);
    assert_eq!(server.machine.poll_timeout(), Some(10_000));
    assert_eq!(
        server.machine.handle_timeout(10_000, &mut server.out),
        Err(Error::Idle)
    );
    assert!(server.said().is_empty() && server.machine.is_closed());
    let mut server = Server::begun();
    server.machine.close(100, None, &mut server.out);
    assert_eq!(server.machine.poll_timeout(), Some(5_100));
    assert!(
        server
            .machine
            .handle_timeout(5_100, &mut server.out)
            .is_err()
    );
    assert_eq!(server.said(), ["close"]);
    assert_eq!(server.machine.poll_timeout(), None);
}
