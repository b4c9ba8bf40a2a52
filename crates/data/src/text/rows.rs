//! Rows of equal length from documents of any length.

use crate::error::{Error, Result};
use ndarray::Array2;

/// Rows of tokens, and how much the prediction of each counts: a language model predicts every token but
/// the first from those before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequences {
    /// `[N, T + 1]`.
    pub tokens: Array2<i64>,
    /// `[N, T + 1]`: one where a token's prediction counts, zero for prompts and padding. The first
    /// column is never predicted.
    pub weight: Array2<f32>,
}

fn check(length: usize) -> Result<()> {
    if length == 0 {
        return Err(Error::config("length", "expected at least 1, got 0"));
    }
    Ok(())
}

fn array<T>(rows: Vec<T>, width: usize) -> Result<Array2<T>> {
    let shape = (rows.len() / width, width);
    Array2::from_shape_vec(shape, rows)
        .map_err(|e| Error::shape("rows", format!("rows of {width}"), e.to_string()))
}

/// Documents one after the other, a boundary before each and after the last, cut into rows of
/// `length + 1`. The last token of a row is the first of the next, so that every token but the first
/// boundary is predicted exactly once; the last row is filled up with boundaries that do not count.
///
/// A row may hold the end of one document and the beginning of the next: the boundary between them is
/// learned too, and the model sees what stands before it.
///
/// # Errors
/// [`Error::Config`] for a length of zero or no documents.
pub fn pack(documents: &[Vec<i64>], length: usize, boundary: i64) -> Result<Sequences> {
    check(length)?;
    let mut stream = vec![boundary];
    for document in documents {
        stream.extend(document);
        stream.push(boundary);
    }
    if documents.is_empty() {
        return Err(Error::config("documents", "expected at least one"));
    }
    let (mut tokens, mut weight) = (Vec::new(), Vec::new());
    for start in (0..stream.len() - 1).step_by(length) {
        let row = &stream[start..stream.len().min(start + length + 1)];
        push(&mut tokens, &mut weight, row, 1, length + 1, boundary);
    }
    Ok(Sequences { tokens: array(tokens, length + 1)?, weight: array(weight, length + 1)? })
}

/// One document a row: a boundary, the document, a boundary where there is room, then boundaries that do
/// not count. Documents that are too long are cut.
///
/// # Errors
/// [`Error::Config`] for a length of zero or no documents.
pub fn pad(documents: &[Vec<i64>], length: usize, boundary: i64) -> Result<Sequences> {
    let whole: Vec<Pair> =
        documents.iter().map(|d| Pair { source: Vec::new(), target: d.clone() }).collect();
    rows_of(&whole, length, boundary, false)
}

/// A source and what is to be written for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pair {
    /// What is given: a prompt, a document, a sentence.
    pub source: Vec<i64>,
    /// What is learned.
    pub target: Vec<i64>,
}

/// One pair a row: source, boundary, target, boundary. Only the target and the boundary after it count.
/// Of a source that leaves no room the beginning is cut, of a target the end.
///
/// # Errors
/// [`Error::Config`] for a length of zero or no pairs.
pub fn pairs(pairs: &[Pair], length: usize, boundary: i64) -> Result<Sequences> {
    rows_of(pairs, length, boundary, true)
}

fn rows_of(pairs: &[Pair], length: usize, boundary: i64, keep: bool) -> Result<Sequences> {
    check(length)?;
    if pairs.is_empty() {
        return Err(Error::config(
            if keep { "pairs" } else { "documents" },
            "expected at least one",
        ));
    }
    let width = length + 1;
    let (mut tokens, mut weight) = (Vec::new(), Vec::new());
    for Pair { source, target } in pairs {
        // The boundary, and the target with its own, come first; the source gets what is left.
        let room = width.saturating_sub(target.len() + 2);
        let mut row = source[source.len().saturating_sub(room)..].to_vec();
        row.push(boundary);
        let given = row.len();
        row.extend(target);
        row.push(boundary);
        row.truncate(width);
        push(&mut tokens, &mut weight, &row, given, width, boundary);
    }
    Ok(Sequences { tokens: array(tokens, width)?, weight: array(weight, width)? })
}

/// Appends a row whose first `given` tokens do not count, filled up to `width`.
fn push(
    tokens: &mut Vec<i64>,
    weight: &mut Vec<f32>,
    row: &[i64],
    given: usize,
    width: usize,
    boundary: i64,
) {
    tokens.extend(row);
    tokens.extend(std::iter::repeat_n(boundary, width - row.len()));
    weight.extend((0..width).map(|t| if (given..row.len()).contains(&t) { 1.0 } else { 0.0 }));
}
