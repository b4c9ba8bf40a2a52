//! Properties of the objectives of token sequences, on free logits.

use maxlik_model::{Batch, LanguageModel, Objective};
use maxlik_nn::{BigramTable, Params, TransformerLanguageModel, TransformerLanguageModelConfig};
use maxlik_objectives::sequence::{
    Cost, CrossEntropy, Emo, EmoLead, LabelSmoothing, MixCe, Predictions, Smile, Unlikelihood,
    WordSet,
};
use maxlik_tensor::autograd::{Graph, grad, leaf};
use maxlik_tensor::with_seed;
use maxlik_testkit::{distance, normal};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

/// Logits, targets and weights of a few sequences; the last tokens of the second one are padding.
struct Case {
    logits: Tensor,
    targets: Tensor,
    weight: Tensor,
}

fn case(seed: u64, width: i64) -> Case {
    let targets = with_seed(seed, || Tensor::randint(width, [3, 5], (Kind::Int64, Device::Cpu)));
    let weight = Tensor::ones([3, 5], (Kind::Double, Device::Cpu));
    let _ = weight.get(1).narrow(0, 3, 2).fill_(0.0);
    Case { logits: normal(seed + 1, &[3, 5, width]) * 2.0, targets, weight }
}

impl Case {
    fn at(&self, logits: &Tensor) -> Predictions {
        let (targets, weight) = (self.targets.shallow_clone(), self.weight.shallow_clone());
        Predictions::new(logits.shallow_clone(), targets, Some(weight)).unwrap()
    }

    /// Value of a loss, and its gradient by the logits.
    fn run(&self, loss: impl Fn(&Predictions) -> Tensor) -> (f64, Tensor) {
        let z = leaf(&self.logits).unwrap();
        let value = loss(&self.at(&z));
        let found = grad(&[&value], &[None], &[&z], Graph::Free).unwrap().remove(0).unwrap();
        (value.double_value(&[]), found)
    }

    fn q(&self) -> Tensor {
        self.logits.softmax(-1, None::<Kind>)
    }

    fn one_hot(&self) -> Tensor {
        self.logits.zeros_like().scatter_value(-1, &self.targets.unsqueeze(-1), 1.0)
    }

    /// What a token's gradient is multiplied with: its weight over the sum of weights.
    fn share(&self) -> Tensor {
        (&self.weight / self.weight.sum(Kind::Double)).unsqueeze(-1)
    }

    /// The same sequences with two more tokens of padding, full of nonsense.
    fn padded(&self) -> Self {
        let more = |x: &Tensor, with: f64| {
            let mut size = x.size();
            size[1] = 2;
            Tensor::cat(&[x, &Tensor::full(size.as_slice(), with, (x.kind(), Device::Cpu))], 1)
        };
        Self {
            logits: more(&self.logits, -3.0),
            targets: more(&self.targets, 1.0),
            weight: more(&self.weight, 0.0),
        }
    }
}

fn mle(at: &Predictions) -> Tensor {
    CrossEntropy.loss_at(at).unwrap()
}

fn emo(lead: EmoLead) -> Emo {
    Emo::new(lead, Cost::Adaptive).unwrap()
}

