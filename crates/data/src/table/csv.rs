//! Numbers out of delimited text.

use super::records::{Delimiter, for_each, sniff};
use crate::dataset::numbered;
use crate::error::{Error, Result};
use ndarray::Array2;
use std::path::{Path, PathBuf};

/// How to read delimited text. The default finds out the delimiter and whether there is a header,
/// takes all columns and refuses missing values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CsvOptions {
    /// What separates cells: any ASCII character, `' '` standing for any number of blanks. Found
    /// out of comma, tab, semicolon, bar and blanks if not set.
    pub delimiter: Option<char>,
    /// Whether the first line names the columns.
    pub header: Header,
    /// The columns to take, by name, in this order; all if not set. Others are not looked at, so
    /// they may hold text.
    pub columns: Option<Vec<String>>,
    /// Columns to leave out, by name; they are not looked at.
    pub drop: Vec<String>,
    /// What to do with a row that lacks a value.
    pub on_missing: OnMissing,
}

/// Whether the first line names the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// It does if it has text where the next line has a number, or text in all its cells.
    #[default]
    Auto,
    /// It does.
    Yes,
    /// It does not: columns are named `x0`, `x1`, …
    No,
}

/// What to do with a row that lacks a value: an empty cell, or one of `NA`, `N/A`, `NULL`, `none`,
/// `?` and `-` in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissing {
    /// Report [`Error::Missing`].
    #[default]
    Refuse,
    /// Leave the row out.
    SkipRow,
}

/// A record that is kept to look at before reading begins.
#[derive(Debug)]
struct Record {
    line: u64,
    cells: Vec<String>,
}

/// Reads names of columns and numbers.
pub(super) fn read(path: &Path, options: &CsvOptions) -> Result<(Vec<String>, Array2<f64>)> {
    let delimiter = match options.delimiter {
        None => sniff(path)?,
        Some(' ') => Delimiter::Blanks,
        Some(other) => Delimiter::Byte(ascii(other)?),
    };
    // Three records decide on header and columns of text; later ones are read at once.
    let mut first: Vec<Record> = Vec::new();
    let mut numbers: Option<Numbers> = None;
    for_each(path, delimiter, |line, cells| {
        if let Some(numbers) = &mut numbers {
            return numbers.push(line, cells);
        }
        first.push(Record { line, cells: cells.iter().map(|&c| c.to_owned()).collect() });
        if first.len() == 3 {
            numbers = Some(Numbers::start(path, options, &first)?);
        }
        Ok(())
    })?;
    match numbers {
        Some(numbers) => numbers.finish(),
        None => Numbers::start(path, options, &first)?.finish(),
    }
}

fn ascii(delimiter: char) -> Result<u8> {
    let byte = u8::try_from(delimiter).ok().filter(u8::is_ascii);
    byte.ok_or_else(|| {
        let why = format!("expected an ASCII character, got {delimiter:?}");
        Error::config("CSV delimiter", why)
    })
}

/// The numbers read so far.
#[derive(Debug)]
struct Numbers {
    path: PathBuf,
    width: usize,
    /// Place and name of each column taken.
    taken: Vec<(usize, String)>,
    on_missing: OnMissing,
    values: Vec<f64>,
    row: u64,
}

impl Numbers {
    fn start(path: &Path, options: &CsvOptions, first: &[Record]) -> Result<Self> {
        let Some(top) = first.first() else {
            return Err(Error::format(path, "expected a table, got an empty file"));
        };
        let header = match options.header {
            Header::Auto => looks_like_header(first),
            Header::Yes => true,
            Header::No => false,
        };
        let width = top.cells.len();
        let mut names = numbered(width);
        if header {
            let named = names.iter_mut().zip(&top.cells);
            for (name, cell) in named.filter(|(_, cell)| !cell.is_empty()) {
                name.clone_from(cell);
            }
        }
        let rows = &first[usize::from(header)..];
        if rows.is_empty() {
            return Err(Error::format(path, "expected rows of numbers, got a header only"));
        }
        let mut numbers = Self {
            path: path.to_owned(),
            width,
            taken: taken(path, &names, options)?,
            on_missing: options.on_missing,
            values: Vec::new(),
            row: 0,
        };
        numbers.refuse_text(rows)?;
        for record in rows {
            let cells: Vec<&str> = record.cells.iter().map(String::as_str).collect();
            numbers.push(record.line, &cells)?;
        }
        Ok(numbers)
    }

