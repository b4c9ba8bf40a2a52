//! Jacobians of fields, and the linear systems of implicit methods.

use crate::Time;
use crate::stepper::Point;
use maxlik_tensor::autograd::{self, Graph};
use maxlik_tensor::{Result, check};
use tch::{Device, Tensor};

/// From this size on, LibTorch's batched LU on the CPU may not return (see
/// `maxlik_tensor::logdet::dense`): matrices are solved one by one.
const BATCHED_LU_LIMIT: i64 = 128;

/// `∂f/∂y` `[b, D, D]` and `∂f/∂t` `[b, D]`.
pub(super) struct Derivatives {
    pub(super) by_state: Tensor,
    pub(super) by_time: Tensor,
}

/// The derivatives of the field at `t + c h` and `y`. They carry a graph where `y` does.
pub(super) fn jacobian(point: &Point<'_>, c: f64, y: &Tensor) -> Result<Derivatives> {
    let shape = y.size();
    let rows = shape[0];
    let t = point.t.offset(c, point.dt)?.rows(y)?;
    let flat = y.f_reshape([rows, -1])?;
    let d = flat.size()[1];
    // The time as one more number of the state, so that one pass gives both.
    let joined = Tensor::f_cat(&[&flat, &t.f_reshape([rows, 1])?], 1)?;
    let rate = |joined: &Tensor| {
        let y = joined.f_narrow(1, 0, d)?.f_reshape(shape.as_slice())?;
        let rate = point.field.rate(&joined.f_select(1, d)?, &y, point.rows)?;
        check::shape("rate of the field", &rate, &shape)?;
        Ok(rate.f_reshape([rows, d])?)
    };
    let graph = if y.requires_grad() { Graph::Differentiable } else { Graph::Free };
    let full = autograd::jacobian(&rate, &joined, graph)?;
    Ok(Derivatives { by_state: full.f_narrow(2, 0, d)?, by_time: full.f_select(2, d)? })
}

/// Matrices `I − h J`, ready to be solved with.
pub(super) struct Factors {
    matrix: Tensor,
}

impl Factors {
    /// For `J` `[b, D, D]` and steps `h`; `shape` is that of the states.
    pub(super) fn new(jacobian: &Tensor, h: &Time, shape: &[i64]) -> Result<Self> {
        let d: i64 = shape[1..].iter().product();
        let identity = Tensor::f_eye(d, (jacobian.kind(), jacobian.device()))?;
        Ok(Self { matrix: identity.f_sub(&h.scale(jacobian)?)? })
    }

    /// `(I − h J)⁻¹ x` for `x` of the states' shape.
    pub(super) fn solve(&self, x: &Tensor) -> Result<Tensor> {
        let size = self.matrix.size();
        let right = x.f_reshape([size[0], size[1], 1])?;
        let solution = if size[1] < BATCHED_LU_LIMIT || x.device() != Device::Cpu {
            Tensor::f_linalg_solve_ex(&self.matrix, &right, true, false)?.0
        } else {
            let one = |i: i64| -> Result<Tensor> {
                let (matrix, right) = (self.matrix.f_select(0, i)?, right.f_select(0, i)?);
                Ok(Tensor::f_linalg_solve_ex(&matrix, &right, true, false)?.0)
            };
            Tensor::f_stack(&(0..size[0]).map(one).collect::<Result<Vec<_>>>()?, 0)?
        };
        Ok(solution.f_reshape(x.size().as_slice())?)
    }
}
