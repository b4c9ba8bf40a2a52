//! Links between pages lead somewhere.

use xtask::links::broken;

use crate::fake::write;

#[test]
fn missing_files_and_headings_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("README.md");
    write(&folder.path().join("docs/a.md"), b"# A title\n## A title\n");
    write(
        &page,
        b"# Top\n[1](docs/a.md) [2](docs/a.md#a-title-1) [3](#top) [4](docs)\n\n[5](gone.md)\n[6](docs/a.md#b) [7](#no)\n",
    );
    let found: Vec<String> = broken(&page)
        .unwrap()
        .iter()
        .map(|link| format!("{} {} {}", link.line, link.target, link.why))
        .collect();
    assert_eq!(
        found,
        ["4 gone.md no such file", "5 docs/a.md#b no such heading", "5 #no no such heading"]
    );
}
