//! Both machines joined by buffers and a clock that the test turns.

use super::VERSIONS;
use crate::client::{
    AckOptions, Client, ClientEvent, ConnectOptions, SendOptions, SubscribeOptions,
};
use crate::connection::Timeout;
use crate::encode::{self, ConnectedFrame, MessageHead};
use crate::error::Fault;
use crate::event::{AckMode, AckTarget, Event};
use crate::{Connection, HeartBeat, Limits, Version};

/// Client and server with what is under way between them.
struct Pair {
    client: Client,
    server: Connection,
    up: Vec<u8>,
    down: Vec<u8>,
    now_ms: u64,
    /// What the server has seen and the client has got, as text.
    log: Vec<String>,
}

impl Pair {
    fn new(version: Version) -> Self {
        let heart_beat = HeartBeat {
            send_ms: 1_000,
            receive_ms: 1_000,
            minimum_ms: 1,
        };
        let mut pair = Self {
            client: Client::new(Limits::default(), heart_beat),
            server: Connection::server(Limits::default(), heart_beat, 0),
            up: Vec::new(),
            down: Vec::new(),
            now_ms: 0,
            log: Vec::new(),
        };
        let options = ConnectOptions {
            accept_version: version.as_str(),
            host: "h",
            login: Some("u"),
            passcode: Some("a\\cb:c"),
            headers: &[("client-id", "c")],
        };
        pair.client.connect(&mut pair.up, &options);
        pair.exchange();
        pair
    }

    /// Carries everything both ways; the server echoes each SEND to subscription `s`.
    fn exchange(&mut self) {
        let up = std::mem::take(&mut self.up);
        let mut consumed = 0;
        if !up.is_empty() {
            self.server.note_received(self.now_ms);
        }
        while let Some(event) = self.server.poll_event(self.now_ms, &up, &mut consumed) {
            let version = self.server.version();
            match event {
                Ok(event) => answer(event, version, &mut self.down, &mut self.log),
                Err(error) => error.encode(&mut self.down, version),
            }
        }
        assert_eq!(consumed, up.len());
        let down = std::mem::take(&mut self.down);
        if !down.is_empty() {
            self.server.note_sent(self.now_ms);
            self.client.note_received(self.now_ms);
        }
        let mut consumed = 0;
        while let Some(event) = self.client.poll_event(self.now_ms, &down, &mut consumed) {
            match event.unwrap() {
                ClientEvent::Connected { version, .. } => self.log.push(format!("open {version}")),
                ClientEvent::Receipt { receipt_id } => {
                    self.log.push(format!("receipt {receipt_id}"));
                }
                ClientEvent::Error { message, .. } => {
                    self.log
                        .push(format!("error {}", message.unwrap_or_default()));
                }
                ClientEvent::Message(message) => {
                    let value = message.headers.get("k:").unwrap_or_default();
                    self.log
                        .push(format!("message {:?} {value:?}", message.body));
                    let target = message.target();
                    self.client
                        .ack(
                            &mut self.up,
                            &AckOptions {
                                target: &target,
                                transaction: None,
                                receipt: None,
                            },
                        )
                        .unwrap();
                }
            }
        }
        assert_eq!(consumed, down.len());
    }
}

fn answer(event: Event<'_>, version: Option<Version>, down: &mut Vec<u8>, log: &mut Vec<String>) {
    match event {
        Event::Connect(connect) => {
            assert_eq!(connect.headers.get("passcode").as_deref(), Some("a\\cb:c"));
            assert_eq!(connect.headers.get("client-id").as_deref(), Some("c"));
            let frame = ConnectedFrame {
                version: connect.version,
                session: Some("1"),
                server: Some("TernMQ"),
                heart_beat: connect.heart_beat,
                response_id: None,
            };
            encode::connected(down, &frame);
        }
        Event::Send(send) => {
            let target = version.unwrap();
            let head = MessageHead {
                subscription: Some("s"),
                message_id: "m:1",
                destination: &send.destination,
                ack: (target == Version::V1_2).then_some("a:1"),
                redelivered: false,
                extra: &[],
            };
            encode::message(down, &head, send.headers, target, send.body);
        }
        Event::Ack(ack) => log.push(match ack.target {
            AckTarget::Ack(id) => format!("ack {id}"),
            AckTarget::Message {
                message_id,
                subscription,
            } => {
                format!("ack {message_id} {}", subscription.unwrap_or_default())
            }
        }),
        Event::Disconnect { receipt } => {
            encode::receipt(down, Version::V1_2, &receipt.unwrap());
        }
        Event::Subscribe(frame) => log.push(format!("subscribe {:?}", frame.ack)),
        Event::Unsubscribe(_) => log.push("unsubscribe".into()),
        Event::Begin(frame) => log.push(format!("begin {}", frame.transaction)),
        Event::Commit(frame) => log.push(format!("commit {}", frame.transaction)),
        Event::Nack(_) | Event::Abort(_) => log.push("unexpected".into()),
    }
}

