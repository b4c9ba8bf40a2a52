//! Language models in bfloat16.

use maxlik_model::LanguageModel;
use maxlik_nn::{Autocast, Params, TransformerLanguageModel, TransformerLanguageModelConfig};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::{autocast, with_seed};
use tch::{Device, Kind, Tensor};

fn model() -> (Params, TransformerLanguageModel) {
    let params = Params::new(5, Kind::Float, Device::Cpu);
    let config = TransformerLanguageModelConfig::default();
    let model = TransformerLanguageModel::new(&params.root(), 20, &config).unwrap();
    (params, model)
}

fn tokens() -> Tensor {
    with_seed(3, || Tensor::randint(20, [4, 16], (Kind::Int64, Device::Cpu)))
}

#[test]
fn logits_and_gradients_are_near_those_of_single_precision() {
    let (params, plain) = model();
    let x = tokens();
    let whole = plain.logits(&x).unwrap();
    let (_params, twin) = model();
    let mixed = Autocast::new(twin, Device::Cpu);
    let found = mixed.logits(&x).unwrap();
    assert_eq!(found.kind(), Kind::Float);
    let scale = whole.abs().max().double_value(&[]);
    let off = (&found - &whole).abs().max().double_value(&[]) / scale;
    // bfloat16 keeps 8 bits: a difference that is there, and small.
    assert!(off > 1e-5 && off < 0.05, "{off}");

    let (own, twin) = model();
    let mixed = Autocast::new(twin, Device::Cpu);
    let slopes = |params: &Params, logits: &Tensor| {
        let loss = logits.log_softmax(-1, None::<Kind>).select(-1, 0).mean(Kind::Float);
        let named = params.trainable();
        let leaves: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
        grad(&[&loss], &[None], &leaves, Graph::Free).unwrap()
    };
    let exact = slopes(&params, &whole);
    let found = slopes(&own, &mixed.logits(&x).unwrap());
    for ((name, _), (a, b)) in params.trainable().iter().zip(exact.iter().zip(&found)) {
        let (a, b) = (a.as_ref().unwrap(), b.as_ref().unwrap());
        assert_eq!(b.kind(), Kind::Float, "{name}");
        let off = (a - b).norm().double_value(&[]) / a.norm().double_value(&[]).max(1e-6);
        assert!(off < 0.1, "{name}: {off}");
    }
}

#[test]
fn sessions_agree_and_the_region_ends() {
    let (_params, plain) = model();
    let mixed = Autocast::new(plain, Device::Cpu);
    let _no_grad = tch::no_grad_guard();
    let x = tokens();
    let whole = mixed.logits(&x).unwrap();
    let mut session = mixed.session();
    let first = session.extend(&x.narrow(1, 0, 10)).unwrap();
    let rest = session.extend(&x.narrow(1, 10, 6)).unwrap();
    let off = (Tensor::cat(&[first, rest], 1) - &whole).abs().max().double_value(&[]);
    assert!(off < 0.03 * whole.abs().max().double_value(&[]), "{off}");
    let a = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
    assert_eq!(a.matmul(&a).kind(), Kind::Float);
    let failed = autocast::bfloat16(Device::Cpu, || {
        Ok(a.f_matmul(&Tensor::ones([3, 3], (Kind::Float, Device::Cpu)))?)
    });
    assert!(failed.is_err());
    assert_eq!(a.matmul(&a).kind(), Kind::Float, "the region outlives an error");
}
