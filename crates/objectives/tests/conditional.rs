use maxlik_model::{Batch, LanguageModel, Objective};
use maxlik_nn::{EncoderDecoder, EncoderDecoderConfig, TransformerConfig};
use maxlik_objectives::sequence::{CrossEntropy, LabelSmoothing, MixCe};
use maxlik_tensor::with_seed;
use maxlik_testkit::distance;
use tch::{Device, Kind, Tensor};

/// Objectives of sequences take a model that borrows its sources, and train both of its halves.
#[test]
fn objectives_take_a_model_with_its_sources() {
    let params = super::common::store();
    let transformer = TransformerConfig { width: 8, heads: 2, layers: 1, ..Default::default() };
    let config = EncoderDecoderConfig { transformer, source: 4, target: 6, tied: true };
    let model = EncoderDecoder::new(&params.root(), [5, 7], &config).unwrap();
    super::common::jitter(&params, 0.3);
    let tokens = |below: i64, shape: &[i64]| {
        with_seed(3, || Tensor::randint(below, shape, (Kind::Int64, Device::Cpu)))
    };
    let source = tokens(5, &[3, 4]);
    let weight = Tensor::from_slice(&[1.0, 1.0, 1.0, 1.0, 0.0, 0.0]).expand([3, 6], true);
    let batch = Batch { data: tokens(7, &[3, 6]), context: None, weight: Some(weight) };
    let given = model.given(&source, None).unwrap();
    let given: &dyn LanguageModel = &given;
    let likelihood = CrossEntropy.loss(given, &batch).unwrap().value;
    let log_q = given.logits(&batch.data.narrow(1, 0, 3)).unwrap().log_softmax(-1, None::<Kind>);
    let own = log_q.gather(-1, &batch.data.narrow(1, 1, 3).unsqueeze(-1), false);
    assert!(distance(&likelihood, &-own.mean(Kind::Double)) < 1e-12);
    let gradient = super::common::gradient_of(&likelihood, &params);
    assert!(gradient.ne(0.0).sum(Kind::Int64).int64_value(&[]) * 2 > gradient.size()[0]);
    // The limits of the others, through the same door.
    let mixce = MixCe::new(1.0).unwrap().loss(given, &batch).unwrap().value;
    let smooth = LabelSmoothing::new(0.0).unwrap().loss(given, &batch).unwrap().value;
    assert!(distance(&mixce, &likelihood) < 1e-12 && distance(&smooth, &likelihood) < 1e-12);
}
