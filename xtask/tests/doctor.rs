//! `doctor` names each fault with its cure and says so in its exit code.

use std::fs;

use xtask::libtorch::{VERSION, Variant};

use crate::fake::{self, Place, said};

#[track_caller]
fn examine(place: &Place, healthy: bool) -> String {
    let output = place.xtask(&["doctor"]).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(i32::from(!healthy)), "{text}");
    text
}

#[test]
fn missing_wrong_and_half_installed() {
    let place = Place::new();
    let text = examine(&place, false);
    assert!(
        text.contains("FAULT  LibTorch") && text.contains(".libtorch/cpu is not there"),
        "{text}"
    );
    assert!(text.contains("cure: run `cargo xtask setup`"), "{text}");

    let home = place.workspace().home(Variant::Cpu);
    fake::libtorch(&home, "2.5.1");
    let text = examine(&place, false);
    assert!(text.contains("FAULT  version") && text.contains("is LibTorch 2.5.1"), "{text}");

    fs::remove_file(home.join("lib/libtorch_cpu.so")).unwrap();
    let text = examine(&place, false);
    assert!(text.contains("FAULT  files") && text.contains("lacks lib/libtorch_cpu.so"), "{text}");

    fake::libtorch(&home, VERSION);
    let text = examine(&place, true);
    assert!(text.contains("ok     link"), "{text}");
    assert!(text.contains("All that maxlik needs is here."), "{text}");
}

#[test]
fn a_missing_compiler() {
    let place = Place::new();
    fake::libtorch(&place.workspace().home(Variant::Cpu), VERSION);
    let output = place.xtask(&["doctor"]).env("CXX", "no-such-compiler").output().unwrap();
    let text = said(&output);
    assert!(!output.status.success());
    assert!(text.contains("FAULT  C++       no-such-compiler does not run"), "{text}");
    assert!(text.contains("apt install g++"), "{text}");
}

#[test]
fn a_variable_that_points_nowhere() {
    let place = Place::new();
    let output = place.xtask(&["doctor"]).env("LIBTORCH", "/nowhere").output().unwrap();
    let text = said(&output);
    assert!(!output.status.success());
    assert!(text.contains("/nowhere is not there") && text.contains("unset LIBTORCH"), "{text}");
}
