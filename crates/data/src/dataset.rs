//! Rows in memory with what is known of them.

use crate::error::{Error, Result};
use crate::scalar::Scalar;
use ndarray::{Array2, ArrayView2, Axis};

/// `N` rows, each one event of the same shape, flattened in row-major order.
///
/// All values are finite, and all parts have `N` rows: the constructors see to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset<T> {
    name: String,
    rows: Array2<T>,
    columns: Vec<String>,
    event_shape: Vec<usize>,
    labels: Option<Vec<i64>>,
    context: Option<Array2<T>>,
    weights: Option<Vec<T>>,
    levels: Option<u32>,
}

impl<T: Scalar> Dataset<T> {
    /// A data set of `rows` (`[N, D]`), with columns `x0`, `x1`, … and event shape `[D]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are no columns, [`Error::NonFinite`] with the place of the first
    /// NaN or infinity.
    pub fn new(name: impl Into<String>, rows: Array2<T>) -> Result<Self> {
        let name = name.into();
        let columns = numbered(rows.ncols());
        if columns.is_empty() {
            return Err(Error::shape(name, "at least one column", "none"));
        }
        check_finite(&name, rows.view(), &columns)?;
        Ok(Self {
            name,
            event_shape: vec![rows.ncols()],
            rows,
            columns,
            labels: None,
            context: None,
            weights: None,
            levels: None,
        })
    }

    /// Names the columns.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are `D` names.
    pub fn with_columns(mut self, columns: Vec<String>) -> Result<Self> {
        self.check_count("columns", self.dims(), columns.len())?;
        self.columns = columns;
        Ok(self)
    }

    /// Says which shape a row has when it is not flat, for example `[1, 8, 8]` for an image.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the shape holds `D` numbers.
    pub fn with_event_shape(mut self, shape: &[usize]) -> Result<Self> {
        self.check_count("event shape", self.dims(), shape.iter().product())?;
        self.event_shape = shape.to_vec();
        Ok(self)
    }

    /// Adds one class label a row.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are `N` labels.
    pub fn with_labels(mut self, labels: Vec<i64>) -> Result<Self> {
        self.check_count("labels", self.len(), labels.len())?;
        self.labels = Some(labels);
        Ok(self)
    }

    /// Adds what a conditional density is conditioned on, `[N, C]`.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are `N` rows, [`Error::NonFinite`] as in [`Dataset::new`].
    pub fn with_context(mut self, context: Array2<T>) -> Result<Self> {
        self.check_count("context rows", self.len(), context.nrows())?;
        let of = format!("{}, context", self.name);
        check_finite(&of, context.view(), &numbered(context.ncols()))?;
        self.context = Some(context);
        Ok(self)
    }

    /// Sets the context to the labels in one-hot form, `[N, classes]`.
    ///
    /// # Errors
    /// [`Error::Shape`] without labels, [`Error::Config`] for a label outside `0..classes`.
    pub fn with_one_hot_context(self, classes: usize) -> Result<Self> {
        let Some(labels) = &self.labels else {
            return Err(Error::shape(
                format!("{}, one-hot context", self.name),
                "a data set with labels",
                "one without",
            ));
        };
        let mut context = Array2::from_elem((self.len(), classes), T::from_f64(0.0));
        for (row, &label) in labels.iter().enumerate() {
            let place = usize::try_from(label).ok().filter(|&l| l < classes);
            let Some(place) = place else {
                let why = format!("expected 0..{classes}, got {label} in row {}", row + 1);
                return Err(Error::config(format!("{}, label", self.name), why));
            };
            context[[row, place]] = T::from_f64(1.0);
        }
        self.with_context(context)
    }

    /// Adds one weight a row.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are `N` weights, [`Error::Config`] for one that is negative
    /// or not finite.
    pub fn with_weights(mut self, weights: Vec<T>) -> Result<Self> {
        self.check_count("weights", self.len(), weights.len())?;
        for (row, &weight) in weights.iter().enumerate() {
            if !(weight.finite() && weight >= T::from_f64(0.0)) {
                let why = format!(
                    "expected a finite number of at least 0, got {weight} in row {}",
                    row + 1
                );
                return Err(Error::config(format!("{}, weight", self.name), why));
            }
        }
        self.weights = Some(weights);
        Ok(self)
    }

    /// Says that the values are the integers `0..levels`, so that they need dequantisation.
    ///
    /// # Errors
    /// [`Error::Config`] with the place of the first value that is no such integer.
    pub fn with_levels(mut self, levels: u32) -> Result<Self> {
        for ((row, column), &value) in self.rows.indexed_iter() {
            let value = value.to_f64();
            if value.fract() != 0.0 || value < 0.0 || value >= f64::from(levels) {
                let why = format!(
                    "expected an integer of 0..{levels}, got {value} in row {}, column `{}`",
                    row + 1,
                    self.columns[column]
                );
                return Err(Error::config(format!("{}, levels", self.name), why));
            }
        }
        self.levels = Some(levels);
        Ok(self)
    }

