//! The texts a configuration is made of, merged into one table that still knows its places.
//!
//! Spans of all sources share one number line: each text is parsed behind as many blanks as the
//! texts before it are long. So one span names a source and a place in it, whatever was merged.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::Variable;
use super::error::{ConfigError, MAX_FILE_BYTES, MAX_SET_BYTES, Place, Problem};
use super::explain::explain;

/// The file, the variables of the environment and the `--set` arguments.
#[derive(Debug)]
pub(super) struct Sources {
    /// Variables, then arguments: later ones win, and all of them over the file.
    assignments: Vec<Source>,
    file: Option<Source>,
}

#[derive(Debug)]
struct Source {
    name: String,
    /// Blanks up to `start`, then the text.
    padded: String,
    start: usize,
}

/// The way to a key: `listeners.mqtt.bind`, `queue[2].name`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Sources {
    /// Reads the file and takes variables and arguments; nothing is parsed yet.
    pub(super) fn read(
        path: Option<&Path>,
        variables: &[Variable],
        sets: &[String],
    ) -> Result<Self, ConfigError> {
        if sets.iter().map(String::len).sum::<usize>() > MAX_SET_BYTES {
            return Err(ConfigError::SetsTooLarge);
        }
        let mut texts = Vec::new();
        for variable in variables {
            let text = assignment(&variable.key, &variable.value);
            texts.push((variable.name.clone(), text));
        }
        for set in sets {
            let (key, value) = set.split_once('=').ok_or_else(|| {
                let text = set.clone();
                ConfigError::NotAnAssignment { text }
            })?;
            texts.push((format!("--set {set}"), assignment(key, value)));
        }
        let mut start = 0;
        let mut assignments = Vec::new();
        for (name, text) in texts {
            let source = Source::new(name, &text, start);
            start = source.padded.len();
            assignments.push(source);
        }
        let file = path.map(|path| {
            let text = read_file(path)?;
            Ok(Source::new(path.display().to_string(), &text, start))
        });
        Ok(Self {
            assignments,
            file: file.transpose()?,
        })
    }

    /// Parses all sources and merges them, later assignments over earlier ones over the file.
    /// Tables are merged key by key; everything else, lists too, is replaced.
    pub(super) fn merge(&self) -> Result<DeTable<'_>, ConfigError> {
        let mut merged = DeTable::new();
        for source in self.file.iter().chain(&self.assignments) {
            let table = DeTable::parse(&source.padded)
                .map_err(|error| self.invalid(&DeTable::new(), &error))?;
            overlay(&mut merged, table.into_inner());
        }
        Ok(merged)
    }

    /// Whether the file has the key `key` at its top.
    pub(super) fn file_has(&self, table: &DeTable<'_>, key: &str) -> bool {
        let span = table.get_key_value(key).map(|(key, _)| key.span());
        let file_start = self.file.as_ref().map(|file| file.start);
        span.zip(file_start)
            .is_some_and(|(span, start)| span.start >= start)
    }

    /// The error of toml as a problem at its place in the merged `table`.
    pub(super) fn invalid(&self, table: &DeTable<'_>, error: &toml::de::Error) -> ConfigError {
        let explanation = explain(error.message());
        let span = error.span();
        let mut key = span
            .as_ref()
            .and_then(|span| KeyPath::at(table, span))
            .unwrap_or_default();
        key.0.extend(explanation.missing.map(Step::Key));
        ConfigError::Invalid(Box::new(Problem {
            place: span.and_then(|span| self.place(&span)),
            key: key.to_string(),
            reason: explanation.reason,
            allowed: explanation.allowed,
            suggestion: explanation.suggestion,
        }))
    }

    /// Something wrong with the value of `key`, which may be missing from `table`: then the place is
    /// that of the nearest part of the path that is written.
    pub(super) fn violation(
        &self,
        table: &DeTable<'_>,
        key: &KeyPath,
        reason: String,
        allowed: String,
    ) -> ConfigError {
        ConfigError::Invalid(Box::new(Problem {
            place: key.span(table).and_then(|span| self.place(&span)),
            key: key.to_string(),
            reason,
            allowed: Some(allowed),
            suggestion: None,
        }))
    }

    fn place(&self, span: &Range<usize>) -> Option<Place> {
        let mut sources = self.file.iter().chain(self.assignments.iter().rev());
        let source = sources.find(|source| span.start >= source.start)?;
        let text = source.padded.get(source.start..)?.strip_suffix(' ')?;
        let to = span.end.max(span.start) - source.start;
        Some(Place::new(
            &source.name,
            text,
            span.start - source.start,
            to,
        ))
    }
}

