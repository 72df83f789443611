use clap::CommandFactory;

use super::*;
use crate::client::amqp::Condition;
use crate::client::mqtt::Reason;
use crate::client::{ClientError, Refusal};

fn serve(line: &[&str]) -> ServeArguments {
    let arguments = Arguments::try_parse_from(line).unwrap();
    match arguments.command {
        Some(Command::Serve(serve)) => serve,
        None => arguments.serve,
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn command_definition_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn no_command_means_serve_with_the_same_options() {
    for command in [&["ternmq"][..], &["ternmq", "serve"]] {
        let options = ["--set", "a=1", "--config", "f.toml", "--set", "b=2"];
        let serve = serve(&[command, &options].concat());
        assert_eq!(serve.config.as_deref(), Some("f.toml".as_ref()));
        assert_eq!(serve.set, ["a=1", "b=2"]);
    }
}

#[test]
fn options_on_both_sides_of_the_command_are_refused() {
    let line = ["ternmq", "--set", "a=1", "serve", "--set", "b=2"];
    assert!(Arguments::try_parse_from(line).is_err());
}

#[test]
fn a_cause_is_named_once_whether_the_error_names_it_or_not() {
    let cause = || anyhow::anyhow!("disk full");
    assert_eq!(
        describe(&cause().context("cannot start")),
        "cannot start: disk full"
    );
    let names_it = cause().context("cannot start: disk full");
    assert_eq!(describe(&names_it), "cannot start: disk full");
}

#[test]
fn config_check_takes_the_options_of_serve() {
    let line = [
        "ternmq", "config", "check", "--config", "f.toml", "--set", "a=1",
    ];
    let arguments = Arguments::try_parse_from(line).unwrap();
    let Some(Command::Config(ConfigCommand::Check(check))) = arguments.command else {
        panic!("{arguments:?}");
    };
    assert_eq!(check.config.as_deref(), Some("f.toml".as_ref()));
    assert_eq!(check.set, ["a=1"]);
}

/// Mutant: 0x87 taken out of `reason_exit_code`.
#[test]
fn ad_03_exit_codes_tell_scripts_what_kind_of_failure_it_was() {
    let refused = |code| {
        let reason = Reason(code);
        Failure::Client(ClientError::Refused { reason, said: None })
    };
    let published = |code| Failure::PublishRefused {
        number: 1,
        topic: "t".to_owned(),
        refusal: Refusal::Mqtt(Reason(code)),
    };
    let subscribed = |code| Failure::SubscribeRefused {
        filter: "t".to_owned(),
        refusal: Refusal::Mqtt(Reason(code)),
    };
    let table = [
        (refused(0x86), 3),
        (refused(0x87), 3),
        (refused(0x8A), 3),
        (refused(0x8C), 3),
        (refused(0x88), 6),
        (refused(0x89), 6),
        (refused(0x9C), 6),
        (refused(0x85), 1),
        (published(0x87), 3),
        (published(0x97), 1),
        (subscribed(0x87), 3),
        (subscribed(0x80), 1),
        (Failure::Client(ClientError::Closed), 6),
        (Failure::Client(ClientError::Silent), 6),
        (Failure::Client(ClientError::RetainNotSupported), 1),
        (Failure::Usage(String::new()), 2),
        (Failure::Check(String::new()), 2),
        (Failure::Timeout(String::new()), 124),
    ];
    for (failure, code) in table {
        assert_eq!(failure.exit_code(), code, "{failure:?}");
    }
    let condition = |name: &str| Condition {
        name: name.to_owned(),
        said: None,
    };
    let ended = |name| ClientError::Ended {
        what: "connection".to_owned(),
        condition: condition(name),
    };
    let link = |name| ClientError::LinkRefused {
        address: "a".to_owned(),
        condition: condition(name),
    };
    let table = [
        (ClientError::Login, 3),
        (ClientError::NoLogin, 6),
        (link("amqp:unauthorized-access"), 3),
        (link("amqp:not-found"), 1),
        (link("amqp:resource-locked"), 5),
        (ended("amqp:connection:forced"), 6),
        (ended("amqp:link:stolen"), 5),
        (ended("amqp:decode-error"), 1),
        (ClientError::TooLarge(7), 1),
    ];
    for (error, code) in table {
        let failure = Failure::from(error);
        assert_eq!(failure.exit_code(), code, "{failure:?}");
    }
    let rejected = Failure::PublishRefused {
        number: 1,
        topic: "t".to_owned(),
        refusal: Refusal::Amqp(condition("amqp:unauthorized-access")),
    };
    assert_eq!(rejected.exit_code(), 3);
    let taken_over = Failure::Client(ClientError::Disconnected {
        reason: Reason(0x8E),
        said: None,
    });
    assert_eq!(taken_over.exit_code(), 5);
}

#[test]
fn an_error_says_what_happened_and_what_to_do() {
    let reason = Reason(0x87);
    let said = Some("no".to_owned());
    let failure = Failure::Client(ClientError::Refused { reason, said });
    let expected = "the server refuses the connection: not authorized (0x87), \"no\"\n  hint: this \
                    user may not do that: ask the operator, or take another --user";
    assert_eq!(describe(&failure.into()), expected);
}
