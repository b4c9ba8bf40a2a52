//! The page of all published systems, with what came out of each.

use super::reproduce::Outcome;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;

const HEAD: &str = "# Published systems

What `cargo xtask reproduce NAME --doc docs/systems.md` measured, each system in the section that its last run wrote; \
`cargo xtask reproduce --all` runs them all and writes the page anew. Results are means over seeds; spread is the \
largest minus the smallest.
";

/// Writes the sections of `outcomes` into the page, and keeps those of other systems; all sections
/// stand in the order of their names.
///
/// # Errors
/// Where the page cannot be read or written.
pub(super) fn write(path: &Path, outcomes: &[Outcome]) -> Result<()> {
    let old = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let mut sections: BTreeMap<&str, String> = old
        .split("\n## ")
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
        .map(|(name, body)| (name, body.trim().to_owned()))
        .collect();
    for outcome in outcomes {
        sections.insert(outcome.name, section(outcome));
    }
    let mut page = HEAD.to_owned();
    for (name, body) in sections {
        page.push_str(&format!("\n## {name}\n\n{body}\n"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::write(path, page).with_context(|| path.display().to_string())
}

fn section(outcome: &Outcome) -> String {
    let mut text = format!("{}\n\nClaim: {}\n\n", outcome.about, outcome.claim);
    text.push_str(
        "| measured | accepted | result | spread | beside | holds |\n|---|---|---|---|---|---|\n",
    );
    for line in &outcome.checks {
        let beside = line
            .baseline
            .as_ref()
            .map_or_else(String::new, |b| format!("{}: {:.4}", b.name, b.mean));
        let cells = [
            line.what.to_owned(),
            line.claim.to_owned(),
            format!("{:.4}", line.mean),
            format!("{:.4}", line.spread),
            beside,
            if line.pass { "yes" } else { "**no**" }.to_owned(),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text.push_str(&format!("\n{} seeds, {:.0} s in all.", outcome.seeds, outcome.seconds));
    text
}
