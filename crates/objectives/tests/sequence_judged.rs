//! Objectives of sequences that learn from a reward, a judge or a teacher.

use maxlik_model::{Batch, LanguageModel, Objective};
use maxlik_nn::{BigramTable, Params};
use maxlik_objectives::sequence::{
    CrossEntropy, Distillation, LabelSmoothing, MarginRanking, Predictions, Ranking,
    SubTrajectoryBalance, Trajectories, Walk, score,
};
use maxlik_tensor::autograd::{Graph, grad, leaf};
use maxlik_tensor::with_seed;
use maxlik_testkit::{distance, normal};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

/// Trajectories of up to four tokens: written 4, 2, 0 and 3 of them.
struct Case {
    forward: Tensor,
    terminate: Tensor,
    reward: Tensor,
    written: Tensor,
}

const LENGTHS: [i64; 4] = [4, 2, 0, 3];

fn case(seed: u64) -> Case {
    let lengths = Tensor::from_slice(&LENGTHS).unsqueeze(1);
    Case {
        forward: -normal(seed, &[4, 4]).abs(),
        terminate: -normal(seed + 1, &[4, 5]).abs(),
        reward: normal(seed + 2, &[4, 5]),
        written: Tensor::arange(4, (Kind::Int64, Device::Cpu)).unsqueeze(0).lt_tensor(&lengths),
    }
}

impl Case {
    fn loss(&self, lambda: f64) -> f64 {
        self.tensor(lambda).double_value(&[])
    }

    fn tensor(&self, lambda: f64) -> Tensor {
        let Self { forward, terminate, reward, written } = self;
        let at = Trajectories { forward, terminate, reward, written };
        SubTrajectoryBalance::new(lambda).unwrap().loss_at(&at).unwrap()
    }

