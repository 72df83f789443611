use clap::Parser;

use super::*;
use crate::client::amqp::NodeKind;
use crate::client::mqtt::Reason;
use crate::client::{Event, Refusal, Verdict};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    publish: PublishArguments,
}

fn plan(line: &[&str]) -> Result<Plan, Failure> {
    let line = [&["pub"], line].concat();
    Plan::of(&Line::try_parse_from(line).unwrap().publish)
}

#[test]
fn the_default_is_qos_1_without_properties() {
    let template = plan(&["a/b", "x"]).unwrap().template;
    assert_eq!(
        (template.topic.as_str(), template.qos, template.retain),
        ("a/b", QoS::AtLeastOnce, false)
    );
    assert_eq!(template.properties, Properties::default());
}

#[test]
fn all_properties_are_taken() {
    let line = [
        "a",
        "x",
        "--content-type",
        "text/plain",
        "--response-topic",
        "answers",
        "--correlation",
        "c",
        "--expiry",
        "1m",
        "--payload-format",
        "utf8",
        "--prop",
        "a=b=c",
        "--prop",
        "a=",
    ];
    let expected = Properties {
        content_type: Some("text/plain".to_owned()),
        response_topic: Some("answers".to_owned()),
        correlation: Some(Bytes::from_static(b"c")),
        expiry_s: Some(60),
        utf8: true,
        user: vec![
            ("a".to_owned(), "b=c".to_owned()),
            ("a".to_owned(), String::new()),
        ],
        ..Properties::default()
    };
    assert_eq!(plan(&line).unwrap().template.properties, expected);
}

#[test]
fn what_mqtt_does_not_allow_is_a_usage_error() {
    let table: [&[&str]; 5] = [
        &["a/#", "x"],
        &["", "x"],
        &["a", "x", "--response-topic", "b/+"],
        &["a", "x", "--mqtt", "3", "--prop", "a=b"],
        &["a", "x", "--mqtt", "3", "--payload-format", "utf8"],
    ];
    for line in table {
        let failure = plan(line).err().unwrap();
        assert_eq!(failure.exit_code(), 2, "{line:?}: {failure}");
    }
}

#[test]
fn the_first_failure_is_the_one_that_is_told() {
    let mut progress = Progress::default();
    progress.numbers.insert(7, 3);
    progress.numbers.insert(8, 4);
    let refused = |reason| Verdict::Refused(Refusal::Mqtt(Reason(reason)));
    progress.note(Event::Published(9, Verdict::Taken), "t");
    assert!(progress.failure.is_none() && !progress.ended);
    progress.note(Event::Published(7, refused(0x87)), "t");
    progress.note(Event::Published(8, refused(0x97)), "t");
    let text = progress.failure.unwrap().to_string();
    assert_eq!(text, "message 3 to `t` was refused: not authorized (0x87)");
    assert!(progress.ended);
}

#[test]
fn amqp_takes_its_own_options() {
    let line = [
        "orders",
        "x",
        "--protocol",
        "amqp",
        "--queue",
        "--qos",
        "0",
        "--reply-to",
        "answers",
        "--ttl",
        "90s",
        "--subject",
        "s",
        "--priority",
        "9",
        "--prop",
        "a=b",
        "--id",
        "me",
    ];
    let plan = plan(&line).unwrap();
    let Target::Amqp {
        options,
        node,
        settled,
    } = plan.target
    else {
        panic!("not AMQP");
    };
    assert_eq!(options.server(), "127.0.0.1:5672");
    assert_eq!((options.container_id.as_str(), settled), ("me", true));
    assert_eq!(
        (node.address.as_str(), node.kind),
        ("orders", Some(NodeKind::Queue))
    );
    let expected = Properties {
        response_topic: Some("answers".to_owned()),
        expiry_s: Some(90),
        user: vec![("a".to_owned(), "b".to_owned())],
        subject: Some("s".to_owned()),
        priority: Some(9),
        ..Properties::default()
    };
    assert_eq!(plan.template.properties, expected);
}

#[test]
fn options_of_the_other_protocol_are_refused_by_name() {
    let mqtt: [&[&str]; 4] = [
        &["--queue"],
        &["--topic"],
        &["--subject", "s"],
        &["--priority", "1"],
    ];
    let amqp: [&[&str]; 9] = [
        &["--retain"],
        &["--payload-format", "utf8"],
        &["--mqtt", "5"],
        &["--will-topic", "w"],
        &["--qos", "2"],
        &["--expiry", "50d"],
        &["--content-type", "tëxt"],
        &["--prop", "a=b", "--prop", "a=c"],
        &["--url", "mqtt://broker"],
    ];
    let table = mqtt.iter().map(|used| (*used, "mqtt"));
    for (used, protocol) in table.chain(amqp.iter().map(|used| (*used, "amqp"))) {
        let line = [&["a", "x", "--protocol", protocol], used].concat();
        let failure = plan(&line).err().unwrap();
        assert_eq!(failure.exit_code(), 2, "{line:?}: {failure}");
        assert!(failure.to_string().contains(used[0]), "{failure}");
    }
    assert!(plan(&["a/#", "x", "--url", "amqp://broker"]).is_ok());
    assert!(plan(&["", "x", "--url", "amqp://broker"]).is_err());
}