    /// A column with text in its first cells is a column of text, rather than one with a bad cell.
    fn refuse_text(&self, rows: &[Record]) -> Result<()> {
        let text = |row: &Record, place: usize| {
            let cell = row.cells.get(place);
            cell.is_none_or(|cell| is_text(cell))
        };
        for (place, name) in &self.taken {
            if rows[0].cells.len() == self.width && rows.iter().all(|row| text(row, *place)) {
                return Err(Error::Categorical {
                    path: self.path.clone(),
                    column: name.clone(),
                    row: 1,
                    got: shortened(&rows[0].cells[*place]),
                });
            }
        }
        Ok(())
    }

    fn push(&mut self, line: u64, cells: &[&str]) -> Result<()> {
        self.row += 1;
        if cells.len() != self.width {
            return Err(Error::Ragged {
                path: self.path.clone(),
                row: self.row,
                line,
                expected: self.width,
                got: cells.len(),
            });
        }
        let before = self.values.len();
        for (place, name) in &self.taken {
            let cell = cells[*place];
            let (path, column) = (|| self.path.clone(), || name.clone());
            match cell.parse::<f64>() {
                Ok(value) if value.is_finite() => self.values.push(value),
                Ok(_) => {
                    return Err(Error::NonFinite {
                        of: self.path.display().to_string(),
                        row: self.row,
                        column: column(),
                        got: format!("{} (line {line})", shortened(cell)),
                    });
                }
                Err(_) if is_missing(cell) && self.on_missing == OnMissing::SkipRow => {
                    self.values.truncate(before);
                    return Ok(());
                }
                Err(_) if is_missing(cell) => {
                    return Err(Error::Missing {
                        path: path(),
                        row: self.row,
                        line,
                        column: column(),
                        got: cell.to_owned(),
                    });
                }
                Err(_) => {
                    return Err(Error::NotNumeric {
                        path: path(),
                        row: self.row,
                        line,
                        column: column(),
                        got: shortened(cell),
                    });
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(Vec<String>, Array2<f64>)> {
        let names: Vec<String> = self.taken.into_iter().map(|(_, name)| name).collect();
        let shape = (self.values.len() / names.len().max(1), names.len());
        let values = Array2::from_shape_vec(shape, self.values)
            .map_err(|e| Error::format(&self.path, e.to_string()))?;
        Ok((names, values))
    }
}

/// The columns to take, by place, after checking that all names are there.
fn taken(path: &Path, names: &[String], options: &CsvOptions) -> Result<Vec<(usize, String)>> {
    let place = |wanted: &String| {
        let place = names.iter().position(|name| name == wanted);
        place.ok_or_else(|| Error::Unknown {
            what: format!("{}, column", path.display()),
            got: wanted.clone(),
            known: names.to_vec(),
        })
    };
    let dropped: Vec<usize> = options.drop.iter().map(place).collect::<Result<_>>()?;
    let wanted: Vec<usize> = match &options.columns {
        Some(wanted) => wanted.iter().map(place).collect::<Result<_>>()?,
        None => (0..names.len()).collect(),
    };
    let kept = wanted.into_iter().filter(|place| !dropped.contains(place));
    let taken: Vec<(usize, String)> = kept.map(|place| (place, names[place].clone())).collect();
    if taken.is_empty() {
        return Err(Error::format(path, "no column is left to take"));
    }
    Ok(taken)
}

fn looks_like_header(first: &[Record]) -> bool {
    let top = &first[0].cells;
    let text = top.iter().filter(|cell| is_text(cell)).count();
    let filled = top.iter().filter(|cell| !cell.is_empty()).count();
    let below = |place: usize| first.get(1).and_then(|record| record.cells.get(place));
    let over_number = top.iter().enumerate().any(|(place, cell)| {
        is_text(cell) && below(place).is_some_and(|cell| cell.parse::<f64>().is_ok())
    });
    text > 0 && (over_number || text == filled)
}

/// Neither a number nor a marker of a missing one.
fn is_text(cell: &str) -> bool {
    cell.parse::<f64>().is_err() && !is_missing(cell)
}

fn is_missing(cell: &str) -> bool {
    let markers = ["", "na", "n/a", "null", "none", "?", "-"];
    markers.iter().any(|marker| cell.eq_ignore_ascii_case(marker))
}

/// The first 40 characters, for messages.
fn shortened(cell: &str) -> String {
    if cell.chars().count() <= 40 {
        return cell.to_owned();
    }
    let start: String = cell.chars().take(39).collect();
    format!("{start}…")
}
