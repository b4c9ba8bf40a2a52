use maxlik_data::digits;
use ndarray::Array2;
use ndarray_npy::NpzReader;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::File;

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_images_are_those_of_the_source() {
    let images = digits::images().unwrap();
    assert_eq!(images.dim(), (1797, 64));
    let bytes: Vec<u8> = images.iter().copied().collect();
    assert_eq!(bytes.iter().map(|&b| u64::from(b)).sum::<u64>(), 561_718);
    assert_eq!(bytes.iter().max(), Some(&16));
    // Of the bytes of `sklearn.datasets.load_digits().data` in its order.
    assert_eq!(sha256(&bytes), "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3");
    assert_eq!(bytes[..16], [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]);
}

#[test]
fn the_labels_are_those_of_the_source() {
    let labels = digits::labels().unwrap();
    let bytes: Vec<u8> = labels.iter().map(|&l| u8::try_from(l).unwrap()).collect();
    assert_eq!(sha256(&bytes), "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0");
    let count = |class| labels.iter().filter(|&&l| l == class).count();
    let counts: Vec<usize> = (0..10).map(count).collect();
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
}

#[test]
fn the_data_set_says_what_it_is() {
    let data = digits::dataset::<f32>().unwrap();
    assert_eq!((data.len(), data.dims()), (1797, 64));
    assert_eq!(data.event_shape(), [1, 8, 8]);
    assert_eq!(data.levels(), Some(17));
    assert_eq!(data.columns()[9], "r1c1");
    assert_eq!(data.labels().unwrap()[..4], [0, 1, 2, 3]);
    assert_eq!(data.rows()[[0, 3]], 13.0);
}

#[test]
fn the_canonical_split_is_fixed() {
    let split = digits::split(digits::SPLIT_SEED).unwrap();
    let sizes = (split.train.len(), split.validation.len(), split.test.len());
    assert_eq!(sizes, (1437, 180, 180));
    let all: HashSet<usize> =
        [&split.train, &split.validation, &split.test].into_iter().flatten().copied().collect();
    assert_eq!(all.len(), 1797);
    // Results are stated on this very split: it may never change.
    assert_eq!(split.test[..6], CANONICAL_TEST);
    assert_ne!(digits::split(1).unwrap().test, split.test);
}

const CANONICAL_TEST: [usize; 6] = [393, 1149, 1099, 248, 1744, 711];

#[test]
fn the_export_holds_data_and_split() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.npz");
    let split = digits::split(digits::SPLIT_SEED).unwrap();
    digits::export_npz(&path, &split).unwrap();
    let mut npz = NpzReader::new(File::open(&path).unwrap()).unwrap();
    let images: Array2<u8> = npz.by_name("images").unwrap();
    assert_eq!(images, digits::images().unwrap());
    let test: ndarray::Array1<i64> = npz.by_name("test").unwrap();
    assert!(test.iter().zip(&split.test).all(|(&a, &b)| a == b as i64));
    assert_eq!(npz.names().unwrap().len(), 5);

    let error = digits::export_npz(&folder.path().join("no/such/folder"), &split).unwrap_err();
    assert!(error.to_string().contains("no/such/folder"), "{error}");
}
