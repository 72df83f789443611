use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    body: BodyArguments,
}

fn parse(line: &[&str]) -> Result<BodyArguments, clap::Error> {
    let line = [&["pub"], line].concat();
    Line::try_parse_from(line).map(|line| line.body)
}

fn lines(text: &'static [u8]) -> (Vec<Bytes>, Option<String>) {
    let mut receiver = read_lines(text);
    let (mut bodies, mut error) = (Vec::new(), None);
    while let Some(line) = receiver.blocking_recv() {
        match line {
            Ok(body) => bodies.push(body),
            Err(failure) => error = Some(failure.to_string()),
        }
    }
    (bodies, error)
}

#[test]
fn a_body_comes_in_exactly_one_way() {
    for line in [
        &["x"][..],
        &["-21.5"],
        &["--file", "f"],
        &["--stdin"],
        &["--lines"],
        &["--empty"],
    ] {
        assert!(parse(line).is_ok(), "{line:?}");
    }
    for line in [
        &[][..],
        &["x", "--empty"],
        &["--stdin", "--lines"],
        &["--file", "f", "x"],
    ] {
        assert!(parse(line).is_err(), "{line:?}");
    }
}

#[test]
fn the_same_body_comes_as_often_as_asked() {
    let mut bodies = parse(&["x"]).unwrap().open(2).unwrap();
    let mut next = || bodies.ready().map(Result::unwrap);
    assert_eq!(next().unwrap(), "x");
    assert_eq!(next().unwrap(), "x");
    assert_eq!(next(), None);
    let mut empty = parse(&["--empty"]).unwrap().open(1).unwrap();
    assert_eq!(empty.ready().unwrap().unwrap(), "");
}

#[test]
fn a_file_is_one_body_and_a_missing_one_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("body");
    std::fs::write(&path, b"a\nb\n\xff").unwrap();
    let open = |path: &std::path::Path| parse(&["--file", path.to_str().unwrap()]).unwrap().open(1);
    assert_eq!(
        open(&path).unwrap().ready().unwrap().unwrap(),
        &b"a\nb\n\xff"[..]
    );
    let error = open(&directory.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("none`: No such file"), "{error}");
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn each_line_that_is_not_blank_is_a_body() {
    let (bodies, error) = lines(b"one\r\n\n  \ntwo\nlast");
    assert_eq!(bodies, ["one\r", "two", "last"]);
    assert_eq!(error, None);
    assert_eq!(lines(b""), (Vec::new(), None));
}

/// Mutant: `take(MAX_LINE_BYTES + 1)` without limit.
#[test]
fn a_line_that_is_too_long_is_refused_and_numbered() {
    let most = usize::try_from(MAX_LINE_BYTES).unwrap();
    let fits: &'static [u8] = Vec::leak([&b"x\n"[..], &vec![b'y'; most], b"\nz"].concat());
    let (bodies, error) = lines(fits);
    assert_eq!((bodies.len(), bodies[1].len(), error), (3, most, None));
    let long: &'static [u8] = Vec::leak([&b"x\n"[..], &vec![b'y'; most + 1], b"\nz"].concat());
    let (bodies, error) = lines(long);
    assert_eq!(bodies, ["x"]);
    assert!(
        error
            .unwrap()
            .contains("line 2 is longer than 1048576 bytes")
    );
}

#[test]
fn lines_wait_when_nobody_takes_them() {
    // Endless: without a bound this would never return.
    let mut receiver = read_lines(io::repeat(b'a').take(1 << 40).chain(&b""[..]));
    assert!(receiver.blocking_recv().unwrap().is_err());
    let mut receiver = read_lines(Endless);
    for _ in 0..3 {
        assert_eq!(receiver.blocking_recv().unwrap().unwrap(), "ab");
    }
}

/// Lines without end.
struct Endless;

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let whole = into.len() / 3 * 3;
        for (at, byte) in into.iter_mut().take(whole).enumerate() {
            *byte = b"ab\n"[at % 3];
        }
        Ok(whole)
    }
}