    /// The definition, as loops.
    fn by_loops(&self, lambda: f64) -> f64 {
        let value = |x: &Tensor, b: usize, k: i64| x.double_value(&[b as i64, k]);
        let (mut total, mut weights) = (0.0, 0.0);
        for (b, &n) in LENGTHS.iter().enumerate() {
            for i in 0..n {
                for j in i + 1..=n {
                    let sum: f64 = (i..j)
                        .map(|k| {
                            value(&self.reward, b, k)
                                + value(&self.forward, b, k)
                                + value(&self.terminate, b, k + 1)
                                - value(&self.reward, b, k + 1)
                                - value(&self.terminate, b, k)
                        })
                        .sum();
                    let weight = lambda.powi((j - i - 1) as i32);
                    total += weight * sum * sum;
                    weights += weight;
                }
            }
        }
        total / weights
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn balance_by_loops(seed in 0_u64..1 << 40, lambda in 0.05_f64..1.0) {
        let case = case(seed);
        let loss = case.loss(lambda);
        prop_assert!((loss - case.by_loops(lambda)).abs() < 1e-10 * loss.max(1.0));
        // A constant factor of all rewards changes nothing, nor does what stands after the end.
        let scaled = Case { reward: &case.reward + 3.0, ..self::case(seed) };
        prop_assert!((scaled.loss(lambda) - loss).abs() < 1e-10 * loss.max(1.0));
        let after = case.written.logical_not();
        let forward = case.forward.masked_fill(&after, f64::NEG_INFINITY);
        let ended = Case { forward: leaf(&forward).unwrap(), ..self::case(seed) };
        prop_assert!((ended.loss(lambda) - loss).abs() < 1e-10 * loss.max(1.0));
        let found = grad(&[&ended.tensor(lambda)], &[None], &[&ended.forward], Graph::Free);
        let found = found.unwrap().remove(0).unwrap();
        prop_assert_eq!(found.masked_fill(&case.written, 0.0).abs().max().double_value(&[]), 0.0);
        prop_assert!(found.isfinite().all().int64_value(&[]) == 1);
    }

    /// A policy whose strings have the probabilities of the reward has no loss and no gradient: here the
    /// reward is the policy's own, up to a constant.
    #[test]
    fn balance_is_zero_at_the_posterior(seed in 0_u64..1 << 40, lambda in 0.05_f64..1.0) {
        let case = case(seed);
        let start = Tensor::zeros([4, 1], (Kind::Double, Device::Cpu));
        let prefix = Tensor::cat(&[start, case.forward.cumsum(1, None::<Kind>)], 1);
        let reward = prefix + &case.terminate + 1.7;
        let own = Case { reward, forward: leaf(&case.forward).unwrap(), ..self::case(seed) };
        let loss = own.tensor(lambda);
        prop_assert!(loss.double_value(&[]) < 1e-24);
        let found = grad(&[&loss], &[None], &[&own.forward], Graph::Free).unwrap().remove(0).unwrap();
        prop_assert!(found.abs().max().double_value(&[]) < 1e-12);
    }

    /// Gradients of the ranking loss are ±1 over the number of pairs for active ones; a common shift and
    /// an order of candidates do not matter.
    #[test]
    fn ranking_gradients(seed in 0_u64..1 << 40, scale in 0.0_f64..2.0) {
        let (f, r) = (normal(seed, &[2, 4]), (normal(seed + 1, &[2, 4]) * 2.0).round());
        let ranking = Ranking::new(scale).unwrap();
        let loss = |f: &Tensor, r: &Tensor| ranking.loss_at(f, r).unwrap();
        let leaf = leaf(&f).unwrap();
        let value = loss(&leaf, &r);
        let found = grad(&[&value], &[None], &[&leaf], Graph::Free).unwrap().remove(0).unwrap();
        let (mut expected, mut sum, mut pairs) = (Tensor::zeros_like(&f), 0.0, 0.0);
        for (b, i, j) in (0..2).flat_map(|b| (0..16).map(move |k| (b, k / 4, k % 4))) {
            let at = |x: &Tensor, i: i64| x.double_value(&[b, i]);
            let gap = at(&r, i) - at(&r, j);
            if gap > 0.0 {
                pairs += 1.0;
                let hinge = scale * (2.0_f64.ln() + gap.ln()) - (at(&f, i) - at(&f, j));
                if hinge > 0.0 {
                    sum += hinge;
                    let _ = expected.get(b).get(i).g_sub_scalar_(1.0);
                    let _ = expected.get(b).get(j).g_add_scalar_(1.0);
                }
            }
        }
        let pairs = f64::max(pairs, 1.0);
        prop_assert!((value.double_value(&[]) - sum / pairs).abs() < 1e-12);
        expected /= pairs;
        prop_assert!(distance(&found, &expected) < 1e-12);
        let order = Tensor::from_slice(&[2_i64, 0, 3, 1]);
        let moved = loss(&(f.index_select(1, &order) + 5.0), &r.index_select(1, &order));
        prop_assert!(distance(&moved, &value) < 1e-12);
    }

    /// No share of the teacher is cross-entropy; else the gradient is that against the mixed target, also
    /// for a uniform teacher, which is label smoothing.
    #[test]
    fn distillation_gradients(seed in 0_u64..1 << 40, lambda in 0.0_f64..1.0) {
        let targets = with_seed(seed, || Tensor::randint(5, [2, 3], (Kind::Int64, Device::Cpu)));
        let (z, teacher) = (normal(seed, &[2, 3, 5]), normal(seed + 1, &[2, 3, 5]));
        let run = |loss: &dyn Fn(&Predictions) -> Tensor| {
            let z = leaf(&z).unwrap();
            let at = Predictions::new(z.shallow_clone(), targets.shallow_clone(), None).unwrap();
            let value = loss(&at);
            let found = grad(&[&value], &[None], &[&z], Graph::Free).unwrap().remove(0).unwrap();
            (value.double_value(&[]), found)
        };
        let by = |lambda: f64| Distillation::new(lambda, Box::new(table())).unwrap();
        let (none, plain) = (run(&|at| by(0.0).loss_at(at, &teacher).unwrap()), run(&|at| CrossEntropy.loss_at(at).unwrap()));
        prop_assert_eq!(none.0, plain.0);
        prop_assert_eq!(distance(&none.1, &plain.1), 0.0);
        let (_, found) = run(&|at| by(lambda).loss_at(at, &teacher).unwrap());
        let one_hot = z.zeros_like().scatter_value(-1, &targets.unsqueeze(-1), 1.0);
        let target = one_hot * (1.0 - lambda) + teacher.softmax(-1, Kind::Double) * lambda;
        prop_assert!(distance(&found, &((z.softmax(-1, Kind::Double) - target) / 6.0)) < 1e-12);
        let (_, uniform) = run(&|at| by(lambda).loss_at(at, &z.zeros_like()).unwrap());
        let (_, smooth) = run(&|at| LabelSmoothing::new(lambda).unwrap().loss_at(at).unwrap());
        prop_assert!(distance(&uniform, &smooth) < 1e-12);
        // The student itself as teacher: no divergence, no gradient of it.
        let (value, own) = run(&|at| by(1.0).loss_at(at, &z).unwrap());
        prop_assert!(value.abs() < 1e-12 && own.abs().max().double_value(&[]) < 1e-12);
    }
}

fn table() -> BigramTable {
    BigramTable::new(&Params::new(1, Kind::Double, Device::Cpu).root(), 5).unwrap()
}

#[test]
fn golden_ranking_and_scores() {
    let (f, r) = ([-0.5, -0.52, -0.505, -0.9], [4.0, 3.0, 3.0, 1.0]);
    let row = |x: &[f64]| Tensor::from_slice(x).unsqueeze(0);
    let ranking = Ranking::new(0.01).unwrap();
    let loss = ranking.loss_at(&row(&f), &row(&r)).unwrap().double_value(&[]);
    assert!((loss - 0.000_386_294_361).abs() < 1e-11, "{loss}");
    let tied = ranking.loss_at(&row(&f), &row(&[2.0; 4])).unwrap();
    assert_eq!(tied.double_value(&[]), 0.0);
    let targets = Tensor::zeros([1, 4], (Kind::Int64, Device::Cpu));
    let weight = Tensor::from_slice(&[1.0, 1.0, 1.0, 0.0]).unsqueeze(0);
    let at = Predictions::new(normal(3, &[1, 4, 5]), targets, Some(weight)).unwrap();
    let sum = at.sequence_log_prob().unwrap();
    assert!(distance(&score(&at, 0.0).unwrap(), &sum) < 1e-12);
    assert!(distance(&score(&at, 1.0).unwrap(), &(sum / 3.0)) < 1e-12);
}

#[test]
fn a_teacher_in_a_batch() {
    let student = table();
    let model: &dyn LanguageModel = &student;
    let tokens = with_seed(5, || Tensor::randint(5, [3, 7], (Kind::Int64, Device::Cpu)));
    let batch = Batch::new(tokens);
    let found = Distillation::new(0.6, Box::new(table())).unwrap().loss(model, &batch).unwrap();
    // Both are uniform: all that is left is the share of the likelihood.
    assert!((found.value.double_value(&[]) - 0.4 * 5.0_f64.ln()).abs() < 1e-12);
    assert!(Distillation::new(1.5, Box::new(table())).is_err());
    assert!(SubTrajectoryBalance::new(0.0).is_err() && Ranking::new(-1.0).is_err());
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Double, Device::Cpu));
    assert!(Ranking::new(1.0).unwrap().loss_at(&zeros(&[2, 3]), &zeros(&[3])).is_err());
    let (forward, wrong) = (zeros(&[2, 3]), zeros(&[2, 3]));
    let at =
        Trajectories { forward: &forward, terminate: &wrong, reward: &wrong, written: &forward };
    let error = SubTrajectoryBalance::new(1.0).unwrap().loss_at(&at).unwrap_err().to_string();
    assert_eq!(error, "terminate: expected shape [2, 4], got [2, 3]");
}

