//! Web pages of other origins: those of `security.allowed_origins` may call, nobody else's script
//! sees an answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::RestState;

/// Answers preflights and marks answers for the pages that may see them.
pub(super) async fn answer(
    State(state): State<Arc<RestState>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.filter(|origin| is_allowed(&state.options.allowed_origins, origin));
    let Some(origin) = allowed else {
        return next.run(request).await;
    };
    let asked = header::ACCESS_CONTROL_REQUEST_METHOD;
    let preflight = request.method() == Method::OPTIONS && request.headers().contains_key(asked);
    let wanted = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .cloned();
    let mut response = if preflight {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let methods = HeaderValue::from_static("GET, POST, PATCH, DELETE");
        response
            .headers_mut()
            .insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        if let Some(wanted) = wanted {
            response
                .headers_mut()
                .insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        }
        response
    } else {
        next.run(request).await
    };
    mark(response.headers_mut(), origin);
    response
}

fn mark(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let names = headers
        .keys()
        .filter(|name| is_ours(name))
        .map(HeaderName::as_str);
    let exposed = names.collect::<Vec<_>>().join(", ");
    if let Ok(exposed) = HeaderValue::from_str(&exposed) {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}

fn is_ours(name: &HeaderName) -> bool {
    name.as_str().starts_with("tmq-") || *name == header::LOCATION || *name == header::RETRY_AFTER
}

pub(super) fn is_allowed(allowed: &[String], origin: &HeaderValue) -> bool {
    allowed
        .iter()
        .any(|one| one == "*" || one.as_bytes() == origin.as_bytes())
}
