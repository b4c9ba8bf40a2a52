//! Whole solves of `(x, ℓ)` for networks with two hidden layers, without a tensor in between.

use super::real::Real;
use super::weights::Weights;
use super::worker::{Tolerance, When, Worker};
use crate::control::{Adaptive, Batching, Bound, Control};
use crate::initial::{first_guess, second_guess};
use crate::lane::Lane;
use crate::solution::Counts;
use crate::tableau::{Estimate, Tableau};
use rayon::prelude::*;
use tch::Kind;

/// What is solved, and how.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) tableau: Tableau,
    pub(crate) control: Control,
    /// Start and end.
    pub(crate) times: (f64, f64),
    pub(crate) kind: Kind,
}

impl Plan {
    /// Whether the kernels can do it.
    pub(crate) fn fits(tableau: &Tableau, control: &Control) -> bool {
        match control {
            Control::Fixed(_) => true,
            Control::Adaptive(a) => {
                let plain = |bound: &Bound| matches!(bound, Bound::All(_));
                matches!(tableau.error, Estimate::Embedded { .. })
                    && plain(&a.rtol)
                    && plain(&a.atol)
                    && a.seminorm.is_none()
            }
        }
    }

    fn adaptive(&self) -> Option<&Adaptive> {
        match &self.control {
            Control::Adaptive(adaptive) => Some(adaptive),
            Control::Fixed(_) => None,
        }
    }

    fn tolerance(&self) -> Tolerance {
        let value = |bound: &Bound| match bound {
            Bound::All(value) => *value,
            Bound::Each(_) => f64::NAN,
        };
        self.adaptive().map_or(Tolerance { rtol: 0.0, atol: 1.0 }, |a| Tolerance {
            rtol: value(&a.rtol),
            atol: value(&a.atol),
        })
    }

    fn power(&self) -> u32 {
        match self.tableau.error {
            Estimate::Embedded { power, .. } | Estimate::Paired { power, .. } => power,
            Estimate::None => 1,
        }
    }

    fn lane(&self) -> Lane {
        Lane::new(&[self.times.0, self.times.1])
    }
}

/// How the lanes ended: one for all rows, or one for each.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) steps: u64,
}

/// Solves all rows of the workers.
pub(crate) fn solve<T: Real>(plan: &Plan, w: &Weights<T>, workers: &mut [Worker<T>]) -> Ended {
    let each = plan.adaptive().is_some_and(|a| a.batching == Batching::PerSample);
    if each { apart(plan, w, workers) } else { together(plan, w, workers) }
}

/// One step size for all rows.
fn together<T: Real>(plan: &Plan, w: &Weights<T>, workers: &mut [Worker<T>]) -> Ended {
    let (d, fsal, tolerance) = (w.sizes.d, plan.tableau.is_fsal(), plan.tolerance());
    let mut lane = plan.lane();
    let rows: usize = workers.iter().map(|worker| worker.rows).sum();
    let numbers = (rows * (d + 1)) as f64;
    if let Some(adaptive) = plan.adaptive() {
        let sums = |workers: &mut [Worker<T>], trial: Option<&[f64]>| {
            let when = When { t: &[lane.t], dt: &[0.0] };
            let all: Vec<Vec<[f64; 2]>> = workers
                .par_iter_mut()
                .map(|worker| worker.first(w, tolerance, when, trial))
                .collect();
            let total = all.iter().flatten().fold([0.0; 2], |s, x| [s[0] + x[0], s[1] + x[1]]);
            total.map(|sum| (sum / numbers).sqrt())
        };
        lane.wanted = match adaptive.first_step {
            Some(first) => first,
            None => {
                let [d0, d1] = sums(workers, None);
                let h = first_guess(d0, d1).min(adaptive.max_step);
                let [change, _] = sums(workers, Some(&[h * lane.sign()]));
                let guess = second_guess(h, d1, change / h, plan.power());
                guess.min(adaptive.max_step).min(lane.span())
            }
        };
        lane.counts.evaluations += if adaptive.first_step.is_none() { 2 } else { 0 };
    }
    let everyone: Vec<Vec<usize>> = workers.iter().map(|w| (0..w.rows).collect()).collect();
    let mut known = lane.counts.evaluations > 0;
    let mut steps = 0;
    while lane.status.is_none() {
        lane.propose(&plan.control, &[], plan.kind);
        let (t, dt) = ([lane.t], [lane.dt()]);
        let when = When { t: &t, dt: &dt };
        let sums: Vec<f64> = workers
            .par_iter_mut()
            .zip(&everyone)
            .map(|(worker, rows)| {
                worker.attempt(w, &plan.tableau, tolerance, (rows, when)).iter().sum()
            })
            .collect();
        steps += 1;
        lane.counts.evaluations += (plan.tableau.stages() - usize::from(known)) as u64;
        known = true;
        let norm = (sums.iter().sum::<f64>() / numbers).sqrt();
        let accepted = plan.adaptive().is_none_or(|a| lane.judge(norm, a, plan.power()));
        if accepted {
            workers.iter_mut().for_each(|worker| worker.accept(None, when, fsal, d));
            known = fsal;
            if lane.advance(plan.kind) {
                workers.iter_mut().for_each(Worker::forget);
                known = false;
            }
        }
    }
    Ended { lanes: vec![lane], steps }
}