/// All strings of up to three of two words, `[15, 4]`: a mark, the words, the mark again.
fn strings() -> Tensor {
    let mut rows = Vec::new();
    for length in 0..=3_u32 {
        for number in 0..2_i64.pow(length) {
            let word = |t: u32| if t < length { 1 + (number >> t) % 2 } else { 0 };
            rows.extend([0, word(0), word(1), word(2)]);
        }
    }
    Tensor::from_slice(&rows).view([15, 4])
}

/// Finished strings share all probability, the end being certain after the longest; balance against the
/// model's own probabilities is exact, and what is written after an end changes nothing.
#[test]
fn walks_share_all_probability() {
    let params = Params::new(1, Kind::Double, Device::Cpu);
    let table = BigramTable::new(&params.root(), 3).unwrap();
    let logits = normal(7, &[3, 3]);
    // The mark ends a string too: nothing else is there to be drawn.
    params.load(&[("table".to_owned(), logits)]).unwrap();
    let walk = Walk::of(&table, &strings(), 1, 0).unwrap();
    let log_prob = walk.at_end(&walk.log_prob().unwrap()).unwrap();
    assert!((log_prob.exp().sum(Kind::Double).double_value(&[]) - 1.0).abs() < 1e-12);
    // "2" has number one among strings of one word: begin, the word, the end.
    let log_q = table.table().log_softmax(-1, None::<Kind>);
    let by_hand = log_q.double_value(&[0, 2]) + log_q.double_value(&[2, 0]);
    assert!((log_prob.double_value(&[2]) - by_hand).abs() < 1e-12);
    let loss = |walk: &Walk, reward: &Tensor| {
        let balance = SubTrajectoryBalance::new(1.0).unwrap();
        balance.loss_at(&walk.rewarded(reward)).unwrap().double_value(&[])
    };
    assert!(loss(&walk, &(walk.log_prob().unwrap() - 2.0)) < 1e-24);
    let reward = normal(8, &[15, 4]);
    let plain = loss(&walk, &reward);
    assert!(plain > 0.1);
    // A word after the end of "": unwritten.
    let after = strings();
    let _ = after.get(0).get(2).fill_(2);
    let same = loss(&Walk::of(&table, &after, 1, 0).unwrap(), &reward);
    assert!((same - plain).abs() < 1e-12);
    assert!(
        Walk::of(&table, &strings(), 4, 0).is_err() && Walk::of(&table, &strings(), 0, 0).is_err()
    );
}

