//! Entropic transport by Sinkhorn's iteration, stable at any ε.

mod anderson;
mod kernel;
mod marginals;
mod matrix;
mod refine;
mod run;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use pulp::Arch;
use rand::Rng;
use rayon::prelude::*;

use self::marginals::Duals;
pub use self::marginals::Marginals;
use self::matrix::Kernel;
use self::refine::refine;
use self::run::{Limits, Outcome, Problem};
use crate::assignment::Potentials;
use crate::cost::{Cost, finite};
use crate::error::{Error, Result};
use crate::geometry::Geometry;
use crate::mass::Masses;
use crate::real::Real;

/// How to iterate.
#[derive(Clone, Copy, Debug)]
pub struct SinkhornOptions<'a> {
    /// ε > 0, in units of cost.
    pub epsilon: f64,
    /// Largest Σ_j |(Pᵀ 1)_j − b_j|, as a share of the total mass, at which to stop. For plans that
    /// are not balanced, b is what the next iteration would make of the marginal.
    pub tolerance: f64,
    /// Iterations at most, all stages of ε together.
    pub max_iterations: usize,
    /// What the marginals must be.
    pub marginals: Marginals,
    /// Potentials of a similar problem to start from; then there are no stages of larger ε.
    pub warm_start: Option<&'a Potentials>,
}

impl SinkhornOptions<'_> {
    /// Balanced, to a tolerance of 1e-9, in 10 000 iterations at most.
    #[must_use]
    pub fn new(epsilon: f64) -> Self {
        let (tolerance, max_iterations) = (1e-9, 10_000);
        Self {
            epsilon,
            tolerance,
            max_iterations,
            marginals: Marginals::Balanced,
            warm_start: None,
        }
    }
}

/// Result of Sinkhorn's iteration: potentials, which stand for the plan
/// P_ij = a_i b_j exp((f_i + g_j − c_ij) / ε).
#[derive(Clone, Debug, PartialEq)]
pub struct Sinkhorn {
    /// f and g. For a partial plan, f contains the multiplier of the total mass.
    pub potentials: Potentials,
    /// ε.
    pub epsilon: f64,
    /// Iterations made.
    pub iterations: usize,
    /// Σ_j |(Pᵀ 1)_j − b_j| as a share of the total mass, or a bound on it; P 1 misses what it should
    /// be by a tenth of the tolerance at most.
    pub error: f64,
    /// Whether the error came down to the tolerance.
    pub converged: bool,
    source: Vec<f64>,
    target: Vec<f64>,
}

/// Entropic optimal transport (Cuturi 2013): the plan that minimises
/// ⟨P, c⟩ + ε KL(P | a ⊗ b) under the constraints of `options.marginals`.
///
/// Iterates on a kernel that is rebuilt around the potentials when they move (Schmitzer 2019), so
/// that nothing under- or overflows; larger ε come first where ε is small. Balanced problems iterate
/// in single precision, with Anderson's acceleration, and are then refined to double precision. Not
/// to reach the tolerance is no error: look at [`Sinkhorn::converged`].
///
/// # Errors
/// Empty or mismatched arrays, values that are not finite, negative masses, totals that differ
/// (balanced only), or a parameter outside its range.
pub fn sinkhorn<F: Real>(
    source: ArrayView1<'_, F>,
    target: ArrayView1<'_, F>,
    cost: &Cost<'_, F>,
    options: &SinkhornOptions<'_>,
) -> Result<Sinkhorn> {
    let masses = Masses::new(source, target, cost.shape())?;
    let masses =
        if options.marginals == Marginals::Balanced { masses.balance::<F>()? } else { masses };
    options.check(&masses)?;
    let geometry = cost.prepare(false)?;
    let Masses { source, target } = masses;
    let problem = Problem {
        arch: Arch::new(),
        rows: geometry.rows(),
        source: &source,
        target: &target,
        marginals: options.marginals,
    };
    let mut duals = match options.warm_start {
        Some(start) => {
            Duals { source: start.source.clone(), target: start.target.clone(), shift: 0.0 }
        }
        None => {
            Duals { source: vec![0.0; source.len()], target: vec![0.0; target.len()], shift: 0.0 }
        }
    };
    let mass = match options.marginals {
        Marginals::Partial { mass } => mass,
        _ => source.iter().sum(),
    };
    let outcome = options.stages(&problem, &mut duals, mass);
    duals.source.iter_mut().for_each(|f| *f += duals.shift);
    Ok(Sinkhorn {
        potentials: Potentials { source: duals.source, target: duals.target },
        epsilon: options.epsilon,
        iterations: outcome.iterations,
        error: outcome.error / mass,
        converged: outcome.error <= options.tolerance * mass,
        source,
        target,
    })
}

