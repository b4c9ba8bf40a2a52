//! Roots of increasing functions, elementwise, with derivatives.

use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// The root of `f(x) = target` between `low` and `high` by bisection, without a graph: as many
/// halvings as the dtype has digits and a few.
pub(crate) fn bisect(
    low: &Tensor,
    high: &Tensor,
    target: &Tensor,
    f: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let halvings = if target.kind() == Kind::Double { 64 } else { 32 };
    let (mut low, mut high) = (low.f_detach()?, high.f_detach()?);
    for _ in 0..halvings {
        let middle = (&low + &high) * 0.5;
        let below = f(&middle)?.f_lt_tensor(target)?;
        low = middle.f_where_self(&below, &low)?;
        high = high.f_where_self(&below, &middle)?;
    }
    Ok((low + high) * 0.5)
}

/// Two recorded Newton steps from a root found without a graph. The value gains its last digits, and
/// derivatives by the target and by all parameters in `step` are those of the implicit function, up
/// to the third order: each step doubles the number of right Taylor coefficients.
pub(crate) fn polish(root: &Tensor, step: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    step(&step(&root.f_detach()?)?)
}
