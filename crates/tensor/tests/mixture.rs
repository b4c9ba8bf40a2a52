use super::{distance, normal};
use maxlik_tensor::autograd::{Graph, grad, leaf};
use maxlik_tensor::mixture::{Logs, compose, logistic};
use proptest::prelude::*;
use tch::{Kind, Tensor};

fn gradients(x: &Tensor, params: &Tensor, run: impl Fn(&Tensor, &Tensor) -> Logs) -> Vec<Tensor> {
    let (x, params) = (leaf(x).unwrap(), leaf(params).unwrap());
    let logs = run(&x, &params);
    let seeds = [7, 8, 9].map(|seed| normal(seed, &x.size()).to_kind(x.kind()));
    let [u, v, w] = &seeds;
    let outputs = [&logs.below, &logs.above, &logs.density];
    grad(&outputs, &[Some(u), Some(v), Some(w)], &[&x, &params], Graph::Free)
        .unwrap()
        .into_iter()
        .flatten()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_kernel_agrees_with_the_composition(
        seed in 0_u64..1 << 40, batch in 0_i64..20, dims in 0_i64..6, k in 1_i64..12, wide in 0.5_f64..30.0, single: bool
    ) {
        let kind = if single { Kind::Float } else { Kind::Double };
        // Strided parameters, as a narrow of more of them; points far in the tails where wide.
        let all = normal(seed + 1, &[batch, dims, 3 * k + 2]);
        let (x, params) = (normal(seed, &[batch, dims]) * wide, all.narrow(2, 2, 3 * k));
        let (x_k, params_k) = (x.to_kind(kind), params.to_kind(kind));
        let (ours, exact) = (logistic(&x_k, &params_k).unwrap(), compose(&x, &params).unwrap());
        let tolerance = if single { 2e-5 } else { 1e-12 };
        for (ours, exact) in [(&ours.below, &exact.below), (&ours.above, &exact.above), (&ours.density, &exact.density)] {
            let size = if x.numel() == 0 { 1.0 } else { exact.abs().max().double_value(&[]).max(1.0) };
            prop_assert!(distance(ours, exact) < tolerance * size, "{}", distance(ours, exact));
        }
        if x.numel() > 0 {
            let ours = gradients(&x_k, &params_k, |x, p| logistic(x, p).unwrap());
            let exact = gradients(&x, &params, |x, p| compose(x, p).unwrap());
            for (ours, exact) in ours.iter().zip(&exact) {
                let size = exact.abs().max().double_value(&[]).max(1.0);
                prop_assert!(distance(ours, exact) < 10.0 * tolerance * size, "{}", distance(ours, exact));
            }
        }
    }
}

/// One component is the logistic itself: `F = σ(u)`, whatever the logit of its weight.
#[test]
fn one_component_in_closed_form() {
    let x = Tensor::from_slice(&[-300.0, -2.0, 0.0, 0.4, 250.0]);
    let params = Tensor::from_slice(&[5.0, 0.3, -0.7]).expand([5, 3], false);
    let u = (&x - 0.3) * 0.7_f64.exp();
    let logs = logistic(&x, &params).unwrap();
    assert!(distance(&logs.below, &u.log_sigmoid()) < 1e-12);
    assert!(distance(&logs.above, &(-&u).log_sigmoid()) < 1e-12);
    let density = u.log_sigmoid() + (-&u).log_sigmoid() + 0.7;
    assert!(distance(&logs.density, &density) < 1e-12);
}

#[test]
fn second_derivatives_and_bad_shapes() {
    let (x, params) = (normal(4, &[6, 3]), normal(5, &[6, 3, 12]));
    let second = |run: &dyn Fn(&Tensor) -> Logs| {
        let p = leaf(&params).unwrap();
        let first = grad(&[&run(&p).density], &[None], &[&p], Graph::Differentiable);
        let first = first.unwrap().remove(0).unwrap().pow_tensor_scalar(2);
        grad(&[&first], &[None], &[&p], Graph::Free).unwrap().remove(0).unwrap()
    };
    let fused = second(&|p| logistic(&x, p).unwrap());
    assert!(distance(&fused, &second(&|p| compose(&x, p).unwrap())) < 1e-12);
    let message = logistic(&x, &normal(5, &[6, 3, 10])).unwrap_err().to_string();
    assert!(message.contains("3 · components"), "{message}");
}
