//! Conditional flow matching.

use super::{Coupling, Path, batch_mean, rows_of, square_norm};
use maxlik_model::{Batch, Loss, Objective, VectorField};
use maxlik_tensor::{Error, Result, check};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// `E‖v(t, x_t) − u_t(x_t)‖²`, summed over the event and averaged over the batch, with `t` uniform on
/// `[0, 1)` (Lipman et al. 2023, arXiv:2210.02747, eq. 14; Tong et al. 2024, arXiv:2302.00482, eq. 10).
///
/// Its gradient is that of the regression on the marginal velocity, whose flow carries the source to
/// the data. The path and the coupling of its ends make the variants of the literature:
///
/// | constructor | path | coupling |
/// |---|---|---|
/// | [`FlowMatching::independent`] (I-CFM) | straight | independent |
/// | [`FlowMatching::optimal`] (OT-CFM) | straight | exact optimal transport in the batch |
/// | [`FlowMatching::schroedinger_bridge`] (SB-CFM) | Brownian bridge | entropic, `ε = 2σ²` |
/// | [`FlowMatching::target`] (Lipman et al.) | from one normal to a narrow one at the data | independent |
/// | [`FlowMatching::variance_preserving`] | trigonometric | independent |
/// | [`FlowMatching::rectified`] | straight, no noise | independent; then the pairs of [`super::reflow`] |
///
/// As an [`Objective`] it takes the standard normal as its source; [`FlowMatching::loss_between`]
/// takes any. Where a batch has a context, points are paired within equal contexts (see
/// [`Coupling::pair`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowMatching {
    path: Path,
    coupling: Coupling,
}

/// The random numbers of one evaluation.
#[derive(Debug)]
pub struct Draws {
    /// Times, `[B]`.
    pub t: Tensor,
    /// The start of each row's path, of the shape of the data.
    pub source: Tensor,
    /// Noise, of the shape of the data.
    pub noise: Tensor,
}

/// [`FlowMatching`] in a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "variant", rename_all = "snake_case", deny_unknown_fields)]
pub enum FlowMatchingConfig {
    /// [`FlowMatching::independent`].
    Independent {
        /// Noise around the path.
        #[serde(default)]
        sigma: f64,
    },
    /// [`FlowMatching::optimal`].
    Optimal {
        /// Noise around the path.
        #[serde(default)]
        sigma: f64,
    },
    /// [`FlowMatching::schroedinger_bridge`].
    SchroedingerBridge {
        /// Diffusion of the bridge.
        sigma: f64,
    },
    /// [`FlowMatching::target`].
    Target {
        /// Standard deviation around the data.
        sigma: f64,
    },
    /// [`FlowMatching::variance_preserving`].
    VariancePreserving {
        /// Noise around the path.
        #[serde(default)]
        sigma: f64,
    },
    /// [`FlowMatching::rectified`].
    Rectified {},
    /// Any path with any coupling.
    Custom {
        /// The path.
        path: Path,
        /// The coupling.
        coupling: Coupling,
    },
}

impl FlowMatchingConfig {
    /// The objective.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that cannot be used.
    pub fn build(self) -> Result<FlowMatching> {
        match self {
            Self::Independent { sigma } => FlowMatching::independent(sigma),
            Self::Optimal { sigma } => FlowMatching::optimal(sigma),
            Self::SchroedingerBridge { sigma } => FlowMatching::schroedinger_bridge(sigma),
            Self::Target { sigma } => FlowMatching::target(sigma),
            Self::VariancePreserving { sigma } => FlowMatching::variance_preserving(sigma),
            Self::Rectified {} => FlowMatching::rectified(),
            Self::Custom { path, coupling } => FlowMatching::new(path)?.coupled(coupling),
        }
    }
}

impl FlowMatching {
    /// Flow matching along this path, with independent pairs.
    ///
    /// # Errors
    /// [`Error::Config`] for a path that [`Path::check`] refuses.
    pub fn new(path: Path) -> Result<Self> {
        path.check()?;
        Ok(Self { path, coupling: Coupling::Independent {} })
    }

    /// The same with another coupling.
    ///
    /// # Errors
    /// [`Error::Config`] for a coupling that [`Coupling::check`] refuses.
    pub fn coupled(self, coupling: Coupling) -> Result<Self> {
        coupling.check()?;
        Ok(Self { coupling, ..self })
    }

    /// I-CFM: straight paths between independent ends (Tong et al. 2024, sec. 3.2.2).
    ///
    /// # Errors
    /// [`Error::Config`] for a negative `sigma`.
    pub fn independent(sigma: f64) -> Result<Self> {
        Self::new(Path::Straight { sigma })
    }

    /// OT-CFM: straight paths between optimally paired ends, which cross as little as they can (Tong
    /// et al. 2024, sec. 3.2.3).
    ///
    /// # Errors
    /// [`Error::Config`] for a negative `sigma`.
    pub fn optimal(sigma: f64) -> Result<Self> {
        Self::new(Path::Straight { sigma })?.coupled(Coupling::Optimal {})
    }

