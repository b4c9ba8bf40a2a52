use maxlik_flows::base::DiagonalNormal;
use maxlik_flows::{Injective, InjectiveConfig, NetworkConfig};
use maxlik_model::Density;
use maxlik_nn::{Activation, MlpConfig, Network, Params};
use maxlik_tensor::autograd::{Graph, grad, jacobian};
use maxlik_tensor::trace::Probe;
use maxlik_tensor::{Result, logdet, with_seed};
use maxlik_testkit::{check_density, distance, normal};
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

fn store() -> Params {
    Params::new(3, Kind::Double, Device::Cpu)
}

fn config(latent: i64) -> InjectiveConfig {
    let activation = Activation::Tanh;
    let network = NetworkConfig::Mlp(MlpConfig { hidden: vec![12], activation, dropout: 0.0 });
    InjectiveConfig {
        latent,
        encoder: network.clone(),
        decoder: network,
        ..InjectiveConfig::default()
    }
}

/// A plain function as a network.
struct Function(fn(&Tensor) -> Tensor);

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Function")
    }
}

impl Network for Function {
    fn forward(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok((self.0)(x))
    }
}

#[test]
fn it_is_a_density_of_samples_on_the_manifold() {
    for context in [None, Some(3)] {
        let params = store();
        let model = config(2).build(&params.root(), 4, context).unwrap();
        check_density("Injective", &model);
    }
}

#[test]
fn its_log_density_is_that_of_the_brute_force_jacobian() {
    let params = store();
    let model = config(2).build(&params.root(), 4, None).unwrap();
    let x = normal(1, &[5, 4]);
    let z = model.encode(&x, None).unwrap().detach();
    let j = jacobian(&|z| model.decode(z, None), &z, Graph::Free).unwrap();
    assert!(distance(&model.decoder_jacobian(&z, None).unwrap(), &j) < 1e-13);
    let gram = j.transpose(1, 2).matmul(&j);
    let base = DiagonalNormal::standard(&params.root(), &[2]).log_prob(&z, None).unwrap();
    let exact = base - logdet::dense(&gram).unwrap() * 0.5;
    assert!(distance(&model.log_prob(&x, None).unwrap(), &exact) < 1e-11);
    // As many latents as data, and an encoder that undoes the decoder: a flow's density.
    let double = Injective::new(
        2,
        None,
        Box::new(Function(|x| x * 0.5)),
        Box::new(Function(|z| z * 2.0)),
        Box::new(DiagonalNormal::standard(&params.root(), &[2])),
    )
    .unwrap();
    let x = normal(2, &[5, 2]);
    let found = double.log_prob(&x, None).unwrap();
    let square = (&x * 0.5).square().sum_dim_intlist([1_i64].as_slice(), false, Kind::Double);
    let expected = square * -0.5 - std::f64::consts::TAU.ln() - 2.0 * 2.0_f64.ln();
    assert!(distance(&found, &expected) < 1e-12);
    assert_eq!(distance(&double.reconstruct(&x, None).unwrap(), &x), 0.0);
}

/// Along the curve `(z, sin z)` the density integrates to one over its length.
#[test]
fn a_density_on_a_curve_integrates_to_one_over_its_length() {
    let params = store();
    let model = Injective::new(
        2,
        None,
        Box::new(Function(|x| x.narrow(1, 0, 1))),
        Box::new(Function(|z| Tensor::cat(&[z, &z.sin()], 1))),
        Box::new(DiagonalNormal::standard(&params.root(), &[1])),
    )
    .unwrap();
    let z = Tensor::linspace(-9.0, 9.0, 4001, DOUBLE_CPU).reshape([-1, 1]);
    let x = model.decode(&z, None).unwrap();
    let p = model.log_prob(&x, None).unwrap().exp();
    let steps = (x.narrow(0, 1, 4000) - x.narrow(0, 0, 4000)).square();
    let lengths = steps.sum_dim_intlist([1_i64].as_slice(), false, Kind::Double).sqrt();
    let middle = (p.narrow(0, 1, 4000) + p.narrow(0, 0, 4000)) * 0.5;
    let mass = (middle * lengths).sum(Kind::Double).double_value(&[]);
    assert!((mass - 1.0).abs() < 1e-5, "{mass}");
}

#[test]
fn the_estimate_is_exact_for_scaled_unit_vectors_and_unbiased_for_random_ones() {
    let params = store();
    let model = config(3).build(&params.root(), 5, Some(2)).unwrap();
    let (x, context) = (normal(1, &[4, 5]), normal(2, &[4, 2]));
    let exact = model.log_prob(&x, Some(&context)).unwrap();
    let units = Tensor::eye(3, DOUBLE_CPU) * 3.0_f64.sqrt();
    let units = units.unsqueeze(1).expand([3, 4, 3], false);
    let at = |probes: &Tensor, steps| {
        model.estimated_log_prob(&x, Some(&context), probes, steps).unwrap()
    };
    assert!(distance(&at(&units, 3), &exact) < 1e-9);
    assert!(distance(&at(&units, 8), &exact) < 1e-9);
    assert!(distance(&at(&units, 1), &exact) > 1e-6);
    let z = model.encode(&x, Some(&context)).unwrap();
    let probes = with_seed(7, || Probe::Rademacher.draw_each(&z, 600).unwrap());
    let each: Vec<Tensor> = probes.split(1, 0).iter().map(|probe| at(probe, 3)).collect();
    let each = Tensor::stack(&each, 0);
    let mean = each.mean_dim([0_i64].as_slice(), false, Kind::Double);
    let error = each.std_dim([0_i64].as_slice(), true, false) / 600.0_f64.sqrt();
    assert!(((mean - exact).abs() - error * 5.0).max().double_value(&[]) < 0.0);
    let wrong = model.estimated_log_prob(&x, Some(&context), &probes.narrow(2, 0, 2), 3);
    let message = wrong.unwrap_err().to_string();
    assert_eq!(message, "probes: expected shape [K, 4, 3], got [600, 4, 2]");
}

#[test]
fn every_parameter_gets_a_gradient_from_the_exact_density() {
    let params = store();
    let model = config(2).build(&params.root(), 4, None).unwrap();
    let loss = model.log_prob(&normal(1, &[6, 4]), None).unwrap().mean(Kind::Double);
    let named = params.trainable();
    let leaves: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
    let found = grad(&[&loss], &[None], &leaves, Graph::Free).unwrap();
    for ((name, _), gradient) in named.iter().zip(found) {
        // The last bias moves the manifold, and no volume.
        let moves = name != "decoder.1.bias";
        let size = gradient.map_or(0.0, |g| g.abs().max().double_value(&[]));
        assert_eq!(size > 0.0, moves, "{name}");
    }
    // Nothing is recorded where nothing is asked for.
    let _guard = tch::no_grad_guard();
    assert!(!model.log_prob(&normal(1, &[6, 4]), None).unwrap().requires_grad());
}

#[test]
fn what_does_not_fit_is_refused() {
    let error = config(5).build(&store().root(), 4, None).unwrap_err().to_string();
    assert_eq!(error, "latent: expected 1 to 4 dimensions, got 5");
    assert!(toml::from_str::<InjectiveConfig>("laten = 2").is_err());
}
