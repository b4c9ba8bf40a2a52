use super::{distance, normal};
use maxlik_tensor::adamw::{AdamW, Step};
use tch::{Kind, Tensor};

/// Kingma and Ba 2015, algorithm 1, with the decoupled decay of Loshchilov and Hutter 2019.
#[test]
fn steps_follow_the_formula() {
    let step = Step { lr: 0.1, beta1: 0.8, beta2: 0.95, weight_decay: 0.02, eps: 1e-6 };
    let param = normal(1, &[7]);
    let mut expected = param.copy();
    let mut optimizer = AdamW::new(vec![param.shallow_clone()]).unwrap();
    let (mut mean, mut square) = (param.zeros_like(), param.zeros_like());
    for t in 1..6 {
        let gradient = normal(10 + t, &[7]);
        optimizer.step(&[gradient.shallow_clone()], &step).unwrap();
        mean = mean * step.beta1 + &gradient * (1.0 - step.beta1);
        square = square * step.beta2 + gradient.square() * (1.0 - step.beta2);
        let unbiased = |m: &Tensor, beta: f64| m / (1.0 - beta.powi(i32::try_from(t).unwrap()));
        let move_by =
            unbiased(&mean, step.beta1) / (unbiased(&square, step.beta2).sqrt() + step.eps);
        expected = &expected * (1.0 - step.lr * step.weight_decay) - move_by * step.lr;
        assert!(distance(&param, &expected) < 1e-12, "step {t}");
    }
    let names = ["w".to_owned()];
    let state = optimizer.state(&names);
    let keys: Vec<&str> = state.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(keys, ["mean.w", "square.w", "step.w"]);
    assert!(distance(&state[0].1, &mean) < 1e-12 && state[2].1.double_value(&[]) == 5.0);
}

#[test]
fn single_precision_and_wrong_counts() {
    let step = Step { lr: 0.1, beta1: 0.9, beta2: 0.999, weight_decay: 0.0, eps: 1e-8 };
    let param = Tensor::zeros([3], (Kind::Float, tch::Device::Cpu));
    let mut optimizer = AdamW::new(vec![param.shallow_clone()]).unwrap();
    optimizer.step(&[param.ones_like()], &step).unwrap();
    // The first step has length lr, whatever the gradient's size.
    assert!(distance(&param, &param.full_like(-0.1)) < 1e-6);
    let message = optimizer.step(&[], &step).unwrap_err().to_string();
    assert_eq!(message, "gradients: expected shape 1 tensors, got 0 tensors");
    AdamW::new(Vec::new()).unwrap().step(&[], &step).unwrap();
}
