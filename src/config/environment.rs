//! Variables of the environment that set keys: `TERNMQ__LIMITS__MEMORY=512MiB`.
//!
//! Two underscores part the steps of a key, which are read in lower case; a name of a listener with
//! capital letters, `__` or `-` can only be written in the file or in `--set`.

#[cfg(test)]
mod tests;

use std::ffi::OsString;

use super::error::{ConfigError, MAX_SET_BYTES};

/// A variable that sets a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// As it stands in the environment; errors name it.
    pub(super) name: String,
    /// The key it sets: `limits.memory`.
    pub(super) key: String,
    /// As it is written: a plain word or TOML.
    pub(super) value: String,
}

impl Variable {
    /// The variables of `environment` that begin with `TERNMQ__`, by name. Others are none of
    /// ours, whatever they hold.
    ///
    /// # Errors
    /// A name that spells no key, a value that is not UTF-8, the same key twice in different
    /// letters, or more than [`MAX_SET_BYTES`] in all.
    pub fn of(
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Vec<Self>, ConfigError> {
        let mut variables = Vec::new();
        let mut size = 0;
        for (name, value) in environment {
            let Some(keys) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
                continue;
            };
            let name = format!("{PREFIX}{keys}");
            size += name.len() + value.len();
            if size > MAX_SET_BYTES {
                return Err(ConfigError::EnvironmentTooLarge);
            }
            let key = keys.to_ascii_lowercase().replace("__", ".");
            let spelled = key.split('.').all(is_step);
            match value.into_string() {
                Ok(value) if spelled => variables.push(Self { name, key, value }),
                Ok(_) => return Err(ConfigError::NotAKey { name }),
                Err(_) => return Err(ConfigError::NotText { name }),
            }
        }
        variables.sort_by(|a, b| (&a.key, &a.name).cmp(&(&b.key, &b.name)));
        let twice = variables
            .iter()
            .zip(variables.iter().skip(1))
            .find(|(a, b)| a.key == b.key);
        if let Some((a, b)) = twice {
            return Err(ConfigError::SetTwice {
                name: a.name.clone(),
                other: b.name.clone(),
            });
        }
        Ok(variables)
    }
}

/// Whether a step of a key can be written without quotes.
fn is_step(step: &str) -> bool {
    let letter = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    !step.is_empty() && step.bytes().all(letter)
}

const PREFIX: &str = "TERNMQ__";
