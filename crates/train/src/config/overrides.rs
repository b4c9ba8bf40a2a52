//! Overrides of the form `a.b=c`.

use maxlik_tensor::{Error, Result};
use toml::{Table, Value};

/// An override taken apart.
pub(super) struct Override<'a> {
    /// The keys from the root down.
    pub(super) keys: Vec<&'a str>,
    value: &'a str,
}

/// Takes `a.b=c` apart.
pub(super) fn split(text: &str) -> Result<Override<'_>> {
    let wrong = || Error::config("--set", format!("expected key=value, got {text:?}"));
    let (path, value) = text.split_once('=').ok_or_else(wrong)?;
    let keys: Vec<&str> = path.split('.').map(str::trim).collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(wrong());
    }
    Ok(Override { keys, value: value.trim() })
}

/// Puts the value of `text` at its place in `table`, making the tables on the way there.
pub(super) fn apply(table: &mut Table, text: &str) -> Result<()> {
    let Override { keys, value } = split(text)?;
    let Some((last, parents)) = keys.split_last() else {
        return Ok(());
    };
    let mut at = table;
    for (depth, key) in parents.iter().enumerate() {
        let next = at.entry((*key).to_owned()).or_insert_with(|| Value::Table(Table::new()));
        at = match next {
            Value::Table(inner) => inner,
            other => {
                let why = format!("no table but {}, which has no keys (--set {text})", kind(other));
                return Err(Error::config(keys[..=depth].join("."), why));
            }
        };
    }
    at.insert((*last).to_owned(), parse(value));
    Ok(())
}

/// The text as a TOML value, or as a string where it is none.
fn parse(text: &str) -> Value {
    toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        // A value with a line break could smuggle further keys in.
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// What a person calls a value of this type.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
