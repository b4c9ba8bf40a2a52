//! Numbers out of NPY and NPZ files.

use crate::error::{Error, Result};
use ndarray::{Array2, ArrayD, Ix1, Ix2, OwnedRepr};
use ndarray_npy::{
    NpzReader, ReadDataError, ReadNpyError, ReadNpyExt, ReadNpzError, ReadableElement,
};
use py_literal::Value;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

pub(super) fn read_npy(path: &Path) -> Result<Array2<f64>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let array = ArrayD::<Number>::read_npy(BufReader::new(file));
    as_table(path, array.map_err(|e| npy_error(path, e))?)
}

pub(super) fn read_npz(path: &Path, array: Option<&str>) -> Result<Array2<f64>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let fail = |e| match e {
        ReadNpzError::Npy(e) => npy_error(path, e),
        ReadNpzError::Zip(e) => Error::format(path, format!("expected an NPZ archive: {e}")),
    };
    let mut npz = NpzReader::new(BufReader::new(file)).map_err(fail)?;
    let names = npz.names().map_err(fail)?;
    let name = match (array, names.as_slice()) {
        (Some(name), names) if names.iter().any(|n| n == name) => name.to_owned(),
        (Some(name), _) => {
            return Err(Error::Unknown {
                what: format!("{}, array", path.display()),
                got: name.to_owned(),
                known: names,
            });
        }
        (None, [only]) => only.clone(),
        (None, names) => {
            let why = format!("expected one array, or the name of one of {names:?}");
            return Err(Error::format(path, why));
        }
    };
    let array: ArrayD<Number> = npz.by_name::<OwnedRepr<Number>, _>(&name).map_err(fail)?;
    as_table(path, array)
}

fn as_table(path: &Path, array: ArrayD<Number>) -> Result<Array2<f64>> {
    let shape = array.shape().to_vec();
    let rows = match array.ndim() {
        1 => array.into_dimensionality::<Ix1>().map(|column| column.insert_axis(ndarray::Axis(1))),
        _ => array.into_dimensionality::<Ix2>(),
    };
    match rows {
        Ok(rows) => Ok(rows.mapv(|Number(value)| value).as_standard_layout().into_owned()),
        Err(_) => {
            let why = format!("expected an array of one or two dimensions, got shape {shape:?}");
            Err(Error::format(path, why))
        }
    }
}

fn npy_error(path: &Path, error: ReadNpyError) -> Error {
    match error {
        ReadNpyError::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::io(path, source)
        }
        ReadNpyError::Io(_) | ReadNpyError::MissingData => {
            Error::format(path, "expected more data: the file is truncated")
        }
        ReadNpyError::WrongDescriptor(dtype) => Error::format(
            path,
            format!("expected dtype f4, f8, i1 to i8, u1 to u8 or bool, got {dtype}"),
        ),
        other => Error::format(path, format!("expected NPY data: {other}")),
    }
}

/// A number of any real type, as double precision.
///
/// One element type for all: the file says which, and the data are read piece by piece, so that a
/// damaged header that promises too much cannot exhaust the memory.
#[derive(Debug, Clone, Copy)]
struct Number(f64);

impl ReadableElement for Number {
    fn read_to_end_exact_vec<R: Read>(
        mut reader: R,
        dtype: &Value,
        len: usize,
    ) -> std::result::Result<Vec<Self>, ReadDataError> {
        let unknown = || ReadDataError::WrongDescriptor(dtype.clone());
        let Value::String(text) = dtype else {
            return Err(unknown());
        };
        let (order, kind) = text.split_at_checked(1).ok_or_else(unknown)?;
        if !["<", ">", "|", "="].contains(&order) {
            return Err(unknown());
        }
        let (size, decode) = decoder(kind).ok_or_else(unknown)?;
        let mut numbers = Vec::new();
        let mut piece = vec![0; 4096 * size];
        while numbers.len() < len {
            let count = (len - numbers.len()).min(4096);
            let bytes = &mut piece[..count * size];
            reader.read_exact(bytes).map_err(|e| match e.kind() {
                std::io::ErrorKind::UnexpectedEof => ReadDataError::MissingData,
                _ => ReadDataError::Io(e),
            })?;
            for element in bytes.chunks_exact_mut(size) {
                if order == ">" {
                    element.reverse();
                }
                numbers
                    .push(Self(decode(element).map_err(|e| ReadDataError::ParseData(e.into()))?));
            }
        }
        match reader.read_to_end(&mut piece)? {
            0 => Ok(numbers),
            extra => Err(ReadDataError::ExtraBytes(extra)),
        }
    }
}

type Decode = fn(&[u8]) -> std::result::Result<f64, String>;

/// Size in bytes and decoder of little-endian elements.
fn decoder(kind: &str) -> Option<(usize, Decode)> {
    /// Little-endian bytes of a primitive type.
    macro_rules! of {
        ($type:ty, $convert:expr) => {{
            let decode: Decode = |bytes| {
                let array = bytes.try_into().map_err(|_| "wrong size".to_owned())?;
                $convert(<$type>::from_le_bytes(array))
            };
            Some((size_of::<$type>(), decode))
        }};
    }
    match kind {
        "f8" => of!(f64, Ok),
        "f4" => of!(f32, |v| Ok(f64::from(v))),
        "i8" => of!(i64, |v: i64| exact(i128::from(v))),
        "u8" => of!(u64, |v: u64| exact(i128::from(v))),
        "i4" => of!(i32, |v| Ok(f64::from(v))),
        "u4" => of!(u32, |v| Ok(f64::from(v))),
        "i2" => of!(i16, |v| Ok(f64::from(v))),
        "u2" => of!(u16, |v| Ok(f64::from(v))),
        "i1" => of!(i8, |v| Ok(f64::from(v))),
        "u1" => of!(u8, |v| Ok(f64::from(v))),
        "b1" => of!(u8, |v| Ok(f64::from(u8::from(v != 0)))),
        _ => None,
    }
}

/// The integer in double precision, if that can hold it.
fn exact(integer: i128) -> std::result::Result<f64, String> {
    let value = integer as f64;
    if value as i128 == integer {
        return Ok(value);
    }
    Err(format!("the integer {integer} has more digits than double precision holds"))
}
