//! ST-S1, ST-B, ST-U1, ST-A, ST-T1, ST-R1: what each request requires.

use super::{VERSIONS, connected, fault, one, refusal, refused};
use crate::error::Fault;
use crate::event::{AckFrame, AckMode, AckTarget, Event};
use crate::{Connection, Version};

fn subscribe(machine: &mut Connection, input: &str) -> Result<AckMode, Fault> {
    match one(machine, input.as_bytes()) {
        Ok(Event::Subscribe(frame)) => Ok(frame.ack),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.fault),
    }
}

fn ack(version: Version, input: &[u8]) -> AckFrame<'_> {
    match one(&mut connected(version), input) {
        Ok(Event::Ack(frame) | Event::Nack(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

#[test]
fn st_s1_send_needs_a_destination() {
    for version in VERSIONS {
        for header in ["", "destination:\n"] {
            let frame = format!("SEND\n{header}receipt:r\n\nbody\0");
            let error = refused(version, frame.as_bytes());
            assert_eq!(error.fault, Fault::MissingHeader("destination"));
            assert_eq!(error.receipt_id.as_deref(), Some("r"));
        }
    }
}

#[test]
fn st_b1_subscribe_needs_an_id_that_is_free() {
    for version in [Version::V1_1, Version::V1_2] {
        let missing = Err(Fault::MissingHeader("id"));
        assert_eq!(
            subscribe(&mut connected(version), "SUBSCRIBE\ndestination:/q\n\n\0"),
            missing
        );
        let empty = "SUBSCRIBE\nid:\ndestination:/q\n\n\0";
        assert_eq!(subscribe(&mut connected(version), empty), missing);
    }
    for version in VERSIONS {
        let mut machine = connected(version);
        let first = "SUBSCRIBE\nid:1\ndestination:/q\n\n\0";
        assert_eq!(subscribe(&mut machine, first), Ok(AckMode::Auto));
        let error = refusal(
            &mut machine,
            b"SUBSCRIBE\nid:1\ndestination:/p\nreceipt:r\n\n\0",
        );
        assert_eq!(error.fault, Fault::DuplicateSubscription);
        assert_eq!(error.receipt_id.as_deref(), Some("r"));
        let missing = Fault::MissingHeader("destination");
        assert_eq!(fault(version, b"SUBSCRIBE\nid:1\n\n\0"), missing);
    }
    let mut machine = connected(Version::V1_0);
    assert_eq!(
        subscribe(&mut machine, "SUBSCRIBE\ndestination:/q\n\n\0"),
        Ok(AckMode::Auto)
    );
    let again = subscribe(&mut machine, "SUBSCRIBE\ndestination:/q\n\n\0");
    assert_eq!(again, Err(Fault::DuplicateSubscription));
}

#[test]
fn st_b2_ack_mode_is_auto_client_or_client_individual() {
    for version in VERSIONS {
        let mut machine = connected(version);
        for (id, mode) in [AckMode::Auto, AckMode::Client, AckMode::ClientIndividual]
            .iter()
            .enumerate()
        {
            let frame = format!(
                "SUBSCRIBE\nid:{id}\ndestination:/q\nack:{}\n\n\0",
                mode.as_str()
            );
            assert_eq!(subscribe(&mut machine, &frame), Ok(*mode));
        }
        for mode in ["", "AUTO", "individual"] {
            let frame = format!("SUBSCRIBE\nid:1\ndestination:/q\nack:{mode}\n\n\0");
            assert_eq!(fault(version, frame.as_bytes()), Fault::UnknownAckMode);
        }
    }
}

#[test]
fn st_u1_unsubscribe_names_an_open_subscription_by_id() {
    for version in VERSIONS {
        let mut machine = connected(version);
        let frame = "SUBSCRIBE\nid:a\\\\b\ndestination:/q\n\n\0";
        assert!(subscribe(&mut machine, frame).is_ok());
        let event = one(&mut machine, b"UNSUBSCRIBE\nid:a\\\\b\nreceipt:r\n\n\0");
        assert!(matches!(event, Ok(Event::Unsubscribe(frame)) if frame.id.is_some()));
        assert!(
            subscribe(&mut machine, frame).is_ok(),
            "the id is free again"
        );
        let error = refusal(&mut machine, b"UNSUBSCRIBE\nid:x\nreceipt:r\n\n\0");
        assert_eq!(error.fault, Fault::UnknownSubscription);
        assert_eq!(
            fault(version, b"UNSUBSCRIBE\n\n\0"),
            Fault::MissingHeader("id")
        );
    }
    for version in [Version::V1_1, Version::V1_2] {
        assert_eq!(
            fault(version, b"UNSUBSCRIBE\ndestination:/q\n\n\0"),
            Fault::MissingHeader("id")
        );
    }
}

#[test]
fn st_u1_in_1_0_a_destination_ends_a_subscription_too() {
    let mut machine = connected(Version::V1_0);
    assert!(subscribe(&mut machine, "SUBSCRIBE\nid:7\ndestination:/q\n\n\0").is_ok());
    assert!(subscribe(&mut machine, "SUBSCRIBE\ndestination:/q\n\n\0").is_ok());
    let mut ended = Vec::new();
    for _ in 0..2 {
        match one(&mut machine, b"UNSUBSCRIBE\ndestination:/q\n\n\0") {
            Ok(Event::Unsubscribe(frame)) => ended.push(frame.id.map(String::from)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ended, [None, Some("7".into())], "the one without id first");
    let error = refusal(&mut machine, b"UNSUBSCRIBE\ndestination:/q\n\n\0");
    assert_eq!(error.fault, Fault::UnknownSubscription);
}

#[test]
fn st_a1_in_1_0_ack_names_a_message_id() {
    let frame = ack(Version::V1_0, b"ACK\nmessage-id:m\ntransaction:t\n\n\0");
    let target = AckTarget::Message {
        message_id: "m".into(),
        subscription: None,
    };
    assert_eq!(
        (frame.target, frame.transaction.as_deref()),
        (target, Some("t"))
    );
    assert_eq!(
        fault(Version::V1_0, b"ACK\nid:m\n\n\0"),
        Fault::MissingHeader("message-id")
    );
}

#[test]
fn st_a2_in_1_1_ack_and_nack_name_message_id_and_subscription() {
    for command in ["ACK", "NACK"] {
        let frame = format!("{command}\nmessage-id:m\nsubscription:s\n\n\0");
        let target = AckTarget::Message {
            message_id: "m".into(),
            subscription: Some("s".into()),
        };
        assert_eq!(ack(Version::V1_1, frame.as_bytes()).target, target);
        let frame = format!("{command}\nmessage-id:m\n\n\0");
        assert_eq!(
            fault(Version::V1_1, frame.as_bytes()),
            Fault::MissingHeader("subscription")
        );
        let frame = format!("{command}\nsubscription:s\n\n\0");
        assert_eq!(
            fault(Version::V1_1, frame.as_bytes()),
            Fault::MissingHeader("message-id")
        );
    }
}

#[test]
fn st_a3_in_1_2_ack_and_nack_name_the_ack_header() {
    for command in ["ACK", "NACK"] {
        // Case ST-01: an id with a colon, escaped or not.
        for id in ["a:1", "a\\c1"] {
            let frame = format!("{command}\nid:{id}\nreceipt:r\n\n\0");
            let frame = ack(Version::V1_2, frame.as_bytes());
            assert_eq!(frame.target, AckTarget::Ack("a:1".into()));
        }
        let frame = format!("{command}\nmessage-id:m\nsubscription:s\n\n\0");
        assert_eq!(
            fault(Version::V1_2, frame.as_bytes()),
            Fault::MissingHeader("id")
        );
    }
}

#[test]
fn st_a7_nack_does_not_exist_in_1_0() {
    assert_eq!(
        fault(Version::V1_0, b"NACK\nmessage-id:m\n\n\0"),
        Fault::UnknownCommand
    );
}

#[test]
fn st_t1_transaction_frames_name_their_transaction() {
    for version in VERSIONS {
        for command in ["BEGIN", "COMMIT", "ABORT"] {
            let missing = Fault::MissingHeader("transaction");
            assert_eq!(
                fault(version, format!("{command}\n\n\0").as_bytes()),
                missing
            );
            let frame = format!("{command}\ntransaction:t\n\n\0");
            let (name, transaction) = match one(&mut connected(version), frame.as_bytes()) {
                Ok(Event::Begin(frame)) => ("BEGIN", frame.transaction),
                Ok(Event::Commit(frame)) => ("COMMIT", frame.transaction),
                Ok(Event::Abort(frame)) => ("ABORT", frame.transaction),
                other => panic!("{other:?}"),
            };
            assert_eq!((name, &*transaction), (command, "t"));
        }
    }
}

#[test]
fn st_r1_every_request_hands_over_its_receipt() {
    let requests = [
        "SEND\ndestination:/q",
        "SUBSCRIBE\nid:1\ndestination:/q",
        "UNSUBSCRIBE\nid:1",
        "ACK\nid:1",
        "NACK\nid:1",
        "BEGIN\ntransaction:t",
        "COMMIT\ntransaction:t",
        "ABORT\ntransaction:t",
        "DISCONNECT\nx:y",
    ];
    let mut machine = connected(Version::V1_2);
    for request in requests {
        let frame = format!("{request}\nreceipt:a\\cb\n\n\0");
        let receipt = match one(&mut machine, frame.as_bytes()).unwrap() {
            Event::Send(frame) => frame.receipt,
            Event::Subscribe(frame) => frame.receipt,
            Event::Unsubscribe(frame) => frame.receipt,
            Event::Ack(frame) | Event::Nack(frame) => frame.receipt,
            Event::Begin(frame) | Event::Commit(frame) | Event::Abort(frame) => frame.receipt,
            Event::Disconnect { receipt } => receipt,
            Event::Connect(frame) => panic!("{frame:?}"),
        };
        assert_eq!(receipt.as_deref(), Some("a:b"), "{request}");
        let mut out = Vec::new();
        crate::encode::receipt(&mut out, Version::V1_2, &receipt.unwrap());
        assert_eq!(out, b"RECEIPT\nreceipt-id:a\\cb\n\n\0");
    }
}
