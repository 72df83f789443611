//! CONNECT and CONNACK (rules 1-11, 14-18, 21).

use std::time::{Duration, Instant};

use super::super::client::Client;
use super::super::version::{BOTH, Version};
use super::client::*;
use crate::support::Server;
use crate::support::mqtt::{Session, packet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_a_second_connect_is_a_protocol_error() {
    let server = Server::start().await;
    let mut client = clean(&server, "r1");
    client.send(&Connect::named("r1").bytes());
    client.expect_disconnect(0x82);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_and_r16_connack_says_what_differs_from_the_defaults() {
    let server =
        Server::start_with(&["mqtt.receive_maximum=20", "mqtt.retain_available=false"]).await;
    let (mut client, (present, reason, said)) = Connect::named("r3").open(&server);
    assert_eq!((present, reason), (0, 0));
    let wanted = [
        short(RECEIVE_MAXIMUM, 20),
        byte(RETAIN_AVAILABLE, 0),
        long(MAXIMUM_PACKET, 256 << 10),
        short(ALIAS_MAXIMUM, 16),
    ];
    assert_eq!(said, wanted);
    client.ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_password_needs_no_user_name() {
    let server = Server::start().await;
    let mut body = b"\x00\x04MQTT\x05\x42\x00\x00\x00\x00\x02r5".to_vec();
    body.extend(b"\x00\x02\xff\x00");
    let mut client = Client::silent(&server);
    client.send(&packet(0x10, &body));
    assert_eq!(client.packet().body[..2], [0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r6_properties_of_connect_are_checked() {
    let server = Server::start().await;
    let twice = [short(RECEIVE_MAXIMUM, 1), short(RECEIVE_MAXIMUM, 1)];
    for (properties, reason) in [
        (&[short(RECEIVE_MAXIMUM, 0)][..], 0x82),
        (&[long(MAXIMUM_PACKET, 0)], 0x82),
        (&[byte(REQUEST_RESPONSE, 2)], 0x82),
        (&twice, 0x82),
        (&[string(CONTENT_TYPE, "not here")], 0x81),
    ] {
        let connect = Connect {
            properties,
            ..Connect::named("r6")
        };
        let (client, (present, said, _)) = connect.open(&server);
        assert_eq!((present, said), (0, reason), "{properties:x?}");
        client.expect_end(&[]);
    }
}

/// Mutant caught: ids made of slot and generation alone, which a restart gives again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_assigned_ids_are_told_and_differ_also_over_a_restart() {
    let server = Server::start().await;
    let anonymous = Connect {
        properties: &[long(SESSION_EXPIRY, 100)],
        ..Connect::named("")
    };
    let assigned = |said: Vec<Property>| {
        let id = said.into_iter().find(|(id, _)| *id == ASSIGNED_ID);
        String::from_utf8(id.unwrap().1[2..].to_vec()).unwrap()
    };
    let (one, (_, _, said)) = anonymous.open(&server);
    let first = assigned(said);
    let (two, (_, _, said)) = anonymous.open(&server);
    assert_ne!(first, assigned(said));
    drop((one, two));
    let server = server.restart(&[]).await;
    let (_, (present, _, said)) = anonymous.open(&server);
    assert_eq!(present, 0);
    assert_ne!(first, assigned(said));
    let again = Connect {
        clean: false,
        ..Connect::named(&first)
    };
    again.accepted(&server, true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_clean_start_discards_and_the_session_resumes_without() {
    let server = Server::start().await;
    let kept_open = |clean, present| {
        let properties = [long(SESSION_EXPIRY, 100)];
        let connect = Connect {
            clean,
            properties: &properties,
            ..Connect::named("r8")
        };
        connect.accepted(&server, present)
    };
    let mut client = kept_open(true, false);
    client.subscribe5(&[], &[("r8", 1)]);
    client.disconnect();
    let mut client = kept_open(false, true);
    client.send(&publish(0x30, "r8", 0, &[], b"mine"));
    client.message5("r8", b"mine");
    client.disconnect();
    kept_open(true, false).disconnect();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_sessions_live_as_long_as_they_ask_and_the_server_grants() {
    let server = Server::start_with(&["mqtt.max_session_expiry_s=50"]).await;
    let asks = |expiry: &[Property]| {
        let connect = Connect {
            properties: expiry,
            ..Connect::named("r9-told")
        };
        let (_, (_, _, said)) = connect.open(&server);
        said.into_iter().find(|(id, _)| *id == SESSION_EXPIRY)
    };
    assert_eq!(asks(&[long(SESSION_EXPIRY, 50)]), None);
    assert_eq!(asks(&[]), None);
    for cut in [51, u32::MAX] {
        let told = asks(&[long(SESSION_EXPIRY, cut)]);
        assert_eq!(told, Some(long(SESSION_EXPIRY, 50)));
    }
    let short_lived = |clean| Connect {
        clean,
        properties: &[],
        ..Connect::named("r9")
    };
    let expiry = [long(SESSION_EXPIRY, 1)];
    let connect = Connect {
        properties: &expiry,
        ..short_lived(false)
    };
    drop(connect.accepted(&server, false));
    let client = connect.accepted(&server, true);
    drop(client);
    // "r9-told" lives on.
    server.until("ternmq_sessions", |value| value == 1).await;
    connect.accepted(&server, false);
    // Absent is 0: it ends with its connection.
    drop(short_lived(true).accepted(&server, false));
    short_lived(false).accepted(&server, false);
}

/// Mutant caught: Expire left out of DISCONNECT.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_disconnect_changes_the_expiry_but_not_from_0() {
    let server = Server::start().await;
    let expiry = [long(SESSION_EXPIRY, 100)];
    let connect = Connect {
        clean: false,
        properties: &expiry,
        ..Connect::named("r10")
    };
    let leave = |mut client: Client, seconds: u32| {
        let mut body = vec![0];
        body.extend(block(&[long(SESSION_EXPIRY, seconds)]));
        client.send(&packet(0xe0, &body));
        client
    };
    leave(connect.accepted(&server, false), 200).expect_end(&[]);
    leave(connect.accepted(&server, true), 0).expect_end(&[]);
    let client = connect.accepted(&server, false);
    drop(client);
    leave(clean(&server, "r10-clean"), 5).expect_disconnect(0x82);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_the_old_connection_is_told_of_a_takeover_by_any_version() {
    let server = Server::start().await;
    let first = clean(&server, "r11");
    let second = Client::clean(&server, "r11");
    first.expect_disconnect(0x8e);
    let mut third = clean(&server, "r11");
    second.expect_end(&[]);
    third.ping();
}

/// Each takes the session from the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_takeovers_go_across_versions_and_listeners() {
    let server = Server::start().await;
    let mut holder: Option<Client> = None;
    for listener in ["mqtt", "auto", "websocket", "http", "mqtt"] {
        for version in BOTH {
            let mut next = Client::on(&server, listener);
            next.version = version;
            next.send(&version.connect("r11", Session::Clean, 0));
            assert_eq!(next.packet().first, 0x20, "{listener}");
            let Some(old) = holder.replace(next) else {
                continue;
            };
            match old.version {
                Version::Five => drop(old.expect_disconnect(0x8e)),
                Version::Old => old.expect_end(&[]),
            }
        }
    }
    holder.unwrap().ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r14_the_server_keep_alive_is_told_and_holds() {
    let server = Server::start_with(&["mqtt.max_keep_alive_s=1"]).await;
    let asks = |keep_alive_s| Connect {
        keep_alive_s,
        ..Connect::named("r14")
    };
    for longer in [0, 120] {
        let (client, (_, _, said)) = asks(longer).open(&server);
        assert!(said.contains(&short(SERVER_KEEP_ALIVE, 1)));
        let began = Instant::now();
        client.expect_disconnect(0x8d);
        assert!(began.elapsed() >= Duration::from_millis(1_400));
    }
    let (_, (_, _, said)) = asks(1).open(&server);
    assert!(said.iter().all(|(id, _)| *id != SERVER_KEEP_ALIVE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r17_a_will_or_publish_that_asks_for_too_much_is_refused() {
    let server = Server::start_with(&["mqtt.retain_available=false"]).await;
    let connect = Connect {
        will: Some((0x24, &[], "r17", b"x")),
        ..Connect::named("r17")
    };
    let (client, (_, reason, _)) = connect.open(&server);
    assert_eq!(reason, 0x9a);
    client.expect_end(&[]);
    let mut client = clean(&server, "r17");
    client.send(&publish(0x31, "r17", 0, &[], b"x"));
    client.expect_disconnect(0x9a);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r18_response_information_is_for_those_who_ask() {
    let server = Server::start_with(&["mqtt.response_topic_prefix=\"answers/\""]).await;
    let asks = |name, wish: &[Property]| {
        let connect = Connect {
            properties: wish,
            ..Connect::named(name)
        };
        let (_, (_, _, said)) = connect.open(&server);
        said.into_iter().find(|(id, _)| *id == RESPONSE_INFO)
    };
    let wish = [byte(REQUEST_RESPONSE, 1)];
    let told = Some(string(RESPONSE_INFO, "answers/r18"));
    assert_eq!(asks("r18", &wish), told);
    assert_eq!(asks("r18", &[]), None);
    assert_eq!(asks("r18", &[byte(REQUEST_RESPONSE, 0)]), None);
    assert_eq!(asks("r18/+", &wish), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_unknown_methods_and_auth_without_method_are_refused() {
    let server = Server::start().await;
    let method = [string(AUTH_METHOD, "SCRAM-NONE")];
    let connect = Connect {
        properties: &method,
        ..Connect::named("r21")
    };
    let (client, (_, reason, _)) = connect.open(&server);
    assert_eq!(reason, 0x8c);
    client.expect_end(&[]);
    for (auth, reason) in [(&[0xf0, 0][..], 0x82), (&[0xf1, 0], 0x81)] {
        let mut client = clean(&server, "r21");
        client.send(auth);
        client.expect_disconnect(reason);
    }
}
