//! `ternmq config check`: is the configuration right, and can this machine serve it?
//!
//! What [`Config::load`] refuses is shown as `serve` shows it. The rest are dry checks: each finding
//! names its key, what is the matter, and what to do. A running broker on the same configuration is
//! no error: whoever checks a change does so beside it.
//!
//! [`Config::load`]: crate::config::Config::load

mod limits;
mod places;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Write};

use super::failure::Failure;
use super::serve::ServeArguments;
use crate::config::Config;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// A server would start, but perhaps not as it is meant.
    Warning,
    /// A server would not start.
    Error,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    severity: Severity,
    /// The key to look at.
    key: String,
    /// What is the matter.
    text: String,
    /// What to do.
    hint: String,
}

impl Finding {
    fn error(key: &str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Severity::Error, key, text.into(), hint.into())
    }

    fn warning(key: &str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Severity::Warning, key, text.into(), hint.into())
    }

    fn new(severity: Severity, key: &str, text: String, hint: String) -> Self {
        Self {
            severity,
            key: key.to_owned(),
            text,
            hint,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        writeln!(f, "{word}: `{}`: {}", self.key, self.text)?;
        write!(f, "  hint: {}", self.hint)
    }
}

/// Checks and reports on standard output.
///
/// # Errors
/// The first mistake of the configuration, or how many errors were found.
pub(super) fn run(arguments: &ServeArguments) -> anyhow::Result<()> {
    let config = arguments.load()?;
    let name = match &arguments.config {
        Some(path) => path.display().to_string(),
        None => "defaults".to_owned(),
    };
    let findings = examine(&config);
    match report(&mut io::stdout().lock(), &name, &config, &findings) {
        // Nobody wants to read it any more; the exit code says it all the same.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.map_err(Failure::Output)?,
    }
    match count(&findings, Severity::Error) {
        0 => Ok(()),
        errors => Err(Failure::Check(format!("{name}: {}", numbered(errors, "error"))).into()),
    }
}

fn examine(config: &Config) -> Vec<Finding> {
    let broker = places::lock_holder(config);
    let mut findings = places::listeners(config, broker.is_some());
    findings.extend(places::storage(config, broker.as_deref()));
    findings.extend(limits::examine(config, &limits::Machine::look()));
    findings
}

fn report(
    out: &mut impl Write,
    name: &str,
    config: &Config,
    findings: &[Finding],
) -> io::Result<()> {
    for finding in findings {
        writeln!(out, "{finding}")?;
    }
    for (name, listener) in &config.listeners {
        let (bind, protocols) = (listener.bind, &listener.protocols);
        writeln!(out, "listener {name}: {bind} ({protocols})")?;
    }
    writeln!(out, "state: {}", config.storage.data_dir.display())?;
    if count(findings, Severity::Error) == 0 {
        let warnings = match count(findings, Severity::Warning) {
            0 => String::new(),
            warnings => format!(", {}", numbered(warnings, "warning")),
        };
        writeln!(out, "{name}: ok{warnings}")?;
    }
    out.flush()
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    let of_it = findings.iter().filter(|found| found.severity == severity);
    of_it.count()
}

fn numbered(count: usize, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {word}{plural}")
}
