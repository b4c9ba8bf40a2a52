//! On small made-up files in the form of the raw ones.

use maxlik_data::Stream;
use maxlik_data::normal;
use maxlik_data::table::uci::{HepmassRows, bsds300, gas, hepmass, miniboone, patches, power};
use ndarray::{Array2, Axis, array, concatenate};
use ndarray_npy::{NpzWriter, write_npy};
use std::fmt::Write;
use std::fs::{File, write};
use tempfile::tempdir;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9 * (1.0 + b.abs())
}

/// What the paper's code gives for this array, run under NumPy 2.4.6.
#[test]
fn power_repeats_the_published_draws() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("data.npy");
    let data = Array2::from_shape_fn((40, 8), |(i, j)| {
        ((i * (2 * j + 3)) % 23) as f64 * 0.25 + j as f64 * 10.0
    });
    write_npy(&path, &data).unwrap();
    let table = power(&path).unwrap();
    let parts = &table.parts;
    assert_eq!(parts.train.rows().dim(), (33, 6));
    assert_eq!(parts.validation.rows().dim(), (3, 6));
    assert_eq!(parts.test.rows().dim(), (4, 6));
    for (part, first, sum) in [
        (
            &parts.train,
            [
                0.18042552116486973,
                0.9492700199788495,
                -1.2502707756324918,
                1.1024584582909582,
                -0.4818059627999636,
                -1.5713225487427196,
            ],
            1.861052285686993,
        ),
        (
            &parts.validation,
            [
                1.5732324050063826,
                0.6604676577360122,
                0.011894915280724332,
                -0.038881470414109665,
                -0.21927437314014625,
                -0.8328419775320437,
            ],
            -1.8610522856867953,
        ),
        (
            &parts.test,
            [
                1.7280387821915328,
                -1.2252028341356576,
                -0.4465745264070872,
                1.6557894935788595,
                0.2475501325820349,
                -1.1282342060163142,
            ],
            4.52809347572635,
        ),
    ] {
        let row = part.rows().row(0).to_vec();
        assert!(row.iter().zip(first).all(|(&a, b)| close(a, b)), "{row:?}");
        assert!(close(part.rows().sum(), sum));
    }
    assert!(close(table.standardizer.sd()[1], 1.7258676354721887));
    assert_eq!(parts.test.columns()[1], "voltage");
}

#[test]
fn power_reads_the_text_file() {
    let mut text = "Date;Time;Global_active_power;Global_reactive_power;Voltage;\
        Global_intensity;Sub_metering_1;Sub_metering_2;Sub_metering_3\n"
        .to_owned();
    for i in 0..50 {
        let (hour, minute) = (i % 24, (7 * i) % 60);
        let active = f64::from(i % 7) * 0.5;
        writeln!(
            text,
            "16/12/2006;{hour:02}:{minute:02}:00;{active:.3};0.4;{};18.4;0.0;{};17.0",
            230 + i % 5,
            i % 3
        )
        .unwrap();
        if i % 10 == 0 {
            text += "16/12/2006;17:24:00;?;?;?;?;?;?;\n";
        }
    }
    let folder = tempdir().unwrap();
    let path = folder.path().join("household_power_consumption.txt");
    write(&path, &text).unwrap();
    let table = power(&path).unwrap();
    let parts = &table.parts;
    assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), (41, 4, 5));
    let all = concatenate![Axis(0), parts.train.rows(), parts.validation.rows(), parts.test.rows()];
    let raw = table.standardizer.inverse(all.view()).unwrap();
    // The noise is nowhere negative and less than the resolution, so rounding down undoes it.
    let mut minutes: Vec<i64> = raw.column(5).iter().map(|&v| v.floor() as i64).collect();
    let mut expected: Vec<i64> = (0..50).map(|i| 60 * (i % 24) + (7 * i) % 60).collect();
    minutes.sort_unstable();
    expected.sort_unstable();
    assert_eq!(minutes, expected);
    let noise: Vec<f64> = raw.column(0).iter().map(|v| v % 0.5).collect();
    assert!(noise.iter().all(|&n| (-1e-12..0.001).contains(&n)), "{noise:?}");
    assert!(raw.column(4).iter().all(|v| (17.0..18.0).contains(v)));

    write(&path, text.replace("00:00:00", "noon")).unwrap();
    let error = power(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("row 1 (line 2), column `Time`: expected a number, got \"noon\""),
        "{error}"
    );
    write(&path, text.replace("231;18.4", "231")).unwrap();
    let error = power(&path).unwrap_err().to_string();
    assert!(error.contains("expected 9 cells, got 8"), "{error}");
}

