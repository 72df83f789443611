//! Messages of AMQP at clients of STOMP, and theirs at clients of AMQP.

use super::client::{ATTACH, Client, DISPOSITION, FLOW, Message, TRANSFER};
use super::source;
use crate::stomp;
use crate::support::Server;
use crate::support::amqp::{Frame, Value, composite, sections, sparse, symbol, text};

/// A section that is a map or a value.
fn section(code: u64, value: Value) -> Vec<u8> {
    Value::Described(Box::new(Value::Ulong(code)), Box::new(value)).encoded()
}

/// Sends one message on a link of its own, and hears that it is stored.
async fn send(server: &Server, address: &str, payload: Vec<u8>) {
    let mut client = Client::connect(server).await;
    let target = sparse(0x29, &[(0, text(address))]);
    let fields = [
        (0, text("sender")),
        (1, Value::Uint(0)),
        (2, Value::Bool(false)),
        (5, composite(0x28, vec![])),
        (6, target),
        (9, Value::Uint(0)),
    ];
    client.say(ATTACH, &fields).await;
    client.expect(ATTACH).await;
    client.expect(FLOW).await;
    let fields = [
        (0, Value::Uint(0)),
        (1, Value::Uint(0)),
        (2, Value::Binary(vec![1])),
        (3, Value::Uint(0)),
    ];
    let mut frame = Frame::new(0, sparse(TRANSFER, &fields));
    frame.payload = payload;
    client.write(&frame.encoded()).await;
    let said = client.expect(DISPOSITION).await;
    assert_eq!(said.field(4).code(), 0x24, "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xp_02_xp_04_stomp_sees_json_and_headers_and_no_section() {
    let server = Server::start().await;
    let mut stomp = stomp::Client::connect(&server).await;
    stomp.subscribe("s", "/queue/q", "auto").await;
    let map = Value::Map(vec![
        (text("plants"), Value::Uint(3)),
        (text("dry"), Value::Array(vec![symbol("fig")])),
    ]);
    let properties = sparse(
        0x73,
        &[
            (0, Value::Ulong(7)),
            (3, text("order")),
            (4, text("topic://answers")),
            (5, Value::Binary(b"c".to_vec())),
        ],
    );
    let added = Value::Map(vec![
        (text("n"), Value::Long(-5)),
        (text("yes"), Value::Bool(true)),
    ]);
    let mut payload = properties.encoded();
    payload.extend(section(0x74, added));
    payload.extend(section(0x77, map));
    send(&server, "queue://q", payload).await;
    let json = "{\"plants\":3,\"dry\":[\"fig\"]}";
    let message = stomp.message(json).await;
    for (name, value) in [
        ("content-type", "application/json"),
        ("JMSMessageID", "7"),
        ("type", "order"),
        ("reply-to", "/topic/answers"),
        ("correlation-id", "c"),
        ("n", "-5"),
        ("yes", "true"),
    ] {
        assert_eq!(message.get(name), Some(value), "{name}");
    }
}

/// The properties of a message, by their place.
fn property(message: &Message, at: usize) -> Value {
    message.section(0x73).unwrap().field(at)
}

fn body(message: &Message, code: u64) -> Value {
    match message.section(code) {
        Some(Value::Described(_, body)) => (**body).clone(),
        other => panic!("{other:?} in {message:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xp_01_xp_04_text_of_stomp_is_a_string_and_bytes_are_data() {
    let server = Server::start().await;
    let mut stomp = stomp::Client::connect(&server).await;
    let headers = "correlation-id:c\nreply-to:/topic/answers\ntype:order\nn:5\n";
    stomp.publish("/queue/q", headers, "{\"plants\":3}").await;
    let json = "content-type:application/json\n";
    stomp.publish("/queue/q", json, "{}").await;
    let mut client = Client::connect(&server).await;
    client.receiver(0, "l", source("queue://q", &[])).await;
    client.credit(0, 0, 10).await;

    let first = client.message().await;
    assert_eq!(body(&first, 0x77), text("{\"plants\":3}"));
    assert_eq!(property(&first, 2), text("q"));
    assert_eq!(property(&first, 3), text("order"));
    assert_eq!(property(&first, 4), text("topic://answers"));
    assert_eq!(property(&first, 5), text("c"));
    assert!(property(&first, 6).is_null(), "a string says what it is");
    assert_eq!(body(&first, 0x74).get("n"), Some(&text("5")));
    let kind = first.annotation("x-opt-jms-reply-to");
    assert_eq!(kind, Some(Value::Byte(1)));

    let second = client.message().await;
    assert_eq!(body(&second, 0x75), Value::Binary(b"{}".to_vec()));
    assert_eq!(property(&second, 6), symbol("application/json"));
}

/// What was sent is what comes, whatever its encoding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r87_annotations_and_bare_message_pass_unchanged() {
    let server = Server::start().await;
    let rest = [
        section(0x72, Value::Map(vec![(symbol("x-opt-a"), Value::Int(1))])),
        sparse(0x73, &[(0, Value::Ulong(1))]).encoded(),
        section(0x74, Value::Map(vec![(text("k"), Value::Byte(-1))])),
        section(0x76, Value::List(vec![Value::Other(0x84, vec![1; 8])])),
        section(0x76, Value::List(vec![])),
        section(0x78, Value::Map(vec![])),
    ]
    .concat();
    let ours = section(0x71, Value::Map(vec![(symbol("hop"), Value::Null)]));
    send(&server, "queue://q", [ours, rest.clone()].concat()).await;
    let mut client = Client::connect(&server).await;
    client.receiver(0, "l", source("queue://q", &[])).await;
    client.credit(0, 0, 1).await;
    let message = client.message().await;
    assert_eq!(message.sections[0].code(), 0x70);
    assert_eq!(message.sections[1..], sections(&rest));
}
