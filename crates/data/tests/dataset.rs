use maxlik_data::Dataset;
use ndarray::{Array2, array};

fn small() -> Dataset<f64> {
    Dataset::new("small", array![[0.0, 1.0], [2.0, 3.0], [4.0, 2.0]]).unwrap()
}

#[track_caller]
fn check(result: maxlik_data::Result<Dataset<f64>>, message: &str) {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => assert_eq!(error.to_string(), message),
    }
}

#[test]
fn non_finite_values_are_refused_with_their_place() {
    check(
        Dataset::new("d", array![[0.0, 1.0], [2.0, f64::NAN]]),
        "d: row 2, column `x1`: expected a finite number, got NaN",
    );
    check(
        small().with_context(array![[0.0], [f64::INFINITY], [1.0]]),
        "small, context: row 2, column `x0`: expected a finite number, got inf",
    );
}

#[test]
fn parts_must_fit() {
    check(small().with_columns(vec![]), "small, columns: expected 2, got 0");
    check(small().with_event_shape(&[1, 3]), "small, event shape: expected 2, got 3");
    check(small().with_labels(vec![1]), "small, labels: expected 3, got 1");
    check(small().with_weights(vec![1.0]), "small, weights: expected 3, got 1");
    check(
        small().with_weights(vec![1.0, -1.0, 0.0]),
        "small, weight: expected a finite number of at least 0, got -1 in row 2",
    );
    check(
        small().with_levels(5).unwrap().with_levels(3),
        "small, levels: expected an integer of 0..3, got 3 in row 2, column `x1`",
    );
    check(
        Dataset::new("half", array![[0.5]]).unwrap().with_levels(3),
        "half, levels: expected an integer of 0..3, got 0.5 in row 1, column `x0`",
    );
    check(
        Dataset::new("none", Array2::zeros((3, 0))),
        "none: expected at least one column, got none",
    );
}

#[test]
fn labels_become_context() {
    let data = small().with_labels(vec![2, 0, 1]).unwrap();
    let data = data.with_one_hot_context(3).unwrap();
    let expected = array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
    assert_eq!(data.context().unwrap(), expected);
    check(data.with_one_hot_context(2), "small, label: expected 0..2, got 2 in row 1");
    check(
        small().with_one_hot_context(2),
        "small, one-hot context: expected a data set with labels, got one without",
    );
}

#[test]
fn selected_rows_keep_everything() {
    let data = small().with_event_shape(&[1, 2]).unwrap();
    let data = data.with_labels(vec![5, 6, 7]).unwrap();
    let data = data.with_context(array![[0.1], [0.2], [0.3]]).unwrap();
    let data = data.with_levels(5).unwrap().select(&[2, 2, 0]).unwrap();
    assert_eq!(data.rows(), array![[4.0, 2.0], [4.0, 2.0], [0.0, 1.0]]);
    assert_eq!(data.labels().unwrap(), [7, 7, 5]);
    assert_eq!(data.context().unwrap(), array![[0.3], [0.3], [0.1]]);
    assert_eq!((data.levels(), data.event_shape()), (Some(5), &[1, 2][..]));
    // Other rows have other values: no levels, and another width has another shape.
    let other = data.with_rows(array![[0.5], [0.5], [0.5]], vec!["m".to_owned()]);
    let other = other.unwrap();
    assert_eq!((other.levels(), other.event_shape()), (None, &[1][..]));
}

#[test]
fn other_precisions_hold_the_same() {
    let data = small().with_labels(vec![5, 6, 7]).unwrap();
    let data = data.with_context(array![[0.1], [0.2], [0.3]]).unwrap();
    let data = data.with_weights(vec![0.5, 1.0, 2.0]).unwrap();
    let single = data.with_levels(5).unwrap().cast::<f32>().unwrap();
    assert_eq!(single.rows(), array![[0.0_f32, 1.0], [2.0, 3.0], [4.0, 2.0]]);
    assert_eq!(single.context().unwrap()[[1, 0]], 0.2_f32);
    assert_eq!(single.weights().unwrap(), [0.5, 1.0, 2.0]);
    assert_eq!((single.levels(), single.labels().unwrap().len()), (Some(5), 3));
    let wide = Dataset::new("wide", array![[1e300]]).unwrap();
    let error = wide.cast::<f32>().unwrap_err().to_string();
    assert_eq!(error, "wide: row 1, column `x0`: expected a finite number, got inf");
}
