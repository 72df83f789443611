//! Turns a deserialiser's message into reason, allowed values and a guess.
//!
//! Serde hands the allowed words to the error as a list, but toml keeps only the finished sentence,
//! so they are read back from it: `unknown field `x`, expected one of `a`, `b``.

#[cfg(test)]
mod tests;

/// A message in the words of the operator.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Explanation {
    pub(super) reason: String,
    pub(super) allowed: Option<String>,
    pub(super) suggestion: Option<String>,
    /// The key that should be there.
    pub(super) missing: Option<String>,
}

/// Explains one message of serde or toml.
pub(super) fn explain(message: &str) -> Explanation {
    let plain = |reason: &str| Explanation {
        reason: reason.to_owned(),
        allowed: None,
        suggestion: None,
        missing: None,
    };
    if let Some(key) = quoted(message.strip_prefix("missing field ")) {
        return Explanation {
            missing: Some(key.to_owned()),
            ..plain("the key is missing")
        };
    }
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return plain(message);
    };
    if let Some(key) = quoted(found.strip_prefix("unknown field ")) {
        return among(plain("unknown key"), key, expected);
    }
    if let Some(word) = quoted(found.strip_prefix("unknown variant ")) {
        return among(plain("not one of the allowed words"), word, expected);
    }
    Explanation {
        allowed: Some(in_words(expected).to_owned()),
        ..plain(found)
    }
}

/// The text of `` `text` ``.
fn quoted(text: Option<&str>) -> Option<&str> {
    text?.strip_prefix('`')?.strip_suffix('`')
}

fn among(base: Explanation, found: &str, expected: &str) -> Explanation {
    let words: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let list: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    let suggestion = nearest(found, &words).map(str::to_owned);
    Explanation {
        allowed: Some(list.join(", ")),
        suggestion,
        ..base
    }
}

/// What serde calls a type, in the words of TOML.
fn in_words(expected: &str) -> &str {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "i64" => "a whole number, not negative",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" | "string or table" => "a text in quotes",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

/// The word closest to `found`, if it is close enough to be what was meant.
fn nearest<'a>(found: &str, words: &[&'a str]) -> Option<&'a str> {
    if found.len() > MAX_WORD_BYTES {
        return None;
    }
    let normal = found.to_lowercase().replace('-', "_");
    let near = words.iter().map(|word| (distance(&normal, word), *word));
    let (distance, word) = near.min()?;
    (distance <= (word.len() / 3).max(1)).then_some(word)
}

/// Edits (insert, delete, replace, swap neighbours) that make `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut older: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (row, from) in a.chars().enumerate() {
        let mut line = vec![row + 1];
        for (column, &to) in b.iter().enumerate() {
            let replaced = last[column] + usize::from(from != to);
            let mut edits = replaced.min(last[column + 1] + 1).min(line[column] + 1);
            if column > 0 && previous == Some(to) && b[column - 1] == from {
                edits = edits.min(older[column - 1] + 1);
            }
            line.push(edits);
        }
        older = std::mem::replace(&mut last, line);
        previous = Some(from);
    }
    last.last().copied().unwrap_or(0)
}

/// A longer word is no misspelling of a key.
const MAX_WORD_BYTES: usize = 64;
