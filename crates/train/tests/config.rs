//! Wrong configurations, and the exact line that each gives.

use maxlik_train::{OptimConfig, Schedule, config};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    seed: u64,
    model: Model,
    #[serde(default)]
    optim: OptimConfig,
    #[serde(default)]
    paths: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Model {
    Flow { layers: Vec<Layer> },
    Mixture { components: u64 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Layer {
    Spline(Spline),
    Affine(Affine),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spline {
    bins: i64,
    #[serde(default)]
    hidden: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Affine {
    scale: f64,
}

const GOOD: &str = r#"
seed = 7
model.kind = "flow"
model.layers = [
    { kind = "spline", bins = 8, hidden = [64, 64] },
    { kind = "affine", scale = 2.0 },
]
[optim]
lr = 1e-3
schedule = { kind = "cosine", warmup = 10 }
"#;

fn read(overrides: &[&str]) -> Result<Recipe, String> {
    read_text(GOOD, overrides)
}

fn read_text(text: &str, overrides: &[&str]) -> Result<Recipe, String> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    config::parse("recipe.toml", text, &overrides).map_err(|error| error.to_string())
}

#[track_caller]
fn check(text: &str, overrides: &[&str], expected: &str) {
    let message = read_text(text, overrides).unwrap_err();
    assert_eq!(message, expected);
    assert_eq!(message.lines().count(), 1);
}

#[test]
fn overrides_are_toml_or_text() {
    let recipe = read(&[
        "seed=9",
        "optim.lr = 0.5",
        "optim.clip=inf",
        "optim.betas=[0.8, 0.9]",
        "optim.schedule.kind=linear",
        "paths.train=/data/a=b.csv",
        "paths.test=\"12\"",
        r#"model={ kind = "mixture", components = 3 }"#,
    ])
    .unwrap();
    assert_eq!(recipe.seed, 9);
    assert_eq!(recipe.model, Model::Mixture { components: 3 });
    let expected = OptimConfig {
        lr: 0.5,
        betas: [0.8, 0.9],
        schedule: Schedule::Linear { warmup: 10, last: 0.0 },
        ..OptimConfig::default()
    };
    assert_eq!(recipe.optim, expected);
    assert_eq!(recipe.paths["train"], "/data/a=b.csv");
    assert_eq!(recipe.paths["test"], "12");
}

#[test]
fn an_integer_is_a_number() {
    assert_eq!(read(&["optim.lr=1"]).unwrap().optim.lr, 1.0);
}

#[test]
fn the_saved_configuration_reads_back_the_same() {
    let recipe = read(&["paths.train=a.csv", "optim.ema=0.999"]).unwrap();
    let text = config::to_toml(&recipe).unwrap();
    assert_eq!(read_text(&text, &[]).unwrap(), recipe);
}

#[test]
fn unknown_keys_name_the_nearest_one() {
    let cases: [(&[&str], &str); 8] = [
        (&["sed=1"], "sed: unknown key, did you mean seed? (--set sed=1)"),
        (
            &["optim.batchsize=3"],
            "optim.batchsize: unknown key, did you mean optim.batch? (--set optim.batchsize=3)",
        ),
        (
            &["optim.learning_rate=3"],
            "optim.learning_rate: unknown key, expected one of steps, batch, accumulate, lr, weight_decay, betas, \
             eps, clip, ema, eval_every, patience, checkpoint_every, log_every, schedule \
             (--set optim.learning_rate=3)",
        ),
        (
            &["optim.schedule.warm_up=3"],
            "optim.schedule.warm_up: unknown key, did you mean optim.schedule.warmup? \
             (--set optim.schedule.warm_up=3)",
        ),
        (
            &["optim.schedule.kind=cosin"],
            "optim.schedule.kind: unknown value \"cosin\", did you mean cosine? \
             (--set optim.schedule.kind=cosin)",
        ),
        (
            &["model.kind=tree"],
            "model.kind: unknown value \"tree\", expected one of flow, mixture \
             (--set model.kind=tree)",
        ),
        (
            &["model.layer=3"],
            "model.layer: unknown key, did you mean model.layers? (--set model.layer=3)",
        ),
        (&["modle.kind=3"], "modle: unknown key, did you mean model? (--set modle.kind=3)"),
    ];
    for (overrides, expected) in cases {
        check(GOOD, overrides, expected);
    }
}

#[test]
fn errors_inside_tagged_lists_name_the_entry_and_the_line() {
    let cases = [
        (
            "bins = 8",
            "bin = 8",
            "model.layers[0].bin: unknown key, did you mean model.layers[0].bins? \
             (recipe.toml, line 5)",
        ),
        (
            "\"affine\"",
            "\"afine\"",
            "model.layers[1].kind: unknown value \"afine\", did you mean affine? \
             (recipe.toml, line 6)",
        ),
        (
            "bins = 8",
            "bins = 8.5",
            "model.layers[0].bins: expected an integer, got the number 8.5 (recipe.toml, line 5)",
        ),
        (
            "[64, 64]",
            "[64, \"x\"]",
            "model.layers[0].hidden[1]: expected an integer, got the string \"x\" \
             (recipe.toml, line 5)",
        ),
        (
            "[64, 64]",
            "64",
            "model.layers[0].hidden: expected a list, got the integer 64 (recipe.toml, line 5)",
        ),
        (", scale = 2.0", "", "model.layers[1].scale: missing (recipe.toml, line 6)"),
        ("kind = \"spline\", ", "", "model.layers[0].kind: missing (recipe.toml, line 5)"),
    ];
    for (good, bad, expected) in cases {
        assert!(GOOD.contains(good));
        check(&GOOD.replacen(good, bad, 1), &[], expected);
    }
}

#[test]
fn types_name_the_key_expected_and_got() {
    let cases: [(&[&str], &str); 8] = [
        (
            &["optim.lr=fast"],
            "optim.lr: expected a number, got the string \"fast\" (--set optim.lr=fast)",
        ),
        (
            &["optim.steps=-3"],
            "optim.steps: expected an integer of at least 0, got the integer -3 \
             (--set optim.steps=-3)",
        ),
        (
            &["optim.steps=1e3"],
            "optim.steps: expected an integer of at least 0, got the number 1000.0 \
             (--set optim.steps=1e3)",
        ),
        (
            &["optim.betas=[0.9]"],
            "optim.betas: expected a list of 2, got a list of 1 (--set optim.betas=[0.9])",
        ),
        (&["optim=3"], "optim: expected a table, got the integer 3 (--set optim=3)"),
        (
            &["model=flow"],
            "model: expected a table with the key kind, got the string \"flow\" (--set model=flow)",
        ),
        (&["paths.a=1"], "paths.a: expected a string, got the integer 1 (--set paths.a=1)"),
        (&["seed=true"], "seed: expected an integer of at least 0, got true (--set seed=true)"),
    ];
    for (overrides, expected) in cases {
        check(GOOD, overrides, expected);
    }
}

/// Good values that look like the bad one, or stand before it, are not blamed.
#[test]
fn the_bad_one_of_several_alike_is_found() {
    check(
        GOOD,
        &["seed=64", "paths.a=64"],
        "paths.a: expected a string, got the integer 64 (--set paths.a=64)",
    );
    check(
        &GOOD.replace("scale = 2.0", "scale = 2.0, bins = 8"),
        &[],
        "model.layers[1].bins: unknown key, expected scale (recipe.toml, line 6)",
    );
    check(
        &GOOD.replace("bins = 8, ", "").replace(", scale = 2.0", ""),
        &[],
        "model.layers[0].bins: missing (recipe.toml, line 5)",
    );
    let twice = GOOD.replace("{ kind = \"spline\"", "{ kind = \"affine\" },\n { kind = \"spline\"");
    check(
        &twice.replace(", scale = 2.0", ""),
        &[],
        "model.layers[0].scale: missing (recipe.toml, line 5)",
    );
    let two = twice.replace("\"affine\" }", "\"affine\", scale = \"2\" }");
    check(
        &two.replace("2.0", "\"2\""),
        &["paths.a=\"2\""],
        "model.layers[0].scale: expected a number, got the string \"2\" (recipe.toml, line 5)",
    );
}

/// A check of its own inside a type says what is wrong; the place is found all the same.
#[test]
fn complaints_of_other_forms_name_their_place() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        _inner: Vec<Even>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "i64")]
    struct Even;
    impl TryFrom<i64> for Even {
        type Error = String;
        fn try_from(value: i64) -> Result<Self, String> {
            if value % 2 == 0 { Ok(Self) } else { Err("expected an even number".to_owned()) }
        }
    }
    let text = "_inner = [\n2,\n3,\n4]";
    let message = config::parse::<Outer>("a.toml", text, &[]).unwrap_err().to_string();
    assert_eq!(message, "_inner[1]: expected an even number (a.toml, line 3)");
}

#[test]
fn other_mistakes_are_one_line_too() {
    check(&GOOD.replace("seed = 7", ""), &[], "seed: missing (recipe.toml)");
    check(
        &GOOD.replace("seed = 7", "seed 7"),
        &[],
        "recipe.toml, line 2: key with no value, expected `=`",
    );
    check(GOOD, &["seed"], "--set: expected key=value, got \"seed\"");
    check(GOOD, &["a..b=1"], "--set: expected key=value, got \"a..b=1\"");
    check(GOOD, &["seed.a=1"], "seed: no table but an integer, which has no keys (--set seed.a=1)");
    let missing = config::load::<Recipe>("/no/such.toml".as_ref(), &[]).unwrap_err().to_string();
    assert_eq!(missing, "/no/such.toml: No such file or directory (os error 2)");
}
