//! Data ready for a model: parts, units, and what is known of the truth.

use crate::config::{DataConfig, UciSet};
use anyhow::{Context, Result, bail};
use maxlik_data::table::uci;
use maxlik_data::toy::{Toy, ToyDensity};
use maxlik_data::{
    Dataset, OnConstant, Partition, RandomShift, Split, Standardizer, Table, digits,
};
use std::path::Path;

/// What kind of data a run is about, for evaluation, samples and pictures.
#[derive(Debug)]
pub enum Subject {
    /// Images with integer levels.
    Images {
        /// Height and width.
        side: [usize; 2],
    },
    /// A density on the plane that is known exactly.
    Plane {
        /// The truth.
        truth: &'static dyn ToyDensity,
    },
    /// A table.
    Table,
}

/// Data ready for a model.
#[derive(Debug)]
pub struct Problem {
    /// Training, validation and test rows in their own units.
    pub parts: Partition<f64>,
    /// What they are.
    pub subject: Subject,
    /// Number of levels of discrete data.
    pub levels: Option<u32>,
    /// Means and standard deviations of the training rows, for continuous data.
    pub scale: Option<Standardizer>,
    /// Random change of training rows.
    pub augmentation: Option<RandomShift>,
}

impl Problem {
    /// Reads or draws the data; `seed` decides on splits and draws.
    ///
    /// # Errors
    /// For files that cannot be read, names that are unknown, and data that cannot be used.
    pub fn load(config: &DataConfig, seed: u64) -> Result<Self> {
        match config {
            DataConfig::Digits { shift } => Self::digits(*shift),
            DataConfig::Toy { name, rows } => Self::toy(name, *rows, seed),
            DataConfig::Table { path, validation, test, drop_constant } => {
                if path.as_os_str().is_empty() {
                    bail!("data.path: which table? Name a file with --set data.path=FILE.csv");
                }
                let data: Dataset<f64> = Table::read(path)?.into_dataset()?;
                let split = Split::fractions(data.len(), *validation, *test, seed)?;
                let constant = if *drop_constant { OnConstant::Drop } else { OnConstant::Refuse };
                Self::table(&data, &split, constant)
            }
            DataConfig::Uci { set, path } => Self::uci(*set, path, seed),
            DataConfig::Text { .. } => bail!("data.kind: text is not rows of numbers"),
        }
    }

    fn uci(set: UciSet, path: &Path, seed: u64) -> Result<Self> {
        if path.as_os_str().is_empty() {
            bail!("data.path: where are the raw data? Name them with --set data.path=PATH");
        }
        let parts = match set {
            UciSet::Power => uci::power(path)?.parts,
            UciSet::Gas => uci::gas(path, seed)?.parts,
            UciSet::Hepmass => uci::hepmass(path, uci::HepmassRows::All)?.parts,
            UciSet::Miniboone => uci::miniboone(path)?.parts,
            UciSet::Bsds300 => uci::bsds300(path)?,
        };
        Ok(Self { parts, subject: Subject::Table, levels: None, scale: None, augmentation: None })
    }

    fn digits(shift: usize) -> Result<Self> {
        let data = digits::dataset::<f64>()?;
        let side = [digits::SIDE, digits::SIDE];
        let augmentation = match shift {
            0 => None,
            most => {
                Some(RandomShift::new(&[1, side[0], side[1]], most, 0.0).context("data.shift")?)
            }
        };
        let parts = digits::split(digits::SPLIT_SEED)?.apply(&data)?;
        let levels = Some(digits::LEVELS);
        Ok(Self { parts, subject: Subject::Images { side }, levels, scale: None, augmentation })
    }

    fn toy(name: &str, rows: usize, seed: u64) -> Result<Self> {
        let Some(toy) = Toy::ALL.into_iter().find(|toy| toy.name() == name) else {
            let names: Vec<&str> = Toy::ALL.iter().map(|toy| toy.name()).collect();
            bail!("data.name: no density is called {name:?}: expected one of {}", names.join(", "));
        };
        let held_out = rows / 5;
        let data = toy.dataset::<f64>(rows + 2 * held_out, seed)?;
        let split = Split::counts(data.len(), held_out, held_out, seed).context("data.rows")?;
        let mut problem = Self::table(&data, &split, OnConstant::Refuse)?;
        problem.subject = Subject::Plane { truth: toy.density() };
        Ok(problem)
    }

    fn table(data: &Dataset<f64>, split: &Split, constant: OnConstant) -> Result<Self> {
        let mut parts = split.apply(data)?;
        let mut scale = Standardizer::fit(&parts.train, constant)?;
        let dropped = scale.dropped();
        if !dropped.is_empty() {
            tracing::warn!("left out, since they hold one value only: {}", dropped.join(", "));
            let keep: Vec<usize> =
                (0..data.dims()).filter(|&i| !dropped.contains(&data.columns()[i])).collect();
            let select = |part: &Dataset<f64>| {
                part.clone().with_rows(part.rows().select(ndarray::Axis(1), &keep), scale.names())
            };
            parts = Partition {
                train: select(&parts.train)?,
                validation: select(&parts.validation)?,
                test: select(&parts.test)?,
            };
            scale = Standardizer::fit(&parts.train, OnConstant::Refuse)?;
        }
        for (name, part) in [("validation", &parts.validation), ("test", &parts.test)] {
            if part.is_empty() {
                bail!("data.{name}: no rows are left of {} in all", data.len());
            }
        }
        Ok(Self {
            parts,
            subject: Subject::Table,
            levels: None,
            scale: Some(scale),
            augmentation: None,
        })
    }

    /// Numbers in a row.
    #[must_use]
    pub fn dims(&self) -> i64 {
        self.parts.train.dims() as i64
    }
}
