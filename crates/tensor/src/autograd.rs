//! Products with Jacobians, exact Jacobians, and the gradient mode.

use crate::{Error, Result, custom};
use tch::Tensor;

/// A differentiable function of one tensor.
pub type Function<'a> = dyn Fn(&Tensor) -> Result<Tensor> + 'a;

/// How the graph is treated by a gradient computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Graph {
    /// Freed: no further gradient is taken through it.
    Free,
    /// Kept for another gradient through the same graph.
    Keep,
    /// Kept, and the gradient is itself differentiable.
    Differentiable,
}

impl Graph {
    fn keep(self) -> bool {
        self != Self::Free
    }

    fn create(self) -> bool {
        self == Self::Differentiable
    }
}

/// `Σᵢ cotangentᵢ · ∂outputᵢ/∂input` for each input; a missing cotangent stands for ones.
///
/// An input that the outputs do not depend on has the gradient `None`.
///
/// # Errors
/// [`Error::Torch`], for example where no input requires a gradient.
pub fn grad(
    outputs: &[&Tensor],
    cotangents: &[Option<&Tensor>],
    inputs: &[&Tensor],
    graph: Graph,
) -> Result<Vec<Option<Tensor>>> {
    if outputs.len() != cotangents.len() {
        let got = format!("{} for {} outputs", cotangents.len(), outputs.len());
        return Err(Error::Shape {
            what: "cotangents".into(),
            expected: "one for each output".into(),
            got,
        });
    }
    custom::grad(outputs, cotangents, inputs, graph.keep(), graph.create())
}

/// As [`grad`] of one output by one input, with zeros where there is no dependence.
///
/// # Errors
/// As [`grad`].
pub fn gradient(
    output: &Tensor,
    cotangent: Option<&Tensor>,
    input: &Tensor,
    graph: Graph,
) -> Result<Tensor> {
    if !output.requires_grad() {
        return Ok(input.f_zeros_like()?);
    }
    let found = grad(&[output], &[cotangent], &[input], graph)?.pop().flatten();
    found.map_or_else(|| Ok(input.f_zeros_like()?), Ok)
}

/// A detached copy of `x` that requires a gradient.
///
/// # Errors
/// [`Error::Torch`].
pub fn leaf(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_detach()?.f_set_requires_grad(true)?)
}

/// Runs `body` with recording on, whatever the mode outside, and restores the mode also on a panic.
///
/// # Errors
/// Those of `body`.
pub fn recorded<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    tch::with_grad(|| crate::guard("recorded computation", body))
}

/// A value and a product with the Jacobian there.
#[derive(Debug)]
pub struct Product {
    /// `f(x)`.
    pub value: Tensor,
    /// The product: of the shape of `x` for [`vjp`], of `f(x)` for [`jvp`].
    pub product: Tensor,
}

/// `uᵀ ∂f/∂x` at `x`; `u` has the shape of `f(x)`. One backward pass.
///
/// The product carries no graph; use [`gradient`] on a recorded output where one is needed.
///
/// # Errors
/// [`Error::Shape`] where `u` does not fit `f(x)`, and those of `f`.
pub fn vjp(f: &Function<'_>, x: &Tensor, u: &Tensor) -> Result<Product> {
    recorded(|| {
        let x = leaf(x)?;
        let value = f(&x)?;
        crate::check::shape("u", u, &value.size())?;
        let product = gradient(&value, Some(u), &x, Graph::Free)?;
        Ok(Product { value: value.f_detach()?, product: product.f_detach()? })
    })
}

/// `∂f/∂x v` at `x`; `v` has the shape of `x`.
///
/// By the double-backward trick: `w(u) = uᵀ ∂f/∂x` is linear in `u`, and `∂⟨w, v⟩/∂u = ∂f/∂x v`.
/// Two backward passes; exact.
///
/// # Errors
/// [`Error::Shape`] where `v` does not fit `x`, and those of `f`.
pub fn jvp(f: &Function<'_>, x: &Tensor, v: &Tensor) -> Result<Product> {
    crate::check::shape("v", v, &x.size())?;
    recorded(|| {
        let x = leaf(x)?;
        let value = f(&x)?;
        let product = jvp_of(&value, &x, v, Graph::Free)?;
        Ok(Product { value: value.f_detach()?, product: product.f_detach()? })
    })
}

/// `∂value/∂x v` for a recorded `value` of a recorded `x`.
///
/// # Errors
/// [`Error::Torch`].
pub fn jvp_of(value: &Tensor, x: &Tensor, v: &Tensor, graph: Graph) -> Result<Tensor> {
    if !value.requires_grad() {
        return Ok(value.f_zeros_like()?);
    }
    let u = value.f_zeros_like()?.f_set_requires_grad(true)?;
    let w = gradient(value, Some(&u), x, Graph::Differentiable)?;
    if !w.requires_grad() {
        return Ok(value.f_zeros_like()?);
    }
    gradient(&w, Some(v), &u, graph)
}

/// The Jacobian `[B, M, N]` of a map whose rows do not interact, where `f(x)` has `M` and `x` has
/// `N` entries for each of `B` rows. `M` backward passes.
///
/// With [`Graph::Differentiable`] the result is differentiable by `x` (if it requires a gradient)
/// and by all parameters inside `f`; otherwise it carries no graph.
///
/// # Errors
/// [`Error::Shape`] for a tensor without a batch dimension, and those of `f`.
pub fn jacobian(f: &Function<'_>, x: &Tensor, graph: Graph) -> Result<Tensor> {
    if x.dim() == 0 {
        return Err(Error::shape("x", "[B, …]", &x.size()));
    }
    recorded(|| {
        let x = if graph.create() && x.requires_grad() { x.shallow_clone() } else { leaf(x)? };
        let value = f(&x)?;
        let batch = x.size()[0];
        let columns = x.size()[1..].iter().product::<i64>();
        let rows = value.size()[1..].iter().product::<i64>();
        let flat = value.f_reshape([batch, rows])?;
        let mut lines = Vec::new();
        for m in 0..rows {
            let entry = flat.f_select(1, m)?;
            let keep = if graph.create() { graph } else { Graph::Keep };
            lines.push(gradient(&entry, None, &x, keep)?.f_reshape([batch, columns])?);
        }
        if lines.is_empty() {
            return Ok(Tensor::f_zeros([batch, rows, columns], (x.kind(), x.device()))?);
        }
        let jacobian = Tensor::f_stack(&lines, 1)?;
        if graph.create() { Ok(jacobian) } else { Ok(jacobian.f_detach()?) }
    })
}
