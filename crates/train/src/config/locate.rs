//! Finds which value a complaint is about.
//!
//! Serde reports no place inside enums tagged by `kind`: their content is read twice, the second
//! time from a buffer without positions. But reading is a pure function of the table: the culprit is
//! a value of the description in the complaint, and with another one in its place the complaint is
//! gone. That works at any depth.

use super::message;
use toml::{Table, Value};

/// A step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// The value of a table's key.
    Key(String),
    /// An entry of a list.
    Index(usize),
}

impl Segment {
    /// The key, where the step is one.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Key(key) => Some(key),
            Self::Index(_) => None,
        }
    }
}

/// Steps from the root.
pub(super) type Path = Vec<Segment>;

/// What reading a table complains of.
pub(super) type Attempt<'a> = dyn Fn(&Table) -> Option<String> + 'a;

/// `a.b[2].c`.
pub(super) fn dotted(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) if text.is_empty() => text.push_str(key),
            Segment::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// The value that the complaint `message` about `root` means.
pub(super) fn culprit(root: &Table, message: &str, attempt: &Attempt<'_>) -> Option<Path> {
    let mut paths = Vec::new();
    walk_table(root, &mut Vec::new(), &mut paths);
    // Complaints say what they dislike: mostly there is only one value of that description.
    let described: Vec<Path> = if let Some((name, _)) = message::unknown_field(message) {
        paths.into_iter().filter(|path| path.last().and_then(Segment::key) == Some(name)).collect()
    } else if let Some(got) = message::got(message) {
        let fits = |path: &Path| get(root, path).is_some_and(|value| description(value) == got);
        paths.into_iter().filter(fits).collect()
    } else if let Some(length) = message::length(message) {
        let fits = |path: &Path| {
            get(root, path).and_then(Value::as_array).is_some_and(|list| list.len() == length)
        };
        paths.into_iter().filter(fits).collect()
    } else {
        // Innermost first: without the table that holds it, the complaint would be gone as well.
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        paths
    };
    let blames = |path: &&Path| match message::got(message) {
        Some(got) if !got.is_empty() => is_cured(root, path, message, attempt),
        _ => is_silenced(root, path, message, attempt),
    };
    let found = match described.as_slice() {
        [only] => Some(only),
        many => many.iter().find(blames).or_else(|| many.first()),
    };
    found.cloned()
}

/// Whether the complaint is another one, or none, without the value at `path`.
fn is_silenced(root: &Table, path: &Path, message: &str, attempt: &Attempt<'_>) -> bool {
    match attempt(&without(root, path)) {
        None => true,
        Some(other) => {
            // A needed value that is gone is missed at once, whatever was wrong elsewhere.
            let key = path.iter().rev().find_map(Segment::key);
            other != message && message::missing(&other).is_none_or(|name| Some(name) != key)
        }
    }
}

/// Whether a value of some other type at `path` is accepted, and with it the complaint gone. A good
/// value in its place is none: of another type it would be complained of, of its own it changes nothing.
fn is_cured(root: &Table, path: &Path, message: &str, attempt: &Attempt<'_>) -> bool {
    probes().into_iter().any(|probe| {
        let description = description(&probe);
        let mut changed = root.clone();
        let Some(value) = value_mut(&mut changed, path) else {
            return false;
        };
        if value.same_type(&probe) {
            return false;
        }
        *value = probe;
        match attempt(&changed) {
            None => true,
            Some(other) => {
                other != message && message::got(&other).is_none_or(|got| got != description)
            }
        }
    })
}

/// The table in which the missing `key` would silence the complaint `message`.
pub(super) fn missing_in(
    root: &Table,
    key: &str,
    message: &str,
    attempt: &Attempt<'_>,
) -> Option<Path> {
    let mut paths = vec![Vec::new()];
    walk_table(root, &mut Vec::new(), &mut paths);
    let answers = |path: &Path| -> Option<usize> {
        let mut different = 0;
        for probe in probes() {
            let mut changed = root.clone();
            let table = table_mut(&mut changed, path).filter(|table| !table.contains_key(key))?;
            table.insert(key.to_owned(), probe);
            let other = attempt(&changed);
            if other.as_deref().and_then(message::unknown_field).is_some_and(|(n, _)| n == key) {
                return None;
            }
            different += usize::from(other.as_deref() != Some(message));
        }
        (different > 0).then_some(different)
    };
    // In a free map a value of some type is always as good as none; where the key is missed, none is.
    let scored = paths.into_iter().filter_map(|path| Some((answers(&path)?, path)));
    scored.rev().max_by_key(|(different, _)| *different).map(|(_, path)| path)
}

/// A value of each type, unlike any that people write.
fn probes() -> [Value; 6] {
    [
        Value::String("no such value".to_owned()),
        Value::Integer(918_273_645),
        Value::Float(918_273.645),
        Value::Boolean(true),
        Value::Array(Vec::new()),
        Value::Table(Table::new()),
    ]
}

/// A value as serde's complaints describe it.
fn description(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(x) => x.to_string(),
        // With a decimal point, always.
        Value::Float(x) if x.is_finite() && x.fract() == 0.0 => format!("{x}.0"),
        Value::Float(x) => x.to_string(),
        Value::Boolean(x) => x.to_string(),
        Value::Datetime(_) | Value::Table(_) => "map".to_owned(),
        Value::Array(_) => "sequence".to_owned(),
    }
}

/// The value at `path`.
pub(super) fn get<'a>(root: &'a Table, path: &[Segment]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let mut value = root.get(first.key()?)?;
    for segment in rest {
        value = match segment {
            Segment::Key(key) => value.get(key.as_str())?,
            Segment::Index(index) => value.get(*index)?,
        };
    }
    Some(value)
}

fn walk_table(table: &Table, path: &mut Path, out: &mut Vec<Path>) {
    for (key, value) in table {
        path.push(Segment::Key(key.clone()));
        walk(value, path, out);
        path.pop();
    }
}

fn walk(value: &Value, path: &mut Path, out: &mut Vec<Path>) {
    out.push(path.clone());
    match value {
        Value::Table(table) => walk_table(table, path, out),
        Value::Array(list) => {
            for (index, entry) in list.iter().enumerate() {
                path.push(Segment::Index(index));
                walk(entry, path, out);
                path.pop();
            }
        }
        _ => {}
    }
}

fn without(root: &Table, path: &[Segment]) -> Table {
    let mut copy = root.clone();
    if let Some((last, parents)) = path.split_last() {
        match (last, value_mut(&mut copy, parents)) {
            (Segment::Key(key), None) => {
                copy.remove(key);
            }
            (Segment::Key(key), Some(Value::Table(table))) => {
                table.remove(key);
            }
            (Segment::Index(index), Some(Value::Array(list))) if *index < list.len() => {
                list.remove(*index);
            }
            _ => {}
        }
    }
    copy
}

fn table_mut<'a>(root: &'a mut Table, path: &[Segment]) -> Option<&'a mut Table> {
    if path.is_empty() {
        return Some(root);
    }
    value_mut(root, path)?.as_table_mut()
}

fn value_mut<'a>(root: &'a mut Table, path: &[Segment]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    let mut value = root.get_mut(first.key()?)?;
    for segment in rest {
        value = match segment {
            Segment::Key(key) => value.get_mut(key.as_str())?,
            Segment::Index(index) => value.get_mut(*index)?,
        };
    }
    Some(value)
}
