//! Tables of numbers from the user's files.

mod csv;
mod npy;
mod records;
pub mod uci;

pub use csv::{CsvOptions, Header, OnMissing};

use crate::dataset::{Dataset, check_finite, numbered};
use crate::error::{Error, Result};
use crate::scalar::Scalar;
use ndarray::{Array2, Axis};
use std::path::{Path, PathBuf};

/// A table of finite numbers with named columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
    values: Array2<f64>,
}

impl Table {
    /// Reads a file in the format that its name says: `.csv`, `.tsv`, `.txt`, `.dat` and `.data`
    /// as text (also compressed, with `.gz` after it), `.npy`, or `.npz` with one array.
    ///
    /// # Errors
    /// As [`Table::read_csv`], [`Table::read_npy`] and [`Table::read_npz`]; [`Error::Format`] for
    /// another name.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match extension(path).as_deref() {
            Some("npy") => Self::read_npy(path),
            Some("npz") => Self::read_npz(path, None),
            Some("csv" | "tsv" | "txt" | "dat" | "data") => {
                Self::read_csv(path, &CsvOptions::default())
            }
            _ => Err(Error::format(
                path,
                "expected a name that ends in .csv, .tsv, .txt, .dat, .data (perhaps with .gz), .npy or .npz",
            )),
        }
    }

    /// Reads delimited text: see [`CsvOptions`] for what is found out and what can be set.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Ragged`] for a row with more or fewer cells than the first;
    /// [`Error::Missing`], [`Error::NotNumeric`] and [`Error::NonFinite`] with the place of the
    /// cell; [`Error::Categorical`] for a column of text; [`Error::Unknown`] for a column that was
    /// asked for and is not there; [`Error::Format`] for a file without rows.
    pub fn read_csv(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Self> {
        let path = path.as_ref();
        let (columns, values) = csv::read(path, options)?;
        Self::new(path, columns, values)
    }

    /// Reads an NPY file: floating point (4 or 8 bytes), integer or boolean, of either byte and
    /// either memory order, with two dimensions, or with one as a single column.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] for anything else that the file may hold,
    /// [`Error::NonFinite`] with the place of the number.
    pub fn read_npy(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let values = npy::read_npy(path)?;
        Self::new(path, numbered(values.ncols()), values)
    }

    /// Reads one array of an NPZ file: the one named, or the only one.
    ///
    /// # Errors
    /// As [`Table::read_npy`]; [`Error::Unknown`] if that array is not there, [`Error::Format`] if no
    /// name tells which of several, both with the names in the file.
    pub fn read_npz(path: impl AsRef<Path>, array: Option<&str>) -> Result<Self> {
        let path = path.as_ref();
        let values = npy::read_npz(path, array)?;
        Self::new(path, numbered(values.ncols()), values)
    }

    /// A table from numbers at hand; `path` names it in messages.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is a name for each column, [`Error::NonFinite`] with the place
    /// of the first NaN or infinity, [`Error::Format`] without rows or columns.
    pub fn new(
        path: impl Into<PathBuf>,
        columns: Vec<String>,
        values: Array2<f64>,
    ) -> Result<Self> {
        let path = path.into();
        if values.is_empty() {
            let why = format!("expected at least one row and column, got {:?}", values.dim());
            return Err(Error::format(&path, why));
        }
        if columns.len() != values.ncols() {
            return Err(Error::shape(
                format!("{}, column names", path.display()),
                values.ncols().to_string(),
                columns.len().to_string(),
            ));
        }
        check_finite(&path.display().to_string(), values.view(), &columns)?;
        Ok(Self { path, columns, values })
    }

    /// The numbers, `[N, D]`.
    #[must_use]
    pub fn values(&self) -> &Array2<f64> {
        &self.values
    }

    /// Names of the `D` columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The columns with these places, in this order.
    ///
    /// # Errors
    /// [`Error::Shape`] for a place outside `0..D`, or without any.
    pub fn select_columns(&self, places: &[usize]) -> Result<Self> {
        if places.is_empty() || places.iter().any(|&p| p >= self.columns.len()) {
            return Err(Error::shape(
                format!("{}, places of columns", self.path.display()),
                format!("some of 0..{}", self.columns.len()),
                format!("{places:?}"),
            ));
        }
        let columns = places.iter().map(|&p| self.columns[p].clone()).collect();
        let values = self.values.select(Axis(1), places);
        Self::new(&self.path, columns, values)
    }

    /// The columns with these names, in this order: such as those that a density is conditioned on.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that is not there, [`Error::Shape`] without any.
    pub fn select_named(&self, names: &[&str]) -> Result<Self> {
        self.select_columns(&self.places(names)?)
    }

    /// All columns but those with these names.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that is not there, [`Error::Shape`] if none is left.
    pub fn without(&self, names: &[&str]) -> Result<Self> {
        let left_out = self.places(names)?;
        let places = (0..self.columns.len()).filter(|place| !left_out.contains(place));
        self.select_columns(&places.collect::<Vec<_>>())
    }

    fn places(&self, names: &[&str]) -> Result<Vec<usize>> {
        let place = |name: &&str| {
            let place = self.columns.iter().position(|column| column == name);
            place.ok_or_else(|| Error::Unknown {
                what: format!("{}, column", self.path.display()),
                got: (*name).to_owned(),
                known: self.columns.clone(),
            })
        };
        names.iter().map(place).collect()
    }

    /// The table as a data set, named after the file, in single or double precision.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a number too large for single precision.
    pub fn into_dataset<T: Scalar>(self) -> Result<Dataset<T>> {
        let stem = self.path.file_stem().unwrap_or(self.path.as_os_str());
        let rows = self.values.mapv(T::from_f64);
        Dataset::new(stem.to_string_lossy(), rows)?.with_columns(self.columns)
    }
}

/// The extension in lower case; the one before `.gz` if the file is compressed.
fn extension(path: &Path) -> Option<String> {
    let lower = |path: &Path| Some(path.extension()?.to_str()?.to_lowercase());
    match lower(path)?.as_str() {
        "gz" => lower(&path.with_extension("")),
        other => Some(other.to_owned()),
    }
}
