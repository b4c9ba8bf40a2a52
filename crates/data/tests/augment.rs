use maxlik_data::{RandomShift, Stream, Transform, shift};
use std::collections::HashSet;

#[test]
fn pixels_move_and_the_rest_is_filled() {
    let mut image = [1, 2, 3, 4, 5, 6];
    shift(&mut image, [1, 2, 3], [1, -1], 0);
    assert_eq!(image, [0, 0, 0, 2, 3, 0]);
    let mut image = [1, 2, 3, 4, 5, 6];
    shift(&mut image, [1, 2, 3], [-1, 2], 9);
    assert_eq!(image, [9, 9, 4, 9, 9, 9]);
    // Two channels, each moved alike.
    let mut image = [1, 2, 3, 4, 5, 6, 7, 8];
    shift(&mut image, [2, 2, 2], [0, 1], 0);
    assert_eq!(image, [0, 1, 0, 3, 0, 5, 0, 7]);
    let mut other = [1, 2];
    shift(&mut other, [1, 2, 2], [1, 0], 0);
    assert_eq!(other, [1, 2]);
    let mut far = [1, 2, 3, 4];
    shift(&mut far, [1, 2, 2], [isize::MIN, 0], 0);
    assert_eq!(far, [0; 4]);
}

#[test]
fn all_shifts_within_the_bound_occur() {
    let shifter = RandomShift::new(&[1, 8, 8], 1, 0.0).unwrap();
    let places: HashSet<usize> = (0..200)
        .map(|i| {
            let mut row = vec![0.0_f32; 64];
            row[3 * 8 + 3] = 1.0;
            shifter.apply(&mut row, 0, &mut Stream::new(0, "shift").rng(i));
            row.iter().position(|&v| v == 1.0).unwrap()
        })
        .collect();
    let expected: HashSet<usize> = (2..5).flat_map(|y| (2..5).map(move |x| 8 * y + x)).collect();
    assert_eq!(places, expected);
}

#[test]
fn wrong_shapes_are_refused() {
    let error = RandomShift::new(&[64], 1, 0.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "shift, event shape: expected [channels, height, width], got [64]"
    );
    assert!(RandomShift::new(&[1, 8, 8], 8, 0.0).is_err());
}
