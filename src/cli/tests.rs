use clap::CommandFactory;

use super::*;

fn serve(line: &[&str]) -> ServeArguments {
    let arguments = Arguments::try_parse_from(line).unwrap();
    match arguments.command {
        Some(Command::Serve(serve)) => serve,
        None => arguments.serve,
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
