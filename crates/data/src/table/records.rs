//! Delimited text as records of cells.

use crate::error::{Error, Result};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// What separates cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// One byte; cells may be quoted.
    Byte(u8),
    /// Any number of blanks.
    Blanks,
}

/// In order of preference where several would do.
const CANDIDATES: [Delimiter; 5] = [
    Delimiter::Byte(b','),
    Delimiter::Byte(b'\t'),
    Delimiter::Byte(b';'),
    Delimiter::Byte(b'|'),
    Delimiter::Blanks,
];

/// Finds the delimiter out of the first lines: the candidate by which most of them have the same
/// number of cells, and more than one; a comma where there is none.
pub(super) fn sniff(path: &Path) -> Result<Delimiter> {
    let mut start = Vec::new();
    let io = |e| Error::io(path, e);
    open(path)?.take(1 << 16).read_to_end(&mut start).map_err(io)?;
    let text = String::from_utf8_lossy(&start);
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).take(20).collect();
    let score = |candidate: Delimiter| {
        let counts: Vec<usize> = lines.iter().map(|l| separators(l, candidate)).collect();
        let agreeing = |count: &usize| counts.iter().filter(|c| *c == count).count();
        let split = counts.iter().filter(|&&c| c > 0);
        split.map(agreeing).max().unwrap_or(0)
    };
    let mut best = (CANDIDATES[0], 0);
    for candidate in CANDIDATES {
        let score = score(candidate);
        if score > best.1 {
            best = (candidate, score);
        }
    }
    Ok(best.0)
}

/// Separators in a line, quoted parts left out.
fn separators(line: &str, delimiter: Delimiter) -> usize {
    match delimiter {
        Delimiter::Blanks => line.split_whitespace().count().saturating_sub(1),
        Delimiter::Byte(delimiter) => {
            let mut quoted = false;
            let mut count = 0;
            for byte in line.bytes() {
                quoted ^= byte == b'"';
                count += usize::from(!quoted && byte == delimiter);
            }
            count
        }
    }
}

/// Hands every record that is not blank to `each`, with its first line in the file, from 1.
pub(super) fn for_each(
    path: &Path,
    delimiter: Delimiter,
    mut each: impl FnMut(u64, &[&str]) -> Result<()>,
) -> Result<()> {
    let mut reader = BufReader::new(open(path)?);
    let mut cells = Splitter::new(delimiter);
    let mut text = String::new();
    let mut next = 1;
    loop {
        let first = next;
        text.clear();
        // A quoted cell may hold line ends: such a record has several lines.
        while text.is_empty() || in_quotes(&text, delimiter) {
            let read = reader.read_line(&mut text);
            if read.map_err(|e| not_text(path, next, e))? == 0 {
                break;
            }
            next += 1;
        }
        if text.is_empty() {
            return Ok(());
        }
        let record = text.trim_start_matches('\u{feff}');
        if !record.trim().is_empty() {
            cells.split(record, |cells| each(first, cells))?;
        }
    }
}

/// Whether the text ends inside a quoted cell.
fn in_quotes(text: &str, delimiter: Delimiter) -> bool {
    let Delimiter::Byte(delimiter) = delimiter else {
        return false;
    };
    let (mut quoted, mut may_open) = (false, true);
    for byte in text.bytes() {
        if byte == b'"' && (quoted || may_open) {
            quoted = !quoted;
            // A quote right after a closing one is a quote in the cell.
            may_open = !quoted;
        } else {
            may_open = byte == delimiter;
        }
    }
    quoted
}

/// Splits records into cells; room is kept from one to the next.
#[derive(Debug)]
struct Splitter {
    delimiter: Delimiter,
    reader: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Splitter {
    fn new(delimiter: Delimiter) -> Self {
        let mut builder = ReaderBuilder::new();
        if let Delimiter::Byte(byte) = delimiter {
            builder.delimiter(byte);
        }
        Self { delimiter, reader: builder.build(), text: Vec::new(), ends: Vec::new() }
    }

    /// Hands the cells of one record, without blanks around them, to `take`.
    fn split<R>(&mut self, record: &str, take: impl FnOnce(&[&str]) -> R) -> R {
        match self.delimiter {
            Delimiter::Blanks => take(&record.split_whitespace().collect::<Vec<_>>()),
            Delimiter::Byte(_) if record.contains('"') => take(&self.unquote(record)),
            Delimiter::Byte(byte) => {
                let cells = record.split(char::from(byte)).map(str::trim);
                take(&cells.collect::<Vec<_>>())
            }
        }
    }

    fn unquote(&mut self, record: &str) -> Vec<&str> {
        // Unquoting only ever shortens, and a record has no more cells than bytes, plus one.
        self.text.resize(record.len(), 0);
        self.ends.resize(record.len() + 1, 0);
        self.reader.reset();
        let (mut read, mut written, mut count) = (0, 0, 0);
        loop {
            // Once all is read, empty input says that the record ends here.
            let (result, input, output, ends) = self.reader.read_record(
                &record.as_bytes()[read..],
                &mut self.text[written..],
                &mut self.ends[count..],
            );
            read += input;
            written += output;
            count += ends;
            if !matches!(result, ReadRecordResult::InputEmpty) {
                break;
            }
        }
        let starts = std::iter::once(0).chain(self.ends[..count].iter().copied());
        starts
            .zip(&self.ends[..count])
            .map(|(start, &end)| str::from_utf8(&self.text[start..end]).unwrap_or_default().trim())
            .collect()
    }
}

/// The file's bytes, decompressed if its name ends in `.gz`.
fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let compressed = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    Ok(if compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

fn not_text(path: &Path, line: u64, source: std::io::Error) -> Error {
    if source.kind() == std::io::ErrorKind::InvalidData {
        return Error::format(path, format!("line {line}: expected UTF-8 text"));
    }
    Error::io(path, source)
}
