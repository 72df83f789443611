use clap::Parser;

use super::*;

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
        subscription_ids: Vec::new(),
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
    progress.note(Event::Published(9, Reason(0)), "t");
    assert!(progress.failure.is_none() && !progress.ended);
    progress.note(Event::Published(7, Reason(0x87)), "t");
    progress.note(Event::Published(8, Reason(0x97)), "t");
    let text = progress.failure.unwrap().to_string();
    assert_eq!(text, "message 3 to `t` was refused: not authorized (0x87)");
    assert!(progress.ended);
}
