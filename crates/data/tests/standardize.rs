use maxlik_data::{Dataset, OnConstant, Split, Standardizer, Stream, normal};
use ndarray::{Array2, Axis, array};
use proptest::prelude::*;

fn random(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut rng = Stream::new(seed, "rows").rng(0);
    Array2::from_shape_fn((rows, columns), |(_, j)| {
        1e3 * j as f64 + (j as f64 + 0.5) * normal(&mut rng)
    })
}

proptest! {
    #[test]
    fn columns_get_mean_0_and_deviation_1_and_come_back(
        rows in 2_usize..40, columns in 1_usize..6, seed: u64,
    ) {
        let data = Dataset::new("d", random(rows, columns, seed)).unwrap();
        let map = Standardizer::fit(&data, OnConstant::Refuse).unwrap();
        let z = map.forward(data.rows()).unwrap();
        for column in z.axis_iter(Axis(1)) {
            prop_assert!(column.mean().unwrap().abs() < 1e-9);
            prop_assert!((column.std(0.0) - 1.0).abs() < 1e-9);
        }
        let back = map.inverse(z.view()).unwrap();
        prop_assert!((&back - &data.rows()).iter().all(|d| d.abs() < 1e-9));
        let log_scale: f64 = data.rows().axis_iter(Axis(1)).map(|c| c.std(0.0).ln()).sum();
        prop_assert!((map.log_scale() - log_scale).abs() < 1e-9);
    }
}

/// For a normal density both sides of the change of variables are known in closed form.
#[test]
fn log_scale_gives_nats_in_original_units() {
    let data = Dataset::new("d", random(50, 3, 1)).unwrap();
    let map = Standardizer::fit(&data, OnConstant::Refuse).unwrap();
    let normal = |x: f64, mean: f64, sd: f64| {
        0.5 * ((x - mean) / sd).powi(2) + sd.ln() + 0.5 * std::f64::consts::TAU.ln()
    };
    let z = map.forward(data.rows()).unwrap();
    for (x, z) in data.rows().rows().into_iter().zip(z.rows()) {
        let parts = x.iter().zip(map.mean()).zip(map.sd());
        let original: f64 = parts.map(|((&x, m), s)| normal(x, m, s)).sum();
        let standardised: f64 = z.iter().map(|&z| normal(z, 0.0, 1.0)).sum();
        assert!((standardised + map.log_scale() - original).abs() < 1e-9);
    }
}

#[test]
fn only_the_training_part_is_looked_at() {
    let data = Dataset::new("d", random(30, 2, 2)).unwrap();
    let split = Split::in_order(30, 5, 5).unwrap();
    let (_, map) = split.apply(&data).unwrap().standardize(OnConstant::Refuse).unwrap();
    let mut rows = data.rows().to_owned();
    rows.slice_mut(ndarray::s![20.., ..]).fill(1e6);
    let changed = Dataset::new("d", rows).unwrap();
    let (parts, other) = split.apply(&changed).unwrap().standardize(OnConstant::Refuse).unwrap();
    assert_eq!(map, other);
    assert!(parts.test.rows().iter().all(|&v| v > 1e3));
}

#[test]
fn constant_columns_are_refused_or_dropped() {
    // 0.1 is not exact in binary: a mean by plain summation would differ from it.
    let rows = array![[1.0, 0.1, 5.0], [2.0, 0.1, 7.0], [3.0, 0.1, 6.0]];
    let names = ["a", "b", "c"].map(str::to_owned).to_vec();
    let data = Dataset::new("d", rows).unwrap().with_columns(names).unwrap();
    let error = Standardizer::fit(&data, OnConstant::Refuse).unwrap_err();
    assert_eq!(error.to_string(), "d: constant column `b`: no density exists there; drop it");
    let map = Standardizer::fit(&data, OnConstant::Drop).unwrap();
    assert_eq!(map.dropped(), ["b"]);
    let small = map.apply(data.clone()).unwrap();
    assert_eq!((small.columns(), small.dims()), (&["a", "c"].map(str::to_owned)[..], 2));
    assert_eq!(map.inverse(small.rows()).unwrap(), data.rows());

    let flat = Dataset::new("flat", Array2::from_elem((3, 2), 1.0)).unwrap();
    let error = Standardizer::fit(&flat, OnConstant::Drop).unwrap_err();
    assert!(error.to_string().contains("constant columns `x0`, `x1`"), "{error}");
}

#[test]
fn known_numbers_are_taken_back() {
    let data = Dataset::new("d", random(9, 2, 3)).unwrap();
    let map = Standardizer::fit(&data, OnConstant::Refuse).unwrap();
    let again = Standardizer::from_parts(&map.names(), &map.mean(), &map.sd()).unwrap();
    assert_eq!(map, again);
    assert!(Standardizer::from_parts(&map.names(), &[0.0], &map.sd()).is_err());
    let error = Standardizer::from_parts(&map.names(), &map.mean(), &[1.0, 0.0]).unwrap_err();
    assert!(error.to_string().contains("column `x1`"), "{error}");
    let error = map.forward(Array2::<f64>::zeros((1, 3)).view()).unwrap_err();
    assert_eq!(error.to_string(), "standardizer, x: expected 2 columns, got 3");
    let empty = Dataset::new("e", Array2::<f64>::zeros((0, 2))).unwrap();
    assert!(Standardizer::fit(&empty, OnConstant::Drop).is_err());
    let huge = Dataset::new("h", array![[1e300], [-1e300]]).unwrap();
    assert!(Standardizer::fit(&huge, OnConstant::Drop).is_err());
}

#[test]
fn single_precision_keeps_small_variation_far_from_zero() {
    let rows = Array2::from_shape_fn((100, 1), |(i, _)| 1e6 + (i % 2) as f32);
    let data = Dataset::new("d", rows).unwrap();
    let map = Standardizer::fit(&data, OnConstant::Refuse).unwrap();
    assert!((map.sd()[0] - 0.5).abs() < 1e-9);
    let z = map.forward(data.rows()).unwrap();
    assert!(z.iter().all(|v| (v.abs() - 1.0).abs() < 1e-6));
}
