//! Rules 1 to 5: protocol headers and SASL.

use super::*;

#[test]
fn r1_headers_are_answered_with_the_best_that_is_spoken() {
    let process = server("");
    for listener in ["amqp", "auto"] {
        for good in [amqp::AMQP, amqp::SASL] {
            let mut client = Amqp::new(process.tcp(listener));
            client.bytes(&good);
            assert_eq!(client.header(), good, "{listener}");
        }
        // TLS, an unknown layer, and versions that are not 1.0.0.
        for strange in [
            b"AMQP\x02\x01\0\0",
            b"AMQP\x09\x01\0\0",
            b"AMQP\0\x02\0\0",
            b"AMQP\0\x01\x01\0",
            b"AMQP\0\0\x09\x01",
            b"AMQP\x03\x01\0\x01",
        ] {
            let mut client = Amqp::new(process.tcp(listener));
            client.bytes(strange);
            assert_eq!(client.header(), amqp::AMQP, "{listener} {strange:?}");
            ended(&mut client);
        }
    }
    let mut client = raw(&process);
    client.bytes(b"GET / HTTP/1.1\r\n");
    assert_eq!(client.header(), amqp::AMQP);
}

#[test]
fn r1_without_anonymous_the_sasl_layer_is_asked_for() {
    let process = server("[amqp]\nmechanisms = [\"PLAIN\"]\n");
    let mut client = raw(&process);
    client.bytes(&amqp::AMQP);
    assert_eq!(client.header(), amqp::SASL);
    ended(&mut client);
    assert_eq!(login(&process, init("ANONYMOUS", b"")), 1);
    assert_eq!(login(&process, init("PLAIN", b"\0user\0password")), 0);
}

#[test]
fn r2_everything_may_come_in_one_write() {
    let process = server("");
    let mut client = raw(&process);
    let mut all = amqp::SASL.to_vec();
    all.extend(amqp::frame(
        1,
        0,
        &amqp::encoded(init("ANONYMOUS", b"")),
        &[],
    ));
    all.extend(amqp::AMQP);
    for body in [open(), amqp::begin(), amqp::sender("s", 0, "pipelined")] {
        all.extend(amqp::frame(0, 0, &amqp::encoded(body), &[]));
    }
    client.bytes(&all);
    assert_eq!(client.header(), amqp::SASL);
    assert_eq!(client.expect("mechanisms").channel, 0);
    assert_eq!(client.expect("outcome").body.number("code"), 0);
    assert_eq!(client.header(), amqp::AMQP);
    for name in ["open", "begin", "attach", "flow"] {
        client.expect(name);
    }
    client.send(0, 0, &amqp::message(false, b"m"));
    client.outcome(0, 0, "accepted");
}

#[test]
fn r2_octet_by_octet_is_the_same() {
    let process = server("");
    let mut client = raw(&process);
    let mut all = amqp::AMQP.to_vec();
    for body in [open(), amqp::begin(), amqp::sender("s", 0, "dripped")] {
        all.extend(amqp::frame(0, 0, &amqp::encoded(body), &[]));
    }
    for octet in all {
        client.bytes(&[octet]);
    }
    assert_eq!(client.header(), amqp::AMQP);
    for name in ["open", "begin", "attach", "flow"] {
        client.expect(name);
    }
}

#[test]
fn r3_mechanisms_are_offered_and_outcomes_told() {
    let process = server("");
    let mut client = raw(&process);
    client.bytes(&amqp::SASL);
    assert_eq!(client.header(), amqp::SASL);
    let offered = client.expect("mechanisms").body;
    let names = offered.get("sasl-server-mechanisms").names();
    assert_eq!(names, ["PLAIN", "ANONYMOUS"]);
    let token = format!("\0user\0{}", "t".repeat(8_000));
    for (init, code) in [
        (init("ANONYMOUS", b""), 0),
        (init("ANONYMOUS", b"trace@example"), 0),
        (init("PLAIN", b"authzid\0user\0password"), 0),
        (init("PLAIN", token.as_bytes()), 0),
        (init("PLAIN", b"user"), 1),
        (init("EXTERNAL", b""), 1),
        (init("SCRAM-SHA-256", b"n,,n=user,r=r"), 1),
    ] {
        assert_eq!(login(&process, init.clone()), code, "{init:?}");
    }
}

