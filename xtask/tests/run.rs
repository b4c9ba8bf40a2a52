//! `train` and its like become `maxlik`: arguments, exit code and signals are its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use xtask::libtorch::{VERSION, Variant};

use crate::fake::{self, Place, said};

/// A place with LibTorch, where cargo "builds" the shell script `maxlik`.
fn place(maxlik: &str) -> Place {
    let place = Place::new();
    fake::libtorch(&place.workspace().home(Variant::Cpu), VERSION);
    let binary = place.path("maxlik");
    fake::program(&binary, maxlik);
    let message = format!(
        r#"{{"reason":"compiler-artifact","target":{{"name":"maxlik"}},"executable":"{}"}}"#,
        binary.display()
    );
    let cargo = format!("#!/bin/sh\necho \"cargo $*\" >&2\necho '{message}'\n");
    fake::program(&place.path("cargo"), &cargo);
    place
}

fn xtask(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.xtask(arguments);
    command.env("CARGO", place.path("cargo"));
    command
}

#[test]
fn arguments_and_exit_code_pass_through() {
    let place = place("#!/bin/sh\nfor a; do echo \"[$a]\"; done\nexit 7\n");
    let arguments =
        ["train", "digits", "--set", "optim.steps=2", "--resume", "-n", "a b", "--help"];
    let output = xtask(&place, &arguments).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    for argument in arguments {
        assert!(text.contains(&format!("[{argument}]")), "{argument}: {text}");
    }
    assert!(text.contains("cargo build --release -p maxlik-recipes --bin maxlik"), "{text}");
}

#[test]
fn ctrl_c_reaches_maxlik_once_and_it_ends_in_its_own_way() {
    // A shell cannot trap a signal that was ignored when it started, as in a background job.
    let maxlik = "#!/usr/bin/env -S --default-signal=INT /bin/sh
trap 'echo checkpoint; exit 5' INT
echo ready
while :; do sleep 0.05; done
";
    let place = place(maxlik);
    let mut command = xtask(&place, &["train", "digits"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(lines.collect::<Vec<_>>(), ["checkpoint"]);
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_failed_build_starts_nothing() {
    let place = place("#!/bin/sh\necho started\n");
    fake::program(&place.path("cargo"), "#!/bin/sh\nexit 101\n");
    let output = xtask(&place, &["report", "runs/x"]).output().unwrap();
    let text = said(&output);
    assert!(!output.status.success());
    assert_eq!(text, "error: maxlik was not built; see cargo's message above\n");
}

#[test]
fn an_unknown_device_is_refused_before_anything_is_built() {
    let place = place("#!/bin/sh\necho started\n");
    let output = xtask(&place, &["train", "digits", "--device", "gpu"]).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(said(&output), "error: device \"gpu\" is not known; use cpu, cuda or cuda:N\n");
}

#[test]
fn tests_are_counted_and_the_exit_code_kept() {
    let place = place("");
    let cargo = "#!/bin/sh
echo 'test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out'
echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out'
echo \"$MAXLIK_DEVICE $*\"
exit 101
";
    fake::program(&place.path("cargo"), cargo);
    let output = xtask(&place, &["test"]).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(101));
    assert!(text.contains("cpu test --no-fail-fast --workspace\n"), "{text}");
    assert!(text.ends_with("\ntests: 4 passed, 2 failed, 1 skipped\n"), "{text}");
    let chosen = xtask(&place, &["test", "--", "-p", "maxlik-data", "toy"]).output().unwrap();
    assert!(said(&chosen).contains("cpu test --no-fail-fast -p maxlik-data toy\n"));

    fake::program(&place.path("cargo"), "#!/bin/sh\nexit 0\n");
    let none = xtask(&place, &["test"]).output().unwrap();
    assert!(!none.status.success() && said(&none).contains("ran no test"));
}

#[test]
fn every_bench_target_is_run_and_a_failure_ends_it() {
    let place = place("");
    let cargo = r#"#!/bin/sh
case "$1" in
metadata) echo '{"packages": [{"name": "maxlik-ode", "targets": [
    {"name": "maxlik_ode", "kind": ["lib"]},
    {"name": "solvers", "kind": ["bench"]},
    {"name": "adjoint", "kind": ["bench"]}]}]}' ;;
*) echo "$MAXLIK_DEVICE $*"; [ "$5" != adjoint ] || exit 3 ;;
esac
"#;
    fake::program(&place.path("cargo"), cargo);
    let output = xtask(&place, &["bench", "--", "heun"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        said(&output),
        "cpu bench -p maxlik-ode --bench solvers -- heun\ncpu bench -p maxlik-ode --bench adjoint -- heun\n"
    );
}
