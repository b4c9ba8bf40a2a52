//! The order of the stages.

use pulp::Arch;
use rayon::prelude::*;

use super::filter::Filter;
use super::polish::Polish;
use super::search::Search;
use super::single::Scaled;
use super::{AssignmentSolver, Solved};
use crate::buffer::{Aligned, padded, worth_a_thread};
use crate::geometry::{Geometry, Rows};
use crate::kernel::lower;
use crate::real::Real;

/// Solves exactly, from target potentials where some are given.
pub(super) fn solve(
    memory: &mut AssignmentSolver,
    geometry: &Geometry<'_>,
    start: Option<&[f64]>,
) -> Solved {
    /// Up to this number of entries, single precision gains nothing.
    const SMALL: usize = 1 << 17;
    let (sources, targets) = geometry.shape();
    if targets == 1 {
        return Solved { target_of: vec![0], price: vec![0.0] };
    }
    let arch = Arch::new();
    if sources == targets
        && sources * targets > SMALL
        && let Some(solved) = single_then_double(arch, &mut memory.single, geometry, start)
    {
        return solved;
    }
    let rows = geometry.rows().stored_if_cheaper(arch, sources, &mut memory.double);
    let mut search = prepare(arch, rows, sources, targets, start);
    complete(&mut search, start.is_some());
    search.into_solved()
}

/// A search at first prices: the given ones, or column minima; zero where targets may stay free,
/// since a free target must end at the highest price of all.
fn prepare<'a, T: Real>(
    arch: Arch,
    rows: Rows<'a, T>,
    sources: usize,
    targets: usize,
    start: Option<&[f64]>,
) -> Search<'a, T> {
    let prices = match start {
        Some(prices) => prices.iter().map(|&v| T::from_f64(v)).collect(),
        None if sources == targets => column_minima(arch, &rows, sources, targets),
        None => vec![T::ZERO; targets],
    };
    Search::new(arch, rows, sources, &prices)
}

/// Matches everyone; `good` prices need no scaling.
fn complete<T: Real>(search: &mut Search<'_, T>, good: bool) {
    if search.sources == search.targets && !good {
        search.scale_prices();
    }
    let mut free: Vec<u32> = (0..search.sources as u32).collect();
    for _ in 0..2 {
        let limit = 2 * free.len() + 16;
        search.reduce(&mut free, limit);
    }
    search.augment(&free);
}

/// The whole search in single precision, then what is left of it in double precision. `None` where
/// single precision is too coarse for the costs.
fn single_then_double(
    arch: Arch,
    store: &mut Aligned<f32>,
    geometry: &Geometry<'_>,
    start: Option<&[f64]>,
) -> Option<Solved> {
    let (count, _) = geometry.shape();
    let scaled = Scaled::new(geometry, store);
    let start: Option<Vec<f64>> = start.map(|v| v.iter().map(|v| v * scaled.scale).collect());
    let rows = scaled.rows(arch, count, store);
    let mut search = prepare(arch, rows, count, count, start.as_deref());
    if too_coarse(arch, geometry, &scaled, &search.price[..count]) {
        return None;
    }
    complete(&mut search, start.is_some());
    let Search { rows, price, target_of, source_of, .. } = search;
    let prices: Vec<f64> = price[..count].iter().map(|&v| f64::from(v) / scaled.scale).collect();
    let filter =
        Filter::new(arch, geometry, rows, price, (scaled.scale, scaled.error, scaled.largest));
    let mut search = Search::new(arch, geometry.rows(), count, &prices);
    (search.target_of, search.source_of) = (target_of, source_of);
    let solved = Polish::new(search, filter).finish().into_solved();
    Some(solved)
}

/// Whether single precision mixes up, for a typical source, targets that truly differ. (Targets that
/// truly tie are no matter.)
fn too_coarse(arch: Arch, geometry: &Geometry<'_>, scaled: &Scaled, price: &[f32]) -> bool {
    /// Sources looked at.
    const SAMPLE: usize = 8;
    /// Targets mixed up with the cheapest one, on average, that the search can live with.
    const FEW: usize = 4;
    let (count, _) = geometry.shape();
    let rows = geometry.rows();
    let mut scratch = Aligned::filled(rows.stride(), 0.0);
    let price: Vec<f64> = price.iter().map(|&v| f64::from(v) / scaled.scale).collect();
    let error = scaled.error / scaled.scale;
    let tie = 4.0 * f64::EPSILON * scaled.largest / scaled.scale;
    let mut sources = 0;
    let mut mixed = 0;
    for source in (0..count).step_by(count.div_ceil(SAMPLE)) {
        let row = rows.row(arch, source, &mut scratch);
        let reduced = || row.iter().zip(&price).map(|(c, v)| c - v);
        let least = reduced().fold(f64::INFINITY, f64::min);
        mixed += reduced().filter(|w| (tie..error).contains(&(w - least))).count();
        sources += 1;
    }
    mixed > FEW * sources
}

/// Smallest cost of each target.
fn column_minima<T: Real>(
    arch: Arch,
    rows: &Rows<'_, T>,
    sources: usize,
    targets: usize,
) -> Vec<T> {
    /// Rows of a task.
    const TILE: usize = 64;
    let tile = |first: usize| {
        let mut least = vec![T::INFINITY; padded(targets)];
        let mut scratch = Aligned::filled(rows.stride(), T::ZERO);
        for i in first..(first + TILE).min(sources) {
            lower(arch, rows.row(arch, i, &mut scratch), &mut least);
        }
        least
    };
    let smaller = |mut a: Vec<T>, b: Vec<T>| {
        lower(arch, &b, &mut a);
        a
    };
    let tiles = (0..sources.div_ceil(TILE))
        .into_par_iter()
        .with_min_len(worth_a_thread(4 * TILE * targets));
    let mut least = tiles
        .map(|number| tile(number * TILE))
        .reduce(|| vec![T::INFINITY; padded(targets)], smaller);
    least.truncate(targets);
    least
}
