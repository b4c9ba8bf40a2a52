//! Typed configurations from TOML: files, overrides, and errors of one line.
//!
//! ```
//! use maxlik_train::config;
//! use serde::Deserialize;
//!
//! #[derive(Debug, Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Recipe { seed: u64, lr: f64 }
//!
//! let recipe: Recipe = config::parse("recipe.toml", "seed = 7\nlr = 1e-3", &["lr=0.01".into()])?;
//! assert_eq!((recipe.seed, recipe.lr), (7, 0.01));
//!
//! let error = config::parse::<Recipe>("recipe.toml", "seed = 7\nrl = 1e-3", &[]).unwrap_err();
//! assert_eq!(error.to_string(), "rl: unknown key, did you mean lr? (recipe.toml, line 2)");
//! # Ok::<(), maxlik_tensor::Error>(())
//! ```

mod diagnose;
mod locate;
mod message;
mod overrides;
mod source;

use maxlik_tensor::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use source::Source;
use std::path::Path;
use toml::Table;

/// Reads the file at `path`, applies `overrides` (`a.b=c`, in their order) and makes a `T` of it.
///
/// The value of an override is read as TOML; what is no TOML is taken as text, so that
/// `data.name=moons` needs no quotes.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read; [`Error::Config`] for text that is no TOML, an
/// override that cannot be applied, an unknown key (with the nearest one that is known), a missing
/// key, or a value of another type than the configuration wants: each names the key's path and where
/// it was written.
pub fn load<T: DeserializeOwned>(path: &Path, overrides: &[String]) -> Result<T> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Io { path: path.to_owned(), source })?;
    parse(&path.display().to_string(), &text, overrides)
}

/// As [`load`], of `text` that errors call `name`.
///
/// # Errors
/// As [`load`].
pub fn parse<T: DeserializeOwned>(name: &str, text: &str, overrides: &[String]) -> Result<T> {
    let source = Source::new(name, text);
    let mut table = source.table()?;
    for text in overrides {
        overrides::apply(&mut table, text)?;
    }
    table.clone().try_into::<T>().map_err(|error| {
        diagnose::explain(&table, error.message(), &attempt::<T>, |path| {
            source.place(path, overrides)
        })
    })
}

/// The configuration as TOML text, which [`parse`] reads back as the same configuration.
///
/// # Errors
/// [`Error::Config`] for what TOML cannot hold, such as an integer above `i64::MAX`.
pub fn to_toml<T: Serialize>(config: &T) -> Result<String> {
    toml::to_string_pretty(config).map_err(|e| Error::config("configuration", e.to_string()))
}

/// What deserialising `table` as a `T` complains of, if anything.
fn attempt<T: DeserializeOwned>(table: &Table) -> Option<String> {
    table.clone().try_into::<T>().err().map(|error| error.message().to_owned())
}
