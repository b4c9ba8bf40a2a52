//! Means, standard errors and bits per dimension against closed forms.

use maxlik_model::{Batch, Density};
use maxlik_tensor::Result;
use maxlik_train::{Estimate, evaluate};
use std::f64::consts::{LN_2, TAU};
use tch::Tensor;

/// The standard normal density of the plane.
#[derive(Debug)]
struct Normal;

impl Density for Normal {
    fn event_shape(&self) -> &[i64] {
        &[2]
    }

    fn log_density(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x.square().sum_dim_intlist(1, false, None) * -0.5 - TAU.ln())
    }

    fn draw(&self, count: i64, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(Tensor::randn([count, 2], (tch::Kind::Double, tch::Device::Cpu)))
    }
}

#[test]
fn the_nll_is_the_mean_over_all_samples_of_uneven_batches() {
    let batch = |rows: &[f64]| Ok(Batch::new(Tensor::from_slice(rows).reshape([-1, 2])));
    let batches = || vec![batch(&[0.0, 0.0, 1.0, 1.0, 2.0, 0.0]), batch(&[0.0, 1.0]), batch(&[])];
    let each = evaluate::nll_of_each(&Normal, batches()).unwrap();
    let expected = [0.0, 1.0, 2.0, 0.5].map(|half| half + TAU.ln());
    assert_eq!(each, expected);
    let estimate = evaluate::nll(&Normal, batches()).unwrap();
    assert!((estimate.mean - (0.875 + TAU.ln())).abs() < 1e-12);
    // Squared deviations 49/64, 1/64, 81/64, 9/64 sum to 140/64; variance 140/192, over 4.
    assert!((estimate.standard_error - (140.0 / 192.0 / 4.0_f64).sqrt()).abs() < 1e-12);
    assert_eq!(estimate.count, 4);
}

/// A density of `y = x/17` that is uniform on `[0, 1]^64` has NLL 0 and `log2 17` bits per dimension.
#[test]
fn the_offset_of_scaled_data_gives_the_bits_of_the_uniform_density() {
    let estimate = Estimate::of("NLL", &[0.0, 0.0]).unwrap();
    let bits = estimate.bits_per_dim(64, 64.0 * 17_f64.ln());
    assert!((bits.mean - 17_f64.log2()).abs() < 1e-12);
    let noisy = Estimate { mean: LN_2, standard_error: 2.0 * LN_2, count: 9 }.bits_per_dim(2, 0.0);
    assert_eq!((noisy.mean, noisy.standard_error), (0.5, 1.0));
    assert_eq!(format!("{noisy:.2}"), "0.50 ± 1.00");
}

#[test]
fn no_values_and_values_that_are_not_finite_are_named() {
    let error = |values: &[f64]| Estimate::of("NLL", values).unwrap_err().to_string();
    assert_eq!(error(&[]), "NLL: expected shape at least one value, got none");
    assert_eq!(error(&[1.0, f64::INFINITY]), "NLL of sample 1 is not finite");
    assert_eq!(Estimate::of("NLL", &[3.0]).unwrap().standard_error, 0.0);
}
