//! Relative links in Markdown pages: whether the file, and the heading in it, are there.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A link that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The page it is on.
    pub page: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// Where it points.
    pub target: String,
    /// What is missing there.
    pub why: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, line, target, why } = self;
        write!(f, "{}:{line}: {target}: {why}", page.display())
    }
}

/// The relative links of `page` that lead nowhere. Links with a scheme (`https:`) are not followed.
///
/// # Errors
/// When the page or a page that it links to cannot be read.
pub fn broken(page: &Path) -> Result<Vec<Broken>> {
    let text = read(page)?;
    let folder = page.parent().unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for (line, target) in targets(&text) {
        let (file, heading) = match target.split_once('#') {
            Some((file, heading)) => (file, Some(heading)),
            None => (target.as_str(), None),
        };
        let to =
            if file.is_empty() { page.to_owned() } else { folder.join(file.replace("%20", " ")) };
        let why = if !to.exists() {
            Some("no such file")
        } else if let (Some(heading), true) = (heading, is_page(&to)) {
            let known = headings(&read(&to)?);
            (!known.iter().any(|name| name == heading)).then_some("no such heading")
        } else {
            None
        };
        if let Some(why) = why {
            found.push(Broken { page: page.to_owned(), line, target: target.clone(), why });
        }
    }
    Ok(found)
}

fn read(page: &Path) -> Result<String> {
    fs::read_to_string(page).with_context(|| format!("{} cannot be read", page.display()))
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "md")
}

/// The lines outside fenced code blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => {
                fence = Some(mark);
                None
            }
            (Some(open), Some(mark)) if open == mark => {
                fence = None;
                None
            }
            (Some(_), _) => None,
            (None, None) => Some((at + 1, line)),
        }
    })
}

/// The relative targets of inline links, images and reference definitions.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        let mut add = |target: &str| {
            let target = target.trim().trim_start_matches('<');
            let target = target.split([' ', '>']).next().unwrap_or_default();
            let scheme = target
                .split_once(':')
                .is_some_and(|(scheme, _)| scheme.chars().all(char::is_alphanumeric));
            if !target.is_empty() && !scheme {
                found.push((number, target.to_owned()));
            }
        };
        for rest in line.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                add(target);
            }
        }
        if line.starts_with('[')
            && let Some((_, target)) = line.split_once("]: ")
        {
            add(target);
        }
    }
    found
}

/// The line with its `code` blanked out.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    let prose = |(at, part): (usize, &&str)| {
        // An unpaired last backquote opens nothing.
        let code = at % 2 == 1 && at + 1 < parts.len();
        if code { String::new() } else { (*part).to_owned() }
    };
    parts.iter().enumerate().map(prose).collect()
}

/// The names by which a page's headings are linked, as GitHub makes them: lower case, punctuation dropped,
/// spaces to hyphens, repeats numbered.
fn headings(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut names = Vec::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        if !(1..=6).contains(&level) || !title.starts_with(' ') {
            continue;
        }
        let name: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let count = seen.entry(name.clone()).or_insert(0);
        names.push(match *count {
            0 => name,
            n => format!("{name}-{n}"),
        });
        *count += 1;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_every_form_are_found() {
        let text = "\
See [a](a.md), ![p](p.png \"title\") and [web](https://x.org/y.md).
`[code](no.md)` and [`named`](named.md#part) [m](mailto:a@b.c)
```
[fenced](no.md)
```
[ref]: ref.md
";
        let found: Vec<String> = targets(text).into_iter().map(|(_, t)| t).collect();
        assert_eq!(found, ["a.md", "p.png", "named.md#part", "ref.md"]);
    }

    #[test]
    fn headings_are_named_as_github_names_them() {
        let text = "# One idea\n## `a.b`, and C!\n#hash\n## One idea\n```\n# code\n```\n";
        assert_eq!(headings(text), ["one-idea", "ab-and-c", "one-idea-1"]);
    }
}
