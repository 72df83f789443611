//! An endpoint against our machine in the server's role, without a socket.

use bytes::Bytes;
use ternmq_amqp::types::{put_descriptor, put_list, put_text, put_uint, put_ulong};
use ternmq_amqp::{
    Attach, Connection, DeliveryState, Fault, Header, Limits, LinkId, Open, Outcome, Outgoing,
    Role, SaslCode, SaslOffer, Sections, Sent, Terminus,
};

use super::endpoint::Endpoint;
use super::message::{decode, encode};
use super::*;
use crate::client::{Properties, QoS, Refusal, Verdict};

/// A server as the tests want it.
struct Server {
    machine: Connection,
    /// Bytes for the client.
    out: Vec<u8>,
    credit: u32,
    /// Messages that came, whole, and whether they were settled.
    received: Vec<(Vec<u8>, bool)>,
    arriving: Vec<u8>,
    /// What it answers to each message, in their order; accepted when there is none left.
    outcomes: Vec<Outcome<'static>>,
    /// The link that the client receives on.
    link: Option<LinkId>,
    said: Vec<String>,
}

const OFFER: SaslOffer = SaslOffer {
    mechanisms: &["ANONYMOUS", "PLAIN"],
    required: true,
};

fn options(user: Option<&str>) -> Options {
    Options {
        host: "broker".to_owned(),
        port: 5672,
        container_id: "me".to_owned(),
        user: user.map(str::to_owned),
        password: b"s3cret".to_vec(),
        keep_alive_s: 0,
    }
}

fn node(address: &str, kind: Option<NodeKind>) -> Node {
    Node {
        address: address.to_owned(),
        kind,
    }
}

fn message(body: &[u8]) -> Message {
    Message {
        topic: "orders".to_owned(),
        body: Bytes::copy_from_slice(body),
        qos: QoS::AtLeastOnce,
        retain: false,
        dup: false,
        properties: Properties::default(),
    }
}

impl Server {
    fn new() -> Self {
        Self::with(Limits::default(), OFFER)
    }

    fn with(limits: Limits, offer: SaslOffer) -> Self {
        Self {
            machine: Connection::server(limits, offer, 0),
            out: Vec::new(),
            credit: 100,
            received: Vec::new(),
            arriving: Vec::new(),
            outcomes: Vec::new(),
            link: None,
            said: Vec::new(),
        }
    }

    fn read(&mut self, input: &[u8]) {
        let mut at = 0;
        while let Some(event) = self.machine.poll_event(0, input, &mut at, &mut self.out) {
            self.handle(event.unwrap());
        }
        assert_eq!(at, input.len(), "the client sends whole frames");
    }

    fn handle(&mut self, event: ternmq_amqp::Event<'_>) {
        use ternmq_amqp::Event as Happened;
        let out = &mut self.out;
        match event {
            Happened::SaslInit {
                mechanism,
                response,
                ..
            } => {
                self.said.push(mechanism.to_owned());
                let good = response.is_none_or(|response| response == b"\0ann\0s3cret");
                let code = if good { SaslCode::Ok } else { SaslCode::Auth };
                self.machine.sasl_outcome(code, out).unwrap();
            }
            Happened::Open(open) => {
                self.said.push(format!("open {}", open.container_id));
                self.machine.open(&Open::new("server"), out).unwrap();
            }
            Happened::Attach(link, attach) => self.attach(link, &attach),
            Happened::Transfer(part) => {
                self.arriving.extend_from_slice(part.payload);
                if part.more {
                    return;
                }
                let message = std::mem::take(&mut self.arriving);
                self.received.push((message, part.settled));
                if !part.settled {
                    let outcome = if self.outcomes.is_empty() {
                        Outcome::Accepted
                    } else {
                        self.outcomes.remove(0)
                    };
                    let (session, id) = (part.link.session, part.delivery);
                    let state = DeliveryState::Outcome(outcome);
                    self.machine
                        .settle_received(session, (id, id), state, true, out);
                }
            }
            Happened::Settled(settled) => {
                let (tag, n) = (settled.tag, settled.n);
                self.said.push(format!("settled {tag} n {n}"));
            }
            Happened::Credit { credit, .. } => self.said.push(format!("credit {credit}")),
            Happened::Close(_) => self.said.push("close".to_owned()),
            _ => {}
        }
    }

