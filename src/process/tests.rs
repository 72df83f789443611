use super::*;

#[test]
fn raised_file_limit_is_the_hard_limit() {
    let hard = getrlimit(Resource::Nofile).maximum;
    let lower = Rlimit {
        current: Some(64.min(hard.unwrap_or(64))),
        maximum: hard,
    };
    setrlimit(Resource::Nofile, lower).unwrap();
    assert_eq!(raise_file_limit().unwrap(), hard);
    assert_eq!(getrlimit(Resource::Nofile).current, hard);
}
