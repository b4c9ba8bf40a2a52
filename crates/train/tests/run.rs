//! The folder of a run: what may use it, its metrics, events and summary.

use crate::common::new_run;
use maxlik_train::run::tensorboard::{crc32c, masked_crc};
use maxlik_train::{Environment, OptimConfig, Run, Summary, config};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

fn values(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn a_folder_holds_one_run_and_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let shown = path.display();
    let error = |run: maxlik_tensor::Result<Run>| run.unwrap_err().to_string();
    let expected = format!("{shown}: is no run folder: it holds no config.toml");
    assert_eq!(error(Run::resume(path)), expected);
    assert_eq!(error(Run::open(path)), expected);
    let run = new_run(path);
    let expected =
        format!("{shown}: is not empty; go on with --resume, or choose another folder with --out");
    assert_eq!(error(Run::create(path)), expected);
    let expected = format!("{shown}: another process is training in this folder");
    assert_eq!(error(Run::resume(path)), expected);
    Run::open(path).unwrap();
    drop(run);
    Run::resume(path).unwrap();
}

#[test]
fn configuration_and_environment_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::create(folder.path()).unwrap();
    let written = OptimConfig { steps: 77, ..OptimConfig::default() };
    let path = run.write_config(&written).unwrap();
    assert_eq!(config::load::<OptimConfig>(&path, &[]).unwrap(), written);
    let environment = Environment::collect(tch::Device::Cpu);
    let path = run.write_environment(&environment).unwrap();
    let read: Environment = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(read, environment);
    assert_eq!(read.device, "cpu");
    assert!(read.threads >= 1 && read.cores >= 1 && read.unix_time > 1_700_000_000);
}

#[test]
fn a_summary_is_complete_or_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(folder.path());
    let mut summary = Summary {
        name: "digits".into(),
        seed: u64::MAX,
        steps: 5,
        train_seconds: 1.25,
        metrics: values(&[("test_nll_nats", -1.5)]),
    };
    let path = run.write_summary(&summary).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let expected = serde_json::json!({
        "name": "digits", "seed": u64::MAX, "steps": 5, "train_seconds": 1.25,
        "metrics": { "test_nll_nats": -1.5 }
    });
    assert_eq!(json, expected);
    summary.metrics.insert("bad".into(), f64::NAN);
    assert_eq!(run.write_summary(&summary).unwrap_err().to_string(), "bad is not finite");
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&fs::read(&path).unwrap()).unwrap(),
        expected
    );
}

#[test]
fn going_on_removes_later_lines_and_half_ones() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(folder.path());
    let mut log = run.log(0).unwrap();
    for step in [4, 8, 12] {
        log.append(
            step,
            step as f64 / 7.0,
            &values(&[("loss", 1.0 / step as f64), ("nan", f64::NAN)]),
        )
        .unwrap();
    }
    drop(log);
    let file = run.file("metrics.jsonl");
    fs::OpenOptions::new()
        .append(true)
        .open(&file)
        .unwrap()
        .write_all(b"{\"step\":9,\"epo")
        .unwrap();
    assert_eq!(run.metrics().unwrap().len(), 3);

    let mut log = run.log(8).unwrap();
    log.append(10, 1.5, &values(&[("loss", 0.5)])).unwrap();
    let records = run.metrics().unwrap();
    let steps: Vec<u64> = records.iter().map(|r| r.step).collect();
    assert_eq!(steps, [4, 8, 10]);
    assert_eq!(records[1].values, values(&[("loss", 0.125)]));
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 3);

    let events = events(folder.path());
    assert_eq!(events.len(), 1 + 3, "one event file, with the lines that were kept");
    assert_eq!(events[0].version.as_deref(), Some("brain.Event:2"));
    let scalars: Vec<_> = events[1..].iter().map(|e| (e.step, e.scalars.clone())).collect();
    let expected = [(4, 0.25), (8, 0.125), (10, 0.5)]
        .map(|(step, value)| (step, vec![("loss".to_owned(), value)]));
    assert_eq!(scalars, expected);
    for (event, record) in events[1..].iter().zip(&records) {
        assert_eq!(event.time, record.time);
    }
}

#[test]
fn checksums_are_those_of_the_standard() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa, "RFC 3720, B.4");
    assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43, "RFC 3720, B.4");
    let masked = 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8);
    assert_eq!(masked_crc(b"123456789"), masked);
}

#[derive(Debug, Default)]
struct Event {
    time: f64,
    step: u64,
    version: Option<String>,
    scalars: Vec<(String, f32)>,
}

/// All events of the only event file of a folder.
fn events(folder: &Path) -> Vec<Event> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files
        .filter(|path| path.file_name().unwrap().to_string_lossy().contains("tfevents"))
        .collect();
    assert_eq!(files.len(), 1);
    let bytes = fs::read(&files[0]).unwrap();
    let mut rest = bytes.as_slice();
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(8);
        let length = u64::from_le_bytes(head.try_into().unwrap()) as usize;
        assert_eq!(tail[..4], masked_crc(head).to_le_bytes());
        let message = &tail[4..4 + length];
        assert_eq!(tail[4 + length..8 + length], masked_crc(message).to_le_bytes());
        events.push(event(message));
        rest = &tail[8 + length..];
    }
    events
}

fn event(message: &[u8]) -> Event {
    let mut event = Event::default();
    for (field, value) in fields(message) {
        match (field, value) {
            (1, Field::Fixed64(bytes)) => event.time = f64::from_le_bytes(bytes),
            (2, Field::Varint(step)) => event.step = step,
            (3, Field::Bytes(text)) => event.version = Some(String::from_utf8(text).unwrap()),
            (5, Field::Bytes(summary)) => {
                event.scalars = fields(&summary)
                    .into_iter()
                    .map(|(field, value)| {
                        let Field::Bytes(entry) = value else { panic!("a summary's value") };
                        assert_eq!(field, 1);
                        match fields(&entry).as_slice() {
                            [(1, Field::Bytes(tag)), (2, Field::Fixed32(value))] => (
                                String::from_utf8(tag.clone()).unwrap(),
                                f32::from_le_bytes(*value),
                            ),
                            other => panic!("{other:?}"),
                        }
                    })
                    .collect();
            }
            other => panic!("unexpected field {other:?}"),
        }
    }
    event
}

#[derive(Debug, Clone)]
enum Field {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
}

/// The fields of a protocol-buffer message.
fn fields(mut message: &[u8]) -> Vec<(u64, Field)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let mut take = |n: usize| {
            let (taken, rest) = message.split_at(n);
            message = rest;
            taken.to_vec()
        };
        let value = match key & 7 {
            0 => Field::Varint(varint(&mut message)),
            1 => Field::Fixed64(take(8).try_into().unwrap()),
            5 => Field::Fixed32(take(4).try_into().unwrap()),
            2 => {
                let length = varint(&mut message) as usize;
                let (taken, rest) = message.split_at(length);
                message = rest;
                Field::Bytes(taken.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = message[0];
        *message = &message[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}