type Named = (&'static str, Box<dyn Fn(&Predictions) -> Tensor>);

/// All objectives at ordinary settings, as functions of predictions.
fn all(width: i64) -> Vec<Named> {
    let mixce = MixCe::new(0.4).unwrap();
    let smooth = LabelSmoothing::new(0.1).unwrap();
    let unlikely = Unlikelihood::new(0.5).unwrap();
    let own = Smile::default();
    let others = Smile::mixed(0.01, WordSet::Others).unwrap();
    let vectors = normal(99, &[width, 4]);
    let more = vectors.shallow_clone();
    vec![
        ("cross-entropy", Box::new(mle)),
        ("mixce", Box::new(move |at| mixce.loss_at(at).unwrap())),
        ("label smoothing", Box::new(move |at| smooth.loss_at(at).unwrap())),
        ("unlikelihood", Box::new(move |at| unlikely.loss_at(at).unwrap())),
        ("smile", Box::new(move |at| own.loss_at(at).unwrap())),
        ("reverse smile", Box::new(move |at| others.loss_at(at).unwrap())),
        ("emo", Box::new(move |at| emo(EmoLead::Likelihood).loss_at(at, &vectors).unwrap())),
        (
            "emo 2",
            Box::new(move |at| emo(EmoLead::Transport { cap: 10.0 }).loss_at(at, &more).unwrap()),
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Padding changes neither value nor gradient, and gets no gradient itself.
    #[test]
    fn padding_does_not_count(seed in 0_u64..1 << 40, width in 2_i64..9) {
        let short = case(seed, width);
        let long = short.padded();
        for (name, loss) in all(width) {
            let ((a, ga), (b, gb)) = (short.run(&loss), long.run(&loss));
            prop_assert!((a - b).abs() < 1e-12, "{name}: {a} {b}");
            prop_assert!(distance(&ga, &gb.narrow(1, 0, 5)) < 1e-12, "{name}");
            prop_assert_eq!(gb.narrow(1, 5, 2).abs().max().double_value(&[]), 0.0);
            prop_assert_eq!(ga.get(1).narrow(0, 3, 2).abs().max().double_value(&[]), 0.0);
            // Shifting all logits of a token changes no distribution.
            let shifted = Case { logits: &short.logits + 3.0, targets: short.targets.shallow_clone(), weight: short.weight.shallow_clone() };
            prop_assert!((shifted.run(&loss).0 - a).abs() < 1e-10, "{name}");
        }
    }

    /// Each objective at its limit is maximum likelihood: MixCE at one bit for bit.
    #[test]
    fn limits_are_maximum_likelihood(seed in 0_u64..1 << 40, width in 2_i64..9) {
        let case = case(seed, width);
        let (value, gradient) = case.run(mle);
        let limits: Vec<Named> = vec![
            ("mixce", Box::new(|at| MixCe::new(1.0).unwrap().loss_at(at).unwrap())),
            ("label smoothing", Box::new(|at| LabelSmoothing::new(0.0).unwrap().loss_at(at).unwrap())),
            ("unlikelihood", Box::new(|at| Unlikelihood::new(0.0).unwrap().loss_at(at).unwrap())),
            ("smile", Box::new(|at| Smile::mixed(1.0, WordSet::Own).unwrap().loss_at(at).unwrap())),
        ];
        for (name, loss) in limits {
            let (v, g) = case.run(loss);
            prop_assert_eq!(v, value, "{}", name);
            prop_assert_eq!(distance(&g, &gradient), 0.0, "{}", name);
        }
        let expected = case.share() * (case.q() - case.one_hot());
        prop_assert!(distance(&gradient, &expected) < 1e-14);
    }

    /// Spec 1(d): the gradient is that of `η CE + (1 − η)(1 − q_y)`, between `η` and one times that of
    /// maximum likelihood in each component.
    #[test]
    fn mixce_gradient(seed in 0_u64..1 << 40, width in 2_i64..9, eta in 0.0_f64..1.0) {
        let case = case(seed, width);
        let objective = MixCe::new(eta).unwrap();
        let (_, ours) = case.run(|at| objective.loss_at(at).unwrap());
        let (_, identity) = case.run(|at| {
            let log_prob = at.log_prob().unwrap();
            at.mean(&(&log_prob * -eta + (-log_prob.exp() + 1.0) * (1.0 - eta))).unwrap()
        });
        prop_assert!(distance(&ours, &identity) < 1e-14);
        let (_, plain) = case.run(mle);
        let (ours, plain) = (ours.abs(), plain.abs());
        prop_assert!((&ours - &plain).max().double_value(&[]) <= 1e-15);
        prop_assert!((&plain * eta - &ours).max().double_value(&[]) <= 1e-15);
    }

    /// Label smoothing is cross-entropy against the smoothed target; unlikelihood's sum over earlier
    /// targets, written as loops.
    #[test]
    fn smoothing_and_unlikelihood_by_loops(seed in 0_u64..1 << 40, width in 2_i64..9, strength in 0.0_f64..1.0) {
        let case = case(seed, width);
        let smooth = LabelSmoothing::new(strength).unwrap();
        let (_, ours) = case.run(|at| smooth.loss_at(at).unwrap());
        let target = case.one_hot() * (1.0 - strength) + strength / width as f64;
        prop_assert!(distance(&ours, &(case.share() * (case.q() - target))) < 1e-14);
        let each = Unlikelihood::new(strength).unwrap().each(&case.at(&case.logits)).unwrap();
        let (q, y) = (case.q(), |b: i64, t: i64| case.targets.int64_value(&[b, t]));
        for b in 0..3 {
            for t in 0..5 {
                let mut earlier: Vec<i64> = (0..t).map(|s| y(b, s)).filter(|c| *c != y(b, t)).collect();
                earlier.sort_unstable();
                earlier.dedup();
                let mut exact = -q.double_value(&[b, t, y(b, t)]).ln();
                for c in earlier {
                    exact -= strength * (1.0 - q.double_value(&[b, t, c])).ln();
                }
                prop_assert!((each.double_value(&[b, t]) - exact).abs() < 1e-10);
            }
        }
    }

    /// Spec 2(d): values of both leads, the gradient of the bound, `1 − q_y` for orthonormal vectors,
    /// and no change under a rotation or a rescaling of rows.
    #[test]
    fn emo_identities(seed in 0_u64..1 << 40, width in 2_i64..9) {
        let case = case(seed, width);
        let at = case.at(&case.logits);
        let vectors = normal(seed + 7, &[width, 3]);
        // The paper's guard of 1e-10 in the quotients is what tolerances of 1e-5 are for.
        let value = |lead: EmoLead, vectors: &Tensor| emo(lead).each(&at, vectors).unwrap();
        let likelihood = -at.log_prob().unwrap();
        let uncapped = EmoLead::Transport { cap: 1e30 };
        prop_assert!(distance(&value(EmoLead::Likelihood, &vectors), &likelihood) < 1e-5);
        let unit = &vectors / vectors.norm_scalaropt_dim(2.0, [-1_i64].as_slice(), true);
        let cost: Tensor = -unit.matmul(&unit.transpose(0, 1)) + 1.0;
        let of_target = cost.index_select(0, &case.targets.view(-1)).view_as(&case.logits);
        let demo = (case.q() * &of_target).sum_dim_intlist([-1_i64].as_slice(), false, Kind::Double);
        let emo_value = &demo + (-&likelihood).exp();
        prop_assert!(distance(&value(uncapped, &vectors), &(&emo_value * 2.0)) < 1e-5);
        prop_assert!(demo.min().double_value(&[]) >= 0.0 && demo.max().double_value(&[]) <= 2.0);
        // The gradient: half of mle/emo times that of the bound, and half of the likelihood's.
        let (_, ours) = case.run(|at| emo(EmoLead::Likelihood).loss_at(at, &vectors).unwrap());
        let of_bound = case.q() * (&of_target - demo.unsqueeze(-1));
        let ratio = (&likelihood / &emo_value).unsqueeze(-1);
        let expected = case.share() * (of_bound * ratio + case.q() - case.one_hot()) * 0.5;
        prop_assert!(distance(&ours, &expected) < 1e-6, "{}", distance(&ours, &expected));
        let (q, _) = Tensor::linalg_qr(&normal(seed + 8, &[3, 3]), "reduced");
        let turned = vectors.matmul(&q) * (normal(seed + 9, &[width, 1]).abs() + 0.1);
        prop_assert!(distance(&value(uncapped, &turned), &value(uncapped, &vectors)) < 1e-10);
        let eye = Tensor::eye(width, (Kind::Double, Device::Cpu));
        prop_assert!((value(uncapped, &eye) - 2.0).abs().max().double_value(&[]) < 1e-5);
    }

    /// Spec 3(d): `MLE = SMILE − ln q(S)`, no gradient outside of `S` but at the first token, the order of
    /// the caption does not matter to `S`, and the reversed set is the complement with the target.
    #[test]
    fn smile_identities(seed in 0_u64..1 << 40, width in 2_i64..9) {
        let case = case(seed, width);
        let at = case.at(&case.logits);
        let smile = Smile::default().with_restricted_first();
        let each = smile.each(&at).unwrap();
        let reversed = Smile::mixed(0.0, WordSet::Others).unwrap().with_restricted_first();
        let reversed = reversed.each(&at).unwrap();
        let (_, gradient) = case.run(|at| Smile::default().loss_at(at).unwrap());
        let q = case.q();
        for b in 0..3 {
            let counted = if b == 1 { 3 } else { 5 };
            let set: Vec<i64> = (0..counted).map(|t| case.targets.int64_value(&[b, t])).collect();
            for t in 0..counted {
                let y = set[usize::try_from(t).unwrap()];
                let mass = |keep: &dyn Fn(i64) -> bool| -> f64 {
                    (0..width).filter(|v| keep(*v)).map(|v| q.double_value(&[b, t, v])).sum()
                };
                let own = -q.double_value(&[b, t, y]).ln();
                let inside = mass(&|v| set.contains(&v));
                prop_assert!((each.double_value(&[b, t]) - (own + inside.ln())).abs() < 1e-9);
                prop_assert!(each.double_value(&[b, t]) <= own + 1e-12);
                let outside = mass(&|v| v == y || !set.contains(&v));
                prop_assert!((reversed.double_value(&[b, t]) - (own + outside.ln())).abs() < 1e-9);
                for v in (0..width).filter(|v| t > 0 && !set.contains(v)) {
                    prop_assert_eq!(gradient.double_value(&[b, t, v]), 0.0);
                }
            }
        }
        // One word only: nothing to choose from.
        let same = Case { targets: case.targets.zeros_like(), logits: case.logits.shallow_clone(), weight: case.weight.shallow_clone() };
        prop_assert_eq!(same.run(|at| smile.loss_at(at).unwrap()).0, 0.0);
    }
}

/// Values of the specification, computed there in plain Python (section 10).
#[test]
fn golden_values() {
    let logits = Tensor::from_slice(&[0.2, -0.4, 1.1, 0.3, -0.7]).view([1, 1, 5]);
    let at = || {
        Predictions::new(logits.shallow_clone(), Tensor::from_slice(&[1_i64]).view([1, 1]), None)
    };
    let at = at().unwrap();
    let near = |value: Tensor, golden: f64| {
        let value = value.double_value(&[]);
        assert!((value - golden).abs() < 1e-9, "{value} {golden}");
    };
    near(mle(&at), 2.308_405_998_492);
    near(MixCe::new(0.5).unwrap().loss_at(&at).unwrap(), 1.268_953_400_113);
    let vectors = Tensor::from_slice(&[1.0, 0.0, 0.8, 0.6, 0.0, 1.0, -0.6, 0.8, -1.0, 0.0]);
    let vectors = vectors.view([5, 2]);
    near(emo(EmoLead::Likelihood).loss_at(&at, &vectors).unwrap(), 2.308_405_998_492);
    let second = EmoLead::Transport { cap: 10.0 };
    near(emo(second).loss_at(&at, &vectors).unwrap(), 1.293_314_762_342);
    // SMILE with S = {1, 2, 4}: the second of three targets.
    let three = logits.expand([1, 3, 5], false).contiguous();
    let targets = Tensor::from_slice(&[2_i64, 1, 4]).view([1, 3]);
    let at = Predictions::new(three, targets, None).unwrap();
    near(Smile::default().each(&at).unwrap().get(0).get(1), 1.828_172_926_978);
}

/// The optimum of MixCE over a free distribution, by gradient descent, is the closed form of the
/// specification: sharper than the data (section 10).
#[test]
fn mixce_optimum() {
    let p = Tensor::from_slice(&[0.5, 0.3, 0.15, 0.05]);
    let golden = Tensor::from_slice(&[
        0.564_733_766_2,
        0.276_402_687_5,
        0.121_420_821_9 + 1e-9,
        0.037_442_723_4,
    ]);
    let targets = Tensor::from_slice(&[0_i64, 1, 2, 3]).view([4, 1]);
    let weight = p.view([4, 1]);
    let mut z = Tensor::zeros([4], (Kind::Double, Device::Cpu));
    for _ in 0..4000 {
        let leaf = leaf(&z).unwrap();
        let logits = leaf.expand([4, 1, 4], false);
        let at = Predictions::new(logits, targets.shallow_clone(), Some(weight.shallow_clone()));
        let value = MixCe::new(0.5).unwrap().loss_at(&at.unwrap()).unwrap();
        let g = grad(&[&value], &[None], &[&leaf], Graph::Free).unwrap().remove(0).unwrap();
        z -= g;
    }
    assert!(distance(&z.softmax(-1, None::<Kind>), &golden) < 1e-8);
}

#[test]
fn a_model_in_and_a_loss_out() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let config = TransformerLanguageModelConfig { length: 8, ..Default::default() };
    let model = TransformerLanguageModel::new(&params.root(), 11, &config).unwrap();
    let model: &dyn LanguageModel = &model;
    let tokens = with_seed(5, || Tensor::randint(11, [3, 7], (Kind::Int64, Device::Cpu)));
    let weight = Tensor::ones([3, 7], (Kind::Double, Device::Cpu));
    let _ = weight.narrow(1, 4, 3).fill_(0.0);
    let batch = Batch { data: tokens.shallow_clone(), context: None, weight: Some(weight) };
    let objectives: Vec<Box<dyn Objective<dyn LanguageModel>>> = vec![
        Box::new(CrossEntropy),
        Box::new(MixCe::new(0.5).unwrap()),
        Box::new(emo(EmoLead::Likelihood)),
        Box::new(Smile::default()),
        Box::new(LabelSmoothing::new(0.1).unwrap()),
        Box::new(Unlikelihood::new(0.1).unwrap()),
    ];
    let short = Batch::new(tokens.narrow(1, 0, 4));
    let nll = CrossEntropy.loss(model, &short).unwrap().value.double_value(&[]);
    assert!((nll - 11.0_f64.ln()).abs() < 0.3);
    for objective in objectives {
        let a = objective.loss(model, &batch).unwrap();
        let b = objective.loss(model, &short).unwrap().value;
        assert!(distance(&a.value, &b) < 1e-12, "{objective:?}");
        for metric in a.metrics {
            assert!((metric.value.double_value(&[]) - nll).abs() < 1e-12, "{objective:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    assert!(MixCe::new(1.5).is_err() && LabelSmoothing::new(-0.1).is_err());
    assert!(Unlikelihood::new(f64::NAN).is_err() && Smile::mixed(2.0, WordSet::Own).is_err());
    assert!(Emo::new(EmoLead::Transport { cap: 0.0 }, Cost::Adaptive).is_err());
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let table = BigramTable::new(&params.root(), 4).unwrap();
    let model: &dyn LanguageModel = &table;
    let batch = |tokens: Tensor| Batch::new(tokens);
    let says = |b: &Batch| CrossEntropy.loss(model, b).unwrap_err().to_string();
    let one = Tensor::zeros([2, 1], (Kind::Int64, Device::Cpu));
    assert_eq!(says(&batch(one)), "tokens: expected shape [B, T] with T at least 2, got [2, 1]");
    assert!(says(&batch(normal(1, &[2, 3]))).contains("tokens: expected dtype Int64"));
    let tokens = Tensor::zeros([2, 3], (Kind::Int64, Device::Cpu));
    let weight = Some(normal(1, &[2]));
    let wrong = Batch { data: tokens.shallow_clone(), context: None, weight };
    assert_eq!(says(&wrong), "weight: expected shape [2, 3], got [2]");
    let adaptive = emo(EmoLead::Likelihood).loss(model, &batch(tokens)).unwrap_err().to_string();
    assert!(adaptive.contains("without an embedding"), "{adaptive}");
}

/// Parts of a batch, each with its share, give the loss of the whole: tokens weigh, not sequences.
#[test]
fn losses_of_parts_add_up_by_their_shares() {
    let params = Params::new(2, Kind::Double, Device::Cpu);
    let model = BigramTable::new(&params.root(), 7).unwrap();
    let _no_grad = tch::no_grad_guard();
    model.table().shallow_clone().copy_(&normal(4, &[7, 7]));
    let data = with_seed(8, || Tensor::randint(7, [5, 6], (Kind::Int64, Device::Cpu)));
    let weight = Tensor::ones([5, 6], (Kind::Double, Device::Cpu));
    let _ = weight.get(1).narrow(0, 2, 4).fill_(0.0);
    let _ = weight.get(4).fill_(0.0);
    let batch = Batch { weight: Some(weight), ..Batch::new(data) };
    let loss = |batch: &Batch| {
        CrossEntropy.loss(&model as &dyn LanguageModel, batch).unwrap().value.double_value(&[])
    };
    for parts in 1..=6 {
        let split = batch.split(parts).unwrap();
        let sum: f64 = split.iter().map(|(part, share)| share * loss(part)).sum();
        assert!((sum - loss(&batch)).abs() < 1e-12, "{parts} parts: {sum}");
        assert!((split.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-12);
    }
    assert_eq!(batch.split(9).unwrap().len(), 4, "a part without weight is left out");
}
