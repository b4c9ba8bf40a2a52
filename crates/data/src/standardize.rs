//! Columns of mean 0 and standard deviation 1, fitted on the training part only.

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::scalar::Scalar;
use crate::split::Partition;
use ndarray::{Array2, ArrayView2};

/// What to do with a column that holds one value only: it has no density and no scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConstant {
    /// Report [`Error::Constant`].
    #[default]
    Refuse,
    /// Leave the column out; [`Standardizer::inverse`] puts it back.
    Drop,
}

/// The map `z_j = (x_j - m_j) / s_j` of every column `j`, with the mean `m_j` and the standard
/// deviation `s_j` (divided by `N`) of the rows that it was fitted on.
///
/// A density `q` of `z` gives `p(x) = q(z) / Π s_j`, so with [`Standardizer::log_scale`]
///
/// ```text
/// -ln p(x) = -ln q(z) + Σ_j ln s_j:
/// ```
///
/// add `log_scale` to a mean negative log-likelihood of standardised data to have nats in the
/// original units.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardizer {
    columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq)]
struct Column {
    name: String,
    mean: f64,
    /// 0 for a constant column, which is left out.
    sd: f64,
}

impl Standardizer {
    /// Fits mean and standard deviation to the rows of `train`. Hand it the training part, never
    /// the whole set.
    ///
    /// # Errors
    /// [`Error::Shape`] without rows, [`Error::Constant`] with the names of constant columns if
    /// they are refused, or if all columns are constant, [`Error::Config`] where a variance overflows.
    pub fn fit<T: Scalar>(train: &Dataset<T>, on_constant: OnConstant) -> Result<Self> {
        if train.is_empty() {
            let what = format!("{}, standardisation", train.name());
            return Err(Error::shape(what, "at least one row", "none"));
        }
        let fit = |(name, values): (&String, ndarray::ArrayView1<'_, T>)| {
            let n = values.len() as f64;
            let first = values[0].to_f64();
            // Shifted by the first value: a column far from 0 keeps its digits, a constant one is exact.
            let shift = values.iter().map(|v| v.to_f64() - first).sum::<f64>() / n;
            let square: f64 = values.iter().map(|v| (v.to_f64() - first - shift).powi(2)).sum();
            Column { name: name.clone(), mean: first + shift, sd: (square / n).sqrt() }
        };
        let rows = train.rows();
        let columns: Vec<Column> = train.columns().iter().zip(rows.columns()).map(fit).collect();
        if let Some(wide) = columns.iter().find(|c| !c.sd.is_finite()) {
            let what = format!("{}, column `{}`", train.name(), wide.name);
            return Err(Error::config(what, "its values are too large to have a variance"));
        }
        let constant: Vec<String> =
            columns.iter().filter(|c| c.sd == 0.0).map(|c| c.name.clone()).collect();
        let refused = on_constant == OnConstant::Refuse || constant.len() == columns.len();
        if refused && !constant.is_empty() {
            return Err(Error::Constant { of: train.name().to_owned(), columns: constant });
        }
        Ok(Self { columns })
    }

    /// A map with known numbers, such as those kept from an earlier run.
    ///
    /// # Errors
    /// [`Error::Shape`] unless all lists have the same length, [`Error::Config`] for a mean that is
    /// not finite or a standard deviation that is not positive.
    pub fn from_parts(columns: &[String], mean: &[f64], sd: &[f64]) -> Result<Self> {
        for (what, len) in [("mean", mean.len()), ("sd", sd.len())] {
            if len != columns.len() {
                let expected = format!("{} numbers", columns.len());
                return Err(Error::shape(
                    format!("standardizer, {what}"),
                    expected,
                    len.to_string(),
                ));
            }
        }
        let column = |((name, &mean), &sd): ((&String, &f64), &f64)| {
            if !(mean.is_finite() && sd.is_finite() && sd > 0.0) {
                let why = format!("expected a finite mean and a positive sd, got {mean} and {sd}");
                return Err(Error::config(format!("standardizer, column `{name}`"), why));
            }
            Ok(Column { name: name.clone(), mean, sd })
        };
        let columns = columns.iter().zip(mean).zip(sd).map(column);
        Ok(Self { columns: columns.collect::<Result<_>>()? })
    }

