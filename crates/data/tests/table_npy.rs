use maxlik_data::{Error, Result, Table};
use ndarray::{Array1, Array3, array};
use ndarray_npy::NpzWriter;
use std::path::PathBuf;
use tempfile::TempDir;

/// An NPY file of version 1.0 as the format's description says.
fn npy(dtype: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

fn file(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

fn read(content: &[u8]) -> Result<Table> {
    let (_folder, path) = file("t.npy", content);
    Table::read(path)
}

#[track_caller]
fn refused(content: &[u8], message: &str) {
    let error = read(content).unwrap_err().to_string();
    let (path, rest) = error.split_once(": ").unwrap();
    assert!(path.ends_with("t.npy"), "{error}");
    assert_eq!(rest, message);
}

/// The numbers 1 to 6 in every type that is taken.
#[test]
fn all_number_types_are_read() {
    macro_rules! bytes {
        ($type:ty, $method:ident) => {
            (1..=6_u8).flat_map(|v| <$type>::from(v).$method()).collect::<Vec<u8>>()
        };
    }
    let expected = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    for (dtype, data) in [
        ("'<f8'", bytes!(f64, to_le_bytes)),
        ("'>f8'", bytes!(f64, to_be_bytes)),
        ("'<f4'", bytes!(f32, to_le_bytes)),
        ("'>f4'", bytes!(f32, to_be_bytes)),
        ("'<i8'", bytes!(i64, to_le_bytes)),
        ("'>i8'", bytes!(i64, to_be_bytes)),
        ("'<u8'", bytes!(u64, to_le_bytes)),
        ("'<i4'", bytes!(i32, to_le_bytes)),
        ("'<u4'", bytes!(u32, to_le_bytes)),
        ("'<i2'", bytes!(i16, to_le_bytes)),
        ("'>u2'", bytes!(u16, to_be_bytes)),
        ("'|u1'", bytes!(u8, to_le_bytes)),
        ("'|i1'", vec![1, 2, 3, 4, 5, 6]),
    ] {
        let table = read(&npy(dtype, false, "(2, 3)", &data)).unwrap();
        assert_eq!(table.values(), expected, "{dtype}");
        let turned = read(&npy(dtype, true, "(3, 2)", &data)).unwrap();
        assert_eq!(turned.values(), expected.t(), "{dtype}");
    }
    let table = read(&npy("'|b1'", false, "(3,)", &[1, 0, 1])).unwrap();
    assert_eq!(table.values(), array![[1.0], [0.0], [1.0]]);
    assert_eq!(table.columns(), ["x0"]);
}

#[test]
fn rows_are_contiguous_whatever_the_order() {
    let table = read(&npy("'|u1'", true, "(3, 2)", &[1, 2, 3, 4, 5, 6])).unwrap();
    assert!(table.values().is_standard_layout());
}

/// More elements than one piece of reading holds.
#[test]
fn large_arrays_are_read() {
    let values: Vec<u8> = (0..10_001_u32).flat_map(u32::to_le_bytes).collect();
    let table = read(&npy("'<u4'", false, "(10001,)", &values)).unwrap();
    assert_eq!(table.values().sum(), 10_000.0 * 10_001.0 / 2.0);
}

#[test]
fn other_content_is_refused() {
    let double = |v: f64| v.to_le_bytes().to_vec();
    refused(
        &npy("'<f8'", false, "(2, 1)", &[double(1.0), double(f64::NAN)].concat()),
        "row 2, column `x0`: expected a finite number, got NaN",
    );
    refused(
        &npy("'<U5'", false, "(1,)", &[0; 20]),
        "expected dtype f4, f8, i1 to i8, u1 to u8 or bool, got '<U5'",
    );
    refused(
        &npy("'<c16'", false, "(1,)", &[0; 16]),
        "expected dtype f4, f8, i1 to i8, u1 to u8 or bool, got '<c16'",
    );
    refused(
        &npy("[('a', '<f8')]", false, "(1,)", &[0; 8]),
        "expected dtype f4, f8, i1 to i8, u1 to u8 or bool, got [('a', '<f8')]",
    );
    refused(
        &npy("'<f8'", false, "(1, 1, 1)", &double(1.0)),
        "expected an array of one or two dimensions, got shape [1, 1, 1]",
    );
    refused(
        &npy("'<f8'", false, "()", &double(1.0)),
        "expected an array of one or two dimensions, got shape []",
    );
    refused(
        &npy("'<f8'", false, "(0, 3)", &[]),
        "expected at least one row and column, got (0, 3)",
    );
    let error = read(&npy("'<i8'", false, "(1,)", &i64::MAX.to_le_bytes())).unwrap_err();
    assert!(error.to_string().contains("9223372036854775807 has more digits"), "{error}");
    assert!(read(b"not an array").is_err());
    assert!(matches!(Table::read("none.npy").unwrap_err(), Error::Io { .. }));
}

#[test]
fn truncated_and_lying_files_are_refused() {
    let whole = npy("'<f8'", false, "(2, 2)", &[0; 32]);
    assert!(read(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "{length}");
    }
    let truncated = "expected more data: the file is truncated";
    refused(&whole[..whole.len() - 1], truncated);
    assert!(read(&[&whole[..], &[0]].concat()).is_err());
    // A header that promises 8 TB does not make us ask for them.
    refused(&npy("'<f8'", false, "(1000000, 1000000)", &[0; 32]), truncated);
    assert!(read(&npy("'<f8'", false, "(18446744073709551615, 2)", &[])).is_err());
}

#[test]
fn arrays_of_archives_are_read_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.npz");
    let mut npz = NpzWriter::new_compressed(std::fs::File::create(&path).unwrap());
    npz.add_array("rows", &array![[1.0_f32, 2.0], [3.0, 4.0]]).unwrap();
    npz.add_array("labels", &Array1::from(vec![5_i64, 6])).unwrap();
    npz.add_array("cube", &Array3::<u8>::zeros((1, 1, 1))).unwrap();
    npz.finish().unwrap();
    let table = Table::read_npz(&path, Some("rows")).unwrap();
    assert_eq!(table.values(), array![[1.0, 2.0], [3.0, 4.0]]);
    let table = Table::read_npz(&path, Some("labels")).unwrap();
    assert_eq!(table.values(), array![[5.0], [6.0]]);
    let message = |name| Table::read_npz(&path, name).unwrap_err().to_string();
    let error = message(Some("row"));
    assert!(
        error.ends_with("array: `row` is not known; known are `rows`, `labels`, `cube`"),
        "{error}"
    );
    let error = message(None);
    assert!(error.ends_with(r#"the name of one of ["rows", "labels", "cube"]"#), "{error}");
    let error = Table::read_npz(&path, Some("cube")).unwrap_err().to_string();
    assert!(error.contains("one or two dimensions"), "{error}");

    let only = folder.path().join("only.npz");
    let mut npz = NpzWriter::new(std::fs::File::create(&only).unwrap());
    npz.add_array("x", &array![[7.0]]).unwrap();
    npz.finish().unwrap();
    assert_eq!(Table::read(&only).unwrap().values(), array![[7.0]]);

    let bytes = std::fs::read(&path).unwrap();
    let (_folder, cut) = file("cut.npz", &bytes[..bytes.len() / 2]);
    let error = Table::read_npz(&cut, Some("rows")).unwrap_err().to_string();
    assert!(error.contains("expected an NPZ archive"), "{error}");
}