/// [`sinkhorn`] for many problems at once, in parallel: `sources` and `targets` hold one row of
/// masses for each cost.
///
/// # Errors
/// Those of [`sinkhorn`], of the first problem that fails; or another number of rows than costs.
pub fn sinkhorn_batch<F: Real>(
    sources: ArrayView2<'_, F>,
    targets: ArrayView2<'_, F>,
    costs: &[Cost<'_, F>],
    options: &SinkhornOptions<'_>,
) -> Result<Vec<Sinkhorn>> {
    for (what, rows) in [("sources", sources.nrows()), ("targets", targets.nrows())] {
        if rows != costs.len() {
            return Err(Error::shape(
                what,
                format!("{} rows, one for each cost", costs.len()),
                rows.to_string(),
            ));
        }
    }
    let one = |(i, cost)| sinkhorn(sources.row(i), targets.row(i), cost, options);
    costs.par_iter().enumerate().map(one).collect()
}

impl SinkhornOptions<'_> {
    fn check(&self, masses: &Masses) -> Result<()> {
        let positive = |what, value: f64| {
            if value > 0.0 {
                Ok(())
            } else {
                Err(Error::parameter(what, format!("expected more than 0, got {value}")))
            }
        };
        positive("epsilon", self.epsilon)?;
        positive("tolerance", self.tolerance)?;
        if !self.epsilon.is_finite() {
            return Err(Error::parameter("epsilon", "expected a finite number"));
        }
        if let Some(start) = self.warm_start {
            let got = (start.source.len(), start.target.len());
            let expected = (masses.source.len(), masses.target.len());
            if got != expected {
                return Err(Error::shape(
                    "warm_start",
                    format!("{expected:?} potentials"),
                    format!("{got:?}"),
                ));
            }
            for potentials in [&start.source, &start.target] {
                finite("warm_start", ArrayView1::from(potentials).insert_axis(Axis(0)))?;
            }
        }
        match self.marginals {
            Marginals::Balanced => Ok(()),
            Marginals::Unbalanced { source, target } => {
                positive("marginals.source", source)?;
                positive("marginals.target", target)
            }
            Marginals::Partial { mass } => {
                positive("marginals.mass", mass)?;
                let (source, target) = masses.totals();
                let most = source.min(target);
                if mass <= most {
                    return Ok(());
                }
                Err(Error::parameter(
                    "marginals.mass",
                    format!("expected at most {most}, got {mass}"),
                ))
            }
        }
    }

    /// All stages: larger ε first, single precision first.
    fn stages(&self, problem: &Problem<'_>, duals: &mut Duals, mass: f64) -> Outcome {
        /// What single precision reaches, as a share of the mass.
        const SINGLE: f64 = 1e-6;
        /// Error at which a stage of larger ε ends, and its iterations at most.
        const STAGE: Limits = Limits { tolerance: 3e-2, iterations: 30 };
        let single = self.marginals == Marginals::Balanced;
        let mut outcome = Outcome { iterations: 0, error: f64::INFINITY };
        let mut count = |limits: Limits, run: &mut dyn FnMut(Limits) -> Outcome| {
            let iterations = limits.iterations.min(self.max_iterations - outcome.iterations);
            let next = run(Limits { tolerance: limits.tolerance * mass, iterations });
            outcome =
                Outcome { iterations: outcome.iterations + next.iterations, error: next.error };
            outcome
        };
        if self.warm_start.is_none() {
            for epsilon in problem.larger_epsilons(self.epsilon) {
                count(STAGE, &mut |limits| {
                    if single {
                        let mut kernel = Kernel::<f32>::new(problem, duals, epsilon);
                        problem.run(&mut kernel, duals, epsilon, limits)
                    } else {
                        let mut kernel = Kernel::<f64>::new(problem, duals, epsilon);
                        problem.run(&mut kernel, duals, epsilon, limits)
                    }
                });
            }
        }
        let limits = |tolerance| Limits { tolerance, iterations: self.max_iterations };
        if single {
            let tolerance = self.tolerance.max(SINGLE);
            let mut kernel = Kernel::<f32>::new(problem, duals, self.epsilon);
            let rough = count(limits(tolerance), &mut |limits| {
                problem.run(&mut kernel, duals, self.epsilon, limits)
            });
            if self.tolerance >= SINGLE || rough.iterations >= self.max_iterations {
                return rough;
            }
            let mut refined = None;
            let refine = &mut |limits| {
                refined = refine(problem, &mut kernel, duals, self.epsilon, limits);
                refined.unwrap_or(Outcome { iterations: 0, error: f64::INFINITY })
            };
            let fine = count(limits(self.tolerance), refine);
            if refined.is_some() {
                return fine;
            }
        }
        let mut kernel = Kernel::<f64>::new(problem, duals, self.epsilon);
        count(limits(self.tolerance), &mut |limits| {
            problem.run(&mut kernel, duals, self.epsilon, limits)
        })
    }
}

