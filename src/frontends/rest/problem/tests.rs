use super::*;

const ALL: [Slug; 20] = [
    Slug::Malformed,
    Slug::BadMetadata,
    Slug::BadCursor,
    Slug::CursorExpired,
    Slug::Forbidden,
    Slug::NoDestination,
    Slug::NoMethod,
    Slug::NotAcceptable,
    Slug::Timeout,
    Slug::DestinationExists,
    Slug::LeaseGone,
    Slug::TooLarge,
    Slug::UnsupportedMedia,
    Slug::DigestMismatch,
    Slug::NotSupported,
    Slug::TooManyWaiters,
    Slug::LimitReached,
    Slug::AddressFull,
    Slug::DiskFull,
    Slug::Unavailable,
];

#[test]
fn only_what_trying_again_can_help_is_retryable() {
    for slug in ALL {
        let (name, status, title, retryable) = slug.parts();
        assert!((400..600).contains(&status), "{name}");
        assert!(!title.is_empty() && !title.ends_with('.'), "{name}");
        let server_or_pace = [408, 429, 503, 507].contains(&status);
        assert_eq!(retryable, server_or_pace, "{name}");
        let response = Problem::new(slug, "d").into_response();
        assert_eq!(response.status().as_u16(), status);
        let after = response.headers().contains_key(header::RETRY_AFTER);
        assert_eq!(after, retryable, "{name}");
    }
}

#[test]
fn refusals_of_core_keep_their_slug() {
    let table = [
        (Refusal::NoDestination, 404),
        (Refusal::WrongRoutingType, 409),
        (Refusal::BadName, 400),
        (Refusal::Forbidden, 403),
        (Refusal::LimitReached(Limit::Waiters), 429),
        (Refusal::LimitReached(Limit::Queues), 429),
        (Refusal::TooLarge, 413),
        (Refusal::AddressFull, 503),
        (Refusal::DiskFull, 507),
        (Refusal::LeaseGone, 410),
        (Refusal::Unavailable, 503),
    ];
    for (why, status) in table {
        let problem = Problem::refused(&why);
        let (name, shown, ..) = problem.slug.parts();
        assert_eq!(shown, status, "{why:?}");
        // A routing type is part of a definition: REST has one word for both.
        if why != Refusal::WrongRoutingType {
            assert_eq!(name, why.slug());
        }
    }
}

#[test]
fn body_names_the_request() {
    let body = Problem::new(Slug::LeaseGone, "it \"ended\"").to_body("r-1");
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["type"], "urn:ternmq:problem:lease-gone");
    assert_eq!(json["instance"], "r-1");
    assert_eq!(json["detail"], "it \"ended\"");
}
