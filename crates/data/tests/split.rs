use maxlik_data::{Dataset, Split};
use ndarray::Array2;
use proptest::prelude::*;

proptest! {
    #[test]
    fn parts_are_disjoint_and_complete(
        rows in 1_usize..300, validation in 0_usize..150, test in 0_usize..150, seed: u64,
    ) {
        let split = Split::counts(rows, validation, test, seed);
        if validation + test >= rows {
            prop_assert!(split.is_err());
            return Ok(());
        }
        let split = split.unwrap();
        prop_assert_eq!(split.validation.len(), validation);
        prop_assert_eq!(split.test.len(), test);
        let mut all = [split.train, split.validation, split.test].concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..rows).collect::<Vec<_>>());
    }
}

#[test]
fn fractions_round_down_to_rows() {
    let split = Split::fractions(10, 0.1, 0.29, 3).unwrap();
    assert_eq!((split.validation.len(), split.test.len()), (1, 2));
    assert_eq!(split, Split::counts(10, 1, 2, 3).unwrap());
    assert_ne!(split, Split::counts(10, 1, 2, 4).unwrap());
    // 0.7 * 10 and 0.1 * 3 are not exact in binary.
    assert_eq!(Split::fractions(10, 0.7, 0.1, 0).unwrap().validation.len(), 7);
}

#[test]
fn bad_requests_say_what_is_wrong() {
    let error = Split::fractions(10, 1.5, 0.1, 0).unwrap_err().to_string();
    assert_eq!(error, "split.validation: expected a fraction of [0, 1), got 1.5");
    let error = Split::fractions(10, 0.1, f64::NAN, 0).unwrap_err().to_string();
    assert!(error.starts_with("split.test"), "{error}");
    let error = Split::counts(4, 2, 2, 0).unwrap_err().to_string();
    assert!(error.contains("4 rows cannot give 2 to validation and 2 to test"), "{error}");
    assert!(Split::counts(4, usize::MAX, 2, 0).is_err());
}

#[test]
fn parts_keep_rows_and_labels_together() {
    let rows = Array2::from_shape_fn((20, 2), |(i, j)| (10 * i + j) as f64);
    let data = Dataset::new("d", rows)
        .unwrap()
        .with_labels((0..20).collect())
        .unwrap()
        .with_weights((0..20).map(f64::from).collect())
        .unwrap();
    let parts = Split::counts(20, 5, 5, 1).unwrap().apply(&data).unwrap();
    for part in [&parts.train, &parts.validation, &parts.test] {
        for (i, &label) in part.labels().unwrap().iter().enumerate() {
            assert_eq!(part.rows()[[i, 0]], 10.0 * label as f64);
            assert_eq!(part.weights().unwrap()[i], label as f64);
        }
    }
    let ordered = Split::in_order(20, 5, 5).unwrap().apply(&data).unwrap();
    assert_eq!(ordered.test.labels().unwrap(), [15, 16, 17, 18, 19]);
    assert_eq!(ordered.validation.labels().unwrap(), [10, 11, 12, 13, 14]);
    assert!(data.select(&[20]).is_err());
}