/// A step size for each row; workers do not wait for each other.
fn apart<T: Real>(plan: &Plan, w: &Weights<T>, workers: &mut [Worker<T>]) -> Ended {
    let ended: Vec<Ended> =
        workers.par_iter_mut().map(|worker| apart_one(plan, w, worker)).collect();
    let steps = ended.iter().map(|e| e.steps).max().unwrap_or(0);
    Ended { lanes: ended.into_iter().flat_map(|e| e.lanes).collect(), steps }
}

fn apart_one<T: Real>(plan: &Plan, w: &Weights<T>, worker: &mut Worker<T>) -> Ended {
    let (d, fsal, tolerance) = (w.sizes.d, plan.tableau.is_fsal(), plan.tolerance());
    let numbers = (d + 1) as f64;
    let mut lanes: Vec<Lane> = (0..worker.rows).map(|_| plan.lane()).collect();
    let Some(adaptive) = plan.adaptive() else { return Ended { lanes, steps: 0 } };
    let mut known = vec![false; worker.rows];
    if let Some(first) = adaptive.first_step {
        lanes.iter_mut().for_each(|lane| lane.wanted = first);
    } else if plan.times.0 != plan.times.1 {
        let when = When { t: &[plan.times.0], dt: &[0.0] };
        let norm = |sum: f64| (sum / numbers).sqrt();
        let norms = worker.first(w, tolerance, when, None);
        let guesses: Vec<f64> = norms
            .iter()
            .map(|[a, b]| first_guess(norm(*a), norm(*b)).min(adaptive.max_step))
            .collect();
        let trial: Vec<f64> = guesses.iter().zip(&lanes).map(|(h, l)| h * l.sign()).collect();
        // With one row the only trial step would be taken as that of all rows: it is.
        let changes = worker.first(w, tolerance, when, Some(&trial));
        for (row, lane) in lanes.iter_mut().enumerate() {
            let (h, change) = (guesses[row], norm(changes[row][0]));
            let guess = second_guess(h, norm(norms[row][1]), change / h, plan.power());
            lane.wanted = guess.min(adaptive.max_step).min(lane.span());
            lane.counts.evaluations += 2;
        }
        known.fill(true);
    }
    let mut running: Vec<usize> =
        (0..worker.rows).filter(|&row| lanes[row].status.is_none()).collect();
    let mut steps = 0;
    while !running.is_empty() {
        let (mut t, mut dt) = (Vec::new(), Vec::new());
        for &row in &running {
            lanes[row].propose(&plan.control, &[], plan.kind);
            t.push(lanes[row].t);
            dt.push(lanes[row].dt());
        }
        // A strip shares its first stage: where one row has to be evaluated anew, all are.
        let when = When { t: &t, dt: &dt };
        let sums = worker.attempt(w, &plan.tableau, tolerance, (&running, when));
        steps += 1;
        let (mut rows, mut at, mut size) = (Vec::new(), Vec::new(), Vec::new());
        for (i, (&row, sum)) in running.iter().zip(&sums).enumerate() {
            let lane = &mut lanes[row];
            lane.counts.evaluations += (plan.tableau.stages() - usize::from(known[row])) as u64;
            known[row] = true;
            if lane.judge((sum / numbers).sqrt(), adaptive, plan.power()) {
                rows.push(row);
                at.push(t[i]);
                size.push(dt[i]);
            }
        }
        if !rows.is_empty() {
            worker.accept(Some(&rows), When { t: &at, dt: &size }, fsal, d);
            for &row in &rows {
                known[row] = fsal;
                if lanes[row].advance(plan.kind) {
                    worker.forget();
                    known.fill(false);
                }
            }
        }
        running.retain(|&row| lanes[row].status.is_none());
    }
    Ended { lanes, steps }
}

/// The counts of each of `rows` samples.
pub(crate) fn counts(ended: &Ended, rows: usize) -> Vec<Counts> {
    match ended.lanes.as_slice() {
        [one] => vec![one.counts; rows],
        lanes => lanes.iter().map(|lane| lane.counts).collect(),
    }
}
