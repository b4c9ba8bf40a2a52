//! Emerging convolutions.

use super::circular::{add_center, check_kernel};
use super::each_row;
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::{Result, logdet};
use tch::{Kind, Tensor};

/// `z = k₂ ∗ (k₁ ∗ x)` on images `[C, H, W]` with zero padding that keeps the size: `k₁` sees only
/// places before the centre in reading order, `k₂` only those after it; their centres are lower and
/// upper triangular in the channels with the diagonals `e^{a₁}` and `e^{a₂}`. Together they see the
/// whole surroundings (Hoogeboom et al. 2019, "Emerging convolutions", arXiv:1901.11137, section 3.1).
///
/// Both are triangular in the order (place, channel): `ln |det| = H W Σ (a₁ + a₂)`. The inverse solves
/// with their dense triangular matrices, which takes `(C H W)²` numbers of memory. Starts at the
/// identity.
#[derive(Debug)]
pub struct EmergingConvolution {
    shape: [i64; 3],
    first: Half,
    second: Half,
}

/// One of the two autoregressive convolutions.
#[derive(Debug)]
struct Half {
    kernel: Tensor,
    log_diagonal: Tensor,
    /// Ones where the kernel is free.
    mask: Tensor,
    /// Whether it sees places before the centre.
    before: bool,
}

impl Half {
    fn new(scope: &Scope<'_>, channels: i64, size: [i64; 2], before: bool) -> Result<Self> {
        let [kh, kw] = size;
        let options = (Kind::Double, scope.device());
        let places = kh * kw;
        let order = Tensor::f_arange(places, options)?.f_view([1, 1, kh, kw])?;
        let centre = (places / 2) as f64;
        let (seen, middle) = if before {
            (order.f_lt(centre)?, Tensor::f_ones([channels, channels], options)?.f_tril(-1)?)
        } else {
            (order.f_gt(centre)?, Tensor::f_ones([channels, channels], options)?.f_triu(1)?)
        };
        let seen = seen.f_to_kind(Kind::Double)?.f_expand([channels, channels, kh, kw], false)?;
        let shape = [channels, channels, kh, kw];
        Ok(Self {
            kernel: scope.param("kernel", &shape, Init::Constant(0.0))?,
            log_diagonal: scope.param("log_diagonal", &[channels], Init::Constant(0.0))?,
            mask: add_center(&seen, &middle)?.f_to_kind(scope.kind())?,
            before,
        })
    }

    fn kernel(&self) -> Result<Tensor> {
        let diagonal = self.log_diagonal.f_exp()?.f_diag_embed(0, -2, -1)?;
        add_center(&(&self.kernel * &self.mask), &diagonal)
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let kernel = self.kernel()?;
        let padding = [kernel.size()[2] / 2, kernel.size()[3] / 2];
        let one = [1_i64, 1];
        Ok(x.f_conv2d(
            &kernel,
            None::<Tensor>,
            one.as_slice(),
            padding.as_slice(),
            one.as_slice(),
            1,
        )?)
    }

    /// The inverse by a triangular solve with places before channels.
    fn solve(&self, z: &Tensor, [channels, height, width]: [i64; 3]) -> Result<Tensor> {
        let (places, dims) = (height * width, channels * height * width);
        let rows = z.size()[0];
        let matrix = logdet::toeplitz(&self.kernel()?, height, width)?;
        let matrix = matrix.f_reshape([channels, places, channels, places])?;
        let matrix = matrix.f_permute([1_i64, 0, 3, 2].as_slice())?.f_reshape([dims, dims])?;
        let columns = z.f_reshape([rows, channels, places])?.f_permute([2_i64, 1, 0].as_slice())?;
        let columns = columns.f_reshape([dims, rows])?;
        let solved =
            Tensor::f_linalg_solve_triangular(&matrix, &columns, !self.before, true, false)?;
        let solved = solved.f_reshape([places, channels, rows])?;
        let solved = solved.f_permute([2_i64, 1, 0].as_slice())?;
        Ok(solved.f_reshape([rows, channels, height, width])?)
    }
}

impl EmergingConvolution {
    /// The identity on images of this shape, with kernels of this size.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for a kernel of even size.
    pub fn new(scope: &Scope<'_>, shape: [i64; 3], size: [i64; 2]) -> Result<Self> {
        check_kernel(size)?;
        Ok(Self {
            shape,
            first: Half::new(&scope.sub("first"), shape[0], size, true)?,
            second: Half::new(&scope.sub("second"), shape[0], size, false)?,
        })
    }

    fn log_det(&self, x: &Tensor) -> Result<Tensor> {
        let sum = self.first.log_diagonal.f_add(&self.second.log_diagonal)?;
        let places = (self.shape[1] * self.shape[2]) as f64;
        each_row(&(sum.f_sum(None::<Kind>)? * places), x)
    }
}

impl EmergingConvolution {
    fn value(&self, x: &Tensor) -> Result<Tensor> {
        self.second.apply(&self.first.apply(x)?)
    }
}

impl Bijection for EmergingConvolution {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let value = self.value(x)?;
        Ok(Mapped { value, log_det: self.log_det(x)? })
    }

    fn map_unnormalized(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.value(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let value = self.first.solve(&self.second.solve(z, self.shape)?, self.shape)?;
        Ok(Mapped { value, log_det: -self.log_det(z)? })
    }
}
