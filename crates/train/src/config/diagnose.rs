//! One line for what is wrong with a configuration: which key, what was expected, where it stands.

use super::locate::{self, Attempt, Path, Segment, dotted};
use super::message;
use maxlik_tensor::Error;
use toml::{Table, Value};

/// Turns the complaint `message` about `root` into an error that names the key's path and `place`.
pub(super) fn explain(
    root: &Table,
    message: &str,
    attempt: &Attempt<'_>,
    place: impl Fn(&Path) -> String,
) -> Error {
    if let Some(key) = message::missing(message) {
        let mut path = locate::missing_in(root, key, message, attempt).unwrap_or_default();
        let place = place(&path);
        path.push(Segment::Key(key.to_owned()));
        return Error::config(dotted(&path), format!("missing ({place})"));
    }
    let path = locate::culprit(root, message, attempt);
    let (name, place) = match &path {
        Some(path) => (dotted(path), place(path)),
        None => ("configuration".to_owned(), place(&Vec::new())),
    };
    let why = if let Some((key, known)) = message::unknown_field(message) {
        // Where several tables hold the key, the culprit was found; its parent names the others.
        let parent = path.as_deref().and_then(<[Segment]>::split_last).map(|(_, p)| p);
        format!("unknown key, {}", suggestion(key, &known, parent.unwrap_or_default()))
    } else if let Some((value, known)) = message::unknown_variant(message) {
        format!("unknown value {value:?}, {}", suggestion(value, &known, &[]))
    } else if let Some((got, expected)) = message::invalid(message) {
        let value = path.as_deref().and_then(|p| locate::get(root, p));
        let got = value.and_then(described).unwrap_or(got);
        format!("expected {expected}, got {got}")
    } else {
        message.lines().next().unwrap_or_default().to_owned()
    };
    Error::config(name, format!("{why} ({place})"))
}

/// The nearest of the known names, or all of them where none is near.
fn suggestion(name: &str, known: &[&str], parent: &[Segment]) -> String {
    let near = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .chain(prefixes(name, known))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(name.len()).div_ceil(3))
        .min();
    if let Some((_, nearest)) = near {
        let mut path = parent.to_vec();
        path.push(Segment::Key(nearest.to_owned()));
        return format!("did you mean {}?", dotted(&path));
    }
    match known {
        [] => "no key is expected here".to_owned(),
        [only] => format!("expected {only}"),
        many => format!("expected one of {}", many.join(", ")),
    }
}

/// Known names that begin with `name`, or that it begins with: near, however long.
fn prefixes<'a>(
    name: &'a str,
    known: &'a [&'a str],
) -> impl Iterator<Item = (usize, &'a str)> + 'a {
    let related = move |candidate: &str| {
        candidate.len().min(name.len()) >= 3
            && (candidate.starts_with(name) || name.starts_with(candidate))
    };
    known.iter().filter(move |candidate| related(candidate)).map(|candidate| (1, *candidate))
}

/// A scalar as an error shows it.
fn described(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(format!("the string {text:?}")),
        Value::Integer(_) => Some(format!("the integer {value}")),
        Value::Float(_) => Some(format!("the number {value}")),
        Value::Boolean(_) | Value::Datetime(_) => Some(value.to_string()),
        Value::Array(_) | Value::Table(_) => None,
    }
}