    fn attach(&mut self, link: LinkId, attach: &Attach<'_>) {
        let (address, capabilities) = match (attach.role, attach.target) {
            (Role::Sender, Some(Terminus::Target(target))) => (target.address, target.capabilities),
            _ => {
                let source = attach.source.unwrap();
                (source.address, source.capabilities)
            }
        };
        let kind: String = capabilities.iter().collect();
        let address = address.unwrap();
        self.said
            .push(format!("{:?} {address} {kind}", attach.role));
        if address == "nowhere" {
            let fault = Fault::new("amqp:not-found", "no such\x1b node");
            return self.machine.refuse(link, attach, fault, &mut self.out);
        }
        self.machine.attach(link, attach, &mut self.out);
        match attach.role {
            Role::Sender => self.machine.set_credit(link, self.credit, &mut self.out),
            Role::Receiver => self.link = Some(link),
        }
    }

    /// Sends a message on the link that the client receives on; false without credit.
    fn send(&mut self, tag: u64, bytes: &[u8]) -> bool {
        let outgoing = Outgoing {
            tag,
            settled: false,
            format: 0,
        };
        let link = self.link.unwrap();
        let payload = (bytes.len(), false);
        match self
            .machine
            .transfer(link, outgoing, payload, &mut self.out)
        {
            Sent::Begun { .. } => self.out.extend_from_slice(bytes),
            Sent::Blocked => return false,
        }
        true
    }
}

/// Carries bytes until both are silent; what the client saw.
fn talk(client: &mut Endpoint, server: &mut Server) -> Result<Vec<Event>, ClientError> {
    let mut seen = Vec::new();
    loop {
        let input = std::mem::take(&mut server.out);
        let mut at = 0;
        while let Some(event) = client.poll(0, &input, &mut at)? {
            seen.push(event);
        }
        assert_eq!(at, input.len());
        let bytes = client.take_output(0, usize::MAX);
        if bytes.is_empty() {
            return Ok(seen);
        }
        server.read(&bytes);
    }
}

/// A client with a session.
fn begun(server: &mut Server) -> Endpoint {
    let mut client = Endpoint::new(&options(None), 0);
    assert_eq!(talk(&mut client, server).unwrap(), []);
    assert!(client.is_begun());
    server.said.clear();
    client
}

fn sending(server: &mut Server, settled: bool) -> Endpoint {
    let mut client = begun(server);
    client.send_to(&node("orders", None), settled).unwrap();
    talk(&mut client, server).unwrap();
    assert!(client.can_send() && client.has_room());
    client
}

fn refused(name: &str, said: Option<&str>) -> Verdict {
    Verdict::Refused(Refusal::Amqp(Condition {
        name: name.to_owned(),
        said: said.map(str::to_owned),
    }))
}

#[test]
fn r4_a_client_with_a_user_says_plain_and_one_without_anonymous() {
    for (user, mechanism) in [(None, "ANONYMOUS"), (Some("ann"), "PLAIN")] {
        let mut server = Server::new();
        let mut client = Endpoint::new(&options(user), 0);
        talk(&mut client, &mut server).unwrap();
        assert_eq!(server.said, [mechanism, "open me"]);
    }
    let mut client = Endpoint::new(&options(Some("bob")), 0);
    let error = talk(&mut client, &mut Server::new()).unwrap_err();
    assert!(matches!(error, ClientError::Login), "{error}");
    let offer = SaslOffer {
        mechanisms: &["EXTERNAL", "GSSAPI"],
        required: true,
    };
    let mut server = Server::with(Limits::default(), offer);
    let mut client = Endpoint::new(&options(None), 0);
    let error = talk(&mut client, &mut server).unwrap_err().to_string();
    assert!(
        error.starts_with("the server wants EXTERNAL or GSSAPI;"),
        "{error}"
    );
}

