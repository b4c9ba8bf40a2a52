//! Densities on a learned manifold, from an encoder and a decoder of any architecture.

use crate::{BaseConfig, NetworkConfig};
use maxlik_model::{Density, InjectiveDensity, Reconstruct};
use maxlik_nn::{MlpConfig, Network, Scope};
use maxlik_tensor::autograd::{Graph, gradient, jvp_of, leaf, recorded};
use maxlik_tensor::{Error, Result, check, logdet};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Shape of an [`Injective`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InjectiveConfig {
    /// Dimension of the manifold.
    pub latent: i64,
    /// Encoder from data to latents.
    pub encoder: NetworkConfig,
    /// Decoder from latents to data. Its activation should be smooth: the density depends on its
    /// derivative.
    pub decoder: NetworkConfig,
    /// Density of latents.
    pub base: BaseConfig,
}

impl Default for InjectiveConfig {
    fn default() -> Self {
        let activation = maxlik_nn::Activation::Silu;
        let network = NetworkConfig::Mlp(MlpConfig { activation, ..MlpConfig::default() });
        let base = BaseConfig::default();
        Self { latent: 2, encoder: network.clone(), decoder: network, base }
    }
}

impl InjectiveConfig {
    /// The density of data `[dims]` with a context of this size.
    ///
    /// # Errors
    /// [`Error::Config`] for a latent that does not fit, and those of networks and base.
    pub fn build(&self, scope: &Scope<'_>, dims: i64, context: Option<i64>) -> Result<Injective> {
        let (latent, given) = (self.latent, context.unwrap_or(0));
        if latent < 1 || latent > dims {
            let why = format!("expected 1 to {dims} dimensions, got {latent}");
            return Err(Error::config("latent", why));
        }
        let encoder = self.encoder.build(&scope.sub("encoder"), dims, given, latent)?;
        let decoder = self.decoder.build(&scope.sub("decoder"), latent, given, dims)?;
        Injective::new(
            dims,
            context,
            encoder,
            decoder,
            self.base.build(&scope.sub("base"), latent, context)?,
        )
    }
}

/// The free-form injective density (Sorrenson et al. 2023, "Lifting architectural constraints of
/// injective flows", arXiv:2306.01843): an encoder `f: R^D → R^d` and a decoder `g: R^d → R^D`, which
/// need not be invertible.
///
/// `ln p(x̂) = ln p_Z(z) − ½ ln det(Jᵀ J)` with `z = f(x)`, `x̂ = g(z)` and `J = g'(z)`: the density of
/// the projection `x̂` of `x` with respect to the volume of the manifold `g(R^d)`, in nats. It is the
/// density of `x` itself for points on the manifold where `g` undoes `f`. Values on different
/// manifolds are not comparable: the error of [`Injective::reconstruct`] belongs beside them.
#[derive(Debug)]
pub struct Injective {
    shape: [i64; 1],
    context: Option<[i64; 1]>,
    encoder: Box<dyn Network>,
    decoder: Box<dyn Network>,
    base: Box<dyn Density>,
}

impl Injective {
    /// The density of data `[dims]`; both networks see the context appended, where there is one, and
    /// the base where it takes one.
    ///
    /// # Errors
    /// [`Error::Config`] for a base on other than vectors, or one with another context.
    pub fn new(
        dims: i64,
        context: Option<i64>,
        encoder: Box<dyn Network>,
        decoder: Box<dyn Network>,
        base: Box<dyn Density>,
    ) -> Result<Self> {
        let context = context.map(|size| [size]);
        let given = context.as_ref().map(<[i64; 1]>::as_slice);
        let other = base.context_shape().is_some() && base.context_shape() != given;
        if base.event_shape().len() != 1 || other {
            let why = "expected a density of vectors, with the same context or none";
            return Err(Error::config("base", why));
        }
        Ok(Self { shape: [dims], context, encoder, decoder, base })
    }

    fn for_base<'c>(&self, context: Option<&'c Tensor>) -> Option<&'c Tensor> {
        self.base.context_shape().and(context)
    }

    /// `f(x)`: `[B, D] → [B, d]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for data or a context that do not fit.
    pub fn encode(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        check::batch_of("x", x, &self.shape)?;
        check::context(x, context, self.context_shape())?;
        self.encoder.forward(x, context)
    }

    /// `g(z)`: `[B, d] → [B, D]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for latents or a context that do not fit.
    pub fn decode(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        check::batch_of("z", z, self.base.event_shape())?;
        check::context(z, context, self.context_shape())?;
        self.decoder.forward(z, context)
    }

    /// `g(f(x))`: the projection of data to the manifold.
    ///
    /// # Errors
    /// As [`Injective::encode`].
    pub fn reconstruct(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.decode(&self.encode(x, context)?, context)
    }

    /// The decoder's Jacobian `[B, D, d]` at latents, by `d` products with unit vectors.
    ///
    /// Differentiable where the latents are.
    ///
    /// # Errors
    /// As [`Injective::decode`].
    pub fn decoder_jacobian(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        recorded(|| {
            let keeps = z.requires_grad();
            let z = if keeps { z.shallow_clone() } else { leaf(z)? };
            let value = self.decode(&z, context)?;
            let columns = (0..z.size()[1]).map(|j| {
                let unit = z.f_zeros_like()?;
                let _one = unit.f_select(1, j)?.f_fill_(1.0)?;
                jvp_of(&value, &z, &unit, if keeps { Graph::Differentiable } else { Graph::Keep })
            });
            let jacobian = Tensor::f_stack(&columns.collect::<Result<Vec<_>>>()?, 2)?;
            if keeps { Ok(jacobian) } else { Ok(jacobian.f_detach()?) }
        })
    }

    /// As [`Density::log_prob`], with `ln det(Jᵀ J)` estimated instead of formed: stochastic Lanczos
    /// quadrature (Ubaru, Chen and Saad 2017, SIAM J. Matrix Anal. 38) with probes `[K, B, d]` of unit
    /// covariance and `steps` Lanczos steps, each of one product with `J` and one with `Jᵀ`.
    ///
    /// Unbiased over the probes from `d` steps on, and exact for the probes `√d e_j`, `j = 1 … d`;
    /// with fewer steps the error falls geometrically, the faster the better `Jᵀ J` is conditioned. No
    /// gradient.
    ///
    /// # Errors
    /// [`Error::Shape`] for probes that do not fit, [`Error::Config`] for no steps.
    pub fn estimated_log_prob(
        &self,
        x: &Tensor,
        context: Option<&Tensor>,
        probes: &Tensor,
        steps: i64,
    ) -> Result<Tensor> {
        let z = self.encode(x, context)?.f_detach()?;
        let size = z.size();
        match probes.size().as_slice() {
            &[count, rows, dims] if count > 0 && [rows, dims] == *size.as_slice() => {}
            got => {
                return Err(Error::shape("probes", format!("[K, {}, {}]", size[0], size[1]), got));
            }
        }
        if steps < 1 {
            return Err(Error::config("steps", format!("expected at least 1, got {steps}")));
        }
        let log_det = recorded(|| {
            let z = leaf(&z)?;
            let value = self.decode(&z, context)?;
            let product = |v: &Tensor| {
                let there = jvp_of(&value, &z, v, Graph::Keep)?.f_detach()?;
                Ok(gradient(&value, Some(&there), &z, Graph::Keep)?.f_detach()?)
            };
            let each = probes.f_unbind(0)?;
            let each = each.iter().map(|probe| quadrature(&product, probe, steps.min(size[1])));
            let all = Tensor::f_stack(&each.collect::<Result<Vec<_>>>()?, 0)?;
            Ok(all.f_mean_dim([0_i64].as_slice(), false, None::<Kind>)?)
        })?;
        Ok(self
            .base
            .log_density(&z, self.for_base(context))?
            .f_detach()?
            .f_sub(&(log_det * 0.5))?)
    }
}

