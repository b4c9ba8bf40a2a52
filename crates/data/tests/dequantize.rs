use maxlik_data::{Dataset, Dequantize, Scalar, Stream, Transform, bits_per_dim, digits, quantize};
use ndarray::Array2;
use proptest::prelude::*;

fn levels_come_back<T: Scalar>(levels: u32, seed: u64) -> Result<(), TestCaseError> {
    let shape = (4, levels as usize);
    let rows = Array2::from_shape_fn(shape, |(_, j)| T::from_f64(j as f64));
    let data = Dataset::new("d", rows).unwrap().with_levels(levels).unwrap();
    let map = Dequantize::new(levels).unwrap();
    let unit = map.dataset(&data, seed).unwrap();
    for y in unit.rows() {
        prop_assert!(y.to_f64() > 0.0 && y.to_f64() < 1.0);
    }
    let back = quantize(unit.rows(), levels).unwrap();
    prop_assert_eq!(back.mapv(|v| T::from_f64(f64::from(v))), data.rows());
    prop_assert_eq!(unit.levels(), None);
    Ok(())
}

proptest! {
    #[test]
    fn levels_come_back_in_both_precisions(levels in 2_u32..=256, seed: u64) {
        levels_come_back::<f32>(levels, seed)?;
        levels_come_back::<f64>(levels, seed)?;
    }
}

/// Single precision rounds `16 + u` up to 17 about once in a million: it has to be seen to.
#[test]
fn the_last_level_stays_below_one() {
    let map = Dequantize::new(65536).unwrap();
    let mut row = vec![65535.0_f32; 100_000];
    map.apply(&mut row, 0, &mut Stream::new(0, "edge").rng(0));
    assert!(row.iter().all(|&y| y < 1.0));
    let largest = row.iter().copied().fold(0.0, f32::max);
    assert_eq!(largest, 1.0_f32.next_down());
}

#[test]
fn the_noise_is_uniform() {
    let map = Dequantize::new(4).unwrap();
    let mut row = vec![2.0_f64; 100_000];
    map.apply(&mut row, 0, &mut Stream::new(0, "noise").rng(0));
    let u: Vec<f64> = row.iter().map(|y| 4.0 * y - 2.0).collect();
    let mean = u.iter().sum::<f64>() / 1e5;
    let square = u.iter().map(|u| u * u).sum::<f64>() / 1e5;
    assert!((mean - 0.5).abs() < 4.0 * (1.0 / 12.0 / 1e5_f64).sqrt());
    assert!((square - 1.0 / 3.0).abs() < 4.0 * (4.0 / 45.0 / 1e5_f64).sqrt());
}

#[test]
fn bits_per_dim_has_the_exact_constant() {
    // The uniform density on the unit cube: log2 of the number of levels.
    assert!((bits_per_dim(0.0, 64, 17) - 17_f64.log2()).abs() < 1e-15);
    // A model that gives each of 64 binary pixels probability 1/4: 2 bits each; its density on the
    // unit interval is 1/4 · 2 there.
    let nll = -64.0 * 0.5_f64.ln();
    assert!((bits_per_dim(nll, 64, 2) - 2.0).abs() < 1e-12);
}

#[test]
fn draws_are_fixed_by_seed_and_row() {
    let data = digits::dataset::<f64>().unwrap();
    let map = Dequantize::new(17).unwrap();
    let whole = map.dataset(&data, 5).unwrap();
    assert_eq!(whole, map.dataset(&data, 5).unwrap());
    assert_ne!(whole, map.dataset(&data, 6).unwrap());
    let part = map.dataset(&data.select(&[0, 1]).unwrap(), 5).unwrap();
    assert_eq!(part.rows(), whole.rows().slice(ndarray::s![..2, ..]));
    assert_eq!(whole.event_shape(), [1, 8, 8]);
}

#[test]
fn wrong_levels_are_refused() {
    assert!(Dequantize::new(1).is_err() && Dequantize::new(65537).is_err());
    let data = digits::dataset::<f64>().unwrap();
    let error = Dequantize::new(16).unwrap().dataset(&data, 0).unwrap_err();
    assert_eq!(error.to_string(), "digits, levels: expected 16, got 17");
    assert!(quantize(data.rows(), 257).is_err());
}
