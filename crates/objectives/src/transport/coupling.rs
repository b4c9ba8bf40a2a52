//! Which point of the source goes with which point of the data.

use maxlik_tensor::{Error, Result, check, host};
use maxlik_transport::{AssignmentOptions, Cost, Real, SinkhornOptions, assignment, sinkhorn};
use ndarray::{Array1, ArrayView2};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::{Kind, Tensor, kind::Element};

/// How the points of a minibatch are paired (Tong et al. 2024, arXiv:2302.00482, sec. 3.2).
///
/// A pairing rearranges the source alone: for each row of the data it names the row of the source
/// that goes with it. So the data stay with their contexts and weights, and none of them is dropped.
/// Costs are squared Euclidean distances, not normalised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Coupling {
    /// Pairs as they come: independent draws stay independent.
    Independent {},
    /// The permutation of least total cost: exact optimal transport between the two clouds.
    Optimal {},
    /// The entropic plan `P ∝ exp((f + g − c)/ε)` between the clouds, the static Schrödinger bridge:
    /// each row of the data draws its partner from `P(source | data)`, so that the pairs have the
    /// law of the plan. With `ε = 2σ²` it is the endpoints' law of a Brownian motion of diffusion `σ`.
    Entropic {
        /// `ε`, in units of cost.
        epsilon: f64,
    },
}

impl Default for Coupling {
    fn default() -> Self {
        Self::Independent {}
    }
}

impl Coupling {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for an `ε` that is not positive.
    pub fn check(self) -> Result<()> {
        match self {
            Self::Entropic { epsilon } if !(epsilon > 0.0 && epsilon.is_finite()) => {
                Err(Error::config("epsilon", format!("expected a positive number, got {epsilon}")))
            }
            _ => Ok(()),
        }
    }

    /// The row of `source` that goes with each row of `data`, `[B]` of integers, with random numbers
    /// from LibTorch's generator. The pairing is a constant: no gradient flows through it.
    ///
    /// With `classes` `[B, …]`, labels or any other context, points are paired within rows of equal
    /// values only. That keeps the source independent of the class, as conditional sampling needs
    /// it; pairing across classes would give each class its own part of the source. It takes row `i`
    /// of the source to belong to the class of row `i` of the data, which for independent draws is
    /// no restriction.
    ///
    /// # Errors
    /// [`Error::Shape`] for clouds of different shapes or classes of other rows, [`Error::Config`]
    /// for numbers that cannot be used, and [`Error::NonFinite`] for points that are not finite.
    pub fn pair(self, source: &Tensor, data: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        let rows = data.size().first().copied().unwrap_or_default();
        let uniform = match self {
            Self::Entropic { .. } => Tensor::f_rand([rows], (Kind::Double, tch::Device::Cpu))?,
            _ => Tensor::f_zeros([rows], (Kind::Double, tch::Device::Cpu))?,
        };
        self.pair_at(source, data, classes, &uniform)
    }

    /// As [`Coupling::pair`], for given uniform numbers in `[0, 1)`, `[B]`, one for each row of the
    /// data. Only [`Coupling::Entropic`] looks at them.
    ///
    /// # Errors
    /// As [`Coupling::pair`].
    pub fn pair_at(
        self,
        source: &Tensor,
        data: &Tensor,
        classes: Option<&Tensor>,
        uniform: &Tensor,
    ) -> Result<Tensor> {
        self.check()?;
        check::floating("data", data)?;
        check::shape("source", source, &data.size())?;
        let rows = super::rows_of(data)?;
        check::shape("uniform", uniform, &[rows])?;
        if self == (Self::Independent {}) {
            return Ok(Tensor::f_arange(rows, (Kind::Int64, data.device()))?);
        }
        let groups = groups(rows, classes)?;
        let uniform = host::to_vec(uniform)?;
        let index = match data.kind() {
            Kind::Double => self.within::<f64>(source, data, &groups, &uniform)?,
            Kind::Float => self.within::<f32>(source, data, &groups, &uniform)?,
            _ => {
                let (source, data) = (source.f_to_kind(Kind::Float)?, data.f_to_kind(Kind::Float)?);
                self.within::<f32>(&source, &data, &groups, &uniform)?
            }
        };
        Ok(Tensor::f_from_slice(&index)?.f_to_device(data.device())?)
    }

