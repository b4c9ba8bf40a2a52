//! Equal to sacreBLEU 2.6.0, rouge-score 0.1.2 and SciPy's `kendalltau`, whose numbers `golden.py` wrote.

use maxlik_data::text::metrics::{
    Bleu, BleuTokens, Chrf, Overlap, Rouge, RougeKind, Smoothing, kendall_tau, set_overlap,
};
use serde_json::Value;

struct Golden {
    all: Value,
    hypotheses: Vec<String>,
    references: Vec<Vec<String>>,
}

fn golden() -> Golden {
    let all: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    let segments = all["segments"].as_array().unwrap();
    let hypotheses = segments.iter().map(|s| text(&s["hypothesis"])).collect();
    let references = segments
        .iter()
        .map(|s| s["references"].as_array().unwrap().iter().map(text).collect())
        .collect();
    Golden { all, hypotheses, references }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[track_caller]
fn same(what: &str, ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() < 1e-9, "{what}: {ours} here, {theirs} there");
}

fn bleu_of(case: &Value) -> Bleu {
    let value = case["value"].as_f64();
    Bleu {
        tokens: match case["tokens"].as_str().unwrap() {
            "13a" => BleuTokens::V13a,
            "none" => BleuTokens::Blanks,
            _ => BleuTokens::Characters,
        },
        smoothing: match case["smoothing"].as_str().unwrap() {
            "exp" => Smoothing::Exponential,
            "floor" => Smoothing::Floor { value: value.unwrap_or(0.1) },
            "add-k" => Smoothing::AddK { k: value.unwrap_or(1.0) },
            _ => Smoothing::None,
        },
        order: 4,
        effective_order: case["effective_order"].as_bool().unwrap(),
        lowercase: case["lowercase"].as_bool().unwrap(),
    }
}

#[test]
fn bleu() {
    let golden = golden();
    let first: Vec<Vec<&str>> = golden.references.iter().map(|r| vec![r[0].as_str()]).collect();
    let cases = golden.all["bleu"].as_array().unwrap();
    assert_eq!(cases.len(), 42);
    for case in cases {
        let bleu = bleu_of(case);
        let what = format!("{bleu:?}");
        let corpus = bleu.corpus(&golden.hypotheses, &golden.references).unwrap();
        same(&what, corpus.score, case["corpus"].as_f64().unwrap());
        same(&what, corpus.brevity, case["brevity"].as_f64().unwrap());
        for (ours, theirs) in corpus.precisions.iter().zip(numbers(&case["precisions"])) {
            same(&what, *ours, theirs);
        }
        let lengths = [corpus.hypothesis_length as f64, corpus.reference_length as f64];
        assert_eq!(lengths.to_vec(), numbers(&case["lengths"]), "{what}");
        let single = bleu.corpus(&golden.hypotheses, &first).unwrap().score;
        same(&what, single, case["first_reference_only"].as_f64().unwrap());
        let pairs = golden.hypotheses.iter().zip(&golden.references);
        for ((hypothesis, references), theirs) in pairs.zip(numbers(&case["sentences"])) {
            let ours = bleu.sentence(hypothesis, references).unwrap().score;
            same(&format!("{what}: {hypothesis:?}"), ours, theirs);
        }
    }
}

#[test]
fn chrf() {
    let golden = golden();
    let first: Vec<Vec<&str>> = golden.references.iter().map(|r| vec![r[0].as_str()]).collect();
    let cases = golden.all["chrf"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let chrf = Chrf {
            words: case["words"].as_u64().unwrap() as usize,
            beta: case["beta"].as_f64().unwrap(),
            lowercase: case["lowercase"].as_bool().unwrap(),
            ..Chrf::default()
        };
        let what = format!("{chrf:?}");
        let corpus = chrf.corpus(&golden.hypotheses, &golden.references).unwrap();
        same(&what, corpus, case["corpus"].as_f64().unwrap());
        let single = chrf.corpus(&golden.hypotheses, &first).unwrap();
        same(&what, single, case["first_reference_only"].as_f64().unwrap());
        let pairs = golden.hypotheses.iter().zip(&golden.references);
        for ((hypothesis, references), theirs) in pairs.zip(numbers(&case["sentences"])) {
            let ours = chrf.sentence(hypothesis, references).unwrap();
            same(&format!("{what}: {hypothesis:?}"), ours, theirs);
        }
    }
}

#[test]
fn rouge() {
    let golden = golden();
    let cases = golden.all["rouge"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let kind = match case["kind"].as_str().unwrap() {
            "rougeL" => RougeKind::Longest,
            "rougeLsum" => RougeKind::LongestByLine,
            n => RougeKind::Ngrams { n: n[5..].parse().unwrap() },
        };
        let rouge = Rouge::new(kind);
        for (at, (hypothesis, references)) in
            golden.hypotheses.iter().zip(&golden.references).enumerate()
        {
            let first = rouge.score(&references[0], hypothesis);
            let best = rouge.best(references, hypothesis).unwrap();
            for (ours, theirs) in [(first, &case["first"][at]), (best, &case["best"][at])] {
                let Overlap { precision, recall, f1 } = ours;
                for (ours, theirs) in [precision, recall, f1].into_iter().zip(numbers(theirs)) {
                    same(&format!("{kind:?}: {hypothesis:?}"), ours, theirs);
                }
            }
        }
    }
}

#[test]
fn kendall() {
    for case in golden().all["kendall"].as_array().unwrap() {
        let tau = kendall_tau(&numbers(&case["x"]), &numbers(&case["y"])).unwrap();
        same("tau", tau, case["tau"].as_f64().unwrap());
    }
}

/// The matrix in the tests of the code of sampling-based minimum Bayes risk decoding.
#[test]
fn precision_of_unigram_sets() {
    let texts = [
        "George went to school by bike today .",
        "Today , George went to school by bike .",
        "This is a completely unrelated sentence .",
    ];
    let words: Vec<Vec<&str>> = texts.iter().map(|t| t.split(' ').collect()).collect();
    let expected =
        [[1.0, 7.0 / 8.0, 1.0 / 8.0], [7.0 / 9.0, 1.0, 1.0 / 9.0], [1.0 / 7.0, 1.0 / 7.0, 1.0]];
    for (i, row) in expected.iter().enumerate() {
        for (j, precision) in row.iter().enumerate() {
            same("precision", set_overlap(&words[i], &words[j], 1).precision, *precision);
        }
    }
}
