//! Refusals in words, and for whom they are (rules 18, 19, 36).

use super::super::client::{Client, PINGREQ};
use super::super::version::{BOTH, Version};
use super::client::*;
use crate::support::Server;

const DENY: [&str; 1] = ["mqtt.deny=[\"no/#\"]"];

/// What one client is told of a denied PUBLISH at QoS 1 and 2, of a denied filter, and last of its
/// own protocol error.
fn told(server: &Server, terms: &[Property]) -> [Vec<Property>; 4] {
    let connect = Connect {
        properties: terms,
        ..Connect::named("told")
    };
    let mut client = connect.accepted(server, false);
    client.send(&publish(0x32, "no/a", 1, &[], b"x"));
    let (reason, puback) = client.expect_ack(0x40, 1);
    assert_eq!(reason, 0x87);
    client.send(&publish(0x34, "no/a", 2, &[], b"x"));
    let (reason, pubrec) = client.expect_ack(0x50, 2);
    assert_eq!(reason, 0x87);
    client.send(&subscribe(3, &[], &[("yes", 1), ("no/a", 1)]));
    let answer = client.packet();
    assert_eq!(answer.id_of(0x90).unwrap(), 3);
    let (suback, codes) = read_block(&answer.body[2..]);
    assert_eq!(codes, [1, 0x87]);
    client.send(&[0xd0, 0]);
    [puback, pubrec, suback, client.expect_disconnect(0x82)]
}

fn words(text: &str) -> Vec<Property> {
    vec![string(REASON, text)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r18_words_are_left_out_for_who_does_not_want_them_but_in_disconnect() {
    let server = Server::start_with(&DENY).await;
    let denied = "nobody may do that here";
    let error = words("protocol error (0x82, [2.1.2])");
    let all = [
        words(denied),
        words(denied),
        words(&format!("filter 2: {denied}")),
        error.clone(),
    ];
    assert_eq!(told(&server, &[]), all);
    assert_eq!(told(&server, &[byte(REQUEST_PROBLEM, 1)]), all);
    let unwanted = [vec![], vec![], vec![], error];
    assert_eq!(told(&server, &[byte(REQUEST_PROBLEM, 0)]), unwanted);
}

/// Mutant caught: a limit that is compared before the words are left out, so that nothing comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r19_words_are_left_out_where_the_packet_would_be_too_large() {
    let server = Server::start_with(&DENY).await;
    let said = told(&server, &[long(MAXIMUM_PACKET, 24)]);
    assert_eq!(said, [const { Vec::new() }; 4]);
    // 31 bytes are enough for the words of PUBACK, but not for those of SUBACK.
    let [puback, pubrec, suback, _] = told(&server, &[long(MAXIMUM_PACKET, 32)]);
    assert_eq!(puback, words("nobody may do that here"));
    assert_eq!((pubrec, suback), (puback, vec![]));
    let too_much = Connect {
        properties: &[long(MAXIMUM_PACKET, 24)],
        will: Some((0x04, &[], "no/will", b"x")),
        ..Connect::named("will")
    };
    let (client, (_, reason, said)) = too_much.open(&server);
    assert_eq!((reason, said), (0x87, vec![]));
    client.expect_end(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r36_a_denied_publish_of_3_1_1_ends_the_connection_or_is_acknowledged_and_dropped() {
    let server = Server::start_with(&DENY).await;
    for bytes in [0x30, 0x32, 0x34] {
        let mut old = Client::clean(&server, "old");
        old.send(&super::super::client::publish(bytes, "no/a", 1, b"x"));
        old.send(&PINGREQ);
        old.expect_end(&[]);
    }
    let server = Server::start_with(&[DENY[0], "mqtt.acknowledge_denied=true"]).await;
    for version in BOTH {
        let mut client = version.clean(&server, "r36");
        client.subscribe(&[("#", 2)]);
        for (id, first) in [(0, 0x30), (1, 0x33), (2, 0x34)] {
            client.send(&version.publish(first, "no/a", id, b"x"));
        }
        let refused = match version {
            Version::Old => 0,
            Version::Five => 0x87,
        };
        assert_eq!(client.expect_ack(0x40, 1).0, refused);
        assert_eq!(client.expect_ack(0x50, 2).0, refused);
        if refused == 0 {
            client.send(&ack(0x62, 2, 0));
            client.expect(&ack(0x70, 2, 0));
        }
        client.publish("yes", b"the only one");
        client.expect_message("yes", b"the only one");
    }
    assert_eq!(server.metric("ternmq_retained").await, 0);
    // Malformed topics still end it.
    let mut old = Client::clean(&server, "old");
    old.send(&super::super::client::publish(0x32, "no/+", 1, b"x"));
    old.expect_end(&[]);
}
