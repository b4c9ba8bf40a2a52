use maxlik_data::{CsvOptions, Error, Header, OnMissing, Result, Table};
use ndarray::array;
use proptest::prelude::*;
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder with one file of this name and content.
fn file(name: &str, content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

fn read(content: &str) -> Result<Table> {
    let (_folder, path) = file("t.csv", content);
    Table::read(path)
}

#[track_caller]
fn check<const N: usize>(content: &str, columns: &[&str], rows: &[[f64; N]]) {
    let table = read(content).unwrap();
    assert_eq!(table.columns(), columns);
    assert_eq!(table.values(), ndarray::arr2(rows));
}

/// The message after the path.
#[track_caller]
fn refused(content: &str, message: &str) {
    let error = read(content).unwrap_err().to_string();
    let (path, rest) = error.split_once(": ").unwrap();
    assert!(path.ends_with("t.csv"), "{error}");
    assert_eq!(rest, message);
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn headers_are_found_out() {
    check("a,b\n1,2\n3,4\n", &["a", "b"], &[[1.0, 2.0], [3.0, 4.0]]);
    check("1,2\n3,4\n", &["x0", "x1"], &[[1.0, 2.0], [3.0, 4.0]]);
    // Years as names, and a first column without one.
    check("id,2001\n1,2\n", &["id", "2001"], &[[1.0, 2.0]]);
    check("\"\",\"b\"\n1,2\n", &["x0", "b"], &[[1.0, 2.0]]);
    // One row only, without a line end; a byte-order mark; carriage returns.
    check("1,2", &["x0", "x1"], &[[1.0, 2.0]]);
    check("\u{feff}a,b\r\n1,-2e3\r\n", &["a", "b"], &[[1.0, -2000.0]]);
    // Blank lines are no rows.
    check("a\n\n1\n\n2\n\n", &["a"], &[[1.0], [2.0]]);
}

#[test]
fn headers_can_be_said() {
    let (_folder, path) = file("t.csv", "2001,2002\n1,2\n");
    let with = |header| CsvOptions { header, ..CsvOptions::default() };
    let table = Table::read_csv(&path, &with(Header::Yes)).unwrap();
    assert_eq!(table.columns(), ["2001", "2002"]);
    assert_eq!(Table::read_csv(&path, &with(Header::No)).unwrap().values().nrows(), 2);
}

#[test]
fn delimiters_are_found_out() {
    let values = [[1.0, 2.5], [3.0, 4.0]];
    for delimiter in [",", ";", "\t", "|", " ", "   "] {
        let content = format!("a{delimiter}b\n1{delimiter}2.5\n3{delimiter}4\n");
        check(&content, &["a", "b"], &values);
    }
    check("a, b\n1, 2.5\n3, 4\n", &["a", "b"], &values);
    // Quotes inside a cell are no quotes.
    check("a\"b,c\n1,2\n", &["a\"b", "c"], &[[1.0, 2.0]]);
    check("\"a;c\",b\n1,2.5\n3,4\n", &["a;c", "b"], &values);
    check("  1 2.5\n  3   4\n", &["x0", "x1"], &values);
    check("7\n8\n", &["x0"], &[[7.0], [8.0]]);
    let (_folder, path) = file("t.csv", "1:2\n");
    let options = CsvOptions { delimiter: Some(':'), ..CsvOptions::default() };
    assert_eq!(Table::read_csv(&path, &options).unwrap().values(), array![[1.0, 2.0]]);
    let options = CsvOptions { delimiter: Some('é'), ..CsvOptions::default() };
    assert!(Table::read_csv(&path, &options).is_err());
}

#[test]
fn quoted_cells_are_unquoted() {
    check(
        "\"a \"\"b\"\"\",\"c,d\"\n\"1\",\" 2 \"\n3,\"4\"",
        &["a \"b\"", "c,d"],
        &[[1.0, 2.0], [3.0, 4.0]],
    );
    // A quote that is never closed takes the rest of the file into its cell.
    refused("a,b\n1,2\n3,4\n\"5,6\n7,8\n", "row 3 (line 4): expected 2 cells, got 1");
}

#[test]
fn bad_cells_are_reported_with_their_place() {
    refused(
        "a,b\n1,2\n3,\n",
        "row 2 (line 3), column `b`: expected a number, got a missing value (\"\")",
    );
    refused(
        "a,b\n1,2\n\n3,NA\n",
        "row 2 (line 4), column `b`: expected a number, got a missing value (\"NA\")",
    );
    refused("a,b\n1,2\n3,4\n5,6x\n", "row 3 (line 4), column `b`: expected a number, got \"6x\"");
    refused(
        "a,b\n1,2\n3,4\nnan,6\n",
        "row 3, column `a`: expected a finite number, got nan (line 4)",
    );
    refused("1,2\n3,-1e999\n", "row 2, column `x1`: expected a finite number, got -1e999 (line 2)");
    // Lines are counted with blank ones, carriage returns and quoted line ends.
    refused(
        "a,b\r\n\r\n1,2\r\n\r\n3,x\r\n5,6\r\n",
        "row 2 (line 5), column `b`: expected a number, got \"x\"",
    );
    refused(
        "\"a\n\"\"c\"\"\",b\n1,2\n3,4\n\"5\",\n",
        "row 3 (line 5), column `b`: expected a number, got a missing value (\"\")",
    );
    let long = format!("a\n1\n2\n{}\n", "y".repeat(500));
    assert!(read(&long).unwrap_err().to_string().len() < 300);
}

#[test]
fn ragged_and_truncated_rows_are_reported() {
    refused("a,b,c\n1,2,3\n4,5\n", "row 2 (line 3): expected 3 cells, got 2");
    refused("1,2\n3,4\n5,6\n7,8,9\n", "row 4 (line 4): expected 2 cells, got 3");
    // Cut off in the middle of the last row.
    refused("a,b,c\n1,2,3\n4,5,6\n7,8,9\n10", "row 4 (line 5): expected 3 cells, got 1");
    refused("1 2\n3 4\n5\n", "row 3 (line 3): expected 2 cells, got 1");
}

#[test]
fn columns_of_text_are_refused_or_left_out() {
    let content = "carat,cut,price\n0.23,Ideal,326\n0.21,Premium,326\n0.3,Good,335\n";
    refused(
        content,
        "column `cut` holds text (row 1: \"Ideal\"), expected numbers: drop it or encode it as numbers",
    );
    refused(
        "1.0,setosa\n2.0,virginica\n",
        "column `x1` holds text (row 1: \"setosa\"), expected numbers: drop it or encode it as numbers",
    );
    // One bad first cell is no column of text.
    refused("a,b\n1,2o\n3,4\n", "row 1 (line 2), column `b`: expected a number, got \"2o\"");
    let (_folder, path) = file("t.csv", content);
    let drop = CsvOptions { drop: vec!["cut".to_owned()], ..CsvOptions::default() };
    let table = Table::read_csv(&path, &drop).unwrap();
    assert_eq!((table.columns().len(), table.values()[[2, 1]]), (2, 335.0));
    let columns = Some(vec!["price".to_owned(), "carat".to_owned()]);
    let table = Table::read_csv(&path, &CsvOptions { columns, ..CsvOptions::default() }).unwrap();
    assert_eq!(table.columns(), ["price", "carat"]);
    assert_eq!(table.values().row(0).to_vec(), [326.0, 0.23]);
    let columns = Some(vec!["weight".to_owned()]);
    let error = Table::read_csv(&path, &CsvOptions { columns, ..drop }).unwrap_err();
    let error = error.to_string();
    assert!(
        error.ends_with("column: `weight` is not known; known are `carat`, `cut`, `price`"),
        "{error}"
    );
}

#[test]
fn rows_with_missing_values_can_be_left_out() {
    let (_folder, path) = file("t.csv", "a,b\n1,2\n?,3\n4,\nnull,5\n6,7\n");
    let options = CsvOptions { on_missing: OnMissing::SkipRow, ..CsvOptions::default() };
    let table = Table::read_csv(&path, &options).unwrap();
    assert_eq!(table.values(), array![[1.0, 2.0], [6.0, 7.0]]);
}

#[test]
fn files_without_rows_or_text_are_refused() {
    refused("", "expected a table, got an empty file");
    refused("a,b\n", "expected rows of numbers, got a header only");
    let (_folder, path) = file("t.csv", b"a,b\n1,2\n\xff\xfe,3\n");
    let error = Table::read(&path).unwrap_err().to_string();
    assert!(error.ends_with("line 3: expected UTF-8 text"), "{error}");
    let (_folder, path) = file("t.txt", b"1 2\n3 \xff\n");
    let error = Table::read(&path).unwrap_err().to_string();
    assert!(error.ends_with("line 2: expected UTF-8 text"), "{error}");
    let error = Table::read("no/such/file.csv").unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("no/such/file.csv"));
    let error = Table::read("numbers.xlsx").unwrap_err().to_string();
    assert!(error.contains("expected a name that ends in .csv"), "{error}");
}

#[test]
fn compressed_text_is_read() {
    let mut packed = Vec::new();
    let level = flate2::Compression::fast();
    let mut encoder = flate2::write::GzEncoder::new(&mut packed, level);
    encoder.write_all(b"a,b\n1,2\n").unwrap();
    encoder.finish().unwrap();
    let (_folder, path) = file("t.csv.gz", &packed);
    assert_eq!(Table::read(&path).unwrap().values(), array![[1.0, 2.0]]);
    let (_folder, path) = file("t.csv.gz", &packed[..packed.len() - 9]);
    assert!(matches!(Table::read(&path).unwrap_err(), Error::Io { .. }));
}

#[test]
fn tables_become_data_sets() {
    let (_folder, path) = file("wine.csv", "a,b\n1,2\n3,1e39\n");
    let table = Table::read(path).unwrap();
    let second = table.select_columns(&[1]).unwrap();
    assert_eq!((second.columns(), second.values()[[1, 0]]), (&["b".to_owned()][..], 1e39));
    assert!(table.select_columns(&[2]).is_err() && table.select_columns(&[]).is_err());
    assert_eq!(table.select_named(&["b"]).unwrap(), second);
    assert_eq!(table.without(&["a"]).unwrap(), second);
    let error = table.without(&["c"]).unwrap_err().to_string();
    assert!(error.ends_with("column: `c` is not known; known are `a`, `b`"), "{error}");
    assert!(table.without(&["a", "b"]).is_err() && table.select_named(&[]).is_err());
    let data = table.clone().into_dataset::<f64>().unwrap();
    assert_eq!((data.name(), data.columns(), data.dims()), ("wine", table.columns(), 2));
    let error = table.into_dataset::<f32>().unwrap_err().to_string();
    assert_eq!(error, "wine: row 2, column `x1`: expected a finite number, got inf");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        rows in prop::collection::vec(prop::collection::vec(prop::num::f64::NORMAL, 3), 1..20),
        header: bool, delimiter in prop::sample::select(vec![",", ";", "\t", " "]),
    ) {
        let mut text = String::new();
        if header {
            text += &["a", "b", "c"].join(delimiter);
            text.push('\n');
        }
        for row in &rows {
            let cells: Vec<String> = row.iter().map(|v| format!("{v:?}")).collect();
            text += &cells.join(delimiter);
            text.push('\n');
        }
        let table = read(&text).unwrap();
        let expected: Vec<f64> = rows.concat();
        prop_assert_eq!(table.values().iter().copied().collect::<Vec<_>>(), expected);
        prop_assert_eq!(table.columns()[0].as_str(), if header { "a" } else { "x0" });
    }

    /// Whatever the bytes: a table or an error, never a panic.
    #[test]
    fn no_text_causes_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_folder, path) = file("t.csv", &bytes);
        let _ = Table::read(&path);
    }

    #[test]
    fn no_almost_table_causes_a_panic(text in "[0-9a,;\"\n .?-]{0,80}") {
        let _ = read(&text);
    }
}
