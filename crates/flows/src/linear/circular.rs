//! Convolutions with periodic padding.

use super::each_row;
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::{Error, Result, logdet};
use tch::{Kind, Tensor};

/// `z = k ∗ x` on images `[C, H, W]` with periodic padding and a trained kernel `[C, C, k_h, k_w]` of
/// odd size (Hoogeboom et al. 2019, "Emerging convolutions", arXiv:1901.11137, section 3.2: periodic
/// convolutions; Karami et al. 2019, "Invertible convolutional flow").
///
/// `ln |det| = Σ_f ln |det K̂(f)|` over the frequencies; the inverse divides by the matrix `K̂(f)`.
/// Starts near the identity; nothing keeps it away from singular kernels.
#[derive(Debug)]
pub struct CircularConvolution {
    shape: [i64; 3],
    size: [i64; 2],
    kernel: Tensor,
}

/// LibTorch's batched LU is not safe on the CPU for larger matrices.
const MOST_CHANNELS: i64 = 128;

impl CircularConvolution {
    /// A convolution near the identity on images of this shape.
    ///
    /// # Errors
    /// [`Error::Config`] for a kernel of even size or larger than the image, or too many channels.
    pub fn new(scope: &Scope<'_>, shape: [i64; 3], size: [i64; 2]) -> Result<Self> {
        let [channels, height, width] = shape;
        check_kernel(size)?;
        if size[0] > height || size[1] > width {
            let why = format!("expected a size within the image {height}×{width}, got {size:?}");
            return Err(Error::config("kernel", why));
        }
        if channels > MOST_CHANNELS {
            let why = format!("expected at most {MOST_CHANNELS} channels, got {channels}");
            return Err(Error::config("shape", why));
        }
        let std = 0.1 / ((channels * size[0] * size[1]).max(1) as f64).sqrt();
        let kernel =
            scope.param("kernel", &[channels, channels, size[0], size[1]], Init::Normal(std))?;
        Ok(Self { shape, size, kernel })
    }

    /// The identity plus the trained part.
    fn kernel(&self) -> Result<Tensor> {
        add_center(&self.kernel, &identity(&self.kernel)?)
    }

    fn spectrum(&self) -> Result<Tensor> {
        let [channels, height, width] = self.shape;
        let [kh, kw] = self.size;
        // z[p] = Σ_q k[q] x[p + q − o] is the convolution with the kernel flipped about its centre.
        let flipped = self.kernel()?.f_flip([2_i64, 3].as_slice())?;
        let padding = [0, width - kw, 0, height - kh];
        let padded = flipped.f_pad(padding.as_slice(), "constant", 0.0)?;
        let centred = padded.f_roll([-(kh / 2), -(kw / 2)].as_slice(), [2_i64, 3].as_slice())?;
        let dims = [-2_i64, -1];
        let spectrum = centred.f_fft_fft2(None::<i64>, dims.as_slice(), "backward")?;
        let flat = spectrum.f_reshape([channels, channels, height * width])?;
        Ok(flat.f_permute([2_i64, 0, 1].as_slice())?)
    }

    fn log_det(&self, x: &Tensor) -> Result<Tensor> {
        let one = logdet::circular_convolution(&self.kernel()?, &self.shape[1..])?;
        each_row(&one, x)
    }
}

impl CircularConvolution {
    fn value(&self, x: &Tensor) -> Result<Tensor> {
        if x.size()[0] == 0 {
            return Ok(x.shallow_clone());
        }
        let (ph, pw) = (self.size[0] / 2, self.size[1] / 2);
        let padded = x.f_pad([pw, pw, ph, ph].as_slice(), "circular", None::<f64>)?;
        let (one, none) = ([1_i64, 1], [0_i64, 0]);
        Ok(padded.f_conv2d(
            &self.kernel()?,
            None::<Tensor>,
            one.as_slice(),
            none.as_slice(),
            one.as_slice(),
            1,
        )?)
    }
}

impl Bijection for CircularConvolution {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Ok(Mapped { value: self.value(x)?, log_det: self.log_det(x)? })
    }

    fn map_unnormalized(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.value(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let log_det = -self.log_det(z)?;
        let [channels, height, width] = self.shape;
        let rows = z.size()[0];
        if rows == 0 {
            return Ok(Mapped { value: z.shallow_clone(), log_det });
        }
        let dims = [-2_i64, -1];
        let there = z.f_fft_fft2(None::<i64>, dims.as_slice(), "backward")?;
        let there = there.f_reshape([rows, channels, height * width])?;
        let there = there.f_permute([2_i64, 1, 0].as_slice())?;
        let back = Tensor::f_linalg_solve(&self.spectrum()?, &there, true)?;
        let back = back.f_permute([2_i64, 1, 0].as_slice())?;
        let back = back.f_reshape([rows, channels, height, width])?;
        let value = back.f_fft_ifft2(None::<i64>, dims.as_slice(), "backward")?.f_real()?;
        Ok(Mapped { value: value.f_contiguous()?, log_det })
    }
}

/// Checks that both sizes are odd.
pub(super) fn check_kernel(size: [i64; 2]) -> Result<()> {
    if size.iter().all(|&k| k > 0 && k % 2 == 1) {
        return Ok(());
    }
    Err(Error::config("kernel", format!("expected two odd sizes, got {size:?}")))
}

/// The identity of the kernel's channels.
pub(super) fn identity(kernel: &Tensor) -> Result<Tensor> {
    let options = (Kind::Double, kernel.device());
    Ok(Tensor::f_eye(kernel.size()[0], options)?.f_to_kind(kernel.kind())?)
}

/// The kernel `[C, C, k_h, k_w]` with a matrix `[C, C]` added in its centre.
pub(super) fn add_center(kernel: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let &[_, _, kh, kw] = kernel.size().as_slice() else {
        return Err(Error::shape("kernel", "[C, C, k_h, k_w]", &kernel.size()));
    };
    let (ph, pw) = (kh / 2, kw / 2);
    let centre = matrix.f_unsqueeze(-1)?.f_unsqueeze(-1)?;
    Ok(kernel.f_add(&centre.f_pad([pw, pw, ph, ph].as_slice(), "constant", 0.0)?)?)
}