impl Source {
    fn new(name: String, text: &str, start: usize) -> Self {
        let blanks = " ".repeat(start);
        // One blank more keeps the end of this text apart from the start of the next.
        Self {
            name,
            padded: format!("{blanks}{text} "),
            start,
        }
    }
}

impl KeyPath {
    /// Starts with a key of the top table.
    pub(super) fn new(key: &str) -> Self {
        Self::default().key(key)
    }

    /// A dotted path of plain keys.
    pub(super) fn dotted(keys: &str) -> Self {
        keys.split('.').fold(Self::default(), Self::key)
    }

    /// Goes on to `key` of a table.
    pub(super) fn key(mut self, key: &str) -> Self {
        self.0.push(Step::Key(key.to_owned()));
        self
    }

    /// Goes on to an item of a list.
    pub(super) fn index(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }

    /// The innermost key whose name or value encloses `span`.
    fn at(table: &DeTable<'_>, span: &Range<usize>) -> Option<Self> {
        let mut best = None;
        search(table, span, &mut Self::default(), &mut best);
        best.map(|(_, path)| path)
    }

    fn span(&self, table: &DeTable<'_>) -> Option<Range<usize>> {
        let mut found = None;
        let mut value: Option<&DeValue<'_>> = None;
        for (depth, step) in self.0.iter().enumerate() {
            let next = match (step, value) {
                (Step::Key(key), _) => {
                    let inner = if depth == 0 {
                        Some(table)
                    } else {
                        value?.as_table()
                    };
                    let Some((key, item)) =
                        inner.and_then(|inner| inner.get_key_value(key.as_str()))
                    else {
                        break;
                    };
                    found = Some(if item.get_ref().is_table() {
                        key.span()
                    } else {
                        item.span()
                    });
                    item
                }
                (Step::Index(index), list) => {
                    let Some(item) = list.and_then(|list| list.get(*index)) else {
                        break;
                    };
                    found = Some(item.span());
                    item
                }
            };
            value = Some(next.get_ref());
        }
        found
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if depth == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The smallest span seen so far that encloses the one looked for, and the path to it.
type Best = Option<(usize, KeyPath)>;

/// Looks at every key, not only below enclosing ones: a table written in parts has no span that
/// encloses them. The parser bounds the depth.
fn search(table: &DeTable<'_>, span: &Range<usize>, path: &mut KeyPath, best: &mut Best) {
    for (key, value) in table {
        path.0.push(Step::Key(key.get_ref().to_string()));
        note(key.span(), span, path, best);
        search_value(value, span, path, best);
        path.0.pop();
    }
}

fn search_value(
    value: &Spanned<DeValue<'_>>,
    span: &Range<usize>,
    path: &mut KeyPath,
    best: &mut Best,
) {
    note(value.span(), span, path, best);
    match value.get_ref() {
        DeValue::Table(table) => search(table, span, path, best),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.0.push(Step::Index(index));
                search_value(item, span, path, best);
                path.0.pop();
            }
        }
        _ => {}
    }
}

fn note(candidate: Range<usize>, span: &Range<usize>, path: &KeyPath, best: &mut Best) {
    let encloses = candidate.start <= span.start && span.end <= candidate.end;
    let smaller = best
        .as_ref()
        .is_none_or(|(length, _)| candidate.len() <= *length);
    if encloses && smaller {
        *best = Some((candidate.len(), path.clone()));
    }
}

fn overlay<'a>(base: &mut DeTable<'a>, over: DeTable<'a>) {
    for (key, mut value) in over {
        if let DeValue::Table(over) = value.get_mut()
            && let Some(below) = base.get_mut(key.get_ref().as_ref())
            && let DeValue::Table(below) = below.get_mut()
        {
            overlay(below, std::mem::take(over));
        } else {
            base.remove(key.get_ref().as_ref());
            base.insert(key, value);
        }
    }
}

/// `key=value` as TOML. A value that is no TOML but a plain word, as in `logging.level=debug`, is
/// taken as text: shells eat quotes.
fn assignment(key: &str, value: &str) -> String {
    let word = value.trim();
    let plain = |c: char| !c.is_control() && !"\"'\\[]{}#".contains(c);
    if DeValue::parse(word).is_err() && !word.is_empty() && word.chars().all(plain) {
        return format!("{key}=\"{word}\"");
    }
    format!("{key}={value}")
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let limit = MAX_FILE_BYTES as u64 + 1;
    File::open(path)
        .map_err(failed)?
        .take(limit)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() > MAX_FILE_BYTES {
        return Err(ConfigError::FileTooLarge {
            path: path.to_owned(),
        });
    }
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}
