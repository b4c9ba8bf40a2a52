//! Exact transport between unequal masses.

mod simplex;
mod tree;
mod units;

use ndarray::ArrayView1;
use pulp::Arch;

use self::simplex::Simplex;
use self::tree::Arc;
use self::units::Units;
use crate::assignment::{AssignmentOptions, Potentials, assignment, check_potentials};
use crate::buffer::Aligned;
use crate::cost::Cost;
use crate::error::Result;
use crate::geometry::Geometry;
use crate::mass::Masses;
use crate::plan::{Flow, Plan};
use crate::real::Real;
use crate::sinkhorn::rough_potentials;

/// How to search.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmdOptions<'a> {
    /// Target potentials of a similar problem, at which the search starts. The cost of the result
    /// does not depend on them.
    pub warm_start: Option<&'a [f64]>,
}

/// Solves the transport problem exactly: the plan P ≥ 0 with P 1 = a and Pᵀ 1 = b of least ⟨P, c⟩.
///
/// The network simplex method (Cunningham 1976) on the dense graph. Masses are counted in units of
/// 2^-52 of the total, to which a marginal is exact, and perturbed by less than a unit, so that
/// every pivot makes progress. Potentials of an entropic plan give the first basis; arcs are priced
/// a row at a time. Equal masses go to [`assignment`].
///
/// # Errors
/// Empty or mismatched arrays, values that are not finite, negative masses, or totals that differ.
///
/// # Example
/// ```
/// use maxlik_transport::{Cost, EmdOptions, emd};
/// use ndarray::array;
///
/// let cost = array![[0.0, 1.0], [2.0, 0.0]];
/// let (a, b) = (array![0.7, 0.3], array![0.5, 0.5]);
/// let plan = emd(a.view(), b.view(), &Cost::matrix(&cost), &EmdOptions::default())?;
/// assert_eq!(plan.flows.len(), 3);
/// assert!((plan.cost - 0.2).abs() < 1e-15);
/// # Ok::<(), maxlik_transport::Error>(())
/// ```
pub fn emd<F: Real>(
    source: ArrayView1<'_, F>,
    target: ArrayView1<'_, F>,
    cost: &Cost<'_, F>,
    options: &EmdOptions<'_>,
) -> Result<Plan> {
    let masses = Masses::new(source, target, cost.shape())?.balance::<F>()?;
    solve(&masses, cost, options)
}

/// [`emd`] with masses of equal totals.
pub(crate) fn solve<F: Real>(
    masses: &Masses,
    cost: &Cost<'_, F>,
    options: &EmdOptions<'_>,
) -> Result<Plan> {
    if let Some(start) = options.warm_start {
        check_potentials(start, masses.target.len())?;
    }
    if masses.all_equal() {
        return equal_masses(masses, cost, options);
    }
    let geometry = cost.prepare(true)?;
    let arch = Arch::new();
    let (sources, _) = geometry.shape();
    let start = match options.warm_start {
        Some(start) => geometry.shifted(start, -1.0),
        None => rough_potentials(arch, &geometry, masses),
    };
    let mut store = Aligned::default();
    let rows = geometry.rows().stored_if_cheaper(arch, sources, &mut store);
    let units = Units::new(masses);
    let (supply, demand) = units.grains();
    let mut simplex = Simplex::new(arch, rows, &supply, &demand, &start);
    simplex.solve();
    let (arcs, price) = simplex.finish();
    Ok(report(cost, &geometry, &units, &arcs, &price))
}

/// As many sources as targets, and all masses equal: an assignment.
fn equal_masses<F: Real>(
    masses: &Masses,
    cost: &Cost<'_, F>,
    options: &EmdOptions<'_>,
) -> Result<Plan> {
    let found = assignment(cost, &AssignmentOptions { warm_start: options.warm_start })?;
    let mass = masses.source[0];
    let flows = found.permutation.iter().enumerate();
    let flows = flows.map(|(source, &target)| Flow { source, target, mass }).collect();
    Ok(Plan { flows, cost: mass * found.cost, potentials: found.potentials })
}

fn report<F: Real>(
    cost: &Cost<'_, F>,
    geometry: &Geometry<'_>,
    units: &Units,
    arcs: &[Arc],
    price: &[f64],
) -> Plan {
    let target = geometry.shifted(price, 1.0);
    let mut source = vec![0.0; cost.shape().0];
    let mut flows = Vec::with_capacity(arcs.len());
    let mut total = 0.0;
    for &(i, j, grains) in arcs {
        let (i, j) = (i as usize, j as usize);
        let (paid, mass) = (cost.at(i, j), units.mass(grains));
        source[i] = paid - target[j];
        if mass > 0.0 {
            flows.push(Flow { source: i, target: j, mass });
            total += mass * paid;
        }
    }
    Plan { flows, cost: total, potentials: Potentials { source, target } }
}
