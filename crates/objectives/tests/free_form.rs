use super::common::{gradient_of, jitter, store, worst_z};
use maxlik_flows::{Injective, InjectiveConfig, base::DiagonalNormal};
use maxlik_model::{Batch, InjectiveDensity, Objective};
use maxlik_nn::{Network, Params};
use maxlik_objectives::density::{FreeForm, Volume, orthogonal_probes};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, jacobian};
use maxlik_testkit::{distance, normal};
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

const OFF: FreeForm = FreeForm { beta: 0.0, probes: 1, noise: 0.0, volume: Volume::OffManifold };

fn model(params: &Params, dims: i64, latent: i64) -> Injective {
    let network = toml::from_str("kind = \"mlp\"\nhidden = [6]\nactivation = \"tanh\"").unwrap();
    let config = InjectiveConfig { latent, encoder: network, ..InjectiveConfig::default() };
    let config = InjectiveConfig { decoder: config.encoder.clone(), ..config };
    let model = config.build(&params.root(), dims, None).unwrap();
    jitter(params, 0.2);
    model
}

/// `d` probes `√d e_j`, which make the surrogate exact.
fn frame(rows: i64, dims: i64) -> Tensor {
    let unit = Tensor::eye(dims, DOUBLE_CPU) * (dims as f64).sqrt();
    unit.unsqueeze(1).expand([dims, rows, dims], true).contiguous()
}

/// With as many probes as latent dimensions the surrogate's gradient is that of `tr(f' SG[g'])`, and
/// with one probe it is so in the mean.
#[test]
fn the_surrogate_is_unbiased() {
    let params = store();
    let model = model(&params, 4, 2);
    let x = normal(1, &[3, 4]);
    let loss = |probes: &Tensor| OFF.loss_at(&model, &x, None, probes).unwrap().value;
    let slopes = jacobian(
        &|x| model.encode(x, None),
        &x.copy().set_requires_grad(true),
        Graph::Differentiable,
    )
    .unwrap();
    let z = model.encode(&x, None).unwrap().detach();
    let columns = model.decoder_jacobian(&z, None).unwrap();
    let trace = slopes.matmul(&columns).diagonal(0, 1, 2).sum(Kind::Double) / 3.0;
    let latent = (model.encode(&x, None).unwrap().square().sum(Kind::Double)) * 0.5 / 3.0;
    let exact = gradient_of(&(latent - trace), &params);
    let off = distance(&gradient_of(&loss(&frame(3, 2)), &params), &exact);
    assert!(off < 1e-10, "{off:e}");
    let each: Vec<Tensor> = (0..400)
        .map(|seed| {
            let probes = maxlik_tensor::with_seed(seed, || orthogonal_probes(1, 3, &z).unwrap());
            gradient_of(&loss(&probes), &params) - &exact
        })
        .collect();
    let worst = worst_z(&Tensor::stack(&each, 0));
    assert!(worst < 5.0, "off by {worst} standard errors");
}

#[derive(Debug)]
struct Matrix(Tensor);

impl Network for Matrix {
    fn forward(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x.f_matmul(&self.0.f_transpose(0, 1)?)?)
    }
}

fn linear(encoder: &Tensor, decoder: &Tensor) -> Injective {
    let base = DiagonalNormal::standard(&store().root(), &[encoder.size()[0]]);
    let (f, g) = (Matrix(encoder.shallow_clone()), Matrix(decoder.shallow_clone()));
    Injective::new(encoder.size()[1], None, Box::new(f), Box::new(g), Box::new(base)).unwrap()
}

/// Where the decoder is the pseudo-inverse, the gradient is that of the exact likelihood: of
/// `½ ln det(W Wᵀ)` for any dimension, and of `ln |det W|` of a flow where all dimensions are kept.
#[test]
fn the_gradient_is_that_of_the_exact_likelihood() {
    for (latent, dims) in [(2, 4), (3, 3)] {
        let weight = normal(2, &[latent, dims]).set_requires_grad(true);
        let model = linear(&weight, &weight.detach().pinverse(1e-15));
        let x = normal(3, &[5, dims]);
        let loss = OFF.loss_at(&model, &x, None, &frame(5, latent)).unwrap().value;
        let slope =
            |y: &Tensor| maxlik_tensor::autograd::gradient(y, None, &weight, Graph::Free).unwrap();
        let volume = weight.matmul(&weight.transpose(0, 1)).slogdet().1 * 0.5;
        let exact = x.matmul(&weight.transpose(0, 1)).square().sum(Kind::Double) * 0.1 - volume;
        let off = distance(&slope(&loss), &slope(&exact));
        assert!(off < 1e-9, "{latent} of {dims}: {off:e}");
    }
}

#[test]
fn probes_have_unit_covariance() {
    let like = Tensor::zeros([3], DOUBLE_CPU);
    let all = maxlik_tensor::with_seed(1, || orthogonal_probes(3, 4, &like).unwrap());
    let gram = all.permute([1, 2, 0]).matmul(&all.permute([1, 0, 2])) / 3.0;
    assert!(distance(&gram, &Tensor::eye(3, DOUBLE_CPU).expand([4, 3, 3], false)) < 1e-12);
    let one = maxlik_tensor::with_seed(2, || orthogonal_probes(1, 20_000, &like).unwrap()).get(0);
    let off = one.unsqueeze(2).matmul(&one.unsqueeze(1)) - Tensor::eye(3, DOUBLE_CPU);
    // The squared length is three exactly, so only products of entries vary.
    assert!(worst_z(&off.reshape([20_000, 9])) < 5.0);
    assert!(orthogonal_probes(4, 2, &like).is_err());
}

#[test]
fn both_volumes_train() {
    let params = store();
    let model = model(&params, 3, 2);
    let batch = Batch::new(normal(4, &[6, 3]));
    for volume in [Volume::OffManifold, Volume::OnManifold] {
        let objective = FreeForm { noise: 0.1, volume, ..FreeForm::default() };
        let loss = objective.loss(&model as &dyn InjectiveDensity, &batch).unwrap();
        assert_eq!(loss.metrics[0].name, "reconstruction");
        assert!(gradient_of(&loss.value, &params).abs().max().double_value(&[]) > 1e-3);
    }
    let wrong = OFF.loss_at(&model, &batch.data, None, &normal(5, &[1, 6, 3]));
    assert!(wrong.unwrap_err().to_string().contains("probes"));
}
