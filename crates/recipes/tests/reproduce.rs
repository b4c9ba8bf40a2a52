use super::{maxlik, stderr};
use maxlik_recipes::commands::{Reproduction, reproduce_among};
use maxlik_recipes::systems::{Check, SYSTEMS, System};
use std::path::Path;

/// A system whose result is its seed, and one that writes a file.
const FAKES: [System; 2] = [
    System {
        name: "seeds",
        about: "its result is its seed",
        claim: "at most one",
        run: |seed, _| {
            let result = seed as f64;
            Ok(vec![Check::at_most("seed", "at most 1", result, 1.0).beside("zero", 0.0)])
        },
    },
    System {
        name: "files",
        about: "it writes a file",
        claim: "it is there",
        run: |_, out| {
            std::fs::write(out.join("file.txt"), "here")?;
            Ok(vec![Check::at_least("files", "at least 1", 1.0, 1.0)])
        },
    },
];

fn run(folder: &Path, names: &[&str], seeds: u64) -> (u8, serde_json::Value) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let json = folder.join("results.json");
    let (all, json) = (names.is_empty(), Some(json.as_path()));
    let doc = folder.join("docs/systems.md");
    let doc = Some(doc.as_path());
    let arguments = Reproduction { names: &names, all, seeds, out: folder, json, doc };
    let code = reproduce_among(&FAKES, &arguments).unwrap();
    let text = std::fs::read_to_string(folder.join("results.json")).unwrap();
    (code, serde_json::from_str(&text).unwrap())
}

#[test]
fn the_exit_code_is_zero_only_if_every_acceptance_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = run(folder.path(), &["seeds"], 2);
    assert_eq!(code, 0);
    assert_eq!(report["pass"], true);
    let check = &report["systems"][0]["checks"][0];
    assert_eq!(check["results"], serde_json::json!([0.0, 1.0]));
    assert_eq!(check["mean"], 0.5);
    assert_eq!(check["spread"], 1.0);
    assert_eq!(check["baseline"]["name"], "zero");
    assert_eq!(report["systems"].as_array().unwrap().len(), 1);

    let (code, report) = run(folder.path(), &[], 3);
    assert_eq!(code, 1);
    assert_eq!(report["pass"], false);
    assert_eq!(report["systems"][0]["checks"][0]["pass"], false);
    assert_eq!(report["systems"][1]["pass"], true);
    assert!(folder.path().join("files-2/file.txt").exists());
}

#[test]
fn each_run_writes_its_own_sections_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let page = || std::fs::read_to_string(folder.path().join("docs/systems.md")).unwrap();
    run(folder.path(), &["seeds"], 2);
    let first = page();
    assert!(
        first.contains("| seed | at most 1 | 0.5000 | 1.0000 | zero: 0.0000 | yes |"),
        "{first}"
    );
    run(folder.path(), &["files"], 1);
    let both = page();
    let (files, seeds) = (both.find("## files").unwrap(), both.find("## seeds").unwrap());
    assert!(files < seeds && both.contains("0.5000"), "{both}");
    run(folder.path(), &["seeds"], 3);
    assert!(page().contains("| seed | at most 1 | 1.0000 | 2.0000 | zero: 0.0000 | **no** |"));
    assert_eq!(page().matches("## seeds").count(), 1);
}

#[test]
fn what_is_not_there_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let says = |arguments: &[&str]| {
        let output = maxlik(folder.path(), arguments);
        assert!(!output.status.success());
        stderr(&output)
    };
    let unknown = says(&["reproduce", "starflo"]);
    assert!(unknown.contains("no system is called \"starflo\""), "{unknown}");
    assert!(unknown.contains("starflow"), "{unknown}");
    assert!(says(&["reproduce"]).contains("which system?"));
    assert!(says(&["reproduce", "starflow", "--seeds", "0"]).contains("at least 1, got 0"));
}

#[test]
fn systems_have_names_of_their_own() {
    let mut names: Vec<&str> = SYSTEMS.iter().map(|system| system.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for system in SYSTEMS {
        assert!(!system.about.is_empty() && !system.claim.is_empty());
    }
}