    /// The rows with these indices, in this order, as a data set of the same kind.
    ///
    /// # Errors
    /// [`Error::Shape`] for an index outside `0..N`.
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        if let Some(bad) = indices.iter().find(|&&i| i >= self.len()) {
            return Err(Error::shape(
                format!("{}, index", self.name),
                format!("less than {}", self.len()),
                bad.to_string(),
            ));
        }
        Ok(Self {
            name: self.name.clone(),
            rows: self.rows.select(Axis(0), indices),
            columns: self.columns.clone(),
            event_shape: self.event_shape.clone(),
            labels: pick(self.labels.as_deref(), indices),
            context: self.context.as_ref().map(|c| c.select(Axis(0), indices)),
            weights: pick(self.weights.as_deref(), indices),
            levels: self.levels,
        })
    }

    /// The same data set in another precision.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a number too large for single precision.
    pub fn cast<U: Scalar>(&self) -> Result<Dataset<U>> {
        let convert = |values: &Array2<T>| values.mapv(|v| U::from_f64(v.to_f64()));
        let rows = convert(&self.rows);
        check_finite(&self.name, rows.view(), &self.columns)?;
        let context = self.context.as_ref().map(convert);
        if let Some(context) = &context {
            let of = format!("{}, context", self.name);
            check_finite(&of, context.view(), &numbered(context.ncols()))?;
        }
        let cast = Dataset {
            name: self.name.clone(),
            rows,
            columns: self.columns.clone(),
            event_shape: self.event_shape.clone(),
            labels: self.labels.clone(),
            context,
            weights: None,
            levels: self.levels,
        };
        match &self.weights {
            None => Ok(cast),
            Some(weights) => {
                let weights = weights.iter().map(|w| U::from_f64(w.to_f64()));
                cast.with_weights(weights.collect())
            }
        }
    }

    /// The same data set with other rows: what preprocessing such as standardisation makes of it.
    /// The event shape is kept if it still fits and is `[D]` otherwise; levels are forgotten.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are `N` rows and as many columns as names,
    /// [`Error::NonFinite`] as in [`Dataset::new`].
    pub fn with_rows(mut self, rows: Array2<T>, columns: Vec<String>) -> Result<Self> {
        self.check_count("rows", self.len(), rows.nrows())?;
        self.check_count("columns", rows.ncols(), columns.len())?;
        check_finite(&self.name, rows.view(), &columns)?;
        if rows.ncols() != self.dims() {
            self.event_shape = vec![rows.ncols()];
        }
        self.rows = rows;
        self.columns = columns;
        self.levels = None;
        Ok(self)
    }

    fn check_count(&self, what: &str, expected: usize, got: usize) -> Result<()> {
        if expected == got {
            return Ok(());
        }
        Err(Error::shape(format!("{}, {what}", self.name), expected.to_string(), got.to_string()))
    }
}

impl<T> Dataset<T> {
    /// What the data are called in messages and reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of rows `N`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.nrows()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of columns `D`.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.rows.ncols()
    }

    /// The rows, `[N, D]`.
    #[must_use]
    pub fn rows(&self) -> ArrayView2<'_, T> {
        self.rows.view()
    }

    /// Names of the `D` columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The shape of one event; its product is `D`.
    #[must_use]
    pub fn event_shape(&self) -> &[usize] {
        &self.event_shape
    }

    /// One class label a row, where there are labels.
    #[must_use]
    pub fn labels(&self) -> Option<&[i64]> {
        self.labels.as_deref()
    }

    /// The context, `[N, C]`, where there is one.
    #[must_use]
    pub fn context(&self) -> Option<ArrayView2<'_, T>> {
        self.context.as_ref().map(Array2::view)
    }

    /// One weight a row, where there are weights.
    #[must_use]
    pub fn weights(&self) -> Option<&[T]> {
        self.weights.as_deref()
    }

    /// The number of levels if the values are the integers `0..levels`.
    #[must_use]
    pub fn levels(&self) -> Option<u32> {
        self.levels
    }
}

/// `x0`, `x1`, …: names for columns without one.
pub(crate) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("x{i}")).collect()
}

/// Refuses NaN and infinity, with the place of the first.
pub(crate) fn check_finite<T: Scalar>(
    of: &str,
    rows: ArrayView2<'_, T>,
    columns: &[String],
) -> Result<()> {
    match rows.indexed_iter().find(|(_, value)| !value.finite()) {
        None => Ok(()),
        Some(((row, column), value)) => Err(Error::NonFinite {
            of: of.to_owned(),
            row: row as u64 + 1,
            column: columns[column].clone(),
            got: value.to_string(),
        }),
    }
}

fn pick<V: Copy>(values: Option<&[V]>, indices: &[usize]) -> Option<Vec<V>> {
    values.map(|values| indices.iter().map(|&i| values[i]).collect())
}
