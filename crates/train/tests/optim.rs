//! Schedules, checks of the section `optim`, clipping, averaging.

use crate::common::alone;
use maxlik_model::{Batch, Loss, Metric, Objective};
use maxlik_nn::{Init, Params};
use maxlik_train::{Ema, OptimConfig, Optimizer, Schedule, Stream, Trainer, clip, global_norm};
use tch::{Device, Kind, Tensor};

fn factors(schedule: Schedule, steps: u64) -> Vec<f64> {
    (0..steps).map(|n| schedule.factor(n, steps)).collect()
}

#[track_caller]
fn close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    let distance = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(distance < 1e-12, "{a:?} is not {b:?}");
}

#[test]
fn schedules_have_their_shapes() {
    close(&factors(Schedule::Constant { warmup: 2 }, 4), &[0.5, 1.0, 1.0, 1.0]);
    close(&factors(Schedule::Linear { warmup: 0, last: 0.2 }, 5), &[1.0, 0.8, 0.6, 0.4, 0.2]);
    close(&factors(Schedule::Linear { warmup: 2, last: 0.0 }, 5), &[0.5, 1.0, 1.0, 0.5, 0.0]);
    close(
        &factors(Schedule::Cosine { warmup: 0, last: 0.0 }, 5),
        &[1.0, 0.5 + 0.5_f64.sqrt() / 2.0, 0.5, 0.5 - 0.5_f64.sqrt() / 2.0, 0.0],
    );
    close(&factors(Schedule::Exponential { warmup: 0, last: 0.01 }, 3), &[1.0, 0.1, 0.01]);
    let slow = factors(Schedule::InverseSqrt { warmup: 4 }, 16);
    close(&[slow[0], slow[3], slow[15]], &[0.25, 1.0, 0.5]);
}

#[test]
fn schedules_do_not_break_at_their_ends() {
    for schedule in [
        Schedule::Cosine { warmup: 50, last: 0.1 },
        Schedule::Linear { warmup: 0, last: 0.1 },
        Schedule::Exponential { warmup: 3, last: 0.1 },
    ] {
        for (n, steps) in [(0, 1), (5, 1), (3, 4), (100, 10)] {
            let factor = schedule.factor(n, steps);
            assert!(factor > 0.0 && factor <= 1.0, "{schedule:?} at {n}/{steps}: {factor}");
        }
    }
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    let good = OptimConfig::default();
    good.check().unwrap();
    let cases = [
        (OptimConfig { steps: 0, ..good.clone() }, "optim.steps: expected at least 1, got 0"),
        (OptimConfig { batch: 0, ..good.clone() }, "optim.batch: expected at least 1, got 0"),
        (
            OptimConfig { lr: -1.0, ..good.clone() },
            "optim.lr: expected a finite number above 0, got -1",
        ),
        (
            OptimConfig { lr: f64::NAN, ..good.clone() },
            "optim.lr: expected a finite number above 0, got NaN",
        ),
        (
            OptimConfig { weight_decay: -0.1, ..good.clone() },
            "optim.weight_decay: expected a finite number of at least 0, got -0.1",
        ),
        (
            OptimConfig { betas: [0.9, 1.0], ..good.clone() },
            "optim.betas: expected two numbers from 0 to below 1, got [0.9, 1.0]",
        ),
        (
            OptimConfig { clip: 0.0, ..good.clone() },
            "optim.clip: expected a number above 0, or inf for none, got 0",
        ),
        (
            OptimConfig { ema: 1.0, ..good.clone() },
            "optim.ema: expected a number from 0 to below 1, got 1",
        ),
        (
            OptimConfig { log_every: 0, ..good.clone() },
            "optim.log_every: expected at least 1, got 0",
        ),
        (
            OptimConfig { schedule: Schedule::Cosine { warmup: 0, last: 1.5 }, ..good.clone() },
            "optim.schedule.final: expected a fraction between 0 and 1, got 1.5",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(config.check().unwrap_err().to_string(), expected);
    }
}

#[test]
fn clipping_scales_all_gradients_to_the_norm() {
    let make =
        || vec![Tensor::from_slice(&[3.0, 0.0]), Tensor::from_slice(&[[0.0], [4.0]].concat())];
    let mut gradients = make();
    let norm = global_norm(&gradients).unwrap().double_value(&[]);
    assert!((norm - 5.0).abs() < 1e-12);
    clip(&mut gradients, norm, 10.0).unwrap();
    assert_eq!(gradients, make());
    clip(&mut gradients, norm, 1.0).unwrap();
    let clipped = global_norm(&gradients).unwrap().double_value(&[]);
    assert!((clipped - 1.0).abs() < 1e-12);
    assert!((gradients[0].double_value(&[0]) - 0.6).abs() < 1e-12);
    assert_eq!(global_norm(&[]).unwrap().double_value(&[]), 0.0);
}

fn one_parameter() -> (Params, Tensor) {
    let params = Params::new(1, Kind::Double, Device::Cpu);
    let x = params.root().param("x", &[2], Init::Constant(1.0)).unwrap();
    (params, x)
}

/// Adam's first step is `lr · g/(|g| + ε)`, whatever the gradient's size; decay comes off before it.
#[test]
fn the_first_step_of_adamw_has_its_closed_form() {
    let (params, x) = one_parameter();
    let config = OptimConfig { lr: 0.1, weight_decay: 0.5, eps: 1e-12, ..OptimConfig::default() };
    let mut optimizer = Optimizer::new(&params, &config).unwrap();
    let mut gradients = [Tensor::from_slice(&[2.0, -3e-3])];
    let lr = optimizer.step(0, &mut gradients, 2.0).unwrap();
    assert_eq!(lr, 0.1);
    let decayed = 1.0 - 0.1 * 0.5;
    let expected = [decayed - 0.1, decayed + 0.1];
    for (i, expected) in expected.iter().enumerate() {
        assert!((x.double_value(&[i as i64]) - expected).abs() < 1e-8);
    }
    let names: Vec<String> = optimizer.state().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["mean.x", "square.x", "step.x"]);
}