#[test]
fn r77_the_kind_of_a_node_is_a_capability() {
    let mut server = Server::new();
    let mut client = begun(&mut server);
    let queue = node("orders", Some(NodeKind::Queue));
    client.send_to(&queue, false).unwrap();
    let subscription = Subscription {
        nodes: vec![node("news", Some(NodeKind::Topic)), node("all", None)],
        settled: false,
        wanted: None,
    };
    client.subscribe(&subscription).unwrap();
    let seen = talk(&mut client, &mut server).unwrap();
    assert_eq!(seen, [Event::Subscribed(vec![Ok(1), Ok(1)])]);
    let attached = [
        "Sender orders queue",
        "Receiver news topic",
        "Receiver all ",
    ];
    assert_eq!(server.said[..3], attached);
}

/// Mutant caught: rejected counts as accepted.
#[test]
fn r66_r67_each_message_gets_its_outcome() {
    let mut server = Server::new();
    let modified = Outcome::Modified {
        delivery_failed: true,
        undeliverable_here: false,
        annotations: None,
    };
    server.outcomes = vec![
        Outcome::Accepted,
        Outcome::Rejected(Some(Fault::new("amqp:not-found", "no\x07 route"))),
        Outcome::Rejected(None),
        Outcome::Released,
        modified,
    ];
    let mut client = sending(&mut server, false);
    let ids: Vec<_> = (0..6)
        .map(|n| client.publish(&message(&[n])).unwrap().unwrap())
        .collect();
    assert_eq!(client.unconfirmed(), 6);
    let seen = talk(&mut client, &mut server).unwrap();
    let verdicts = [
        Verdict::Taken,
        refused("amqp:not-found", Some("no route")),
        refused("rejected", None),
        refused("released", None),
        refused("modified", None),
        Verdict::Taken,
    ];
    let expected = ids.into_iter().zip(verdicts);
    let expected: Vec<_> = expected
        .map(|(id, verdict)| Event::Published(id, verdict))
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(client.unconfirmed(), 0);
}

#[test]
fn r48_no_more_is_sent_than_credit_and_window_allow() {
    let mut server = Server::new();
    server.credit = 3;
    let mut client = sending(&mut server, false);
    for _ in 0..3 {
        assert!(client.has_room());
        client.publish(&message(b"x")).unwrap();
    }
    assert!(!client.has_room());
    talk(&mut client, &mut server).unwrap();
    assert!(client.has_room());
    let mut server = Server::new();
    server.credit = 5_000;
    let mut client = sending(&mut server, false);
    for _ in 0..crate::client::WINDOW {
        client.publish(&message(b"x")).unwrap();
    }
    assert!(!client.has_room(), "the window is bounded");
}

#[test]
fn a_settled_message_is_sent_and_not_waited_for() {
    let mut server = Server::new();
    let mut client = sending(&mut server, true);
    let settled = Message {
        qos: QoS::AtMostOnce,
        ..message(b"x")
    };
    assert_eq!(client.publish(&settled).unwrap(), None);
    assert_eq!(talk(&mut client, &mut server).unwrap(), []);
    let (bytes, settled) = &server.received[0];
    let header = Sections::read(bytes).unwrap().read_header(bytes).unwrap();
    assert!(*settled && !header.durable);
}

