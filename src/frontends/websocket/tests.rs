use axum::http::{HeaderMap, HeaderValue, header};

use super::choice::{Choice, Refused, choose};
use super::{ByteProtocol, origin_may_connect};

fn chosen(path: &str, offered: &str) -> Result<Choice, Refused> {
    let offered: Vec<String> = offered.split_whitespace().map(str::to_owned).collect();
    choose(path, &offered, |_| true)
}

#[test]
fn ws_03_exactly_one_offered_subprotocol_is_chosen_or_none_is_spoken() {
    let mqtt = |name| Ok((ByteProtocol::Mqtt, name));
    let stomp = |name| Ok((ByteProtocol::Stomp, name));
    let amqp = |name| Ok((ByteProtocol::Amqp, name));
    let table = [
        ("/", "mqtt", mqtt(Some("mqtt"))),
        ("/ws", "mqttv3.1", mqtt(Some("mqttv3.1"))),
        ("/", "mqttv3.1 mqtt", mqtt(Some("mqtt"))),
        ("/mqtt", "mqtt", mqtt(Some("mqtt"))),
        ("/mqtt", "", mqtt(None)),
        ("/mqtt", "v12.stomp", Err(Refused::NothingSpoken)),
        ("/mqtt", "v12.stomp mqtt", mqtt(Some("mqtt"))),
        ("/", "v11.stomp v12.stomp", stomp(Some("v12.stomp"))),
        ("/ws", "v10.stomp v11.stomp", stomp(Some("v11.stomp"))),
        ("/ws", "stomp v10.stomp", stomp(Some("v10.stomp"))),
        ("/stomp", "stomp", stomp(Some("stomp"))),
        ("/stomp", "", stomp(None)),
        ("/stomp", "mqtt", Err(Refused::NothingSpoken)),
        ("/", "foo v12.stomp", stomp(Some("v12.stomp"))),
        ("/", "", Err(Refused::NothingNamed)),
        ("/ws", "", Err(Refused::NothingNamed)),
        ("/", "foo", Err(Refused::NothingSpoken)),
        ("/ws", "MQTT", Err(Refused::NothingSpoken)),
        ("/", "amqp", amqp(Some("amqp"))),
        ("/amqp", "", amqp(None)),
        ("/amqp", "amqp", amqp(Some("amqp"))),
        ("/amqp", "mqtt", Err(Refused::NothingSpoken)),
        ("/", "AMQPWSB10", Err(Refused::NothingSpoken)),
    ];
    for (path, offered, expected) in table {
        let got = chosen(path, offered).map(|choice| (choice.protocol, choice.subprotocol));
        assert_eq!(got, expected, "{path} offering {offered:?}");
    }
}

#[test]
fn ws_03_a_protocol_this_build_lacks_is_not_chosen() {
    let offered = ["mqtt".to_owned(), "stomp".to_owned()];
    let only_stomp = |protocol| protocol == ByteProtocol::Stomp;
    let choice = choose("/", &offered, only_stomp).unwrap();
    assert_eq!(choice.subprotocol, Some("stomp"));
    assert_eq!(
        choose("/mqtt", &[], only_stomp),
        Err(Refused::NothingSpoken)
    );
}

#[test]
fn ws_03_a_foreign_origin_connects_only_if_it_is_allowed() {
    let table = [
        (None, "", true),
        (Some("http://broker:61614"), "", true),
        (Some("https://BROKER:61614"), "", true),
        (Some("http://broker"), "", false),
        (Some("http://evil.example"), "", false),
        (Some("http://broker:61614.evil.example"), "", false),
        (Some("null"), "", false),
        (Some("https://shop.example"), "https://shop.example", true),
        (Some("http://shop.example"), "https://shop.example", false),
        (Some("https://any.example"), "*", true),
    ];
    for (origin, allowed, expected) in table {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("broker:61614"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        let allowed: Vec<String> = allowed.split_whitespace().map(str::to_owned).collect();
        let got = origin_may_connect(&headers, &allowed);
        assert_eq!(got, expected, "{origin:?}, allowed {allowed:?}");
    }
}
