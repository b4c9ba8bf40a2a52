use maxlik_data::{
    Dataset, HostBatch, Loader, LoaderConfig, Position, Stream, Transform, open_unit,
};
use ndarray::Array2;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn data(rows: usize) -> Dataset<f64> {
    let values = Array2::from_shape_fn((rows, 2), |(i, j)| (2 * i + j) as f64);
    let context = Array2::from_shape_fn((rows, 1), |(i, _)| -(i as f64));
    Dataset::new("d", values)
        .and_then(|d| d.with_labels((0..rows as i64).collect()))
        .and_then(|d| d.with_context(context))
        .and_then(|d| d.with_weights((0..rows).map(|i| i as f64).collect()))
        .unwrap()
}

fn noise(row: &mut [f64], _index: usize, rng: &mut ChaCha8Rng) {
    for value in row {
        *value += open_unit(rng);
    }
}

fn loader(rows: usize, config: LoaderConfig) -> Loader<f64> {
    let loader = Loader::new(data(rows), config).unwrap();
    loader.with_transform(noise)
}

fn take(loader: &Loader<f64>, start: Position, count: usize) -> Vec<HostBatch<f64>> {
    let batches = loader.iter_from(start).unwrap();
    let batches: maxlik_data::Result<Vec<_>> = batches.take(count).collect();
    batches.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn threads_and_starting_points_do_not_change_batches(
        rows in 1_usize..40, batch in 1_usize..12, threads in 0_usize..5, prefetch in 0_usize..9,
        drop_last: bool, shuffle: bool, seed: u64, skip in 0_usize..20,
    ) {
        prop_assume!(!drop_last || batch <= rows);
        let config = LoaderConfig { batch, seed, shuffle, drop_last, threads, prefetch };
        let plain = loader(rows, LoaderConfig { threads: 0, ..config.clone() });
        let all = take(&plain, Position::default(), skip + 6);
        let threaded = loader(rows, config);
        prop_assert_eq!(&take(&threaded, Position::default(), skip + 6), &all);
        // Resumed at a position, and asked for one by one.
        let first = Position { epoch: all[skip].epoch, step: all[skip].step };
        prop_assert_eq!(&take(&threaded, first, 6), &all[skip..]);
        prop_assert_eq!(&threaded.batch(first).unwrap(), &all[skip]);
    }

    #[test]
    fn an_epoch_holds_every_row_once(
        rows in 1_usize..60, batch in 1_usize..20, threads in 0_usize..4, epoch in 0_u64..5,
    ) {
        let loader = loader(rows, LoaderConfig { batch, threads, ..LoaderConfig::default() });
        let batches: Vec<_> = loader.epoch(epoch).map(Result::unwrap).collect();
        prop_assert_eq!(batches.len() as u64, loader.steps_per_epoch());
        let mut index: Vec<usize> = batches.iter().flat_map(|b| b.index.clone()).collect();
        prop_assert_eq!(&index, &loader.order(epoch));
        index.sort_unstable();
        prop_assert_eq!(index, (0..rows).collect::<Vec<_>>());
        for (step, batch) in batches.iter().enumerate() {
            prop_assert_eq!((batch.epoch, batch.step), (epoch, step as u64));
            for (i, &row) in batch.index.iter().enumerate() {
                prop_assert_eq!(batch.data[[i, 0]].floor(), 2.0 * row as f64);
                prop_assert_eq!(batch.context.as_ref().unwrap()[[i, 0]], -(row as f64));
                prop_assert_eq!(batch.labels.as_ref().unwrap()[i], row as i64);
                prop_assert_eq!(batch.weights.as_ref().unwrap()[i], row as f64);
            }
        }
    }
}

#[test]
fn epochs_differ_in_order_and_noise() {
    let loader = loader(50, LoaderConfig::default());
    assert_ne!(loader.order(0), loader.order(1));
    let noise_of_row_0 = |epoch| {
        let batch = loader.epoch(epoch).next().unwrap().unwrap();
        let place = batch.index.iter().position(|&i| i == 0).unwrap();
        batch.data[[place, 0]]
    };
    assert_ne!(noise_of_row_0(0), noise_of_row_0(1));
    let still = LoaderConfig { shuffle: false, ..LoaderConfig::default() };
    assert_eq!(Loader::new(data(9), still).unwrap().order(7), (0..9).collect::<Vec<_>>());
}

