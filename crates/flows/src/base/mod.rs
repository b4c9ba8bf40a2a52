//! Base distributions, and other densities with closed forms; those with a network are conditional
//! densities.

mod config;
mod density_mixture;
mod full_normal;
mod location_scale;
mod mixture;
mod normal;
mod product;
mod resampled;
mod truncated_normal;
mod uniform;
mod von_mises;

pub use config::{BaseConfig, PartConfig};
pub use density_mixture::DensityMixture;
pub use full_normal::FullNormal;
pub use location_scale::{Family, LocationScale};
pub use mixture::NormalMixture;
pub use normal::DiagonalNormal;
pub use product::Product;
pub use resampled::Resampled;
pub use truncated_normal::TruncatedNormal;
pub use uniform::UniformBox;
pub use von_mises::VonMises;

use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// `½ ln 2π`.
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// Sums all event dimensions of `[B, event…]`.
fn sum_events(x: &Tensor) -> Result<Tensor> {
    let size = x.size();
    let count: i64 = size[1..].iter().product();
    Ok(x.f_reshape([size[0], count])?.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?)
}

/// The shape `[count, event…]`.
fn batched(count: i64, event: &[i64]) -> Vec<i64> {
    let mut shape = vec![count];
    shape.extend_from_slice(event);
    shape
}
