//! What several tests share.

use maxlik_nn::Params;
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_testkit::normal;
use tch::{Device, Kind, Tensor};

pub(crate) fn store() -> Params {
    Params::new(3, Kind::Double, Device::Cpu)
}

/// Moves all parameters away from their initial values.
pub(crate) fn jitter(params: &Params, size: f64) {
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&(normal(i as u64, &tensor.size()) * size)).unwrap();
    }
}

/// The gradient of a loss by all parameters, as one vector.
pub(crate) fn gradient_of(loss: &Tensor, params: &Params) -> Tensor {
    let named = params.trainable();
    let leaves: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
    let found = grad(&[loss], &[None], &leaves, Graph::Free).unwrap();
    let flat = found
        .into_iter()
        .zip(&leaves)
        .map(|(gradient, leaf)| gradient.unwrap_or_else(|| leaf.zeros_like()).reshape([-1]));
    Tensor::cat(&flat.collect::<Vec<_>>(), 0)
}

/// The largest of `|mean|/standard error` over the columns of `[N, P]`, those without spread left
/// out: below five for a mean of zero.
pub(crate) fn worst_z(rows: &Tensor) -> f64 {
    let count = rows.size()[0] as f64;
    let mean = rows.mean_dim([0_i64].as_slice(), false, None);
    let error = rows.std_dim([0_i64].as_slice(), true, false) / count.sqrt();
    let z = mean.abs() / error.clamp_min(1e-12);
    z.max().double_value(&[])
}
