use crate::table::Line;
use maxlik_flows::LayerConfig;
use maxlik_flows::linear::{Householder, Pointwise};
use maxlik_flows::{LuLinear, Permutation};
use maxlik_model::Bijection;
use maxlik_nn::Params;
use maxlik_testkit::{Subject, check_bijection, distance};
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

#[test]
fn matrices_are_bijections() {
    for line in [
        Line::new(r#"kind = "actnorm""#),
        Line::new(r#"kind = "permute""#),
        Line::new(r#"kind = "reverse""#),
        Line::new(r#"kind = "lu_linear""#),
        Line::new(r#"kind = "dense""#),
        Line::new("kind = \"qr_linear\"\nreflections = 3"),
        Line::new("kind = \"svd_linear\"\nreflections = 4"),
        Line::new("kind = \"householder\"\nreflections = 3"),
        Line::new(r#"kind = "orthogonal""#),
        Line::new("kind = \"orthogonal\"\nby = \"exponential\""),
        Line::new("kind = \"low_rank_linear\"\nrank = 2"),
        Line::new(r#"kind = "matrix_exponential""#),
        Line::new("kind = \"inverse\"\nlayer = { kind = \"qr_linear\", reflections = 2 }"),
    ] {
        line.check();
    }
}

#[test]
fn convolutions_are_bijections() {
    for line in [
        Line::new("kind = \"pointwise_convolution\"\nshape = [3, 2, 2]").dims(12),
        Line::new("kind = \"pointwise_convolution\"\nshape = [3, 1, 4]\nby = \"lu\"").dims(12),
        Line::new("kind = \"pointwise_convolution\"\nshape = [2, 3, 2]\nby = \"qr\"").dims(12),
        Line::new("kind = \"emerging_convolution\"\nshape = [2, 4, 3]\nkernel = [3, 3]").dims(24),
        Line::new("kind = \"emerging_convolution\"\nshape = [3, 1, 5]\nkernel = [1, 3]").dims(15),
        Line::new("kind = \"circular_convolution\"\nshape = [2, 4, 3]\nkernel = [3, 3]")
            .dims(24)
            .jittered(0.1),
        Line::new("kind = \"circular_convolution\"\nshape = [2, 3, 5]\nkernel = [1, 5]")
            .dims(30)
            .jittered(0.1),
    ] {
        line.check();
    }
    check_bijection(&Subject::new("1×1 convolution on signals", &|scope| {
        Ok(Box::new(Pointwise::new(&[3, 4], Box::new(LuLinear::new(scope, 3)?))?))
    }));
}

/// The compact form of a product of reflections is that product, in that order.
#[test]
fn reflections_are_applied_in_order() {
    let params = Params::new(4, Kind::Double, Device::Cpu);
    let layer = Householder::new(&params.root(), 4, 3).unwrap();
    let vectors = params.named()[0].1.detach();
    let matrix = (0..3).fold(Tensor::eye(4, DOUBLE_CPU), |product, k| {
        let v = vectors.select(0, k);
        let reflection = Tensor::eye(4, DOUBLE_CPU) - v.outer(&v) * 2.0 / v.dot(&v);
        product.matmul(&reflection)
    });
    let basis = Tensor::eye(4, DOUBLE_CPU);
    let columns = layer.forward(&basis, None).unwrap().value;
    assert!(distance(&columns.transpose(0, 1), &matrix) < 1e-12);
}

#[test]
fn wrong_shapes_are_refused() {
    let params = Params::new(4, Kind::Double, Device::Cpu);
    let message = |text: &str, dims| {
        let config: LayerConfig = toml::from_str(text).unwrap();
        config.build(&params.root().sub(text.len()), dims, None).unwrap_err().to_string()
    };
    assert!(
        message("kind = \"householder\"\nreflections = 0", 3).contains("at least one reflection")
    );
    assert!(message("kind = \"low_rank_linear\"\nrank = 0", 3).starts_with("rank: expected"));
    let emerging = "kind = \"emerging_convolution\"\nshape = [2, 3, 3]\nkernel = [2, 3]";
    assert!(message(emerging, 18).starts_with("kernel: expected two odd sizes"));
    let circular = "kind = \"circular_convolution\"\nshape = [2, 3, 3]\nkernel = [5, 3]";
    assert!(message(circular, 18).starts_with("kernel: expected a size within"));
    let pointwise = "kind = \"pointwise_convolution\"\nshape = [2, 3, 3]";
    assert!(message(pointwise, 17).starts_with("shape: "));
    let other = Permutation::reverse(&params.root().sub("p"), 3).unwrap();
    assert!(Pointwise::new(&[2, 4], Box::new(other)).is_err());
}
