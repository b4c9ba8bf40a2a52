//! Documents from files, and their parts.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Documents of a `.jsonl` file, of a text file, or of all such files of a folder by name.
///
/// A line of JSON Lines is an object whose `field` is a document's text; blank lines are skipped. Any
/// other file is one document, in UTF-8.
///
/// # Errors
/// [`Error::Io`] for files that cannot be read, [`Error::Format`] for text that is not UTF-8, a line
/// that is not such an object (with its number), and where nothing was found.
pub fn read(path: &Path, field: &str) -> Result<Vec<String>> {
    let mut documents = Vec::new();
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|e| Error::io(path, e))?;
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in entries {
            let file = entry.map_err(|e| Error::io(path, e))?.path();
            if file.extension().is_some_and(|end| end == "txt" || end == "jsonl") {
                files.push(file);
            }
        }
        files.sort();
        for file in files {
            documents.extend(read_file(&file, field)?);
        }
    } else {
        documents = read_file(path, field)?;
    }
    documents.retain(|document| !document.is_empty());
    if documents.is_empty() {
        return Err(Error::format(path, "expected text, found none (folders: .txt and .jsonl)"));
    }
    Ok(documents)
}

fn read_file(path: &Path, field: &str) -> Result<Vec<String>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::format(path, format!("expected UTF-8, got another byte at offset {at}"))
    })?;
    if path.extension().is_none_or(|end| end != "jsonl") {
        return Ok(vec![text]);
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| field_of(path, number + 1, line, field)).collect()
}

fn field_of(path: &Path, number: usize, line: &str, field: &str) -> Result<String> {
    let refuse = |why: String| Error::format(path, format!("line {number}: {why}"));
    let value: serde_json::Value =
        serde_json::from_str(line).map_err(|e| refuse(format!("expected JSON, {e}")))?;
    let text = value.get(field).and_then(serde_json::Value::as_str);
    let text = text.ok_or_else(|| refuse(format!("expected an object with a text `{field}`")))?;
    Ok(text.to_owned())
}

/// Documents to train on, to validate on, and to test on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// To train on.
    pub train: Vec<String>,
    /// To validate on.
    pub validation: Vec<String>,
    /// To test on.
    pub test: Vec<String>,
}

/// Takes the last `validation + test` of the text, by characters, for evaluation: a document that a
/// boundary falls into is cut at the next line, so that no sentence is in two parts.
///
/// # Errors
/// [`Error::Config`] for fractions that leave nothing to train on, or a part without text.
pub fn divide(documents: &[String], validation: f64, test: f64) -> Result<Parts> {
    if !(validation > 0.0 && test > 0.0 && validation + test < 1.0) {
        let why =
            format!("expected positive fractions with a sum below 1, got {validation} and {test}");
        return Err(Error::config("validation and test", why));
    }
    let total: usize = documents.iter().map(String::len).sum();
    let at = |fraction: f64| ((1.0 - fraction) * total as f64) as usize;
    let ends = [at(validation + test), at(test), total];
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    let (mut before, mut part) = (0, 0);
    for document in documents {
        let mut rest = document.as_str();
        while before + rest.len() > ends[part] && part < 2 {
            let cut = line_after(rest, ends[part].saturating_sub(before));
            let (head, tail) = rest.split_at(cut);
            if !head.is_empty() {
                parts[part].push(head.to_owned());
            }
            before += head.len();
            rest = tail;
            part += 1;
        }
        if !rest.is_empty() {
            before += rest.len();
            parts[part].push(rest.to_owned());
        }
    }
    let [train, validation, test] = parts;
    for (name, part) in [("train", &train), ("validation", &validation), ("test", &test)] {
        if part.is_empty() {
            return Err(Error::config(name, format!("no text is left of {total} bytes in all")));
        }
    }
    Ok(Parts { train, validation, test })
}

/// The start of the first line at or after `at`.
fn line_after(text: &str, at: usize) -> usize {
    if at == 0 {
        return 0;
    }
    let found = text.as_bytes()[at - 1..].iter().position(|&b| b == b'\n');
    found.map_or(text.len(), |offset| at + offset)
}
