use maxlik_nn::{Init, Params};
use maxlik_tensor::Error;
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

fn store(seed: u64) -> Params {
    Params::new(seed, Kind::Double, Device::Cpu)
}

#[test]
fn names_are_unique_and_checked() {
    let params = store(1);
    let scope = params.root().sub("layer").sub(0);
    let _weight = scope.param("weight", &[2, 2], Init::Constant(0.0)).unwrap();
    let twice = scope.param("weight", &[2, 2], Init::Constant(0.0));
    assert!(matches!(twice, Err(Error::DuplicateName { name }) if name == "layer.0.weight"));
    assert!(scope.param("a.b", &[1], Init::Constant(0.0)).is_err());
    assert!(scope.param("eye", &[2], Init::Identity).is_err());
    let _flag = scope.buffer("flag", &Tensor::zeros([], DOUBLE_CPU)).unwrap();
    assert_eq!(params.trainable().len(), 1);
    assert_eq!(params.named().len(), 2);
    assert_eq!(params.count(), 4);
}

#[test]
fn values_depend_on_seed_and_path_only() {
    let make = |seed, before: bool| {
        let params = store(seed);
        if before {
            let _other = params.root().param("other", &[3], Init::Normal(1.0)).unwrap();
        }
        params.root().sub("net").param("weight", &[3], Init::Normal(1.0)).unwrap()
    };
    assert_eq!(make(1, false), make(1, true));
    assert_ne!(make(1, false), make(2, false));
    let single = Params::new(1, Kind::Float, Device::Cpu);
    let single = single.root().sub("net").param("weight", &[3], Init::Normal(1.0)).unwrap();
    assert!((single.to_kind(Kind::Double) - make(1, false)).abs().max().double_value(&[]) < 1e-6);
}

#[test]
fn orthogonal_matrices_are_orthogonal() {
    let params = store(3);
    for (i, shape) in [[4, 4], [6, 3], [3, 6]].into_iter().enumerate() {
        let q = params.root().sub(i).param("q", &shape, Init::Orthogonal).unwrap().detach();
        let small = if shape[0] < shape[1] { q.matmul(&q.tr()) } else { q.tr().matmul(&q) };
        let off = (&small - Tensor::eye(small.size()[0], DOUBLE_CPU)).abs().max().double_value(&[]);
        assert!(off < 1e-12, "{off}");
    }
}

#[test]
fn loading_checks_everything_before_it_copies() {
    let params = store(1);
    let weight = params.root().param("weight", &[2], Init::Constant(0.0)).unwrap();
    let bias = params.root().param("bias", &[1], Init::Constant(0.0)).unwrap();
    let ones = |n: i64| Tensor::ones([n], DOUBLE_CPU);
    let named = |name: &str, t: Tensor| (name.to_owned(), t);
    let missing = params.load(&[named("bias", ones(1))]).unwrap_err().to_string();
    assert_eq!(missing, "weight: the model has this parameter, the file has not");
    let unknown =
        params.load(&[named("bias", ones(1)), named("weight", ones(2)), named("x", ones(1))]);
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "x: the file has this parameter, the model has not"
    );
    let shape =
        params.load(&[named("bias", ones(1)), named("weight", ones(3))]).unwrap_err().to_string();
    assert_eq!(shape, "weight: expected shape [2], got [3]");
    assert_eq!(bias.sum(Kind::Double).double_value(&[]), 0.0);
    params.load(&[named("bias", ones(1)), named("weight", ones(2))]).unwrap();
    assert_eq!(weight.sum(Kind::Double).double_value(&[]), 2.0);
}