    /// `z` of each row of `x`: `[N, D]` to `[N, kept]`.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `x` has the columns of the fit.
    pub fn forward<T: Scalar>(&self, x: ArrayView2<'_, T>) -> Result<Array2<T>> {
        self.check("x", self.columns.len(), x.ncols())?;
        let kept: Vec<(usize, &Column)> = self.kept().collect();
        Ok(Array2::from_shape_fn((x.nrows(), kept.len()), |(i, j)| {
            let (from, column) = kept[j];
            T::from_f64((x[[i, from]].to_f64() - column.mean) / column.sd)
        }))
    }

    /// `x` of each row of `z`: `[N, kept]` to `[N, D]`, constant columns put back.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `z` has as many columns as were kept.
    pub fn inverse<T: Scalar>(&self, z: ArrayView2<'_, T>) -> Result<Array2<T>> {
        let kept: Vec<(usize, &Column)> = self.kept().collect();
        self.check("z", kept.len(), z.ncols())?;
        let constant = |(_, j): (usize, usize)| T::from_f64(self.columns[j].mean);
        let mut x = Array2::from_shape_fn((z.nrows(), self.columns.len()), constant);
        for (j, &(to, column)) in kept.iter().enumerate() {
            for (x, z) in x.column_mut(to).iter_mut().zip(z.column(j)) {
                *x = T::from_f64(z.to_f64() * column.sd + column.mean);
            }
        }
        Ok(x)
    }

    /// The data set with its rows mapped.
    ///
    /// # Errors
    /// As [`Standardizer::forward`].
    pub fn apply<T: Scalar>(&self, data: Dataset<T>) -> Result<Dataset<T>> {
        let rows = self.forward(data.rows())?;
        data.with_rows(rows, self.names())
    }

    /// `Σ ln s_j` over the columns kept, in nats.
    #[must_use]
    pub fn log_scale(&self) -> f64 {
        self.kept().map(|(_, c)| c.sd.ln()).sum()
    }

    /// Names of the columns kept.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.kept().map(|(_, c)| c.name.clone()).collect()
    }

    /// Names of the constant columns, left out.
    #[must_use]
    pub fn dropped(&self) -> Vec<String> {
        let constant = self.columns.iter().filter(|c| c.sd == 0.0);
        constant.map(|c| c.name.clone()).collect()
    }

    /// Means of the columns kept.
    #[must_use]
    pub fn mean(&self) -> Vec<f64> {
        self.kept().map(|(_, c)| c.mean).collect()
    }

    /// Standard deviations of the columns kept.
    #[must_use]
    pub fn sd(&self) -> Vec<f64> {
        self.kept().map(|(_, c)| c.sd).collect()
    }

    fn kept(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, c)| c.sd > 0.0)
    }

    fn check(&self, what: &str, expected: usize, got: usize) -> Result<()> {
        if expected == got {
            return Ok(());
        }
        Err(Error::shape(
            format!("standardizer, {what}"),
            format!("{expected} columns"),
            got.to_string(),
        ))
    }
}

impl<T: Scalar> Partition<T> {
    /// Standardises all three parts by the training part.
    ///
    /// # Errors
    /// As [`Standardizer::fit`].
    pub fn standardize(self, on_constant: OnConstant) -> Result<(Self, Standardizer)> {
        let standardizer = Standardizer::fit(&self.train, on_constant)?;
        let parts = Self {
            train: standardizer.apply(self.train)?,
            validation: standardizer.apply(self.validation)?,
            test: standardizer.apply(self.test)?,
        };
        Ok((parts, standardizer))
    }
}