#[test]
fn r60_a_large_message_is_split_and_one_that_is_too_large_refused() {
    let limits = Limits {
        max_frame_size: 512,
        incoming_window: 4,
        max_message_size: 20_000,
        ..Limits::default()
    };
    let mut server = Server::with(limits, OFFER);
    let mut client = sending(&mut server, false);
    let body: Vec<u8> = (0..19_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    client.publish(&message(&body)).unwrap();
    assert!(
        !client.has_room() && !client.is_idle(),
        "more of it is to come"
    );
    let seen = talk(&mut client, &mut server).unwrap();
    assert!(
        matches!(seen[..], [Event::Published(_, Verdict::Taken)]),
        "{seen:?}"
    );
    assert!(client.has_room() && client.is_idle());
    assert_eq!(
        decode(&server.received[0].0, "", QoS::AtLeastOnce).body,
        body
    );
    let error = client.publish(&message(&[0; 20_000])).unwrap_err();
    assert!(matches!(error, ClientError::TooLarge(20_000)), "{error}");
    // Nothing of it was sent, and the connection goes on.
    client.publish(&message(b"x")).unwrap();
    assert_eq!(talk(&mut client, &mut server).unwrap().len(), 1);
}

#[test]
fn r34_a_refused_link_says_why() {
    let mut server = Server::new();
    let mut client = begun(&mut server);
    client.send_to(&node("nowhere", None), false).unwrap();
    let error = talk(&mut client, &mut server).unwrap_err().to_string();
    let expected = "the server takes no messages for `nowhere`: amqp:not-found, \"no such node\"";
    assert_eq!(error, expected);
    let mut server = Server::new();
    let mut client = begun(&mut server);
    let subscription = Subscription {
        nodes: vec![node("nowhere", None), node("news", None)],
        settled: true,
        wanted: None,
    };
    client.subscribe(&subscription).unwrap();
    let seen = talk(&mut client, &mut server).unwrap();
    let [Event::Subscribed(answers)] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert!(answers[0].is_err() && answers[1] == Ok(0), "{answers:?}");
}

#[test]
fn what_the_server_ends_is_told() {
    let fault = || Some(Fault::new("amqp:connection:forced", "going down"));
    let mut server = Server::new();
    let mut client = sending(&mut server, false);
    server.machine.close(0, fault(), &mut server.out);
    let error = talk(&mut client, &mut server).unwrap_err().to_string();
    let condition = "amqp:connection:forced, \"going down\"";
    assert_eq!(
        error,
        format!("the server ended the connection: {condition}")
    );
    let mut server = Server::new();
    let mut client = receiving(&mut server, None);
    let link = server.link.unwrap();
    server.machine.detach(link, true, fault(), &mut server.out);
    let error = talk(&mut client, &mut server).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("the server ended the link from `orders`: {condition}")
    );
}

fn receiving(server: &mut Server, wanted: Option<u64>) -> Endpoint {
    let mut client = begun(server);
    let subscription = Subscription {
        nodes: vec![node("orders", None)],
        settled: false,
        wanted,
    };
    client.subscribe(&subscription).unwrap();
    let seen = talk(&mut client, server).unwrap();
    assert_eq!(seen, [Event::Subscribed(vec![Ok(1)])]);
    client
}

