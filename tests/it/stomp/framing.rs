//! ST-F, ST-S2, ST-L: frames on the wire, there and back.

use std::fmt::Write;

use super::{Client, Frame};
use crate::support::Server;

async fn echo(server: &Server, version: &str, headers: &str, body: &[u8]) -> Frame {
    let mut client = Client::speaking(server, version).await;
    client.subscribe("s", "/topic/echo", "auto").await;
    let mut frame = format!("SEND\ndestination:/topic/echo\n{headers}\n").into_bytes();
    frame.extend_from_slice(body);
    frame.push(0);
    client.send(frame).await;
    client.expect("MESSAGE").await
}

async fn refused(server: &Server, version: &str, frame: &[u8]) -> String {
    let mut client = Client::speaking(server, version).await;
    client.send(frame).await;
    client.error().await.get("message").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_f1_single_octets_and_a_hundred_frames_are_the_same() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/topic/t", "auto").await;
    for octet in b"\n\n\r\nSEND\ndestination:/topic/t\n\nslow\0\n" {
        client.send([*octet]).await;
        tokio::task::yield_now().await;
    }
    client.message("slow").await;
    client
        .send("SEND\ndestination:/topic/t\n\nfast\0".repeat(100))
        .await;
    for _ in 0..100 {
        client.message("fast").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_f2_f3_a_cr_ends_lines_in_1_2_and_belongs_to_the_value_in_1_1() {
    let server = Server::start().await;
    let frame = echo(&server, "1.2", "a:b\r\nc:d\n\r", b"x\r\n").await;
    assert_eq!((frame.get("a"), frame.get("c")), (Some("b"), Some("d")));
    assert_eq!(frame.body, b"x\r\n");
    let frame = echo(&server, "1.1", "a:b\r\n", b"x").await;
    assert_eq!(frame.get("a"), Some("b\r"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_f4_line_ends_between_frames_are_ignored() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.send("\n".repeat(1_000)).await;
    client.publish("/topic/none", "", "x").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_f5_f6_f16_f17_x1_what_is_malformed_is_an_error_and_the_end() {
    let server = Server::start().await;
    let table: [(&[u8], &str); 6] = [
        (b"send\ndestination:/queue/a\n\n\0", "unknown command"),
        (b"WHAT\n\n\0", "unknown command"),
        (
            b"SUBSCRIBE\nid:1\ndestination:/queue/a\n\nbody\0",
            "no body",
        ),
        (
            b"SEND\ndestination:/queue/a\nnocolon\n\n\0",
            "malformed header",
        ),
        (b"SEND\ndestination:/queue/a\n:v\n\n\0", "malformed header"),
        (b"SEND\ndestination:/queue/a\nk:\xff\n\n\0", "UTF-8"),
    ];
    for (frame, words) in table {
        let message = refused(&server, "1.2", frame).await;
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_f7_st_03_content_length_counts_octets() {
    let server = Server::start().await;
    let frame = echo(&server, "1.2", "content-length:5\n", b"a\0b\0c").await;
    assert_eq!(
        (frame.body.as_slice(), frame.get("content-length")),
        (&b"a\0b\0c"[..], Some("5"))
    );
    let frame = echo(&server, "1.2", "", "äöü".as_bytes()).await;
    assert_eq!(frame.get("content-length"), Some("6"));
    let short = "SEND\ndestination:/queue/short\ncontent-length:3\n\näöü\0";
    let message = refused(&server, "1.2", short.as_bytes()).await;
    assert!(message.contains("content-length"), "{message}");
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/queue/short", "auto").await;
    client.publish("/queue/short", "", "only").await;
    client.message("only").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_f8_an_invalid_content_length_is_refused_before_the_body_comes() {
    let server = Server::start().await;
    for length in ["-1", "x", "+1", "99999999999999999999", "1073741824"] {
        let head = format!("SEND\ndestination:/queue/a\ncontent-length:{length}\n\n");
        refused(&server, "1.2", head.as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_f9_any_frame_may_have_a_content_length_of_0() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    let zero = "content-length:0\n";
    client
        .send(format!(
            "SUBSCRIBE\nid:s\ndestination:/queue/zero\nack:client\n{zero}\n\0"
        ))
        .await;
    client.publish("/queue/zero", zero, "").await;
    let message = client.message("").await;
    assert_eq!(message.get("content-length"), Some("0"));
    for frame in [
        format!("ACK\nid:{}\nreceipt:r\n{zero}\n\0", message.ack()),
        format!("UNSUBSCRIBE\nid:s\nreceipt:r\n{zero}\n\0"),
        format!("DISCONNECT\nreceipt:r\n{zero}\n\0"),
    ] {
        client.send(frame).await;
        client.receipt("r").await;
    }
    client.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_f10_f11_st_01_escapes_go_by_version() {
    let server = Server::start().await;
    let frame = echo(&server, "1.2", "k\\c:a\\cb\\\\c\\nd\\re\n", b"").await;
    assert_eq!(frame.get("k\\c"), Some("a\\cb\\\\c\\nd\\re"));
    let frame = echo(&server, "1.2", "k\u{1f980}:\u{10ffff}\n", b"").await;
    assert_eq!(frame.get("k\u{1f980}"), Some("\u{10ffff}"));
    let frame = echo(&server, "1.2", "k:x:y\n", b"").await;
    assert!(matches!(frame.get("k"), Some("x:y" | "x\\cy")), "{frame:?}");
    let frame = echo(&server, "1.0", "k:a\\cb:c\n", b"").await;
    assert_eq!(frame.get("k"), Some("a\\cb:c"));
    for (version, escape) in [("1.2", "\\t"), ("1.1", "\\t"), ("1.1", "\\r")] {
        let frame = format!("SEND\ndestination:/queue/a\nk:{escape}\n\n\0");
        let message = refused(&server, version, frame.as_bytes()).await;
        assert!(message.contains("escape"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_f10_versions_read_one_another() {
    let server = Server::start().await;
    let mut old = Client::speaking(&server, "1.1").await;
    old.subscribe("s", "/topic/t", "auto").await;
    let mut new = Client::connect(&server).await;
    new.publish("/topic/t", "k:a\\rb\\cc\n", "x").await;
    assert_eq!(old.message("x").await.get("k"), Some("a\rb\\cc"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_f13_f14_f15_padding_repetition_and_empty_values() {
    let server = Server::start().await;
    let mut client = Client::speaking(&server, "1.0").await;
    client
        .send("SUBSCRIBE\ndestination: /topic/echo\nreceipt:s\n\n\0")
        .await;
    client.receipt("s").await;
    client.send("SEND\ndestination: /topic/echo\n\nx\0").await;
    let message = client.message("x").await;
    assert_eq!(message.get("subscription"), None);
    assert_eq!(message.get("destination"), Some("/topic/echo"));
    let frame = echo(&server, "1.2", "sp: x \nk:\ndup:1\ndup:2\n", b"").await;
    assert_eq!(frame.get("sp"), Some(" x "));
    assert_eq!(frame.get("k"), Some(""));
    assert_eq!(frame.get("dup"), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_f18_bodies_of_any_octets_and_size_come_back() {
    let server = Server::start().await;
    let all: Vec<u8> = (0..=255u8).cycle().take(100_000).collect();
    for length in [0, 1, 4_095, 4_096, 4_097, 65_536, all.len()] {
        let headers = format!("content-length:{length}\n");
        let frame = echo(&server, "1.2", &headers, &all[..length]).await;
        assert!(frame.body == all[..length], "{length} octets");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_l_limits_hold_at_n_and_break_above() {
    let server = Server::start_with(&["limits.max_frame_bytes.stomp=\"1KiB\""]).await;
    let headers = |count: usize| {
        (1..count).fold(String::new(), |mut all, n| {
            let _ = writeln!(all, "h{n}:v");
            all
        })
    };
    let send = |headers: String, body: usize| {
        format!(
            "SEND\ndestination:/topic/t\n{headers}\n{}\0",
            "x".repeat(body)
        )
    };
    let line = |octets: usize| format!("k:{}\n", "x".repeat(octets - 2));
    let table = [
        (
            send(headers(256), 0),
            send(headers(257), 0),
            "too many headers",
        ),
        (
            send(line(16_384), 0),
            send(line(16_385), 0),
            "line too long",
        ),
        (
            send(String::new(), 1_024),
            send(String::new(), 1_025),
            "body too large",
        ),
    ];
    for (fits, breaks, words) in table {
        let mut client = Client::connect(&server).await;
        client.send(fits).await;
        client.disconnect().await;
        let message = refused(&server, "1.2", breaks.as_bytes()).await;
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_s2_s3_user_headers_pass_and_server_owned_ones_do_not() {
    let server = Server::start().await;
    let sent = "custom:1\nmessage-id:mine\nredelivered:true\nsubscription:other\nack:mine\n\
        receipt:r\nJMSXUserID:root\ncorrelation-id:c\ntype:t\nreply-to:/queue/answers\n\
        priority:7\npersistent:true\ncontent-type:text/plain\n";
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/topic/echo.a", "auto").await;
    client
        .send(format!("SEND\ndestination:/topic/echo.a\n{sent}\nx\0"))
        .await;
    let (first, second) = (client.frame().await, client.frame().await);
    let frame = if first.command == "MESSAGE" {
        first
    } else {
        second
    };
    for (name, value) in [
        ("destination", "/topic/echo.a"),
        ("subscription", "s"),
        ("custom", "1"),
        ("correlation-id", "c"),
        ("type", "t"),
        ("reply-to", "/queue/answers"),
        ("priority", "7"),
        ("persistent", "true"),
        ("content-type", "text/plain"),
    ] {
        assert_eq!(frame.get(name), Some(value), "{name}");
    }
    for name in [
        "redelivered",
        "ack",
        "receipt",
        "JMSXUserID",
        "delivery-count",
    ] {
        assert_eq!(frame.get(name), None, "{name}");
    }
    assert_ne!(frame.get("message-id"), Some("mine"));
}
