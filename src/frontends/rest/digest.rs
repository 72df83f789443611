//! `Content-Digest` (RFC 9530): a body that is not what its sender meant is refused.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha512};

use super::headers;
use super::problem::{Problem, Slug};

/// Compares the body with each digest whose algorithm is known; others say nothing (RFC 9530, 2).
pub(super) fn verify(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let Some(field) = headers::text(headers, "content-digest")? else {
        return Ok(());
    };
    for member in field.split(',') {
        let (algorithm, coded) = parse(member.trim()).ok_or_else(|| {
            let detail = "Content-Digest: members such as sha-256=:BASE64:";
            Problem::new(Slug::BadMetadata, detail)
        })?;
        let right = match algorithm {
            "sha-256" => coded == Sha256::digest(body).as_slice(),
            "sha-512" => coded == Sha512::digest(body).as_slice(),
            _ => true,
        };
        if !right {
            let detail = format!("{algorithm} of the body is another");
            return Err(Problem::new(Slug::DigestMismatch, detail));
        }
    }
    Ok(())
}

/// `algorithm=:BASE64:`, a member of a dictionary of byte sequences (RFC 8941, 3.3.5).
fn parse(member: &str) -> Option<(&str, Vec<u8>)> {
    let (algorithm, value) = member.split_once('=')?;
    let coded = value.strip_prefix(':')?.strip_suffix(':')?;
    Some((algorithm, STANDARD.decode(coded).ok()?))
}

#[cfg(test)]
mod tests;
