//! Which rows train, which validate, which test.

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::random::{Stream, permutation};
use crate::scalar::Scalar;

/// Three disjoint lists of row indices that together hold every row once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows to train on.
    pub train: Vec<usize>,
    /// Rows to choose by: early stopping, hyperparameters.
    pub validation: Vec<usize>,
    /// Rows to report on, and nothing else.
    pub test: Vec<usize>,
}

/// The three parts of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition<T> {
    /// Rows to train on.
    pub train: Dataset<T>,
    /// Rows to choose by.
    pub validation: Dataset<T>,
    /// Rows to report on.
    pub test: Dataset<T>,
}

impl<T: Scalar> Partition<T> {
    /// The same parts in another precision.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a number too large for single precision.
    pub fn cast<U: Scalar>(&self) -> Result<Partition<U>> {
        Ok(Partition {
            train: self.train.cast()?,
            validation: self.validation.cast()?,
            test: self.test.cast()?,
        })
    }
}

impl Split {
    /// A seeded split by counts: the permutation of stream `split` of `seed`, whose last `test`
    /// places are the test part, the `validation` places before them the validation part, and the
    /// rest the training part.
    ///
    /// # Errors
    /// [`Error::Config`] unless at least one row is left to train on.
    pub fn counts(rows: usize, validation: usize, test: usize, seed: u64) -> Result<Self> {
        let mut rng = Stream::new(seed, "split").rng(0);
        Self::of_order(permutation(rows, &mut rng), validation, test)
    }

    /// A seeded split by fractions, each rounded down to whole rows; then as [`Split::counts`].
    ///
    /// # Errors
    /// [`Error::Config`] unless both fractions are in `[0, 1)` and at least one row is left to
    /// train on.
    pub fn fractions(rows: usize, validation: f64, test: f64, seed: u64) -> Result<Self> {
        for (field, value) in [("validation", validation), ("test", test)] {
            if !(0.0..1.0).contains(&value) {
                let why = format!("expected a fraction of [0, 1), got {value}");
                return Err(Error::config(format!("split.{field}"), why));
            }
        }
        // A billionth of a row forgives 0.1 * 10 = 0.9999… without ever adding a row unasked.
        let count = |fraction: f64| (fraction * rows as f64 + 1e-9).floor() as usize;
        Self::counts(rows, count(validation), count(test), seed)
    }

    /// A split in the order of the rows: the test part is the last `test` rows, the validation
    /// part the `validation` rows before.
    ///
    /// # Errors
    /// [`Error::Config`] unless at least one row is left to train on.
    pub fn in_order(rows: usize, validation: usize, test: usize) -> Result<Self> {
        Self::of_order((0..rows).collect(), validation, test)
    }

    fn of_order(mut order: Vec<usize>, validation: usize, test: usize) -> Result<Self> {
        let rows = order.len();
        let train = validation
            .checked_add(test)
            .and_then(|held_out| rows.checked_sub(held_out))
            .filter(|&left| left > 0);
        let Some(train) = train else {
            let why = format!(
                "{rows} rows cannot give {validation} to validation and {test} to test and leave one to train on"
            );
            return Err(Error::config("split", why));
        };
        let test = order.split_off(train + validation);
        let validation = order.split_off(train);
        Ok(Self { train: order, validation, test })
    }

    /// The three parts of `data`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an index that `data` does not have.
    pub fn apply<T: Scalar>(&self, data: &Dataset<T>) -> Result<Partition<T>> {
        Ok(Partition {
            train: data.select(&self.train)?,
            validation: data.select(&self.validation)?,
            test: data.select(&self.test)?,
        })
    }
}