    fn within<F: Real + Element + Copy>(
        self,
        source: &Tensor,
        data: &Tensor,
        groups: &[Vec<usize>],
        uniform: &[f64],
    ) -> Result<Vec<i64>> {
        let width: usize = data.size()[1..].iter().map(|&n| n as usize).product();
        let (source, data) = (host::values::<F>(source)?, host::values::<F>(data)?);
        if groups.len() == 1 {
            // All points in their own order: no copy for a class.
            let found = self.solve(cloud(&data, width)?, cloud(&source, width)?, uniform)?;
            return Ok(found.into_iter().map(|i| i as i64).collect());
        }
        let mut index = vec![0; uniform.len()];
        for rows in groups {
            let part = |points: &[F]| -> Vec<F> {
                rows.iter().flat_map(|&i| &points[i * width..(i + 1) * width]).copied().collect()
            };
            let (from, to) = (part(&source), part(&data));
            let uniform: Vec<f64> = rows.iter().map(|&i| uniform[i]).collect();
            let found = self.solve(cloud(&to, width)?, cloud(&from, width)?, &uniform)?;
            for (&row, partner) in rows.iter().zip(found) {
                index[row] = rows[partner] as i64;
            }
        }
        Ok(index)
    }

    /// The row of `source` for each row of `data`.
    fn solve<'a, F: Real>(
        self,
        data: ArrayView2<'a, F>,
        source: ArrayView2<'a, F>,
        uniform: &[f64],
    ) -> Result<Vec<usize>> {
        let cost = Cost::squared_euclidean(data, source);
        match self {
            Self::Independent {} => Ok((0..uniform.len()).collect()),
            Self::Optimal {} => {
                let found = assignment(&cost, &AssignmentOptions::default());
                Ok(found.map_err(|e| of_transport(&e))?.permutation)
            }
            Self::Entropic { epsilon } => {
                let mass =
                    Array1::from_elem(uniform.len(), F::from_f64(1.0 / uniform.len() as f64));
                let options = SinkhornOptions {
                    tolerance: TOLERANCE,
                    max_iterations: ITERATIONS,
                    ..SinkhornOptions::new(epsilon)
                };
                let found = sinkhorn(mass.view(), mass.view(), &cost, &options)
                    .map_err(|e| of_transport(&e))?;
                if !found.converged {
                    return Err(Error::NotConverged {
                        what: "the entropic coupling".to_owned(),
                        steps: found.iterations,
                    });
                }
                let plan = found.plan(&cost).map_err(|e| of_transport(&e))?;
                let rows = plan.rows().into_iter().zip(uniform);
                Ok(rows.map(|(row, &u)| draw(&row.to_vec(), u)).collect())
            }
        }
    }
}

/// Error of the marginals at which Sinkhorn's iteration stops: draws from the plan cannot tell.
const TOLERANCE: f64 = 1e-5;
const ITERATIONS: usize = 100_000;

fn cloud<F>(values: &[F], width: usize) -> Result<ArrayView2<'_, F>> {
    let rows = values.len().checked_div(width).unwrap_or_default();
    ArrayView2::from_shape((rows, width), values)
        .map_err(|_| Error::shape("data", "points of at least one number", &[width as i64]))
}

/// The entry at which the cumulative sum passes the part `u` of the total.
fn draw(masses: &[f64], u: f64) -> usize {
    let goal = u * masses.iter().sum::<f64>();
    let mut sum = 0.0;
    let mut last = 0;
    for (i, &mass) in masses.iter().enumerate() {
        if mass > 0.0 {
            last = i;
            sum += mass;
            if sum > goal {
                break;
            }
        }
    }
    last
}

/// Rows of equal values.
fn groups(rows: i64, classes: Option<&Tensor>) -> Result<Vec<Vec<usize>>> {
    let count = rows as usize;
    let Some(classes) = classes else { return Ok(vec![(0..count).collect()]) };
    if classes.size().first() != Some(&rows) {
        return Err(Error::shape("classes", format!("[{rows}, …]"), &classes.size()));
    }
    let values = host::to_vec(classes)?;
    let width = values.len() / count;
    let mut groups: BTreeMap<Vec<u64>, Vec<usize>> = BTreeMap::new();
    for row in 0..count {
        let key = values[row * width..(row + 1) * width].iter().map(|v| v.to_bits()).collect();
        groups.entry(key).or_default().push(row);
    }
    Ok(groups.into_values().collect())
}

fn of_transport(error: &maxlik_transport::Error) -> Error {
    match error {
        maxlik_transport::Error::NonFinite { what, .. } => {
            Error::NonFinite { what: format!("coupling, {what}") }
        }
        other => Error::config("coupling", other.to_string()),
    }
}
