//! One step: loss, gradients, checks.

use maxlik_model::{Batch, Loss, Objective};
use maxlik_nn::Params;
use maxlik_tensor::autograd::{self, Graph};
use maxlik_tensor::{Error, Result, host};
use tch::{Kind, Tensor};

/// What a step computes before the parameters change.
#[derive(Debug)]
pub(super) struct Gradients {
    /// Loss of the batch.
    pub(super) loss: f64,
    /// Norm of all gradients together.
    pub(super) norm: f64,
    /// Further quantities of the objective.
    pub(super) metrics: Vec<(&'static str, f64)>,
    /// Gradients in the order of the trainable parameters.
    pub(super) gradients: Vec<Tensor>,
}

/// Loss and gradients of a batch that goes through the model in `parts`.
///
/// All numbers come to the host in one transfer: on a GPU each would be a wait of its own.
pub(super) fn gradients<M: ?Sized>(
    model: &M,
    objective: &dyn Objective<M>,
    batch: &Batch,
    parameters: &[(String, Tensor)],
    parts: usize,
) -> Result<Gradients> {
    let inputs: Vec<&Tensor> = parameters.iter().map(|(_, tensor)| tensor).collect();
    let (loss, gradients) = match parts {
        1 => part(model, objective, batch, &inputs)?,
        _ => accumulated(model, objective, batch, &inputs, parts)?,
    };
    let norm = crate::global_norm(&gradients)?;
    let device = loss.value.device();
    let scalars = [&loss.value, &norm].into_iter().chain(loss.metrics.iter().map(|m| &m.value));
    let scalars = scalars
        .map(|x| Ok(x.f_detach()?.f_to_kind(Kind::Double)?.f_to_device(device)?))
        .collect::<Result<Vec<_>>>()?;
    let values = host::to_vec(&Tensor::f_stack(&scalars, 0)?)?;
    let metrics = loss.metrics.iter().zip(&values[2..]).map(|(m, &v)| (m.name, v)).collect();
    Ok(Gradients { loss: values[0], norm: values[1], metrics, gradients })
}

/// Loss and gradients of what goes through the model at once.
fn part<M: ?Sized>(
    model: &M,
    objective: &dyn Objective<M>,
    batch: &Batch,
    inputs: &[&Tensor],
) -> Result<(Loss, Vec<Tensor>)> {
    let loss = objective.loss(model, batch)?;
    maxlik_tensor::check::shape("loss", &loss.value, &[])?;
    let found = autograd::grad(&[&loss.value], &[None], inputs, Graph::Free)?;
    let gradients = found
        .into_iter()
        .zip(inputs)
        .map(|(gradient, input)| gradient.map_or_else(|| Ok(input.f_zeros_like()?), Ok))
        .collect::<Result<Vec<_>>>()?;
    Ok((loss, gradients))
}

/// The means of losses, metrics and gradients over the parts of a batch, each part with its share.
fn accumulated<M: ?Sized>(
    model: &M,
    objective: &dyn Objective<M>,
    batch: &Batch,
    inputs: &[&Tensor],
    parts: usize,
) -> Result<(Loss, Vec<Tensor>)> {
    let mut sum: Option<(Loss, Vec<Tensor>)> = None;
    for (batch, share) in batch.split(parts)? {
        let (mut loss, mut gradients) = part(model, objective, &batch, inputs)?;
        let scaled = |x: &Tensor| -> Result<Tensor> { Ok(x.f_detach()?.f_mul_scalar(share)?) };
        loss.value = scaled(&loss.value)?;
        for metric in &mut loss.metrics {
            metric.value = scaled(&metric.value)?;
        }
        for gradient in &mut gradients {
            *gradient = scaled(gradient)?;
        }
        let Some((total, totals)) = &mut sum else {
            sum = Some((loss, gradients));
            continue;
        };
        total.value = total.value.f_add(&loss.value)?;
        for (total, metric) in total.metrics.iter_mut().zip(&loss.metrics) {
            total.value = total.value.f_add(&metric.value)?;
        }
        for (total, gradient) in totals.iter_mut().zip(&gradients) {
            let _sum = total.f_add_(gradient)?;
        }
    }
    sum.ok_or_else(|| Error::config("batch", "expected at least one sample, got none"))
}

impl Gradients {
    /// Whether a step can be taken.
    pub(super) fn are_finite(&self) -> bool {
        self.loss.is_finite() && self.norm.is_finite()
    }

    /// The first tensor that is not finite, and how many more there are: the batch, then parameters
    /// and buffers (which make the loss so), the loss, then gradients, each kind in order of names.
    pub(super) fn first_bad(
        &self,
        batch: &Batch,
        params: &Params,
        parameters: &[(String, Tensor)],
    ) -> Result<String> {
        let mut bad = Vec::new();
        let parts = [
            ("data of the batch", Some(&batch.data)),
            ("context of the batch", batch.context.as_ref()),
            ("weights of the batch", batch.weight.as_ref()),
        ];
        for (name, tensor) in parts {
            if !tensor.map_or(Ok(true), is_finite)? {
                bad.push(name.to_owned());
            }
        }
        for (name, tensor) in params.named() {
            if !is_finite(&tensor)? {
                bad.push(format!("parameter {name}"));
            }
        }
        if !self.loss.is_finite() {
            bad.push("loss".to_owned());
        }
        for ((name, _), gradient) in parameters.iter().zip(&self.gradients) {
            if !is_finite(gradient)? {
                bad.push(format!("gradient of {name}"));
            }
        }
        Ok(match bad.as_slice() {
            // Every gradient is finite, their squares are not.
            [] => "norm of all gradients".to_owned(),
            [only] => only.clone(),
            [first, second] => format!("{first} (then the {second})"),
            [first, second, rest @ ..] => {
                format!("{first} (then the {second}, and {} more)", rest.len())
            }
        })
    }
}

fn is_finite(tensor: &Tensor) -> Result<bool> {
    let whole =
        matches!(tensor.kind(), Kind::Bool | Kind::Uint8 | Kind::Int | Kind::Int64 | Kind::Int16);
    Ok(whole || maxlik_tensor::check::finite("tensor", tensor).is_ok())
}
