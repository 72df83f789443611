//! Parts of a request as the handlers take them: what is malformed gets a problem, not plain text.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;

use super::problem::{Problem, Slug};

/// The one variable segment of a path, percent-decoded.
pub(super) struct Segment(pub(super) String);

/// The parameters of the query, in their order.
pub(super) struct Parameters(pub(super) Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(segment) = Path::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::new(Slug::Malformed, error.body_text()))?;
        Ok(Self(segment))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::new(Slug::Malformed, error.body_text()))?;
        for (at, (name, _)) in parameters.iter().enumerate() {
            if parameters
                .iter()
                .skip(at + 1)
                .any(|(other, _)| other == name)
            {
                let detail = format!("the parameter {name} is given twice");
                return Err(Problem::new(Slug::Malformed, detail));
            }
        }
        Ok(Self(parameters))
    }
}
