//! A network that sees half of its context.

use maxlik_nn::Network;
use maxlik_tensor::Result;
use tch::Tensor;

/// A network whose context is one half of the channels of the context given: FloWaveNet's couplings
/// see the half that belongs to the samples they keep.
#[derive(Debug)]
pub(super) struct HalfContext<N> {
    pub(super) inner: N,
    pub(super) upper: bool,
}

impl<N: Network> Network for HalfContext<N> {
    fn forward(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let Some(context) = context else { return self.inner.forward(x, None) };
        let half = context.size()[1] / 2;
        let start = if self.upper { half } else { 0 };
        self.inner.forward(x, Some(&context.f_narrow(1, start, half)?))
    }
}
