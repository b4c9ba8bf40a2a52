//! Losses over a large vocabulary, a training step and generation of language models, as the peers'
//! script `benches/peers/language.py` does them. Two threads (or OMP_NUM_THREADS), float32.
//!
//! A loss is forward and backward down to the gradient of logits `[4, 128, 50257]`; EMO's vectors are
//! 768 wide. What a loss needs beyond its logits, at most, is printed before the times. The model of
//! the training step has 4 layers of width 128, context 128, batch 16, 96 tokens; the step is forward,
//! backward and AdamW. Generation is of 256 tokens by the same model, greedy, batch 1.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run stops")]

use criterion::{Criterion, criterion_group, criterion_main};
use maxlik_model::{Batch, LanguageModel, Objective};
use maxlik_nn::decode::{Choice, Generation, Uncached};
use maxlik_nn::{
    Params, Positions, TransformerConfig, TransformerLanguageModel, TransformerLanguageModelConfig,
};
use maxlik_objectives::sequence::{Cost, CrossEntropy, Emo, EmoLead, MixCe, Predictions};
use maxlik_tensor::adamw::{AdamW, Step};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::with_seed;
use std::hint::black_box;
use tch::kind::{FLOAT_CPU, INT64_CPU};
use tch::{Device, Kind, Tensor};

const VOCABULARY: i64 = 50_257;

type Run = Box<dyn Fn(&Predictions) -> Tensor>;

/// The losses by name.
fn losses(vectors: &Tensor) -> Vec<(&'static str, Run)> {
    let mixce = MixCe::new(0.5).unwrap();
    let emo = Emo::new(EmoLead::Likelihood, Cost::Adaptive).unwrap();
    let vectors = vectors.shallow_clone();
    vec![
        ("cross_entropy", Box::new(|at: &Predictions| CrossEntropy.loss_at(at).unwrap())),
        ("mixce", Box::new(move |at: &Predictions| mixce.loss_at(at).unwrap())),
        ("emo", Box::new(move |at: &Predictions| emo.loss_at(at, &vectors).unwrap())),
    ]
}

/// Kibibytes of a line of the kernel's account of this process.
fn account(line: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let found = status.lines().find(|l| l.starts_with(line))?;
    found.split_whitespace().nth(1)?.parse().ok()
}

/// Most memory in use while `work` runs, beyond what was in use before, in MiB.
fn peak(work: impl FnOnce()) -> Option<u64> {
    // Writing 5 there sets the high-water mark back to what is in use now.
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    let before = account("VmRSS:")?;
    work();
    Some(account("VmHWM:")?.saturating_sub(before) / 1024)
}

fn vocabulary(criterion: &mut Criterion) {
    threads();
    let logits = with_seed(1, || Tensor::randn([4, 128, VOCABULARY], FLOAT_CPU) * 2.0);
    let logits = logits.set_requires_grad(true);
    let targets = with_seed(2, || Tensor::randint(VOCABULARY, [4, 128], INT64_CPU));
    let vectors = with_seed(3, || Tensor::randn([VOCABULARY, 768], FLOAT_CPU));
    let step = |loss: &Run| {
        let at = Predictions::new(logits.shallow_clone(), targets.shallow_clone(), None).unwrap();
        black_box(grad(&[&loss(&at)], &[None], &[&logits], Graph::Free).unwrap());
    };
    let mut group = criterion.benchmark_group("vocabulary");
    group.sample_size(10);
    for (name, loss) in losses(&vectors) {
        if let Some(most) = peak(|| step(&loss)) {
            #[allow(clippy::print_stdout, reason = "the bench's result")]
            {
                println!("vocabulary/{name}: {most} MiB beyond logits and vectors");
            }
        }
        group.bench_function(name, |bencher| bencher.iter(|| step(&loss)));
    }
    group.finish();
}

fn threads() {
    let threads = std::env::var("OMP_NUM_THREADS").ok().and_then(|n| n.parse().ok());
    tch::set_num_threads(threads.unwrap_or(2));
}

fn model(length: i64) -> (TransformerLanguageModel, Params) {
    let params = Params::new(7, Kind::Float, Device::Cpu);
    let transformer = TransformerConfig {
        width: 128,
        heads: 4,
        layers: 4,
        positions: Positions::Learned {},
        ..TransformerConfig::default()
    };
    let config = TransformerLanguageModelConfig { transformer, length, tied: true };
    let model = TransformerLanguageModel::new(&params.root(), 96, &config).unwrap();
    (model, params)
}

fn training(criterion: &mut Criterion) {
    threads();
    let (model, params) = model(128);
    let named = params.trainable();
    let leaves: Vec<&Tensor> = named.iter().map(|(_, tensor)| tensor).collect();
    let mut adamw = AdamW::new(leaves.iter().map(|leaf| leaf.shallow_clone()).collect()).unwrap();
    let config = Step { lr: 1e-3, beta1: 0.9, beta2: 0.999, weight_decay: 0.0, eps: 1e-8 };
    let batch = Batch::new(with_seed(2, || Tensor::randint(96, [16, 129], INT64_CPU)));
    let mut group = criterion.benchmark_group("language");
    group.bench_function("step", |bencher| {
        bencher.iter(|| {
            let loss = CrossEntropy.loss(&model as &dyn LanguageModel, &batch).unwrap().value;
            let found = grad(&[&loss], &[None], &leaves, Graph::Free).unwrap();
            let gradients: Vec<Tensor> = found.into_iter().flatten().collect();
            adamw.step(&gradients, &config).unwrap();
        });
    });
    group.finish();
}

fn generation(criterion: &mut Criterion) {
    threads();
    let (model, _params) = model(260);
    let prompt = Tensor::ones([1, 4], INT64_CPU);
    let greedy = Generation { choice: Choice::Greedy {}, ..Generation::default() };
    let mut group = criterion.benchmark_group("generate_256");
    group.sample_size(10);
    group.bench_function("cached", |bencher| {
        bencher.iter(|| black_box(greedy.run(&mut *model.session(), &prompt).unwrap()));
    });
    group.bench_function("uncached", |bencher| {
        bencher.iter(|| black_box(greedy.run(&mut Uncached::new(&model), &prompt).unwrap()));
    });
    group.finish();
}

criterion_group!(benches, vocabulary, training, generation);
criterion_main!(benches);
