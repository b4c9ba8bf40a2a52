use super::{maxlik, stderr, stdout};
use std::fs;
use std::path::Path;

/// A small table with a header: a noisy parabola.
fn table(folder: &Path) -> String {
    let mut text = String::from("a,b,c\n");
    for i in 0..300 {
        let t = f64::from(i) / 300.0 * 6.0 - 3.0;
        let noise = (f64::from(i * 7919 % 300) / 300.0 - 0.5) * 0.4;
        text.push_str(&format!("{t},{},{}\n", t * t + noise, noise - 0.3 * t));
    }
    let path = folder.join("table.csv");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = maxlik(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
    stdout(&output)
}

fn metric(run: &Path, name: &str) -> f64 {
    let text = fs::read_to_string(run.join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    summary["metrics"][name].as_f64().unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Every recipe trains for a few steps, and all commands work on its folder.
#[test]
fn every_recipe_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("data.path={}", table(folder.path()));
    let listed = ok(folder.path(), &["systems"]);
    for line in listed.lines().filter(|line| !line.contains("reproduce:")) {
        let name = line.split_whitespace().next().unwrap();
        let mut arguments =
            vec!["train", name, "--out", name, "--set", "optim.steps=6", "--set", "optim.batch=32"];
        match name {
            _ if name.ends_with("table") => arguments.extend(["--set", &path]),
            _ if name.ends_with("toy") => arguments.extend(["--set", "data.rows=400"]),
            "char-lm" => arguments.extend(["--set", "model.transformer.layers=1"]),
            _ => {}
        }
        if name.starts_with("ffjord") || name.starts_with("otcfm") {
            arguments.extend(["--set", "model.hidden=[8, 8]", "--set", "model.tolerance=1e-2"]);
        }
        if name.starts_with("diffusion") {
            arguments.extend(["--set", "model.tolerance=1e-2"]);
            let toy = name.ends_with("toy");
            let hidden = if toy { "model.network.hidden=[8, 8]" } else { "model.network.hidden=8" };
            arguments.extend(["--set", hidden]);
        }
        ok(folder.path(), &arguments);
        let run = folder.path().join(name);
        for file in
            ["config.toml", "environment.json", "metrics.jsonl", "report.html", "summary.json"]
        {
            assert!(run.join(file).metadata().unwrap().len() > 0, "{name}: {file}");
        }
        assert!(metric(&run, "test_nll_nats").is_finite());
        let evaluated = ok(folder.path(), &["eval", name]);
        assert!(evaluated.contains("test"), "{evaluated}");
        let sampled = ok(folder.path(), &["sample", name, "-n", "7"]);
        // Text goes to the terminal, a text after another; all else into a file.
        let expected = if name == "char-lm" { "\n--\n" } else { "samples." };
        assert!(sampled.contains(expected), "{sampled}");
        ok(folder.path(), &["report", name]);
    }
}

/// A run that stopped and went on has the weights of one that did not, bit for bit.
#[test]
fn resume_is_bit_equal() {
    let folder = tempfile::tempdir().unwrap();
    let train = |recipe: &str, out: &str, steps: &str, more: &[&str]| {
        let small: &[&str] = match recipe {
            "digits" => &["model.layers=2"],
            _ => &["model.network.hidden=8", "model.tolerance=1e-1", "objective.levels=learned"],
        };
        let steps = format!("optim.steps={steps}");
        let mut arguments = vec![
            "train",
            recipe,
            "--out",
            out,
            "--set",
            &steps,
            "--set",
            "optim.batch=32",
            "--set",
            "optim.schedule.kind=constant",
            "--set",
            "optim.eval_every=5",
        ];
        for set in small {
            arguments.extend(["--set", set]);
        }
        arguments.extend(more);
        ok(folder.path(), &arguments);
        fs::read(folder.path().join(out).join("checkpoints/last.safetensors")).unwrap()
    };
    for recipe in ["digits", "diffusion-digits"] {
        let (whole, parts) = (format!("{recipe}-whole"), format!("{recipe}-parts"));
        let all = train(recipe, &whole, "12", &[]);
        train(recipe, &parts, "7", &[]);
        let resumed = train(recipe, &parts, "12", &["--resume"]);
        assert_eq!(tensors(&all), tensors(&resumed), "{recipe}");
    }
}

/// The tensors' bytes of a safetensors file: all that follows the header.
fn tensors(file: &[u8]) -> &[u8] {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap());
    &file[8 + usize::try_from(length).unwrap()..]
}

/// Likelihood of a table is in the units of its file: a column times ten costs ln 10 nats.
#[test]
fn tables_are_in_their_own_units() {
    let folder = tempfile::tempdir().unwrap();
    let path = table(folder.path());
    let text = fs::read_to_string(&path).unwrap();
    let scaled: Vec<String> = text
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            match cells[0].parse::<f64>() {
                Ok(a) => format!("{},{},{}", a * 10.0, cells[1], cells[2]),
                Err(_) => line.to_owned(),
            }
        })
        .collect();
    fs::write(folder.path().join("scaled.csv"), scaled.join("\n")).unwrap();
    let nll = |out: &str, file: &str| {
        let path = format!("data.path={file}");
        ok(
            folder.path(),
            &[
                "train",
                "table",
                "--out",
                out,
                "--set",
                &path,
                "--set",
                "optim.steps=20",
                "--set",
                "precision=f64",
            ],
        );
        metric(&folder.path().join(out), "test_nll_nats")
    };
    let gap = nll("b", "scaled.csv") - nll("a", &path);
    assert!((gap - 10.0_f64.ln()).abs() < 1e-6, "{gap}");
}

