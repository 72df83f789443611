//! `application/problem+json` (RFC 9457): every refusal in the same words.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use ternmq_core::error::{Limit, Refusal};

/// What is wrong, as the last part of the problem's type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slug {
    Malformed,
    BadMetadata,
    BadCursor,
    CursorExpired,
    Forbidden,
    NoDestination,
    NoMethod,
    NotAcceptable,
    Timeout,
    DestinationExists,
    LeaseGone,
    TooLarge,
    UnsupportedMedia,
    DigestMismatch,
    NotSupported,
    TooManyWaiters,
    LimitReached,
    AddressFull,
    DiskFull,
    Unavailable,
}

impl Slug {
    /// Name, status, title and whether trying again can help.
    fn parts(self) -> (&'static str, u16, &'static str, bool) {
        match self {
            Self::Malformed => ("malformed", 400, "The request is malformed", false),
            Self::BadMetadata => ("bad-metadata", 422, "A metadata field is not valid", false),
            Self::BadCursor => ("bad-cursor", 400, "The cursor is malformed", false),
            Self::CursorExpired => ("cursor-expired", 410, "The stream has ended", false),
            Self::Forbidden => ("forbidden", 403, "Not allowed", false),
            Self::NoDestination => ("no-destination", 404, "No such destination", false),
            Self::NoMethod => ("no-method", 405, "No such method here", false),
            Self::NotAcceptable => ("not-acceptable", 406, "No such representation", false),
            Self::Timeout => ("timeout", 408, "The request came too slowly", true),
            Self::DestinationExists => (
                "destination-exists",
                409,
                "Exists with another definition",
                false,
            ),
            Self::LeaseGone => ("lease-gone", 410, "The lease has ended", false),
            Self::TooLarge => ("too-large", 413, "The message is too large", false),
            Self::UnsupportedMedia => ("unsupported-media", 415, "Media type not read here", false),
            Self::DigestMismatch => (
                "digest-mismatch",
                400,
                "The body is not what it says",
                false,
            ),
            Self::NotSupported => ("not-supported", 422, "Not supported yet", false),
            Self::TooManyWaiters => ("too-many-waiters", 429, "Too many waiting receives", true),
            Self::LimitReached => ("limit-reached", 429, "A limit is reached", true),
            Self::AddressFull => ("address-full", 503, "No memory for the message", true),
            Self::DiskFull => ("disk-full", 507, "The disk is full", true),
            Self::Unavailable => ("unavailable", 503, "The server is stopping", true),
        }
    }
}

/// A refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Problem {
    pub(super) slug: Slug,
    detail: String,
}

impl Problem {
    pub(super) fn new(slug: Slug, detail: impl Into<String>) -> Self {
        Self {
            slug,
            detail: detail.into(),
        }
    }

    /// A refusal of the core.
    pub(super) fn refused(why: &Refusal) -> Self {
        let slug = match why {
            Refusal::NoDestination => Slug::NoDestination,
            Refusal::WrongRoutingType | Refusal::DestinationExists => Slug::DestinationExists,
            Refusal::BadName => Slug::Malformed,
            Refusal::Forbidden => Slug::Forbidden,
            Refusal::LimitReached(Limit::Waiters) => Slug::TooManyWaiters,
            Refusal::LimitReached(_) => Slug::LimitReached,
            Refusal::TooLarge => Slug::TooLarge,
            Refusal::AddressFull => Slug::AddressFull,
            Refusal::DiskFull => Slug::DiskFull,
            Refusal::LeaseGone | Refusal::Unknown => Slug::LeaseGone,
            _ => Slug::Unavailable,
        };
        Self::new(slug, why.to_string())
    }

    /// As a body, with the id of the request that it answers.
    pub(super) fn to_body(&self, request: &str) -> String {
        let mut json = self.to_json();
        if let Some(fields) = json.as_object_mut() {
            fields.insert("instance".into(), request.into());
        }
        json.to_string()
    }

    /// For an entry of a list.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let (name, status, title, retryable) = self.slug.parts();
        json!({
            "type": format!("urn:ternmq:problem:{name}"),
            "title": title,
            "status": status,
            "detail": self.detail,
            "retryable": retryable,
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (_, status, _, retryable) = self.slug.parts();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.to_json().to_string()).into_response();
        // The guard writes it again when it knows the request's id.
        response.extensions_mut().insert(self);
        let headers = response.headers_mut();
        let media = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, media);
        if retryable {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests;