#[test]
fn a_message_goes_up_and_down_and_is_acknowledged_in_every_version() {
    for version in VERSIONS {
        let mut pair = Pair::new(version);
        let subscribe = SubscribeOptions {
            id: "s",
            destination: "/queue/a",
            ack: AckMode::Client,
            receipt: None,
            headers: &[],
        };
        pair.client.subscribe(&mut pair.up, &subscribe).unwrap();
        pair.client.begin(&mut pair.up, "t", None).unwrap();
        let send = SendOptions {
            destination: "/queue/a",
            transaction: Some("t"),
            receipt: None,
            headers: &[("k:", "a\nb")],
            body: b"\0\n",
        };
        pair.client.send(&mut pair.up, &send).unwrap();
        pair.client.commit(&mut pair.up, "t", None).unwrap();
        pair.exchange();
        pair.client.unsubscribe(&mut pair.up, "s", None).unwrap();
        pair.client.disconnect(&mut pair.up, Some("77")).unwrap();
        pair.exchange();
        let value = if version == Version::V1_0 {
            "\"\""
        } else {
            "\"a\\nb\""
        };
        let ack = if version == Version::V1_2 {
            "ack a:1"
        } else {
            "ack m:1 s"
        };
        let expected = [
            format!("open {version}"),
            "subscribe Client".into(),
            "begin t".into(),
            "commit t".into(),
            format!("message [0, 10] {value}"),
            ack.into(),
            "unsubscribe".into(),
            "receipt 77".into(),
        ];
        assert_eq!(pair.log, expected);
    }
}

#[test]
fn two_idle_machines_keep_each_other_alive_until_one_falls_silent() {
    let mut pair = Pair::new(Version::V1_2);
    let mut beats = 0;
    while pair.now_ms < 60_000 {
        let next = pair
            .client
            .poll_timeout()
            .min(pair.server.poll_timeout())
            .unwrap();
        assert!(next > pair.now_ms, "time goes on");
        pair.now_ms = next;
        if let Some(timeout) = pair.client.handle_timeout(next) {
            assert_eq!(timeout, Timeout::SendBeat);
            encode::heart_beat(&mut pair.up);
            beats += 1;
        }
        if let Some(timeout) = pair.server.handle_timeout(next) {
            assert_eq!(timeout, Timeout::SendBeat);
            encode::heart_beat(&mut pair.down);
        }
        pair.exchange();
    }
    assert_eq!(beats, 60_000 / 800);
    // Now the server's octets get lost.
    let dead = Some(Timeout::Dead(Fault::PeerSilent.into()));
    assert_ne!(pair.client.handle_timeout(pair.now_ms + 2_000), dead);
    assert_eq!(pair.client.handle_timeout(pair.now_ms + 2_500), dead);
    assert_eq!(pair.client.poll_timeout(), None);
}