/// Sixteen sensors of which 0, 1 and 2 are nearly the same, and 5 and 9.
fn sensors(rows: usize) -> Array2<f64> {
    let mut rng = Stream::new(3, "gas").rng(0);
    let mut values = Array2::from_shape_fn((rows, 16), |_| normal(&mut rng));
    for (copy, of) in [(1, 0), (2, 0), (9, 5)] {
        for i in 0..rows {
            values[[i, copy]] = 2.0 * values[[i, of]] + 0.02 * values[[i, copy]] + 3.0;
        }
    }
    // Opposed sensors are no copies: the rule looks at the sign.
    for i in 0..rows {
        values[[i, 15]] = -values[[i, 14]];
    }
    values
}

#[test]
fn gas_removes_the_first_of_correlated_columns() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("gas.npy");
    write_npy(&path, &sensors(200)).unwrap();
    let table = gas(&path, 0).unwrap();
    let parts = &table.parts;
    let kept = [2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].map(|i| format!("x{i}"));
    assert_eq!(parts.train.columns(), kept);
    assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), (162, 18, 20));
    let all = concatenate![Axis(0), parts.train.rows(), parts.validation.rows(), parts.test.rows()];
    for column in all.axis_iter(Axis(1)) {
        assert!(column.mean().unwrap().abs() < 1e-12 && close(column.std(1.0), 1.0));
    }
    let back = table.standardizer.inverse(all.view()).unwrap();
    assert!(close(back[[7, 1]], sensors(200)[[7, 3]]));
}

#[test]
fn gas_takes_a_quarter_of_the_text_file() {
    let mut text =
        "Time (seconds), CO conc (ppm), Ethylene conc (ppm), sensor readings (16 channels)\n"
            .to_owned();
    for (i, row) in sensors(202).rows().into_iter().enumerate() {
        let cells: Vec<String> = row.iter().map(|v| format!("{v:?}")).collect();
        writeln!(text, "{}.00  0.00\t0.00 {}", i, cells.join(" ")).unwrap();
    }
    let folder = tempdir().unwrap();
    let path = folder.path().join("ethylene_CO.txt");
    write(&path, &text).unwrap();
    let table = gas(&path, 1).unwrap();
    let sizes = |t: &maxlik_data::table::uci::UciTable| {
        [t.parts.train.len(), t.parts.validation.len(), t.parts.test.len()]
    };
    // 202 / 4 = 50.5, rounded to 51.
    assert_eq!(sizes(&table), [42, 4, 5]);
    assert_eq!(table, gas(&path, 1).unwrap());
    assert_ne!(table, gas(&path, 2).unwrap());
    write(&path, text.replacen("1.00  0.00", "1.00", 1)).unwrap();
    let error = gas(&path, 1).unwrap_err().to_string();
    assert!(error.ends_with("row 2 (line 3): expected 19 cells, got 18"), "{error}");
}

/// Label and 27 features; feature 4 is 0 in every second row, feature 6 repeats its largest value.
fn collisions(rows: usize, extra: bool) -> String {
    let mut rng = Stream::new(5, "hepmass").rng(0);
    let names: Vec<String> = (0..27).map(|i| format!("f{i}")).collect();
    let mut text = format!("# label,{}\n", names.join(","));
    for i in 0..rows {
        write!(text, "{:.6e}", if i % 3 == 0 { 0.0 } else { 1.0 }).unwrap();
        for j in 0..27 {
            let value = match j {
                4 if i % 2 == 0 => 0.0,
                4 => 1.0 + normal(&mut rng).abs(),
                6 if i % 2 == 0 => 100.0,
                _ => normal(&mut rng),
            };
            write!(text, ",{value:.9e}").unwrap();
        }
        text += if extra { ",1000.0\n" } else { "\n" };
    }
    text
}

#[test]
fn hepmass_keeps_signal_rows_and_features_without_repeats() {
    let folder = tempdir().unwrap();
    write(folder.path().join("1000_train.csv"), collisions(150, false)).unwrap();
    write(folder.path().join("1000_test.csv"), collisions(60, true)).unwrap();
    let table = hepmass(folder.path(), HepmassRows::All).unwrap();
    let parts = &table.parts;
    assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), (90, 10, 40));
    // As published: only repeats of the smallest value are looked at.
    assert_eq!(parts.train.dims(), 26);
    assert!(!parts.train.columns().contains(&"x4".to_owned()));
    let held_in = concatenate![Axis(0), parts.train.rows(), parts.validation.rows()];
    for column in held_in.axis_iter(Axis(1)) {
        assert!(column.mean().unwrap().abs() < 1e-12 && close(column.std(1.0), 1.0));
    }
    // Both files begin with the same numbers.
    assert_eq!(parts.train.rows().row(0), parts.test.rows().row(0));

    let tenth = hepmass(folder.path(), HepmassRows::FirstTenth).unwrap();
    // Of rows 0 to 14, two thirds are signal; of rows 0 to 5, four.
    assert_eq!((tenth.parts.train.len(), tenth.parts.validation.len()), (9, 1));
    assert_eq!(tenth.parts.test.len(), 4);
    let error = hepmass(folder.path().join("none"), HepmassRows::All).unwrap_err();
    assert!(error.to_string().contains("1000_train.csv"), "{error}");
}

