use clap::Parser;

use super::*;
use crate::client::amqp::NodeKind;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    subscribe: SubscribeArguments,
}

fn arguments(line: &[&str]) -> SubscribeArguments {
    let line = [&["sub"], line].concat();
    Line::try_parse_from(line).unwrap().subscribe
}

fn failure(line: &[&str]) -> Failure {
    Plan::of(&arguments(line)).err().unwrap()
}

#[test]
fn a_terminal_gets_lines_and_everything_else_gets_json() {
    assert_eq!(arguments(&["a"]).form(true), Form::Human);
    assert_eq!(arguments(&["a"]).form(false), Form::Json);
    assert_eq!(arguments(&["a", "--json"]).form(true), Form::Json);
    let template = Form::Template(Template::parse("{body}").unwrap());
    assert_eq!(arguments(&["a", "--format", "{body}"]).form(true), template);
    assert_eq!(
        arguments(&["a", "--format", "{body}"]).form(false),
        template
    );
}

#[test]
fn a_session_is_kept_only_if_asked_for() {
    let session = |line: &[&str]| {
        let options = arguments(line).options().unwrap();
        (options.clean, options.session_expiry_s)
    };
    assert_eq!(session(&["a"]), (true, 0));
    let kept = ["a", "--id", "x", "--session-expiry", "1h"];
    assert_eq!(session(&kept), (false, 3_600));
    assert_eq!(session(&[&kept[..], &["--clean"]].concat()), (true, 3_600));
    assert_eq!(
        session(&["a", "--id", "x", "--session-expiry", "0s"]),
        (true, 0)
    );
    let nameless = ["sub", "a", "--session-expiry", "1h"];
    assert!(Line::try_parse_from(nameless).is_err());
}

/// Mutant: `receive_maximum` left alone.
#[test]
fn whoever_wants_few_messages_lets_the_server_send_few() {
    let receive_maximum = |line: &[&str]| arguments(line).options().unwrap().receive_maximum;
    assert_eq!(receive_maximum(&["a"]), 1_000);
    assert_eq!(receive_maximum(&["a", "--count", "5"]), 5);
    assert_eq!(receive_maximum(&["a", "--count", "0"]), 1);
    assert_eq!(receive_maximum(&["a", "--count", "100000"]), 1_000);
}

#[test]
fn what_mqtt_does_not_allow_is_a_usage_error() {
    let table: [&[&str]; 7] = [
        &["a/#/b"],
        &["a", ""],
        &["$share/g"],
        &["a", "--mqtt", "3", "--no-local"],
        &["a", "--mqtt", "3", "--retain-as-published"],
        &["a", "--mqtt", "3", "--retain-handling", "never"],
        &[
            "a",
            "--mqtt",
            "3",
            "--id",
            "x",
            "--session-expiry",
            "1h",
            "--clean",
        ],
    ];
    for line in table {
        let failure = failure(line);
        assert_eq!(failure.exit_code(), 2, "{line:?}: {failure}");
    }
    assert!(failure(&["b+"]).to_string().contains("`b+`"));
}

#[test]
fn amqp_addresses_are_taken_as_they_are() {
    let line = [
        "#",
        "$queue/a",
        "--protocol",
        "amqp",
        "--topic",
        "--count",
        "3",
        "--qos",
        "0",
    ];
    let plan = Plan::of(&arguments(&line)).unwrap();
    let Source::Amqp(_, subscription) = plan.source else {
        panic!("not AMQP");
    };
    let nodes: Vec<_> = subscription
        .nodes
        .iter()
        .map(|node| (&*node.address, node.kind))
        .collect();
    let topic = Some(NodeKind::Topic);
    assert_eq!(nodes, [("#", topic), ("$queue/a", topic)]);
    assert_eq!((subscription.settled, subscription.wanted), (true, Some(3)));
}

#[test]
fn options_of_mqtt_are_refused_by_name_over_amqp() {
    let table: [&[&str]; 6] = [
        &["--no-local"],
        &["--retain-as-published"],
        &["--retain-handling", "new"],
        &["--session-expiry", "1h", "--id", "x"],
        &["--mqtt", "3"],
        &["--qos", "2"],
    ];
    for used in table {
        let failure = failure(&[&["a", "--url", "amqp://broker"], used].concat());
        assert_eq!(failure.exit_code(), 2, "{used:?}: {failure}");
        assert!(failure.to_string().contains(used[0]), "{failure}");
    }
    assert!(
        failure(&["a", "--queue"])
            .to_string()
            .contains("--protocol amqp")
    );
}