/// Target potentials of a balanced problem, near optimal ones: those of a small ε, roughly solved.
pub(crate) fn rough_potentials(arch: Arch, geometry: &Geometry<'_>, masses: &Masses) -> Vec<f64> {
    /// Error and iterations of a stage.
    const STAGE: Limits = Limits { tolerance: 0.02, iterations: 12 };
    let Masses { source, target } = masses;
    let problem =
        Problem { arch, rows: geometry.rows(), source, target, marginals: Marginals::Balanced };
    let mut duals =
        Duals { source: vec![0.0; source.len()], target: vec![0.0; target.len()], shift: 0.0 };
    let mass: f64 = source.iter().sum();
    for epsilon in problem.larger_epsilons(5e-4 * problem.range()) {
        let mut kernel = Kernel::<f32>::new(&problem, &mut duals, epsilon);
        let limits = Limits { tolerance: STAGE.tolerance * mass, ..STAGE };
        problem.run(&mut kernel, &mut duals, epsilon, limits);
    }
    duals.target
}

impl Problem<'_> {
    /// Decreasing values above `epsilon` at which to warm up; none where ε is not small.
    fn larger_epsilons(&self, epsilon: f64) -> Vec<f64> {
        /// First ε as a share of the range of costs, and the ratio from one to the next.
        const FIRST: f64 = 0.05;
        const RATIO: f64 = 4.0;
        /// What ε may be reached from without a stage in between.
        const REACH: f64 = 8.0;
        let mut stages = Vec::new();
        let mut next = FIRST * self.range();
        while next > REACH * epsilon && next.is_finite() {
            stages.push(next);
            next /= RATIO;
        }
        stages
    }

    /// Range of the costs of some rows.
    fn range(&self) -> f64 {
        const SAMPLE: usize = 16;
        let mut row = vec![0.0; self.rows.stride()];
        let step = self.source.len().div_ceil(SAMPLE);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for i in (0..self.source.len()).step_by(step) {
            self.rows.copy(self.arch, i, &mut row);
            for &cost in &row[..self.target.len()] {
                (low, high) = (low.min(cost), high.max(cost));
            }
        }
        high - low
    }
}

impl Sinkhorn {
    /// The plan, `[sources, targets]`.
    ///
    /// # Errors
    /// A cost of another shape.
    pub fn plan<F: Real>(&self, cost: &Cost<'_, F>) -> Result<Array2<f64>> {
        self.check_shape(cost)?;
        let mut plan = Array2::zeros(cost.shape());
        for (i, mut row) in plan.rows_mut().into_iter().enumerate() {
            for (j, p) in row.iter_mut().enumerate() {
                *p = self.mass(cost, i, j);
            }
        }
        Ok(plan)
    }

    /// ⟨P, c⟩, the cost of the plan without its entropy.
    ///
    /// # Errors
    /// A cost of another shape.
    pub fn transport_cost<F: Real>(&self, cost: &Cost<'_, F>) -> Result<f64> {
        self.check_shape(cost)?;
        let row =
            |i| (0..self.target.len()).map(|j| self.mass(cost, i, j) * cost.at(i, j)).sum::<f64>();
        Ok((0..self.source.len()).into_par_iter().map(row).sum())
    }

    /// Draws `count` pairs (source, target), each with probability proportional to its mass.
    ///
    /// # Errors
    /// A cost of another shape.
    pub fn sample<F: Real>(
        &self,
        cost: &Cost<'_, F>,
        count: usize,
        rng: &mut impl Rng,
    ) -> Result<Vec<(usize, usize)>> {
        self.check_shape(cost)?;
        let plan = self.plan(cost)?;
        let entries = plan.indexed_iter().map(|((i, j), &mass)| (i, j, mass));
        Ok(crate::plan::draw(entries, count, rng))
    }

    fn mass<F: Real>(&self, cost: &Cost<'_, F>, i: usize, j: usize) -> f64 {
        let exponent = self.potentials.source[i] + self.potentials.target[j] - cost.at(i, j);
        self.source[i] * self.target[j] * (exponent / self.epsilon).exp()
    }

    fn check_shape<F: Real>(&self, cost: &Cost<'_, F>) -> Result<()> {
        let expected = (self.source.len(), self.target.len());
        if cost.shape() == expected {
            return Ok(());
        }
        Err(Error::shape("cost", format!("shape {expected:?}"), format!("{:?}", cost.shape())))
    }
}