#[test]
fn miniboone_keeps_signal_rows_without_outliers() {
    let (signal, background) = (101, 30);
    let mut rng = Stream::new(6, "miniboone").rng(0);
    let mut text = format!(" {signal} {background}\n");
    for i in 0..signal + background {
        for j in 0..50 {
            let value = match j {
                0 if i == 17 => -999.0,
                3 if i % 4 == 0 => -5.0,
                _ => normal(&mut rng) + if i < signal { 0.0 } else { 50.0 },
            };
            write!(text, "  {value:.9e}").unwrap();
        }
        text.push('\n');
    }
    let folder = tempdir().unwrap();
    let path = folder.path().join("MiniBooNE_PID.txt");
    write(&path, &text).unwrap();
    let table = miniboone(&path).unwrap();
    let parts = &table.parts;
    assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), (81, 9, 10));
    assert_eq!(parts.train.dims(), 49);
    let held_in = concatenate![Axis(0), parts.train.rows(), parts.validation.rows()];
    for column in held_in.axis_iter(Axis(1)) {
        assert!(column.mean().unwrap().abs() < 1e-12 && close(column.std(0.0), 1.0));
    }
    let raw = table.standardizer.inverse(parts.test.rows()).unwrap();
    assert!(raw.iter().all(|v| v.abs() < 10.0));

    // The archive's array is taken as it is.
    let archive = folder.path().join("data.npy");
    write_npy(&archive, &sensors(100)).unwrap();
    assert_eq!(miniboone(&archive).unwrap().parts.train.rows().dim(), (81, 16));

    let cut: Vec<&str> = text.lines().take(50).collect();
    write(&path, cut.join("\n")).unwrap();
    let error = miniboone(&path).unwrap_err().to_string();
    assert!(error.ends_with("expected 101 signal rows, got 49: the file is truncated"), "{error}");
    write(&path, "1.0 2.0 3.0\n").unwrap();
    let error = miniboone(&path).unwrap_err().to_string();
    assert!(error.contains("line 1: expected the numbers of signal"), "{error}");
}

#[test]
fn bsds300_is_read_as_it_is() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("bsds300.npz");
    let rows = |n: usize, value: f32| Array2::from_elem((n, 63), value);
    let write = |test: Array2<f32>| {
        let mut npz = NpzWriter::new(File::create(&path).unwrap());
        npz.add_array("train", &rows(5, 0.1)).unwrap();
        npz.add_array("validation", &rows(2, 0.2)).unwrap();
        npz.add_array("test", &test).unwrap();
        npz.finish().unwrap();
    };
    write(rows(3, 0.3));
    let parts = bsds300::<f32>(&path).unwrap();
    assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), (5, 2, 3));
    assert_eq!(parts.test.rows(), rows(3, 0.3));
    write(Array2::zeros((3, 64)));
    let error = bsds300::<f32>(&path).unwrap_err().to_string();
    assert!(error.ends_with("test: expected 63 columns, got 64"), "{error}");
}

#[test]
fn patches_follow_the_rules_of_bsds300() {
    // Every pixel tells its place: level = 16 · row + column.
    let image = Array2::from_shape_fn((10, 12), |(i, j)| (16 * i + j) as u8);
    let rows = patches(&[image.view()], 300, 4).unwrap();
    assert_eq!(rows.dim(), (300, 63));
    for row in rows.rows() {
        // The last pixel is minus the sum of the others; differences undo the mean.
        let last = -row.sum();
        let first = row[0] * 256.0;
        let level = |i: usize| if i == 63 { last * 256.0 } else { row[i] * 256.0 };
        for i in 0..64 {
            let step = (16 * (i / 8) + i % 8) as f64;
            assert!((level(i) - first - step).abs() < 1.0 + 1e-9);
        }
    }
    assert_eq!(rows, patches(&[image.view()], 300, 4).unwrap());
    assert!(patches(&[], 1, 0).is_err());
    assert!(patches(&[array![[1_u8, 2]].view()], 1, 0).is_err());
}
