//! What holds for every request: who may call from where, what is not there yet, and ids.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::RestState;
use super::problem::{Problem, Slug};
use super::{cors, headers};

/// Lets a request through or refuses it, and names it in the answer.
pub(super) async fn watch(
    State(state): State<Arc<RestState>>,
    request: Request,
    next: Next,
) -> Response {
    let number = state.requests.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:08x}-{number}", state.boot >> 32);
    let mut response = match check(&state, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        *response.body_mut() = Body::from(problem.to_body(&id));
    }
    headers::put(response.headers_mut(), "tmq-request-id", &id);
    response
}

fn check(state: &RestState, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    // HTTP/2 has the host in the URI.
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let host = host.or_else(|| Some(request.uri().authority()?.as_str().as_bytes()));
    if !may_come_from(headers, host, &state.options.allowed_origins) {
        let detail = "a web page of this origin may not call (security.allowed_origins)";
        return Err(Problem::new(Slug::Forbidden, detail));
    }
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if !safe && headers.contains_key("idempotency-key") {
        let detail = "Idempotency-Key is not supported yet";
        return Err(Problem::new(Slug::NotSupported, detail));
    }
    Ok(())
}

/// A browser names the origin of the page that calls, or at least that it is another site's. A form
/// or an image of a foreign page needs no answer to do harm, so it is stopped here.
fn may_come_from(headers: &HeaderMap, host: Option<&[u8]>, allowed: &[String]) -> bool {
    match headers.get(header::ORIGIN) {
        Some(origin) => cors::is_allowed(allowed, origin) || is_own(origin.as_bytes(), host),
        None => headers
            .get("sec-fetch-site")
            .is_none_or(|site| site.as_bytes() != b"cross-site"),
    }
}

fn is_own(origin: &[u8], host: Option<&[u8]>) -> bool {
    let name = origin
        .strip_prefix(b"http://")
        .or_else(|| origin.strip_prefix(b"https://"));
    name.is_some_and(|name| host.is_some_and(|host| name.eq_ignore_ascii_case(host)))
}

/// Answers a method that the path does not have; the router adds which ones it has.
pub(super) async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let detail = format!("{method} does nothing here; the Allow header says what does");
    Problem::new(Slug::NoMethod, detail).into_response()
}
