//! Scores carried along a continuous flow: path gradients in one solve.

use crate::flow_map::FlowMap;
use crate::flow_state::{Extras, FlowField};
use crate::time::flat_rows;
use crate::{Field, Rows};
use maxlik_model::{Mapped, PropagateScore, Propagated};
use maxlik_tensor::{Result, check};
use tch::Tensor;

/// `d(x, ℓ, δ)/dt = (v, tr J, −Jᵀ δ − ∇ₓ tr J)` on rows `[b, 2 D + 1]`. Of these only `v` is recorded.
#[derive(Debug)]
struct ScoredField(FlowField);

impl ScoredField {
    fn pack(&self, x: &Tensor, score: &Tensor) -> Result<Tensor> {
        check::shape("score", score, &x.size())?;
        let (x, score) = (flat_rows(x)?, flat_rows(&score.f_detach()?)?);
        let zeros = Tensor::f_zeros([x.size()[0], 1], (x.kind(), x.device()))?;
        Ok(Tensor::f_cat(&[x, zeros, score], 1)?)
    }

    fn unpack(&self, state: &Tensor) -> Result<Propagated> {
        let (d, shape) = (self.0.numbers(), self.0.shape());
        let value = state.f_narrow(1, 0, d)?.f_reshape(shape.as_slice())?;
        let log_det = state.f_select(1, d)?.f_detach()?;
        let score = state.f_narrow(1, d + 1, d)?.f_reshape(shape.as_slice())?.f_detach()?;
        Ok(Propagated { mapped: Mapped { value, log_det }, score })
    }
}

impl Field for ScoredField {
    fn rate(&self, t: &Tensor, y: &Tensor, rows: &Rows) -> Result<Tensor> {
        let (d, shape) = (self.0.numbers(), self.0.shape());
        let x = y.f_narrow(1, 0, d)?.f_reshape(shape.as_slice())?;
        let score = y.f_narrow(1, d + 1, d)?.f_detach()?.f_reshape(shape.as_slice())?;
        let context = self.0.context.as_ref().map(|c| rows.select(0, c)).transpose()?;
        let probe = self.0.probe.as_ref().map(|p| rows.select(1, p)).transpose()?;
        let found = self
            .0
            .drift
            .with(|drift| drift.score_rate(t, &x, context.as_ref(), probe.as_ref(), &score))?;
        let parts = [
            flat_rows(&found.velocity)?,
            found.divergence.f_unsqueeze(1)?,
            flat_rows(&found.rate)?,
        ];
        Ok(Tensor::f_cat(&parts, 1)?)
    }
}

impl FlowMap {
    /// Point, log-determinant and score in one solve, whose steps are recorded; where gradients are
    /// taken in another way, the point comes by that way alone, and the others from a solve without
    /// gradients: the backward solve then has no divergence in it.
    fn scored(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
        span: (f64, f64),
    ) -> Result<Propagated> {
        let probe = self.probe(span.0, x, context)?;
        let field = ScoredField(self.field(context, probe.as_ref(), Extras::default()));
        let times = Tensor::f_from_slice(&[span.0, span.1])?;
        let run = || -> Result<Propagated> {
            let solution = self.solver.solve(&field, &field.pack(x, score)?, &times)?;
            solution.ensure_success()?;
            field.unpack(&solution.final_states())
        };
        if self.gradient.is_none() {
            return run();
        }
        let value = self.point(x, context, span)?;
        let _no_grad = tch::no_grad_guard();
        let found = run()?;
        Ok(Propagated { mapped: Mapped { value, ..found.mapped }, score: found.score })
    }
}

/// With estimated divergences the score is that of the estimated log-density, for probes that are
/// fixed over the solve. It is linear in `Σₖ uₖ uₖᵀ`, so that it is unbiased for the score.
impl PropagateScore for FlowMap {
    fn map_score(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        self.scored(x, score, context, self.to_base())
    }

    fn unmap_score(
        &self,
        z: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        self.scored(z, score, context, self.to_data())
    }
}