    /// SB-CFM: Brownian bridges between entropically paired ends, whose marginals are those of the
    /// Schrödinger bridge of diffusion `sigma` (Tong et al. 2024, sec. 3.2.4, proposition 3.5).
    ///
    /// # Errors
    /// [`Error::Config`] for a `sigma` that is not positive.
    pub fn schroedinger_bridge(sigma: f64) -> Result<Self> {
        let epsilon = 2.0 * sigma * sigma;
        Self::new(Path::Bridge { sigma })?.coupled(Coupling::Entropic { epsilon })
    }

    /// Flow matching with optimal-transport paths from the standard normal to `N(x₁, σ² I)` (Lipman
    /// et al. 2023, example II).
    ///
    /// # Errors
    /// [`Error::Config`] for a `sigma` that is not positive.
    pub fn target(sigma: f64) -> Result<Self> {
        Self::new(Path::Target { sigma })
    }

    /// The trigonometric interpolant between independent ends (Albergo and Vanden-Eijnden 2023,
    /// arXiv:2209.15571).
    ///
    /// # Errors
    /// [`Error::Config`] for a negative `sigma`.
    pub fn variance_preserving(sigma: f64) -> Result<Self> {
        Self::new(Path::VariancePreserving { sigma })
    }

    /// Rectified flow: straight paths without noise (Liu, Gong and Liu 2023, arXiv:2209.03003, eq.
    /// 1). For the next rectification give [`FlowMatching::loss_between`] the pairs of
    /// [`super::reflow`].
    ///
    /// # Errors
    /// None.
    pub fn rectified() -> Result<Self> {
        Self::new(Path::Straight { sigma: 0.0 })
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> Path {
        self.path
    }

    /// The coupling.
    #[must_use]
    pub fn coupling(&self) -> Coupling {
        self.coupling
    }

    /// Pairs `source` with the batch's data and draws times and noise, from LibTorch's generator.
    ///
    /// # Errors
    /// Those of [`Coupling::pair`].
    pub fn draw(&self, source: &Tensor, batch: &Batch) -> Result<Draws> {
        let data = &batch.data;
        let rows = rows_of(data)?;
        check::shape("source", source, &data.size())?;
        let mut t = Tensor::f_rand([rows], (data.kind(), data.device()))?;
        if matches!(self.path, Path::Bridge { .. }) {
            // The bridge's velocity grows like t^(−1/2) at both ends.
            t = t * 0.998 + 0.001;
        }
        let source = if self.coupling == (Coupling::Independent {}) {
            source.shallow_clone()
        } else {
            let index = self.coupling.pair(source, data, batch.context.as_ref())?;
            source.f_index_select(0, &index)?
        };
        let noise = match self.path {
            // This path starts at its own noise: both are one draw.
            Path::Target { .. } => source.shallow_clone(),
            // No noise is looked at.
            Path::Straight { sigma } | Path::VariancePreserving { sigma } if sigma == 0.0 => {
                source.shallow_clone()
            }
            _ => data.f_randn_like()?,
        };
        Ok(Draws { t, source, noise })
    }

    /// The loss between a sample of the source and the batch, of one shape, paired here.
    ///
    /// # Errors
    /// [`Error::Shape`] for a source of another shape or an empty batch, and those of the model and
    /// of [`Coupling::pair`].
    pub fn loss_between(
        &self,
        model: &dyn VectorField,
        source: &Tensor,
        batch: &Batch,
    ) -> Result<Loss> {
        if batch.weight.is_some() && self.coupling != (Coupling::Independent {}) {
            return Err(Error::unsupported("weights of rows that are coupled"));
        }
        let Draws { t, source, noise } = self.draw(source, batch)?;
        let each = self.loss_at(model, batch, &t, &source, &noise)?;
        Ok(Loss { value: batch_mean(&each, batch.weight.as_ref())?, metrics: Vec::new() })
    }

    /// The loss of each row, `[B]`, for given times `[B]`, source and noise of the shape of the data,
    /// each row of the source with its row of the data.
    ///
    /// # Errors
    /// [`Error::Shape`] for a source or a velocity of another shape, and those of the model.
    pub fn loss_at(
        &self,
        model: &dyn VectorField,
        batch: &Batch,
        t: &Tensor,
        source: &Tensor,
        noise: &Tensor,
    ) -> Result<Tensor> {
        let data = &batch.data;
        check::shape("source", source, &data.size())?;
        check::shape("noise", noise, &data.size())?;
        check::shape("t", t, &[rows_of(data)?])?;
        let point = self.path.at(t, source, data, noise)?;
        let velocity = model.velocity(t, &point.x, batch.context.as_ref())?;
        check::shape("velocity", &velocity, &data.size())?;
        square_norm(&velocity.f_sub(&point.velocity)?)
    }
}

impl Objective<dyn VectorField> for FlowMatching {
    fn loss(&self, model: &(dyn VectorField + 'static), batch: &Batch) -> Result<Loss> {
        rows_of(&batch.data)?;
        self.loss_between(model, &batch.data.f_randn_like()?, batch)
    }
}
