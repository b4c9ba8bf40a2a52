//! Files of checkpoints: what is written is read, and damage is noticed.

use crate::common::{bits, bytes};
use maxlik_train::checkpoint::{Best, Checkpoint, Folder, Meta};
use std::collections::BTreeMap;
use std::fs;
use tch::{Device, Kind, Tensor};

fn meta(step: u64) -> Meta {
    Meta {
        seed: u64::MAX,
        step,
        epoch: 2,
        batch_in_epoch: 1,
        // A value whose shortest decimal form needs 17 digits.
        best: Some(Best { step: 4, value: 0.1 + 0.2 }),
        stale: 3,
        train_seconds: 1.5,
        window: BTreeMap::from([("count".to_owned(), 3.0), ("loss".to_owned(), -1e-310)]),
    }
}

fn sample(step: u64) -> Checkpoint {
    let mut checkpoint = Checkpoint::new(meta(step));
    let single = Tensor::from_slice(&[1.5_f32, f32::NAN, -0.0, f32::INFINITY]).reshape([2, 2]);
    let tensors = [
        ("a.weight".to_owned(), single),
        ("a.flag".to_owned(), Tensor::from_slice(&[true, false])),
        ("count".to_owned(), Tensor::from(7_i64)),
        ("double".to_owned(), Tensor::from_slice(&[1.0 / 3.0])),
        ("empty".to_owned(), Tensor::zeros([0, 3], (Kind::Float, Device::Cpu))),
        ("strided".to_owned(), Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([2, 3]).tr()),
    ];
    checkpoint.insert("model", &tensors);
    checkpoint.insert("ema", &tensors[..1]);
    checkpoint
}

#[test]
fn what_is_written_is_read_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/a.safetensors");
    let written = sample(9);
    written.save(&path).unwrap();
    let read = Checkpoint::load(&path).unwrap();
    assert_eq!(read.meta, written.meta);
    assert_eq!(bits(&read), bits(&written));
    let shapes = |c: &Checkpoint| {
        c.group("model").iter().map(|(_, t)| (t.size(), t.kind())).collect::<Vec<_>>()
    };
    assert_eq!(shapes(&read), shapes(&written));
    assert_eq!(written.to_bytes().unwrap(), read.to_bytes().unwrap());
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn every_flipped_byte_and_every_cut_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let good = sample(9).to_bytes().unwrap();
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Checkpoint::load(&path).map(|_| ()).map_err(|error| error.to_string())
    };
    load(&good).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let message = load(&bad).expect_err("a flipped byte");
        assert!(message.starts_with(&path.display().to_string()), "byte {at}: {message}");
        assert_eq!(message.lines().count(), 1);
    }
    for length in (0..good.len()).step_by(7) {
        let message = load(&good[..length]).expect_err("a cut file");
        assert!(message.contains("truncated or damaged"), "length {length}: {message}");
    }
    let longer = [good.as_slice(), &[0]].concat();
    load(&longer).expect_err("a file with more at its end");
    let mut bad = good.clone();
    let end = bad.len() - 1;
    bad[end] ^= 1;
    let expected = format!("{}: damaged: its content does not match its checksum", path.display());
    assert_eq!(load(&bad).unwrap_err(), expected);
}

#[test]
fn a_damaged_last_checkpoint_falls_back_to_the_previous_one() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path().join("checkpoints"));
    assert!(folder.resume().unwrap().is_none());
    folder.save_last(&sample(5)).unwrap();
    folder.save_last(&sample(10)).unwrap();
    let loaded = folder.resume().unwrap().unwrap();
    assert_eq!((loaded.checkpoint.meta.step, &loaded.warning), (10, &None));

    let whole = fs::read(folder.last()).unwrap();
    fs::write(folder.last(), &whole[..whole.len() / 2]).unwrap();
    let loaded = folder.resume().unwrap().unwrap();
    assert_eq!(loaded.checkpoint.meta.step, 5);
    assert_eq!(loaded.path, folder.previous());
    let expected = format!(
        "{}: not a checkpoint, or one that is truncated or damaged: its header cannot be read; \
         going on from the checkpoint before it, of step 5",
        folder.last().display()
    );
    assert_eq!(loaded.warning.unwrap(), expected);

    // Killed between the two renames: the newest has its temporary name only.
    fs::remove_file(folder.last()).unwrap();
    let loaded = folder.resume().unwrap().unwrap();
    assert_eq!((loaded.checkpoint.meta.step, loaded.warning), (5, None));

    fs::write(folder.previous(), b"nothing").unwrap();
    let message = folder.resume().unwrap_err().to_string();
    assert!(message.starts_with(&folder.previous().display().to_string()), "{message}");
}

#[test]
fn a_crash_while_writing_leaves_the_old_file() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::new(temporary.path());
    folder.save_last(&sample(5)).unwrap();
    // What a crash leaves: half of the new file under its temporary name.
    let part = temporary.path().join("last.safetensors.part");
    fs::write(&part, &sample(10).to_bytes().unwrap()[..100]).unwrap();
    assert_eq!(folder.resume().unwrap().unwrap().checkpoint.meta.step, 5);
    folder.save_last(&sample(15)).unwrap();
    assert_eq!(folder.resume().unwrap().unwrap().checkpoint.meta.step, 15);
    assert!(!part.exists());
}

#[test]
fn a_checkpoint_of_another_model_is_refused_before_anything_changes() {
    let checkpoint = sample(1);
    let target = |name: &str, shape: &[i64], kind| {
        vec![(name.to_owned(), Tensor::ones(shape, (kind, Device::Cpu)))]
    };
    let cases = [
        (
            target("a.weight", &[2, 3], Kind::Float),
            "ema.a.weight: expected shape [2, 3], got [2, 2]",
        ),
        (
            target("a.weight", &[2, 2], Kind::Double),
            "ema.a.weight: expected dtype Double, got Float",
        ),
        (
            target("b.weight", &[2, 2], Kind::Float),
            "ema.a.weight: the checkpoint has this tensor, the model has not",
        ),
    ];
    for (targets, expected) in cases {
        let before = bytes(&targets[0].1);
        let message = checkpoint.restore("ema", &targets).unwrap_err().to_string();
        assert_eq!(message, expected);
        assert_eq!(bytes(&targets[0].1), before);
    }
    let mut more = target("a.weight", &[2, 2], Kind::Float);
    more.extend(target("z", &[1], Kind::Float));
    let message = checkpoint.restore("ema", &more).unwrap_err().to_string();
    assert_eq!(message, "ema.z: the model has this tensor, the checkpoint has not");
}
