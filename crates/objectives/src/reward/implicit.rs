//! Gradients through a minimum.

use super::{ConjugateGradient, Solved};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// The gradient of an outer loss `J(θ*(u))` by `u`, where `θ*(u)` minimises an inner loss `F(θ, u)`, by
/// the implicit function theorem:
///
/// `dJ/du = ∂_u J − (∂_θ J)ᵀ (∂²_θ F)⁻¹ ∂_θ ∂_u F` at `θ = θ*(u)`
///
/// The inverse is applied by [`ConjugateGradient`], with products `∂²_θ F · v` by differentiating twice:
/// no matrix is formed, and how `θ*` was found does not matter. At a `θ` near `θ*` the gradient is off
/// in proportion to the distance.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ImplicitGradient {
    /// How the linear system is solved.
    pub solver: ConjugateGradient,
}

/// A gradient, and how well its system was solved.
#[derive(Debug)]
pub struct Implicit {
    /// `dJ/du` for each `u`, in their order and shapes.
    pub gradients: Vec<Tensor>,
    /// `(∂²_θ F)⁻¹ ∂_θ J` and what it took.
    pub solved: Solved,
}

impl ImplicitGradient {
    /// For scalars `inner` = `F` and `outer` = `J` with their graphs, parameters `θ` and what to
    /// differentiate by, `u`. The graph of `inner` must be twice differentiable: a loss with samples
    /// has to be a pathwise one, with its noise held fixed.
    ///
    /// # Errors
    /// [`Error::Config`] for no parameters, those of the solver, and LibTorch's.
    pub fn run(
        &self,
        inner: &Tensor,
        outer: &Tensor,
        parameters: &[&Tensor],
        by: &[&Tensor],
    ) -> Result<Implicit> {
        if parameters.is_empty() || by.is_empty() {
            let got = format!("{} and {}", parameters.len(), by.len());
            let why = format!("expected at least one each, got {got}");
            return Err(Error::config("parameters and by", why));
        }
        let right = flat(&gradients(outer, parameters, Graph::Keep)?)?;
        let slope = flat(&gradients(inner, parameters, Graph::Differentiable)?)?;
        let along = |v: &Tensor| slope.f_dot(v);
        let solved =
            self.solver.run(|v| flat(&gradients(&along(v)?, parameters, Graph::Keep)?), &right)?;
        let through = gradients(&along(&solved.value)?, by, Graph::Keep)?;
        let direct = gradients(outer, by, Graph::Keep)?;
        let both = direct.iter().zip(&through).map(|(direct, t)| Ok(direct.f_sub(t)?));
        Ok(Implicit { gradients: both.collect::<Result<_>>()?, solved })
    }
}

/// Gradients of a scalar, zeros where it does not depend on an input.
fn gradients(of: &Tensor, by: &[&Tensor], graph: Graph) -> Result<Vec<Tensor>> {
    if !of.requires_grad() {
        return by.iter().map(|t| Ok(t.f_zeros_like()?)).collect();
    }
    let found = grad(&[of], &[None], by, graph)?;
    let pairs = found.into_iter().zip(by);
    pairs.map(|(found, input)| found.map_or_else(|| Ok(input.f_zeros_like()?), Ok)).collect()
}

fn flat(tensors: &[Tensor]) -> Result<Tensor> {
    let flat = tensors.iter().map(|t| Ok(t.f_reshape([-1])?)).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::f_cat(&flat, 0)?)
}
