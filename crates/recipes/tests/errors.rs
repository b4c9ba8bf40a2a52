//! Bad input is one line that says what and where; the exit code is not 0; there is no backtrace.

use super::{maxlik, stderr};
use std::fs;
use std::path::Path;

#[track_caller]
fn fails(folder: &Path, arguments: &[&str], parts: &[&str]) {
    let output = maxlik(folder, arguments);
    let text = stderr(&output);
    let errors: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with("INFO")).collect();
    assert!(!output.status.success(), "{arguments:?} succeeds");
    assert_eq!(errors.len(), 1, "{arguments:?} says more than a line: {text}");
    assert!(errors[0].starts_with("error: "), "{text}");
    for part in parts {
        assert!(errors[0].contains(part), "{arguments:?} does not say {part:?}: {text}");
    }
}

#[test]
fn configurations() {
    let folder = tempfile::tempdir().unwrap();
    let train =
        |set: &str, parts: &[&str]| fails(folder.path(), &["train", "toy", "--set", set], parts);
    train("optim.stepz=5", &["stepz", "steps"]);
    train("optim.steps=many", &["optim.steps"]);
    train("optim.lr=-1", &["optim.lr", "-1"]);
    train("data.name=moonz", &["moonz", "moons"]);
    train("model.spline.bins=0", &["bins", "got 0"]);
    train("model.network.dropout=2.0", &["dropout", "got 2"]);
    fails(folder.path(), &["train", "digitz"], &["digitz", "digits"]);
    fails(folder.path(), &["train", "none.toml"], &["none.toml"]);
    fails(folder.path(), &["train", "toy", "--device", "gpu"], &["cpu, cuda or cuda:N", "gpu"]);
    if !tch::Cuda::is_available() {
        fails(folder.path(), &["train", "toy", "--device", "cuda"], &["no CUDA device"]);
    }
    fails(folder.path(), &["eval", "nowhere"], &["nowhere", "no run folder"]);
    assert!(!folder.path().join("runs").exists(), "a failed start leaves a folder");
}

#[test]
fn tables() {
    let folder = tempfile::tempdir().unwrap();
    let table = |text: &str, parts: &[&str]| {
        fs::write(folder.path().join("t.csv"), text).unwrap();
        fails(folder.path(), &["train", "table", "--set", "data.path=t.csv"], parts);
    };
    table("a,b\n1,2\n3,4\n5\n", &["row 3", "expected 2 cells, got 1"]);
    table("a,b\n1,2\n3,NaN\n", &["row 2", "column `b`"]);
    table("a,b\n1,2\n3,x\n5,6\n", &["row 2", "column `b`", "\"x\""]);
    fails(folder.path(), &["train", "table", "--set", "data.path=none.csv"], &["none.csv"]);
    fails(folder.path(), &["train", "table"], &["data.path"]);
}

#[test]
fn damaged_runs() {
    let folder = tempfile::tempdir().unwrap();
    let start =
        ["train", "toy", "--out", "run", "--set", "data.rows=400", "--set", "optim.steps=4"];
    assert!(maxlik(folder.path(), &start).status.success());
    fails(folder.path(), &start, &["run", "is not empty", "--resume"]);
    let run = folder.path().join("run/checkpoints");
    for entry in fs::read_dir(&run).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    fails(folder.path(), &["eval", "run"], &["safetensors", "checksum"]);
}

#[test]
fn a_diverging_run_names_the_tensor() {
    let folder = tempfile::tempdir().unwrap();
    fails(
        folder.path(),
        &[
            "train",
            "toy",
            "--set",
            "data.rows=400",
            "--set",
            "optim.lr=1e30",
            "--set",
            "optim.clip=inf",
            "--out",
            "run",
        ],
        &["step", "not finite"],
    );
}
