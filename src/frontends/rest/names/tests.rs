use super::*;

#[test]
fn a_slash_is_text_however_it_was_encoded() {
    let plain = QueuePath::parse("a/b c", 100).unwrap();
    assert_eq!(plain.address.as_str(), "a%2Fb c");
    assert_eq!(QueuePath::parse("a%2Fb c", 100), Ok(plain));
}

#[test]
fn fqqn_names_one_queue() {
    let path = QueuePath::parse("a.b::c", 100).unwrap();
    assert_eq!(path.address.as_str(), "a.b");
    assert_eq!(path.queue.as_ref().map(QueueName::as_str), Some("c"));
    assert!(QueuePath::parse("a::b::c", 100).is_err());
    assert!(QueuePath::parse("", 100).is_err());
    assert!(QueuePath::parse("a.#", 100).is_err());
}

#[test]
fn only_streams_take_wildcards() {
    assert!(parse_topic("a.*", 100).is_err());
    assert!(parse_filter("a.*.#", 100).is_ok());
}

#[test]
fn reply_addresses_come_back_as_they_were() {
    for text in ["queue://a.b", "topic://a%2Fb", "a.b", "not a # name", ""] {
        assert_eq!(render_reply(&parse_reply(text)), text);
    }
    let routing = |text| match parse_reply(text) {
        ReplyTo::Address { routing, .. } => Some(routing),
        ReplyTo::Text(_) => None,
    };
    assert_eq!(routing("queue://a"), Some(Some(RoutingType::Anycast)));
    assert_eq!(routing("topic://a"), Some(Some(RoutingType::Multicast)));
    assert_eq!(routing("a"), Some(None));
    assert_eq!(routing("a.#"), None);
}