/// No bytes are lost between the layers, nor is a response that was asked for by a challenge.
#[test]
fn r5_the_header_comes_again_behind_sasl() {
    let process = server("");
    let mut client = raw(&process);
    client.bytes(&amqp::SASL);
    client.header();
    client.expect("mechanisms");
    client.say_sasl(Composite::new("init").with("mechanism", symbol("PLAIN")));
    client.expect("challenge");
    let words: &[u8] = b"\0user\0password";
    client.say_sasl(Composite::new("response").with("response", words));
    assert_eq!(client.expect("outcome").body.number("code"), 0);
    client.open_with(open());
    client.begin(0);
    client.close();

    let mut client = raw(&process);
    client.bytes(&amqp::SASL);
    client.header();
    client.expect("mechanisms");
    client.say_sasl(init("ANONYMOUS", b""));
    client.expect("outcome");
    client.bytes(&amqp::SASL);
    assert_eq!(client.header(), amqp::AMQP, "SASL within SASL");
    ended(&mut client);
}

#[test]
fn r3_frames_out_of_order_end_the_handshake() {
    let process = server("");
    let empty = amqp::frame(1, 0, &[], &[]);
    let wrong_layer = amqp::frame(0, 0, &amqp::encoded(open()), &[]);
    let nothing: &[u8] = b"";
    let of_the_server = [
        Composite::new("mechanisms").with("sasl-server-mechanisms", symbol("PLAIN")),
        Composite::new("challenge").with("challenge", nothing),
        Composite::new("outcome").with("code", 0_u8),
        Composite::new("response").with("response", nothing),
        Composite::new("init"),
    ];
    let frames = of_the_server.map(|body| amqp::frame(1, 0, &amqp::encoded(body), &[]));
    let huge = [0, 0x10, 0, 0, 2, 1, 0, 0].to_vec();
    for frame in frames.into_iter().chain([empty, wrong_layer, huge]) {
        let mut client = raw(&process);
        client.bytes(&amqp::SASL);
        client.header();
        client.expect("mechanisms");
        client.bytes(&frame);
        ended(&mut client);
    }
}

/// Rules 3 and 18: who does not get to the end of the handshake is not waited for.
#[test]
fn r18_handshakes_have_an_end() {
    let process = server("[limits]\nconnect_timeout_ms = 300\n");
    let mut begun = [b"".as_slice(), b"AMQ", &amqp::SASL, &amqp::AMQP].map(|bytes| {
        let mut client = raw(&process);
        client.bytes(bytes);
        client
    });
    let mut half = amqp::AMQP.to_vec();
    half.extend([0, 0, 1]);
    begun[3].bytes(&half[8..]);
    for client in &mut begun {
        client.wire.input.until_closed().unwrap();
    }
    super::begun(&process).close();
}

fn init(mechanism: &str, response: &[u8]) -> Composite {
    Composite::new("init")
        .with("mechanism", symbol(mechanism))
        .with("initial-response", response)
        .with("hostname", "anywhere")
}

/// The code of the outcome; after anything but 0 the connection must be over.
fn login(process: &Process, init: Composite) -> u64 {
    let mut client = raw(process);
    client.bytes(&amqp::SASL);
    assert_eq!(client.header(), amqp::SASL);
    client.expect("mechanisms");
    client.say_sasl(init);
    let code = client.expect("outcome").body.number("code");
    if code == 0 {
        client.open_with(open());
        client.close();
    } else {
        ended(&mut client);
    }
    code
}