/// Objectives of densities beside likelihood: each names its loss, and all are evaluated by likelihood.
#[test]
fn densities_train_by_other_objectives() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &str, &[&str]); 6] = [
        (
            "realnvp-table",
            "train_score_matching",
            &[
                "objective={ kind = \"score_matching\", form = { variant = \"explicit\" } }",
                "data.path=t.csv",
            ],
        ),
        (
            "digits",
            "train_score_matching",
            &[
                "objective={ kind = \"score_matching\", form = { variant = \"finite_difference\", radius = 0.1 } }",
                "model.layers=1",
            ],
        ),
        ("otcfm-toy", "train_flow_matching", &["model.hidden=[8]", "model.tolerance=1e-2"]),
        (
            "toy",
            "train_penalized_nll",
            &[
                "objective={ kind = \"penalized_likelihood\", score_norm = 0.1, parameter_norm = 1e-3 }",
            ],
        ),
        ("toy", "train_contrast", &["objective={ kind = \"contrastive_likelihood\" }"]),
        (
            "ffjord-table",
            "train_flow_matching",
            &[
                "objective={ kind = \"flow_matching\", form = { variant = \"rectified\" } }",
                "data.path=t.csv",
            ],
        ),
    ];
    let rows: Vec<String> = (0..60).map(|i| format!("{},{}", i % 7, (i * i) % 11)).collect();
    fs::write(folder.path().join("t.csv"), rows.join("\n")).unwrap();
    for (i, (recipe, loss, sets)) in cases.iter().enumerate() {
        let out = i.to_string();
        let mut arguments = vec!["train", recipe, "--out", &out];
        let small = ["optim.steps=3", "optim.batch=16", "optim.accumulate=2"];
        let rows: &[&str] = if recipe.ends_with("toy") { &["data.rows=300"] } else { &[] };
        for set in small.iter().chain(rows).chain(*sets) {
            arguments.extend(["--set", set]);
        }
        ok(folder.path(), &arguments);
        let text =
            fs::read_to_string(folder.path().join(out.as_str()).join("metrics.jsonl")).unwrap();
        assert!(text.contains(loss) && text.contains("validation_nll"), "{recipe}: {text}");
    }
    for (recipe, set, why) in [
        ("toy", "objective={ kind = \"rectified\" }", "objective"),
        ("toy", "objective={ kind = \"emo\" }", "of text"),
        (
            "toy",
            "objective={ kind = \"flow_matching\", form = { variant = \"rectified\" } }",
            "cnf",
        ),
        ("otcfm-toy", "model.steer=0.1", "flow matching"),
        ("ebflow-toy", "objective.form={ variant = \"denoising\", sigma = 0.0 }", "sigma"),
        (
            "ebflow-toy",
            "objective.form={ variant = \"noise_levels\", levels = [0.1] }",
            "noise_levels",
        ),
        ("ebflow-toy", "objective.form={ variant = \"slicd\" }", "slicd"),
        ("char-lm", "objective={ kind = \"contrastive_likelihood\" }", "of densities"),
        ("toy", "precision=\"bf16\"", "bf16"),
    ] {
        let refused = maxlik(folder.path(), &["train", recipe, "--set", set]);
        assert!(
            !refused.status.success() && stderr(&refused).contains(why),
            "{}",
            stderr(&refused)
        );
    }
}