/// `vᵀ ln(A) v` for each row of a probe `v` `[B, d]` and a positive definite `A` given by its
/// products: Gauss quadrature from Lanczos' tridiagonal matrix, with full reorthogonalisation.
fn quadrature(
    product: &dyn Fn(&Tensor) -> Result<Tensor>,
    probe: &Tensor,
    steps: i64,
) -> Result<Tensor> {
    let dot = |a: &Tensor, b: &Tensor| -> Result<Tensor> {
        Ok(a.f_mul(b)?.f_sum_dim_intlist([1_i64].as_slice(), true, None::<Kind>)?)
    };
    let square = dot(probe, probe)?;
    let mut basis = vec![probe.f_div(&square.f_sqrt()?)?];
    let (mut alphas, mut betas): (Vec<Tensor>, Vec<Tensor>) = (Vec::new(), Vec::new());
    for step in 0..steps as usize {
        let mut next = product(&basis[step])?;
        alphas.push(dot(&next, &basis[step])?);
        // Twice: once leaves what rounding has spoilt.
        for vector in basis.iter().chain(&basis) {
            next = next.f_sub(&dot(&next, vector)?.f_mul(vector)?)?;
        }
        let beta = dot(&next, &next)?.f_sqrt()?;
        basis.push(next.f_div(&beta.f_clamp_min(1e-30)?)?);
        betas.push(beta);
    }
    let join = |columns: &[Tensor]| Tensor::f_cat(columns, 1);
    let mut tridiagonal = join(&alphas)?.f_diag_embed(0, 1, 2)?;
    if steps > 1 {
        let off = join(&betas[..steps as usize - 1])?;
        let (upper, lower) = (off.f_diag_embed(1, 1, 2)?, off.f_diag_embed(-1, 1, 2)?);
        tridiagonal = tridiagonal.f_add(&upper)?.f_add(&lower)?;
    }
    let (nodes, vectors) = tridiagonal.f_linalg_eigh("L")?;
    // Once the Krylov space is exhausted the nodes that follow are rounding, and have no weight.
    let logs = nodes.f_clamp_min(1e-30)?.f_log()?;
    let weights = vectors.f_select(1, 0)?.f_square()?;
    Ok(dot(&weights, &logs)?.f_mul(&square)?.f_squeeze_dim(1)?)
}

impl Density for Injective {
    fn event_shape(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_ref().map(<[i64; 1]>::as_slice)
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let z = self.encode(x, context)?;
        let jacobian = self.decoder_jacobian(&z, context)?;
        let gram = jacobian.f_transpose(1, 2)?.f_matmul(&jacobian)?;
        let log_det = logdet::positive_definite(&gram)?;
        Ok(self.base.log_density(&z, self.for_base(context))?.f_sub(&(log_det * 0.5))?)
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        self.decode(&self.base.draw(count, self.for_base(context))?, context)
    }
}

impl InjectiveDensity for Injective {
    fn encode(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.encode(x, context)
    }

    fn decode(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.decode(z, context)
    }

    fn latents(&self) -> &dyn Density {
        self.base.as_ref()
    }
}

impl Reconstruct for Injective {
    fn reconstruct(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.reconstruct(x, context)
    }
}
