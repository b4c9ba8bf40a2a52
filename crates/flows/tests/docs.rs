//! The tables of docs/flows.md say under which name a layer is checked: that name is there.

const PAGE: &str = include_str!("../../../docs/flows.md");
const TESTS: &[&str] = &[
    include_str!("audio.rs"),
    include_str!("autoregressive.rs"),
    include_str!("image.rs"),
    include_str!("tarflow.rs"),
];

#[test]
fn every_layer_of_the_tables_is_checked() {
    let mut tables = 0;
    let mut checked = false;
    for line in PAGE.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells.as_slice() {
            ["", "layer", .., "checked as", ""] => {
                checked = true;
                tables += 1;
            }
            ["", rule, .., ""] if rule.starts_with("---") => {}
            ["", .., name, ""] if checked => {
                let name = name.trim_matches('"');
                let quoted = format!("\"{name}\"");
                assert!(!name.is_empty() && name != "no", "no name in {line}");
                let found = TESTS.iter().any(|test| test.contains(&quoted));
                assert!(found, "{name:?} is in docs/flows.md and in no test");
            }
            _ => checked = false,
        }
    }
    assert!(tables >= 3, "docs/flows.md has lost its tables");
}