/// Diffusion models of all processes train, and report bound and likelihood; what does not fit is refused.
#[test]
fn diffusion_models_of_all_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<String> = (0..60).map(|i| format!("{},{}", i % 7, (i * i) % 11)).collect();
    fs::write(folder.path().join("t.csv"), rows.join("\n")).unwrap();
    let table = "data={ kind = \"table\", path = \"t.csv\" }";
    let noise = |schedule: &str| {
        format!("model.process={{ predict = \"noise\", start = 0.1, schedule = {{ {schedule} }} }}")
    };
    let straight =
        "model.process={ predict = \"velocity\", path = \"straight\", g0 = -4.0, g1 = 6.0 }";
    let residual = "model.network={ kind = \"residual\", hidden = 8 }";
    let by_noise = "objective={ kind = \"noise_matching\" }";
    let (cosine, exploding, sub) = (
        noise("kind = \"cosine\", end = 0.97"),
        noise("kind = \"variance_exploding\", sigma_min = 0.05, sigma_max = 8.0"),
        noise("kind = \"sub_variance_preserving\", beta_min = 0.1, beta_max = 12.0"),
    );
    let cases: [(&str, Vec<&str>); 6] = [
        ("diffusion-toy", vec![table, straight, "objective.second_order=0.1"]),
        ("diffusion-toy", vec![table, residual, "objective.levels=learned"]),
        ("diffusion-toy", vec![table, &cosine, by_noise]),
        ("diffusion-toy", vec![table, &exploding, residual, by_noise]),
        (
            "diffusion-toy",
            vec![table, &sub, "objective={ kind = \"noise_matching\", times = \"uniform\" }"],
        ),
        (
            "diffusion-digits",
            vec!["model.dequantization=uniform", "objective.levels=uniform", residual],
        ),
    ];
    for (i, (recipe, sets)) in cases.iter().enumerate() {
        let out = i.to_string();
        let mut arguments = vec!["train", recipe, "--out", &out];
        let small = ["optim.steps=3", "optim.batch=16", "model.tolerance=1e-1"];
        for set in small.iter().chain(sets) {
            arguments.extend(["--set", set]);
        }
        ok(folder.path(), &arguments);
        let run = folder.path().join(&out);
        assert!(
            metric(&run, "test_nll_nats").is_finite() && metric(&run, "test_elbo_nats").is_finite()
        );
    }
    for (recipe, set, why) in [
        ("diffusion-toy", by_noise, "velocity_matching"),
        ("diffusion-toy", cosine.as_str(), "noise_matching"),
        ("diffusion-toy", "model.process.g0=9.0", "g0"),
        ("diffusion-toy", "model.network.dropout=0.1", "dropout"),
        ("diffusion-toy", "model.dequantization=uniform", "levels"),
        ("diffusion-toy", "objective.second_order=-1.0", "second_order"),
        ("diffusion-toy", "model.tolerance=0.0", "tolerance"),
        ("toy", "objective={ kind = \"velocity_matching\" }", "diffusion"),
    ] {
        let refused = maxlik(folder.path(), &["train", recipe, "--set", set]);
        assert!(
            !refused.status.success() && stderr(&refused).contains(why),
            "{}",
            stderr(&refused)
        );
    }
}

/// A continuous flow trains with an estimated trace, regularisers and a random end, and reports them.
#[test]
fn continuous_flows_take_regularisers() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["train", "ffjord-toy", "--out", "run"];
    for set in [
        "data.rows=300",
        "optim.steps=3",
        "optim.batch=32",
        "model.hidden=[8]",
        "model.tolerance=1e-2",
        "model.kinetic=0.1",
        "model.jacobian=0.05",
        "model.steer=0.1",
        "model.trace={ kind = \"hutchinson\", probes = 2, noise = \"gaussian\" }",
    ] {
        arguments.extend(["--set", set]);
    }
    ok(folder.path(), &arguments);
    let text = fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    for name in ["kinetic", "jacobian", "evaluations"] {
        assert!(text.contains(name), "no {name} in {text}");
    }
    let refused = maxlik(folder.path(), &["train", "ffjord-toy", "--set", "model.kinetic=-1.0"]);
    assert!(!refused.status.success() && stderr(&refused).contains("kinetic"));
}