#[test]
fn averages_warm_up_and_leave_the_parameters_alone() {
    let _turn = alone();
    let (params, x) = one_parameter();
    let mut ema = Ema::new(&params, 0.9).unwrap();
    let mut expected = 1.0;
    for n in 0..200_u64 {
        let value = (n as f64 * 0.1).sin();
        let _no_grad = tch::no_grad_guard();
        let _same = x.shallow_clone().fill_(value);
        ema.update(n).unwrap();
        let decay = ((1.0 + n as f64) / (10.0 + n as f64)).min(0.9);
        expected = decay * expected + (1.0 - decay) * value;
    }
    let live = x.double_value(&[0]);
    let seen = ema.evaluated(|| Ok(x.double_value(&[1]))).unwrap();
    assert!((seen - expected).abs() < 1e-12);
    assert_eq!(x.double_value(&[0]), live);
    let failed = ema.evaluated(|| -> maxlik_tensor::Result<()> { panic!("no") }).unwrap_err();
    assert_eq!(failed.to_string(), "evaluation failed: no");
    assert_eq!(x.double_value(&[0]), live);
}

/// Weighted squares of `x − w`: a mean over samples.
#[derive(Debug)]
struct Weighted;

impl Objective<Tensor> for Weighted {
    fn loss(&self, model: &Tensor, batch: &Batch) -> maxlik_tensor::Result<Loss> {
        let each = (&batch.data - model).square().sum_dim_intlist([1_i64].as_slice(), false, None);
        let weight = batch.weight.as_ref().unwrap();
        let value = (each * weight).sum(Kind::Double) / weight.sum(Kind::Double);
        let metric = Metric { name: "twice", value: value.detach() * 2.0 };
        Ok(Loss { value, metrics: vec![metric] })
    }
}

/// A batch in parts is the same step as a whole one, also where parts weigh differently.
#[test]
fn accumulated_steps_are_those_of_whole_batches() {
    let _alone = alone();
    let data = Tensor::linspace(-1.0, 2.0, 21, (Kind::Double, Device::Cpu)).view([7, 3]);
    let weight = Tensor::from_slice(&[1.0, 0.0, 0.0, 2.5, 0.5, 4.0, 1.0]);
    let run = |accumulate: usize| {
        let params = Params::new(3, Kind::Double, Device::Cpu);
        let w = params.root().param("w", &[3], Init::Constant(0.4)).unwrap();
        let config =
            OptimConfig { steps: 20, batch: 7, accumulate, lr: 0.1, ..OptimConfig::default() };
        let batch = || {
            Ok(Batch { weight: Some(weight.shallow_clone()), ..Batch::new(data.shallow_clone()) })
        };
        let mut batches = Stream::new(1, move |_| Ok(std::iter::repeat_with(batch)));
        Trainer::new(&w, &Weighted, &params, &config, 1).fit(&mut batches).unwrap();
        w
    };
    let whole = run(1);
    assert!((&whole - 0.4).abs().min().double_value(&[]) > 1e-3, "nothing was learned");
    for parts in [2, 3, 7] {
        let off = (run(parts) - &whole).abs().max().double_value(&[]);
        assert!(off < 1e-12, "{parts} parts: off by {off}");
    }
    let config = OptimConfig { batch: 7, accumulate: 8, ..OptimConfig::default() };
    assert!(config.check().unwrap_err().to_string().contains("accumulate"));
}
