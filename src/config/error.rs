//! What can be wrong with a configuration, and how it is shown.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read, or is not UTF-8.
    #[error("cannot read the configuration file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("the configuration file `{}` is larger than {MAX_FILE_BYTES} bytes", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
    },
    /// All `--set` together are larger than [`MAX_SET_BYTES`].
    #[error("all --set together are larger than {MAX_SET_BYTES} bytes: use --config")]
    SetsTooLarge,
    /// All variables that begin with `TERNMQ__` together are larger than [`MAX_SET_BYTES`].
    #[error("all TERNMQ__ variables together are larger than {MAX_SET_BYTES} bytes: use --config")]
    EnvironmentTooLarge,
    /// The name of a variable spells no key.
    #[error("{name}: not of the form TERNMQ__SECTION__KEY, such as TERNMQ__LIMITS__MEMORY")]
    NotAKey {
        /// The variable.
        name: String,
    },
    /// The value of a variable is not UTF-8.
    #[error("{name}: the value of the variable is not UTF-8")]
    NotText {
        /// The variable.
        name: String,
    },
    /// Two variables name one key in different letters.
    #[error("{name} and {other} set the same key: unset one of them")]
    SetTwice {
        /// The one.
        name: String,
        /// The other.
        other: String,
    },
    /// A `--set` is not `key=value`.
    #[error("--set {text}: not of the form key=value, such as limits.memory=512MiB")]
    NotAnAssignment {
        /// What was given.
        text: String,
    },
    /// Something written is wrong.
    #[error(transparent)]
    Invalid(Box<Problem>),
}

/// One mistake in a configuration. Its display takes several lines: place and reason, the line
/// itself, what is allowed, and a guess at what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is written; `None` if the value is a default.
    pub place: Option<Place>,
    /// The key, such as `listeners.mqtt.bind` or `queue[2].name`; empty if it has none.
    pub key: String,
    /// What is wrong.
    pub reason: String,
    /// What would be right, if that can be said.
    pub allowed: Option<String>,
    /// The allowed word that resembles what is written.
    pub suggestion: Option<String>,
}

/// A place in a configuration source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's path, the variable's name, or the `--set` itself.
    pub source: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line, or the part of a long one that matters, without control characters.
    excerpt: String,
    /// Characters of the excerpt before the mistake.
    indent: usize,
    /// Characters of the mistake.
    width: usize,
}

impl Place {
    /// The place of the bytes `from..to` of `text`; both are cut down to the text.
    pub(super) fn new(source: &str, text: &str, from: usize, to: usize) -> Self {
        let from = text.floor_char_boundary(from);
        let before = text.get(..from).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_text = text
            .get(line_start..)
            .unwrap_or("")
            .lines()
            .next()
            .unwrap_or("");
        let left = before.get(line_start..).unwrap_or("").chars().count();
        let marked = text.get(from..text.floor_char_boundary(to)).unwrap_or("");
        let skipped = left.saturating_sub(EXCERPT_CHARS / 2);
        let shown = line_text.chars().skip(skipped).take(EXCERPT_CHARS);
        let excerpt: String = shown
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let room = excerpt.chars().count().saturating_sub(left - skipped);
        let width = marked.lines().next().unwrap_or("").chars().count();
        Self {
            source: source.to_owned(),
            line: before.matches('\n').count() + 1,
            column: left + 1,
            excerpt,
            indent: left - skipped,
            width: width.min(room).max(1),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{}:{}:{}: ", place.source, place.line, place.column)?,
            None => f.write_str("configuration: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.reason)?;
        if let Some(place) = &self.place {
            let margin = " ".repeat(place.line.to_string().len());
            let (indent, marks) = (" ".repeat(place.indent), "^".repeat(place.width));
            write!(f, "\n{margin} |\n{} | {}", place.line, place.excerpt)?;
            write!(f, "\n{margin} | {indent}{marks}")?;
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "\n  = allowed: {allowed}")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "\n  = did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Largest configuration file, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// Largest sum of all `--set`, and of all `TERNMQ__` variables, in bytes.
pub const MAX_SET_BYTES: usize = 64 << 10;
const EXCERPT_CHARS: usize = 120;
