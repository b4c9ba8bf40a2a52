//! GPT-2 from files in Hugging Face's format.

use maxlik_model::LanguageModel;
use maxlik_nn::gpt2;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Tensors of a small GPT-2 under its names, in order of the names; entry `i` of number `k` is
/// `0.3 sin(0.7 i + k)`.
fn tensors() -> Vec<(String, Tensor)> {
    let mut shapes: Vec<(String, Vec<i64>)> = vec![
        ("transformer.ln_f.bias".into(), vec![8]),
        ("transformer.ln_f.weight".into(), vec![8]),
        ("transformer.wpe.weight".into(), vec![8, 8]),
        ("transformer.wte.weight".into(), vec![11, 8]),
    ];
    let parts: [(&str, &[i64]); 12] = [
        ("attn.c_attn.bias", &[24]),
        ("attn.c_attn.weight", &[8, 24]),
        ("attn.c_proj.bias", &[8]),
        ("attn.c_proj.weight", &[8, 8]),
        ("ln_1.bias", &[8]),
        ("ln_1.weight", &[8]),
        ("ln_2.bias", &[8]),
        ("ln_2.weight", &[8]),
        ("mlp.c_fc.bias", &[32]),
        ("mlp.c_fc.weight", &[8, 32]),
        ("mlp.c_proj.bias", &[8]),
        ("mlp.c_proj.weight", &[32, 8]),
    ];
    for layer in 0..2 {
        let named = |(part, shape): &(&str, &[i64])| {
            (format!("transformer.h.{layer}.{part}"), shape.to_vec())
        };
        shapes.extend(parts.iter().map(named));
    }
    shapes.sort();
    let value = |(k, (name, shape)): (usize, (String, Vec<i64>))| {
        let count: i64 = shape.iter().product();
        let entries = Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + k as f64;
        (name, (entries.sin() * 0.3).view(shape.as_slice()))
    };
    shapes.into_iter().enumerate().map(value).collect()
}

fn write(folder: &Path, tensors: &[(String, Tensor)], config: &str) {
    std::fs::write(folder.join("config.json"), config).unwrap();
    Tensor::write_safetensors(tensors, folder.join("model.safetensors")).unwrap();
}

const CONFIG: &str = r#"{"vocab_size": 11, "n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2,
    "activation_function": "gelu_new", "model_type": "gpt2"}"#;

/// Logits of transformers 4.57.6 (`GPT2LMHeadModel`, double precision) for tokens 1, 5, 2, 10, 0.
#[test]
fn logits_are_those_of_the_reference() {
    const LAST: [f64; 11] = [
        -0.34791872848466,
        -0.26059348691178,
        -0.05629610473691,
        0.17327081105781,
        0.32506196233338,
        0.33094312171689,
        0.18827442352919,
        -0.03890468434603,
        -0.24862071491519,
        -0.34673880201205,
        -0.28921685227695,
    ];
    const FIRST: [f64; 3] = [-0.35688453210766, -0.26963177787584, -0.06134988125745];
    let folder = tempfile::tempdir().unwrap();
    let mut all = tensors();
    // Old files hold the causal mask, and some the head beside the embedding.
    all.push((
        "transformer.h.0.attn.bias".into(),
        Tensor::ones([8, 8], (Kind::Double, Device::Cpu)),
    ));
    all.push(("lm_head.weight".into(), Tensor::ones([11, 8], (Kind::Double, Device::Cpu))));
    write(folder.path(), &all, CONFIG);
    let (model, _params) = gpt2(folder.path(), Kind::Double, Device::Cpu).unwrap();
    let logits = model.logits(&Tensor::from_slice(&[1_i64, 5, 2, 10, 0]).view([1, 5])).unwrap();
    for (token, expected) in [(4, LAST.as_slice()), (0, FIRST.as_slice())] {
        for (j, expected) in expected.iter().enumerate() {
            let off = (logits.double_value(&[0, token, j as i64]) - expected).abs();
            assert!(off < 1e-12, "token {token}, logit {j}: off by {off}");
        }
    }
}

#[test]
fn a_head_of_its_own_is_read_where_the_config_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = tensors();
    all.push(("lm_head.weight".into(), Tensor::ones([11, 8], (Kind::Double, Device::Cpu))));
    let untied = CONFIG.replace("\"n_head\"", "\"tie_word_embeddings\": false, \"n_head\"");
    write(folder.path(), &all, &untied);
    let (model, _params) = gpt2(folder.path(), Kind::Double, Device::Cpu).unwrap();
    let logits = model.logits(&Tensor::from_slice(&[1_i64, 5]).view([1, 2])).unwrap();
    // All rows of the head are alike, and so are all logits of a token.
    let spread = logits.amax([2], false) - logits.amin([2], false);
    assert!(spread.max().double_value(&[]) < 1e-12);
    write(folder.path(), &tensors(), &untied);
    let error = gpt2(folder.path(), Kind::Double, Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("head"), "{error}");
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = || gpt2(folder.path(), Kind::Float, Device::Cpu).unwrap_err().to_string();
    assert!(refused().contains("config.json"), "{}", refused());
    let mut all = tensors();
    let missing = all.remove(0).0;
    write(folder.path(), &all, CONFIG);
    assert!(refused().contains("transformer.layers.0.attention.bias"), "{missing}: {}", refused());
    write(folder.path(), &tensors(), &CONFIG.replace("\"n_embd\": 8", "\"n_embd\": 12"));
    assert!(refused().contains("12"), "{}", refused());
    write(folder.path(), &tensors(), &CONFIG.replace("gelu_new", "relu"));
    assert!(refused().contains("activation_function"), "{}", refused());
}