#[test]
fn noise_of_a_row_does_not_depend_on_the_batch_size() {
    let of = |batch| {
        let config = LoaderConfig { batch, ..LoaderConfig::default() };
        let mut rows: Vec<(usize, f64)> = loader(20, config)
            .epoch(2)
            .flat_map(|b| {
                let b = b.unwrap();
                b.index.iter().copied().zip(b.data.column(1).to_vec()).collect::<Vec<_>>()
            })
            .collect();
        rows.sort_by_key(|&(i, _)| i);
        rows
    };
    assert_eq!(of(3), of(20));
}

#[test]
fn transforms_run_in_turn_on_one_generator() {
    let double = |row: &mut [f64], index: usize, _: &mut ChaCha8Rng| {
        assert!(index < 5);
        row.iter_mut().for_each(|v| *v *= 2.0);
    };
    let loader = loader(5, LoaderConfig::default()).with_transform(double).with_transform(noise);
    let batch = loader.epoch(0).next().unwrap().unwrap();
    let stream = Stream::new(0, "sample").child(0);
    for (i, &index) in batch.index.iter().enumerate() {
        let mut rng = stream.rng(index as u64);
        let mut row = [2.0 * index as f64, 2.0 * index as f64 + 1.0];
        noise.apply(&mut row, index, &mut rng);
        row = row.map(|v| 2.0 * v);
        noise.apply(&mut row, index, &mut rng);
        assert_eq!(batch.data.row(i).to_vec(), row);
    }
}

#[test]
fn positions_count_steps_and_epochs() {
    let config = LoaderConfig { batch: 4, drop_last: true, ..LoaderConfig::default() };
    let loader = loader(10, config);
    assert_eq!(loader.steps_per_epoch(), 2);
    let mut batches = loader.iter_from(Position { epoch: 1, step: 1 }).unwrap();
    batches.next();
    assert_eq!(batches.position(), Position { epoch: 2, step: 0 });
    let error = loader.iter_from(Position { epoch: 0, step: 2 }).unwrap_err();
    assert_eq!(error.to_string(), "loader step: expected less than 2, got 2");
    assert!(loader.batch(Position { epoch: 0, step: 2 }).is_err());
}

#[test]
fn a_panic_of_a_transform_is_an_error() {
    for threads in [0, 2] {
        let config = LoaderConfig { batch: 2, shuffle: false, threads, ..LoaderConfig::default() };
        let bad = |_: &mut [f64], index: usize, _: &mut ChaCha8Rng| {
            assert!(index != 3, "row {index} is bad");
        };
        let loader = Loader::new(data(6), config).unwrap().with_transform(bad);
        let results: Vec<_> = loader.epoch(0).collect();
        assert!(results[0].is_ok() && results[2].is_ok());
        let error = results[1].as_ref().unwrap_err().to_string();
        assert_eq!(error, "loader, epoch 0, step 1: a transform panicked: row 3 is bad");
    }
}

#[test]
fn dropping_the_iterator_ends_its_threads() {
    let config = LoaderConfig { batch: 1, threads: 3, prefetch: 6, ..LoaderConfig::default() };
    let alive = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&alive);
    let counting = move |_: &mut [f64], _: usize, _: &mut ChaCha8Rng| {
        count.fetch_add(1, Ordering::SeqCst);
    };
    let loader = Loader::new(data(100), config).unwrap().with_transform(counting);
    let mut batches = loader.iter_from(Position::default()).unwrap();
    batches.next();
    drop(batches);
    let made = alive.load(Ordering::SeqCst);
    // Each thread holds at most `prefetch / threads` ready and one in its hands, plus the one taken.
    assert!(made <= 6 + 3 + 1, "{made}");
    // The threads were joined, so that no batch is made from here on.
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(alive.load(Ordering::SeqCst), made);
}

#[test]
fn impossible_loaders_are_refused() {
    let config = |batch, drop_last| LoaderConfig { batch, drop_last, ..LoaderConfig::default() };
    let error = Loader::new(data(3), config(0, false)).unwrap_err().to_string();
    assert_eq!(error, "loader batch: expected at least 1, got 0");
    let error = Loader::new(data(3), config(4, true)).unwrap_err().to_string();
    assert_eq!(error, "d, rows for a batch: expected at least 4, got 3");
    assert!(Loader::new(data(0), config(4, false)).is_err());
    let many = LoaderConfig { threads: 1000, ..LoaderConfig::default() };
    let error = Loader::new(data(3), many).unwrap_err().to_string();
    assert_eq!(error, "loader threads: expected at most 256, got 1000");
    let much = LoaderConfig { prefetch: usize::MAX, ..LoaderConfig::default() };
    assert!(Loader::new(data(3), much).is_err());
}
