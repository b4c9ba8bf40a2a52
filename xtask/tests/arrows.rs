//! Arrows: what the page allows, what cargo reports, and what is then forbidden.

use serde_json::json;
use xtask::arrows::{actual, allowed, forbidden};

const PAGE: &str = "\
# Architecture
```text
z -> y
```
```arrows
# a comment
model -> tensor
nn -> tensor   # why

nn -> testkit (dev)
```
model -> nn
";

#[test]
fn only_the_block_counts() {
    let arrows: Vec<String> = allowed(PAGE).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(arrows, ["model -> tensor", "nn -> tensor", "nn -> testkit (dev)"]);
    assert!(allowed("# no block").unwrap_err().to_string().contains("```arrows"));
    for wrong in ["model tensor", "-> tensor", "a -> b -> c", "a -> b (build)"] {
        let page = format!("```arrows\n{wrong}\n```\n");
        assert!(allowed(&page).unwrap_err().to_string().contains(wrong));
    }
}

#[test]
fn an_arrow_that_is_not_on_the_page_is_forbidden() {
    let dependency =
        |name: &str, kind: Option<&str>| json!({"name": name, "kind": kind, "path": "/x"});
    let metadata = json!({"packages": [
        {"name": "tensor", "dependencies": [{"name": "serde", "kind": null}]},
        {"name": "testkit", "dependencies": []},
        {"name": "model", "dependencies": [dependency("tensor", None), dependency("nn", None)]},
        {"name": "nn", "dependencies": [
            dependency("tensor", Some("dev")),
            dependency("testkit", None),
            dependency("testkit", Some("dev")),
        ]},
    ]});
    let found: Vec<String> = forbidden(&actual(&metadata).unwrap(), &allowed(PAGE).unwrap())
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, ["model -> nn", "nn -> testkit"]);
    assert!(actual(&json!({})).is_err());
}
