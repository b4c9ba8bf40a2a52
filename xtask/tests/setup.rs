//! `setup` from end to end, interrupted, damaged and repeated.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xtask::libtorch::lock::Lock;
use xtask::libtorch::{VERSION, Variant, check};

use crate::fake::{self, Place, said};

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn succeeds(place: &Place, arguments: &[&str]) -> String {
    let output = place.xtask(arguments).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

#[track_caller]
fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = said(&output);
    assert!(!output.status.success(), "{text}");
    let errors: Vec<_> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one line says what is wrong: {text}");
    text
}

#[test]
fn installs_the_archive_and_leaves_nothing_else() {
    let place = Place::new();
    place.archive("2.13.0+cpu\n");
    let text = succeeds(&place, &["setup"]);
    assert!(text.contains("LibTorch 2.13.0+cpu (cpu) is ready at .libtorch/cpu"), "{text}");
    let workspace = place.workspace();
    assert_eq!(check::works(&workspace.home(Variant::Cpu), Variant::Cpu), Ok(()));
    assert_eq!(names(&workspace.libtorch()), [".lock", "cpu", "cpu-2.13.0"]);

    // Once more, with nothing to download from.
    fs::remove_file(place.path("archive.zip")).unwrap();
    assert!(succeeds(&place, &["setup"]).contains("is ready"));
}

#[test]
fn a_python_torch_is_linked() {
    let place = Place::new();
    let torch = place.path("site-packages/torch");
    fake::libtorch(&torch, VERSION);
    let output = place.xtask(&["setup"]).env("FAKE_TORCH", &torch).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_link(place.workspace().home(Variant::Cpu)).unwrap(), torch);
}

#[test]
fn a_killed_set_up_leaves_nothing_that_looks_finished() {
    let place = Place::new();
    let archive = place.archive(VERSION);
    // A Python that stops in the middle of the download.
    let slow = "#!/bin/sh
case \"$*\" in
--version) echo Python 3.11 ;;
*find_spec*) echo ;;
-c*) echo 100000; for last; do :; done; head -c 100 \"${0%/slow/*}/archive.zip\" > \"$last\"; sleep 60 ;;
esac
";
    fake::program(&place.path("slow/python3"), slow);
    let mut command = place.xtask(&["setup"]);
    let search = format!("{}:{}", place.path("slow").display(), std::env::var("PATH").unwrap());
    let mut child = command
        .env("PATH", search)
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let part = place.path("root/.libtorch/downloads/libtorch-cpu.zip.part");
    let start = Instant::now();
    while fs::metadata(&part).map_or(0, |data| data.len()) < 100 {
        assert!(start.elapsed() < Duration::from_secs(20), "the download never began");
        std::thread::sleep(Duration::from_millis(10));
    }
    let group = format!("-{}", child.id());
    assert!(Command::new("kill").args(["-9", "--", &group]).status().unwrap().success());
    child.wait().unwrap();

    let libtorch = place.workspace().libtorch();
    assert!(!names(&libtorch).iter().any(|name| name.starts_with("cpu")), "{:?}", names(&libtorch));
    assert!(part.exists() && archive.exists());
    succeeds(&place, &["setup"]);
    assert_eq!(names(&libtorch), [".lock", "cpu", "cpu-2.13.0"]);
}

#[test]
fn a_cut_archive_installs_nothing_and_is_not_kept() {
    let place = Place::new();
    let archive = place.archive(VERSION);
    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
    let text = fails(&mut place.xtask(&["setup"]));
    assert!(text.contains("libtorch-cpu.zip is damaged"), "{text}");
    assert!(!place.workspace().home(Variant::Cpu).is_symlink());

    fs::write(&archive, &whole).unwrap();
    succeeds(&place, &["setup"]);
}

#[test]
fn an_archive_of_another_version_is_not_linked() {
    let place = Place::new();
    place.archive("2.5.1\n");
    let text = fails(&mut place.xtask(&["setup"]));
    assert!(text.contains("LibTorch 2.5.1, but 2.13.0 is needed"), "{text}");
    assert!(!place.workspace().home(Variant::Cpu).is_symlink());
}

#[test]
fn damage_is_repaired() {
    let place = Place::new();
    place.archive(VERSION);
    succeeds(&place, &["setup"]);
    let home = place.workspace().home(Variant::Cpu);
    fs::remove_file(home.join("lib/libc10.so")).unwrap();
    succeeds(&place, &["setup"]);
    assert_eq!(check::works(&home, Variant::Cpu), Ok(()));
}

#[test]
fn a_folder_of_the_users_own_is_never_replaced() {
    let place = Place::new();
    place.archive(VERSION);
    let home = place.workspace().home(Variant::Cpu);
    fake::libtorch(&home, "2.5.1");
    let text = fails(&mut place.xtask(&["setup"]));
    assert!(text.contains("move it away"), "{text}");
    assert!(home.join("build-version").exists());
}

#[test]
fn out_of_reach_on_every_way() {
    let place = Place::new();
    let text = fails(&mut place.xtask(&["setup"]));
    assert!(text.contains("The official archive is out of reach"), "{text}");
    assert!(text.contains("pip could not download torch==2.13.0"), "{text}");
    assert!(!place.workspace().home(Variant::Cpu).is_symlink());
}

#[test]
fn a_given_folder_is_checked_and_linked() {
    let place = Place::new();
    let own = place.path("own");
    let given = ["setup", "--libtorch", own.to_str().unwrap()];
    fake::libtorch(&own, "2.5.1");
    let text = fails(&mut place.xtask(&given));
    assert!(text.contains("--libtorch cannot be used") && text.contains("2.5.1"), "{text}");
    fake::libtorch(&own, VERSION);
    succeeds(&place, &given);
    let home = place.workspace().home(Variant::Cpu);
    assert_eq!(fs::canonicalize(home).unwrap(), fs::canonicalize(own).unwrap());
}

#[test]
fn the_users_variable_is_used_and_linked() {
    let place = Place::new();
    let own = place.path("own");
    fake::libtorch(&own, VERSION);
    let output = place.xtask(&["setup"]).env("LIBTORCH", &own).output().unwrap();
    assert!(said(&output).contains(&format!("ready at {}", own.display())), "{}", said(&output));
    assert!(succeeds(&place, &["setup"]).contains("ready at .libtorch/cpu"));
    fs::remove_dir_all(&own).unwrap();
    let text = fails(place.xtask(&["setup"]).env("LIBTORCH", &own));
    assert!(text.contains("LIBTORCH cannot be used") && text.contains("unset LIBTORCH"), "{text}");
}

#[test]
fn two_set_ups_take_turns() {
    let place = Place::new();
    place.archive(VERSION);
    let lock = Lock::take(&place.workspace().libtorch()).unwrap();
    let child = place.xtask(&["setup"]).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!place.workspace().home(Variant::Cpu).exists());
    drop(lock);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(said(&output).contains("Another set-up is at work"), "{}", said(&output));
}
