//! The text of a configuration, and where in it a key was written.

use super::locate::{Path, Segment};
use super::overrides;
use maxlik_tensor::{Error, Result};
use toml::Table;
use toml::de::{DeTable, DeValue};

/// A named TOML text.
pub(super) struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text }
    }

    /// The text as a table.
    pub(super) fn table(&self) -> Result<Table> {
        toml::from_str(self.text).map_err(|error| {
            let line = error.span().map_or(1, |span| self.line(span.start));
            let message = error.message().replace('\n', ", ");
            Error::config(format!("{}, line {line}", self.name), message)
        })
    }

    /// Where the value at `path` was written: `--set` text, or name and line; the name alone for a
    /// key that is missing.
    pub(super) fn place(&self, path: &Path, overrides: &[String]) -> String {
        let keys: Vec<Option<&str>> = path.iter().map(Segment::key).collect();
        let agrees = |text: &str| {
            overrides::split(text)
                .is_ok_and(|o| o.keys.iter().zip(&keys).all(|(a, b)| Some(*a) == *b))
        };
        let depth = |text: &str| overrides::split(text).map_or(0, |o| o.keys.len());
        let mut last_first = overrides.iter().rev().filter(|text| agrees(text));
        if let Some(text) = last_first.clone().find(|text| depth(text) <= path.len()) {
            return format!("--set {text}");
        }
        if let Some(at) = self.find(path) {
            return format!("{}, line {}", self.name, self.line(at));
        }
        // A table that only an override of something inside it has made.
        match last_first.next().filter(|_| !path.is_empty()) {
            Some(text) => format!("--set {text}"),
            None => self.name.to_owned(),
        }
    }

    /// Byte position of the key or list entry at `path`.
    fn find(&self, path: &Path) -> Option<usize> {
        let root = DeTable::parse(self.text).ok()?.into_inner();
        let mut at = None;
        let mut value = DeValue::Table(root);
        for segment in path {
            let (position, next) = match (segment, value) {
                (Segment::Key(key), DeValue::Table(table)) => {
                    let (found, inner) =
                        table.into_iter().find(|(name, _)| name.get_ref().as_ref() == key)?;
                    (found.span().start, inner.into_inner())
                }
                (Segment::Index(index), DeValue::Array(list)) => {
                    let inner = list.into_iter().nth(*index)?;
                    (inner.span().start, inner.into_inner())
                }
                _ => return None,
            };
            at = Some(position);
            value = next;
        }
        at
    }

    fn line(&self, at: usize) -> usize {
        self.text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count() + 1
    }
}
