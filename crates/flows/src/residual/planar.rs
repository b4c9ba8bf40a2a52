//! Planar maps.

use super::{log1p_above, sum_last, tanh_slope};
use crate::elementwise::root::{bisect, polish};
use crate::{NetworkConfig, Parameters};
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::Scope;
use maxlik_tensor::{Result, safe, with_seed};
use tch::{Device, Kind, Tensor};

/// `z = x + u tanh(wᵀx + b)` with `ln |det| = ln(1 + uᵀw / cosh²(wᵀx + b))` (Rezende and Mohamed 2015,
/// arXiv:1505.05770, eqs. 10–12).
///
/// The parameters `(v, w, b)` are trained or computed from the context;
/// `u = v + (m(wᵀv) − wᵀv) w/‖w‖²` with `m(t) = ln(1 + eᵗ) − 1` keeps `wᵀu > −1`, and the map invertible
/// (appendix A.1). Along `w` the inverse is the root of an increasing function of one variable, found
/// by bisection; the rest follows. Cost `O(D)` for a row.
#[derive(Debug)]
pub struct Planar {
    shape: [i64; 1],
    parameters: Parameters,
}

/// A row's numbers: `[B, D]`, `[B, D]`, and `[B]` for the last two.
struct Plane {
    u: Tensor,
    w: Tensor,
    bias: Tensor,
    /// `wᵀu > −1`.
    along: Tensor,
}

impl Planar {
    /// A planar map on `[D]`, along a random direction at the start.
    ///
    /// # Errors
    /// Those of [`Parameters::new`].
    pub fn new(
        scope: &Scope<'_>,
        dims: i64,
        context: Option<i64>,
        network: Option<&NetworkConfig>,
    ) -> Result<Self> {
        let options = (Kind::Double, Device::Cpu);
        let w = with_seed(scope.seed("w"), || Tensor::f_randn([dims], options))?;
        let (v, b) = (Tensor::f_zeros([dims], options)?, Tensor::f_zeros([1], options)?);
        let start = Tensor::f_cat(&[v, w / (dims.max(1) as f64).sqrt(), b], 0)?;
        Ok(Self { shape: [dims], parameters: Parameters::new(scope, &start, context, network)? })
    }

    fn plane(&self, rows: i64, context: Option<&Tensor>) -> Result<Plane> {
        let dims = self.shape[0];
        let raw = self.parameters.get(rows, context)?;
        let (v, w) = (raw.f_narrow(1, 0, dims)?, raw.f_narrow(1, dims, dims)?);
        let product = sum_last(&(&v * &w), true)?;
        let wanted = safe::softplus(&product)? - 1.0;
        let square = sum_last(&w.f_square()?, true)? + 1e-12;
        let u = v + (wanted - product) * &w / square;
        let along = sum_last(&(&u * &w), false)?;
        Ok(Plane { u, w, bias: raw.f_select(1, 2 * dims)?, along })
    }
}

impl Bijection for Planar {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.parameters.context_shape()
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let plane = self.plane(x.size()[0], context)?;
        let a = sum_last(&(x * &plane.w), false)? + &plane.bias;
        let value = x + &plane.u * a.f_tanh()?.f_unsqueeze(-1)?;
        Ok(Mapped { value, log_det: log1p_above(&(plane.along * tanh_slope(&a)?))? })
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let Plane { u, w, bias, along } = self.plane(z.size()[0], context)?;
        let target = sum_last(&(z * &w), false)?;
        // a + wᵀu tanh(a + b) = wᵀz for a = wᵀx.
        let f = |a: &Tensor| -> Result<Tensor> { Ok(a + &along * (a + &bias).f_tanh()?) };
        let reach = along.f_abs()?;
        let root = bisect(&(&target - &reach), &(&target + &reach), &target, f)?;
        let a = polish(&root, |a| {
            let slope = &along * tanh_slope(&(a + &bias))? + 1.0;
            Ok(a.f_sub(&((f(a)? - &target) / slope))?)
        })? + &bias;
        let value = z - u * a.f_tanh()?.f_unsqueeze(-1)?;
        Ok(Mapped { value, log_det: -log1p_above(&(along * tanh_slope(&a)?))? })
    }
}