#[test]
fn a_message_is_accepted_when_it_is_taken_over_and_in_ranges() {
    let mut server = Server::new();
    let mut client = receiving(&mut server, None);
    server.said.clear();
    for tag in 0..4 {
        assert!(server.send(tag, &encode(&message(b"x"))));
    }
    let seen = talk(&mut client, &mut server).unwrap();
    let ids: Vec<_> = seen
        .iter()
        .map(|event| match event {
            Event::Message(message, Some(id)) => {
                assert_eq!(
                    (&message.topic[..], &message.body[..]),
                    ("orders", &b"x"[..])
                );
                *id
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(server.said.is_empty(), "{:?}", server.said);
    for id in [ids[0], ids[1], ids[3]] {
        client.acknowledge(id);
    }
    talk(&mut client, &mut server).unwrap();
    assert_eq!(server.said, ["settled 0 n 2", "settled 3 n 1"]);
}

/// Mutant caught: credit is filled up although enough is on its way.
#[test]
fn whoever_wants_few_messages_lets_the_server_send_few() {
    for wanted in [1, 2, 5, 1_000, 1_700] {
        let mut server = Server::new();
        let mut client = receiving(&mut server, Some(wanted));
        let bytes = encode(&message(b"x"));
        let mut seen = 0;
        for tag in 0..3_000 {
            if !server.send(tag, &bytes) {
                break;
            }
            for event in talk(&mut client, &mut server).unwrap() {
                if let Event::Message(_, Some(id)) = event {
                    client.acknowledge(id);
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, wanted);
    }
}

#[test]
fn a_message_stays_what_it_is_on_its_way() {
    let sent = Message {
        properties: Properties {
            content_type: Some("text/plain".to_owned()),
            response_topic: Some("answers".to_owned()),
            correlation: Some(Bytes::from_static(&[0xff])),
            expiry_s: Some(60),
            user: vec![("a".to_owned(), "b".to_owned())],
            subject: Some("s".to_owned()),
            priority: Some(9),
            ..Properties::default()
        },
        ..message(b"body")
    };
    let bytes = encode(&sent);
    assert_eq!(decode(&bytes, "elsewhere", QoS::AtLeastOnce), sent);
    let sections = Sections::read(&bytes).unwrap();
    let header = sections.read_header(&bytes).unwrap();
    assert!(header.durable && header.ttl_ms == Some(60_000));
}

#[test]
fn r86_bodies_of_other_kinds_are_shown_as_text() {
    let shown = |put: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        Header {
            delivery_count: 2,
            ..Header::default()
        }
        .put(&mut bytes);
        put_descriptor(&mut bytes, 0x77);
        put(&mut bytes);
        let message = decode(&bytes, "a", QoS::AtMostOnce);
        assert!(message.dup && message.topic == "a");
        String::from_utf8(message.body.to_vec()).unwrap()
    };
    assert_eq!(shown(&|out| put_text(out, "größer")), "größer");
    assert_eq!(shown(&|out| put_ulong(out, 7)), "7");
    let list = |out: &mut Vec<u8>| {
        let mut items = Vec::new();
        put_uint(&mut items, 1);
        put_text(&mut items, "b");
        put_list(out, 2, &items);
    };
    assert_eq!(shown(&list), "[1, b]");
    let nested = |out: &mut Vec<u8>| {
        let mut inner = Vec::new();
        put_list(&mut inner, 0, &[]);
        for _ in 0..30 {
            let mut outer = Vec::new();
            put_list(&mut outer, 1, &inner);
            inner = outer;
        }
        out.extend_from_slice(&inner);
    };
    assert_eq!(
        shown(&nested),
        format!("{}…{}", "[".repeat(9), "]".repeat(9))
    );
    // What is no message is shown as it is.
    assert_eq!(&decode(b"junk", "a", QoS::AtMostOnce).body[..], b"junk");
}

#[test]
fn the_goodbye_comes_behind_what_was_taken_over() {
    let mut server = Server::new();
    let mut client = receiving(&mut server, None);
    server.send(0, &encode(&message(b"x")));
    let seen = talk(&mut client, &mut server).unwrap();
    let [Event::Message(_, Some(id))] = seen[..] else {
        panic!("{seen:?}");
    };
    server.said.clear();
    client.acknowledge(id);
    client.close(0);
    talk(&mut client, &mut server).unwrap();
    assert_eq!(server.said, ["settled 0 n 1", "close"]);
}

#[test]
fn addresses_are_checked_before_anything_is_sent() {
    for address in ["a", "queue://a/b", "/queue/a b", "#"] {
        assert!(check_address(address).is_ok(), "{address}");
    }
    for address in ["", "a\0b", &"x".repeat(4_001)] {
        let error = check_address(address).unwrap_err().to_string();
        assert!(
            error.contains("is no address") && error.len() < 300,
            "{error}"
        );
    }
}