/// Places and margins by loops; of two candidates it is one hinge, and an order of the candidates or a
/// common shift of their scores does not matter.
#[test]
fn margins_by_places() {
    let (f, r) = (normal(3, &[3, 5]), normal(4, &[3, 5]));
    let by = |margin: f64, f: &Tensor, r: &Tensor| {
        MarginRanking::new(margin).unwrap().loss_at(f, r).unwrap().double_value(&[])
    };
    for margin in [0.0, 0.3] {
        let mut expected = 0.0;
        for b in 0..3 {
            let row = |x: &Tensor| Vec::<f64>::try_from(x.get(b)).unwrap();
            let (scores, ranks) = (row(&f), row(&r));
            let mut order: Vec<usize> = (0..5).collect();
            order.sort_by(|&i, &j| ranks[j].total_cmp(&ranks[i]));
            for gap in 1..5 {
                for i in 0..5 - gap {
                    let behind = scores[order[i + gap]] - scores[order[i]];
                    let pairs = 3.0 * (5 - gap) as f64;
                    expected += (behind + margin * gap as f64).max(0.0) / pairs;
                }
            }
        }
        assert!(expected > 0.1 && (by(margin, &f, &r) - expected).abs() < 1e-12);
        let order = Tensor::from_slice(&[2_i64, 0, 4, 3, 1]);
        let moved = by(margin, &(f.index_select(1, &order) + 5.0), &r.index_select(1, &order));
        assert!((moved - expected).abs() < 1e-12);
    }
    let pair = |x: [f64; 2]| Tensor::from_slice(&x).unsqueeze(0);
    let hinge = by(0.5, &pair([0.2, 0.1]), &pair([1.0, 2.0]));
    assert!((hinge - 0.6).abs() < 1e-12, "{hinge}");
    assert_eq!(by(0.5, &pair([0.1, 0.7]), &pair([1.0, 2.0])), 0.0);
    assert_eq!(
        by(0.5, &Tensor::from_slice(&[0.1]).unsqueeze(0), &Tensor::from_slice(&[1.0]).unsqueeze(0)),
        0.0
    );
    assert!(MarginRanking::new(-1.0).is_err());
}

/// A teacher that is certain of the references is likelihood whatever its share, and no teacher gets a
/// gradient.
#[test]
fn certain_teachers_and_their_gradients() {
    let targets = with_seed(1, || Tensor::randint(5, [2, 3], (Kind::Int64, Device::Cpu)));
    let z = leaf(&normal(2, &[2, 3, 5])).unwrap();
    let at = Predictions::new(z.shallow_clone(), targets.shallow_clone(), None).unwrap();
    let certain = z.zeros_like().scatter_value(-1, &targets.unsqueeze(-1), 1e4);
    let teacher = leaf(&certain).unwrap();
    let likelihood = CrossEntropy.loss_at(&at).unwrap();
    for lambda in [0.3, 1.0] {
        let objective = Distillation::new(lambda, Box::new(table())).unwrap();
        let loss = objective.loss_at(&at, &teacher).unwrap();
        assert!(distance(&loss, &likelihood) < 1e-12);
        let found = grad(&[&loss], &[None], &[&z, &teacher], Graph::Keep).unwrap();
        assert!(found[0].is_some() && found[1].is_none());
    }
}
