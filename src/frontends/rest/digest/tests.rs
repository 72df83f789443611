use axum::http::HeaderValue;

use super::*;

fn check(value: &'static str, body: &[u8]) -> Result<(), Slug> {
    let mut headers = HeaderMap::new();
    headers.insert("content-digest", HeaderValue::from_static(value));
    verify(&headers, body).map_err(|problem| problem.slug)
}

/// The example of RFC 9530, appendix B.1.
#[test]
fn example_of_the_rfc() {
    let value = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    assert_eq!(check(value, b"{\"hello\": \"world\"}"), Ok(()));
    let other = check(value, b"{\"hello\": \"World\"}");
    assert_eq!(other, Err(Slug::DigestMismatch));
}

#[test]
fn every_known_digest_must_be_right() {
    let empty = "sha-512=:z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==:";
    assert_eq!(check(empty, b""), Ok(()));
    assert_eq!(check("md5=:AAAA:", b""), Ok(()), "unknown ones say nothing");
    let second = "md5=:AAAA:, sha-256=:AAAA:";
    assert_eq!(check(second, b""), Err(Slug::DigestMismatch));
    assert_eq!(verify(&HeaderMap::new(), b"x"), Ok(()));
}

#[test]
fn what_is_no_dictionary_of_bytes_is_refused() {
    for value in [
        "",
        "sha-256",
        "sha-256=AAAA",
        "sha-256=:AAAA",
        "sha-256=:%:",
        ":",
        "=",
    ] {
        assert_eq!(check(value, b""), Err(Slug::BadMetadata), "{value}");
    }
}
