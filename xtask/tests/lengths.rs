//! Long files give a reason.

use xtask::lint::too_long;

use crate::fake::write;

#[test]
fn long_files_without_a_reason_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let lines = |count: usize| "x\n".repeat(count);
    write(&at("crates/a/src/fits.rs"), lines(500).as_bytes());
    write(&at("crates/a/src/long.rs"), lines(501).as_bytes());
    write(&at("crates/a/src/excused.rs"), format!("// long: a table\n{}", lines(600)).as_bytes());
    write(&at("peers/bare.py"), format!("# long:\n{}", lines(600)).as_bytes());
    write(&at("target/generated.rs"), lines(600).as_bytes());
    write(&at("notes.md"), lines(600).as_bytes());
    let found = too_long(folder.path()).unwrap();
    assert_eq!(found, [(at("crates/a/src/long.rs"), 501), (at("peers/bare.py"), 601)]);
}
