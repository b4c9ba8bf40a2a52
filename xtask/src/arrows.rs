//! Which crate may depend on which: docs/architecture.md says it, `cargo metadata` tells what is so.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// A dependency of one workspace crate on another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// The crate that depends.
    pub from: String,
    /// The crate that is depended on.
    pub to: String,
    /// Only for tests, examples and benches.
    pub dev: bool,
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dev = if self.dev { " (dev)" } else { "" };
        write!(f, "{} -> {}{dev}", self.from, self.to)
    }
}

/// The arrows in the fenced block ```` ```arrows ```` of a Markdown page: lines `a -> b`, or `a -> b (dev)` for
/// what only tests and benches may use. Empty lines and lines from `#` on are left out.
///
/// # Errors
/// When there is no such block, or a line is of another form.
pub fn allowed(page: &str) -> Result<BTreeSet<Arrow>> {
    let mut lines = page.lines().skip_while(|line| line.trim() != "```arrows");
    lines.next().context("docs/architecture.md has no block that begins with ```arrows")?;
    let mut arrows = BTreeSet::new();
    for line in lines.take_while(|line| line.trim() != "```") {
        let text = line.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let (text, dev) = match text.strip_suffix("(dev)") {
            Some(text) => (text.trim(), true),
            None => (text, false),
        };
        match text.split_once("->").map(|(a, b)| (a.trim(), b.trim())) {
            Some((from, to)) if is_name(from) && is_name(to) => {
                arrows.insert(Arrow { from: from.to_owned(), to: to.to_owned(), dev });
            }
            _ => bail!(
                "docs/architecture.md: \"{line}\" is no arrow; write `a -> b` or `a -> b (dev)`"
            ),
        }
    }
    Ok(arrows)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_".contains(c))
}

/// The arrows between members that `cargo metadata` reports.
///
/// # Errors
/// When the metadata has another form.
pub fn actual(metadata: &Value) -> Result<BTreeSet<Arrow>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    let mut arrows = BTreeSet::new();
    for package in packages {
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = name(dependency);
            if dependency["path"].is_string() && members.contains(&to) {
                arrows.insert(Arrow { from: name(package), to, dev: dependency["kind"] == "dev" });
            }
        }
    }
    Ok(arrows)
}

/// The arrows of `actual` that `allowed` does not permit. What is allowed without `(dev)` is allowed to tests too.
#[must_use]
pub fn forbidden(actual: &BTreeSet<Arrow>, allowed: &BTreeSet<Arrow>) -> Vec<Arrow> {
    let permitted = |arrow: &Arrow| {
        let plain = Arrow { dev: false, ..arrow.clone() };
        allowed.contains(arrow) || (arrow.dev && allowed.contains(&plain))
    };
    actual.iter().filter(|arrow| !permitted(arrow)).cloned().collect()
}