#[test]
fn a_client_makes_no_request_before_connected_and_none_after_error() {
    let mut client = Client::new(Limits::default(), HeartBeat::default());
    let mut out = Vec::new();
    let early = client.disconnect(&mut out, None).unwrap_err();
    assert_eq!((early.fault, out.len()), (Fault::NotConnected, 0));
    let input = b"ERROR\nmessage:no\nversion:1.0\n\nbecause\0MESSAGE\n\n\0";
    let mut consumed = 0;
    let event = client.poll_event(0, input, &mut consumed).unwrap().unwrap();
    let ClientEvent::Error {
        message,
        headers,
        body,
        ..
    } = event
    else {
        panic!("{event:?}")
    };
    assert_eq!(message.as_deref(), Some("no"));
    assert_eq!(headers.get("version").as_deref(), Some("1.0"));
    assert_eq!(body, b"because");
    assert!(client.poll_event(0, input, &mut consumed).is_none());
    assert_eq!((consumed, client.needed()), (input.len(), 0));
}

#[test]
fn a_client_refuses_a_server_that_breaks_the_protocol() {
    let table = [
        ("", "MESSAGE\nmessage-id:1\n\n\0", Fault::NotConnected),
        ("", "CONNECTED\nversion:2.0\n\n\0", Fault::NoCommonVersion),
        (
            "",
            "CONNECTED\nversion:1.2\nheart-beat:x\n\n\0",
            Fault::BadHeartBeat,
        ),
        (
            "1.2",
            "CONNECTED\nversion:1.2\n\n\0",
            Fault::AlreadyConnected,
        ),
        (
            "1.2",
            "SEND\ndestination:/q\n\n\0",
            Fault::UnexpectedCommand,
        ),
        ("1.2", "RECEIPT\n\n\0", Fault::MissingHeader("receipt-id")),
        (
            "1.2",
            "MESSAGE\nmessage-id:1\ndestination:/q\n\n\0",
            Fault::MissingHeader("subscription"),
        ),
        (
            "1.1",
            "MESSAGE\nmessage-id:1\nsubscription:1\n\n\0",
            Fault::MissingHeader("destination"),
        ),
        (
            "1.0",
            "MESSAGE\ndestination:/q\n\n\0",
            Fault::MissingHeader("message-id"),
        ),
    ];
    for (version, frame, fault) in table {
        let mut client = Client::new(Limits::default(), HeartBeat::default());
        if !version.is_empty() {
            let connected = format!("CONNECTED\nversion:{version}\n\n\0");
            assert!(
                client
                    .poll_event(0, connected.as_bytes(), &mut 0)
                    .unwrap()
                    .is_ok()
            );
        }
        let error = client
            .poll_event(0, frame.as_bytes(), &mut 0)
            .unwrap()
            .unwrap_err();
        assert_eq!(error.fault, fault, "{frame}");
    }
}

#[test]
fn a_client_of_a_1_0_server_has_no_nack() {
    let mut client = Client::new(Limits::default(), HeartBeat::default());
    assert!(
        client
            .poll_event(0, b"CONNECTED\nsession:1\n\n\0", &mut 0)
            .unwrap()
            .is_ok()
    );
    let target = AckTarget::Message {
        message_id: "m".into(),
        subscription: None,
    };
    let options = AckOptions {
        target: &target,
        transaction: None,
        receipt: None,
    };
    let nack = client.nack(&mut Vec::new(), &options).unwrap_err();
    assert_eq!(nack.fault, Fault::UnknownCommand, "1.0 has no NACK");
}

#[test]
fn a_client_writes_what_each_request_says() {
    let mut client = Client::new(Limits::default(), HeartBeat::default());
    assert!(
        client
            .poll_event(0, b"CONNECTED\nversion:1.2\n\n\0", &mut 0)
            .unwrap()
            .is_ok()
    );
    let mut out = Vec::new();
    let target = AckTarget::Ack("a:1".into());
    let options = AckOptions {
        target: &target,
        transaction: Some("t"),
        receipt: Some("r"),
    };
    client.nack(&mut out, &options).unwrap();
    client.abort(&mut out, "t", Some("r")).unwrap();
    client.unsubscribe(&mut out, "s", Some("r")).unwrap();
    client.disconnect(&mut out, None).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "NACK\nid:a\\c1\ntransaction:t\nreceipt:r\n\n\0ABORT\ntransaction:t\nreceipt:r\n\n\0\
         UNSUBSCRIBE\nid:s\nreceipt:r\n\n\0DISCONNECT\n\n\0"
    );
}
