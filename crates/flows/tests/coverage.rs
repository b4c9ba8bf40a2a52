//! The tables of docs/flows.md cannot lie: they list every kind that TOML knows and no other, and
//! every kind is named in a test.

use maxlik_flows::{BaseConfig, LayerConfig, UnivariateConfig};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../docs/flows.md");

/// The kinds of a tagged enum, as serde lists them where one is unknown.
fn kinds<T: DeserializeOwned>() -> BTreeSet<String> {
    let message = toml::from_str::<T>("kind = \"?\"").err().unwrap().to_string();
    let list = message.split_once("expected one of").expect("serde lists the variants").1;
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The kinds in the first column of the tables that begin with `kind`, one set for each table.
fn listed() -> Vec<BTreeSet<String>> {
    let mut tables: Vec<BTreeSet<String>> = Vec::new();
    let mut inside = false;
    for line in PAGE.lines() {
        let first = line.strip_prefix('|').and_then(|rest| rest.split('|').next());
        match first.map(str::trim) {
            Some("kind") => {
                inside = true;
                tables.push(BTreeSet::new());
            }
            Some(cell) if inside => {
                if let Some(table) = tables.last_mut() {
                    table.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
                }
            }
            _ => inside = false,
        }
    }
    tables
}

/// The sources of all other tests of this crate.
fn sources() -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.file_name().is_some_and(|name| name != "coverage.rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    text.replace('\\', "")
}

fn camel(kind: &str) -> String {
    kind.split('_')
        .map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_uppercase() + rest
        })
        .collect()
}

#[test]
fn every_kind_is_documented_and_tested() {
    let tables = listed();
    let sources = sources();
    for (name, kinds) in [
        ("LayerConfig", kinds::<LayerConfig>()),
        ("UnivariateConfig", kinds::<UnivariateConfig>()),
        ("BaseConfig", kinds::<BaseConfig>()),
    ] {
        assert!(kinds.len() > 5, "{name}: {kinds:?}");
        let table = tables.iter().max_by_key(|table| table.intersection(&kinds).count()).unwrap();
        let missing: Vec<_> = kinds.difference(table).collect();
        let unknown: Vec<_> = table.difference(&kinds).collect();
        assert!(missing.is_empty(), "{name}: not in the table of docs/flows.md: {missing:?}");
        assert!(unknown.is_empty(), "{name}: in the table, but no such kind: {unknown:?}");
        let untested: Vec<_> = kinds
            .iter()
            .filter(|kind| {
                let toml = format!("kind = \"{kind}\"");
                let rust = format!("{name}::{}", camel(kind));
                !sources.contains(&toml) && !sources.contains(&rust)
            })
            .collect();
        assert!(untested.is_empty(), "{name}: no test names {untested:?}");
    }
}
