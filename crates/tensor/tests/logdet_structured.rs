//! Structured matrices against their dense form: values and gradients.

use super::{distance, normal};
use maxlik_tensor::autograd::{Graph, gradient, leaf};
use maxlik_tensor::logdet::{self, Blocks, LuFactors};
use maxlik_tensor::{Error, Result};
use proptest::prelude::*;
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

/// Passes where both functions of the same factors agree in value and in every gradient.
#[track_caller]
fn agree(
    factors: &[Tensor],
    structured: impl Fn(&[Tensor]) -> Result<Tensor>,
    matrix: impl Fn(&[Tensor]) -> Tensor,
) {
    let leaves: Vec<Tensor> = factors.iter().map(|f| leaf(f).unwrap()).collect();
    let ours = structured(&leaves).unwrap();
    let dense = logdet::dense(&matrix(&leaves)).unwrap();
    assert!(distance(&ours, &dense) < 1e-9, "value is off by {:e}", distance(&ours, &dense));
    for (i, factor) in leaves.iter().enumerate() {
        let slope =
            |of: &Tensor| gradient(&of.sum(Kind::Double), None, factor, Graph::Keep).unwrap();
        let off = distance(&slope(&ours), &slope(&dense));
        assert!(off < 1e-7, "gradient of factor {i} is off by {off:e}");
    }
}

fn near_identity(seed: u64, shape: &[i64]) -> Tensor {
    let d = shape[shape.len() - 1];
    normal(seed, shape) * (0.5 / (d as f64).sqrt()) + Tensor::eye(d, DOUBLE_CPU)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn each_structure_agrees(seed in 0_u64..1 << 40, batch in 0_i64..3, d in 1_i64..6, r in 1_i64..4) {
        let diagonal = normal(seed, &[batch, d]).exp();
        let (u, v) = (normal(seed + 1, &[batch, d, r]) * 0.3, normal(seed + 2, &[batch, d, r]) * 0.3);
        agree(
            &[diagonal, u, v],
            |f| logdet::low_rank(&f[0], &f[1], &f[2]),
            |f| f[0].diag_embed(0, -2, -1) + f[1].matmul(&f[2].transpose(-2, -1)),
        );
        let root = near_identity(seed + 3, &[batch, d, d]);
        let square = |a: &Tensor| a.matmul(&a.transpose(-2, -1));
        agree(&[root], |f| logdet::positive_definite(&square(&f[0])), |f| square(&f[0]));
        agree(
            &[near_identity(seed + 4, &[batch, d, d]), near_identity(seed + 5, &[batch, r, r])],
            |f| logdet::kronecker(&f[0], &f[1]),
            |f| match batch {
                0 => near_identity(0, &[0, d * r, d * r]) + f[0].sum(Kind::Double) + f[1].sum(Kind::Double),
                _ => Tensor::stack(&(0..batch).map(|i| f[0].select(0, i).kron(&f[1].select(0, i))).collect::<Vec<_>>(), 0),
            },
        );
        agree(&[normal(seed + 6, &[batch, d, d]) * 0.5], |f| logdet::exponential(&f[0]), |f| f[0].matrix_exp());
        agree(
            &[normal(seed + 7, &[batch, r, d]), normal(seed + 8, &[batch, r]) * 0.3],
            |f| logdet::householder(&f[0], &f[1]),
            |f| {
                let start = Tensor::eye(d, DOUBLE_CPU).expand([batch, d, d], false);
                (0..r).fold(start, |product, k| {
                    let v = f[0].select(1, k);
                    let outer = v.unsqueeze(-1) * v.unsqueeze(-2) * f[1].select(1, k).reshape([batch, 1, 1]);
                    product.matmul(&(Tensor::eye(d, DOUBLE_CPU) - outer))
                })
            },
        );
    }

    #[test]
    fn blocks_and_factors_agree(seed in 0_u64..1 << 40, batch in 1_i64..3, n in 1_i64..5, m in 1_i64..5) {
        let parts = [
            near_identity(seed, &[batch, n, n]),
            normal(seed + 1, &[batch, n, m]) * 0.2,
            normal(seed + 2, &[batch, m, n]) * 0.2,
            near_identity(seed + 3, &[batch, m, m]),
        ];
        let whole = |f: &[Tensor], c: &Tensor| {
            let upper = Tensor::cat(&[&f[0], &f[1]], -1);
            Tensor::cat(&[upper, Tensor::cat(&[c, &f[3]], -1)], -2)
        };
        agree(
            &parts,
            |f| logdet::block(&Blocks { a: &f[0], b: &f[1], c: &f[2], d: &f[3] }),
            |f| whole(f, &f[2]),
        );
        agree(&parts, |f| logdet::block_triangular(&[&f[0], &f[3]]), |f| whole(f, &f[2].zeros_like()));
        agree(&parts[..1], |f| LuFactors::new(&f[0])?.log_det(), |f| f[0].shallow_clone());
        let factors = LuFactors::new(&parts[0]).unwrap();
        let solved = factors.solve(&parts[1]).unwrap();
        prop_assert!(distance(&parts[0].matmul(&solved), &parts[1]) < 1e-10);
        let solved = factors.solve_transposed(&parts[1]).unwrap();
        prop_assert!(distance(&parts[0].transpose(-2, -1).matmul(&solved), &parts[1]) < 1e-10);
    }
}

#[test]
fn factors_of_large_batches_return() {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let a = leaf(&near_identity(3, &[3, 192, 192])).unwrap();
        let factors = LuFactors::new(&a).unwrap();
        let x = factors.solve(&normal(4, &[3, 192, 2])).unwrap();
        let off = distance(&a.detach().matmul(&x.detach()), &normal(4, &[3, 192, 2]));
        let value = factors.log_det().unwrap();
        let gap = distance(&value.detach(), &logdet::dense(&a.detach()).unwrap());
        let slope =
            gradient(&(value.sum(Kind::Double) + x.sum(Kind::Double)), None, &a, Graph::Free);
        let finite = bool::try_from(slope.unwrap().isfinite().all()).unwrap();
        sender.send((off, gap, finite)).unwrap();
    });
    let wait = std::time::Duration::from_secs(60);
    let (off, gap, finite) = receiver.recv_timeout(wait).expect("the factors return");
    assert!(off < 1e-9 && gap < 1e-9 && finite, "{off} {gap} {finite}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let eye = Tensor::eye(2, DOUBLE_CPU);
    let message = |outcome: Result<Tensor>| outcome.unwrap_err().to_string();
    assert!(matches!(
        logdet::positive_definite(&-&eye),
        Err(Error::NotInvertible { what }) if what.contains("positive definite")
    ));
    assert!(message(logdet::low_rank(&normal(1, &[3]), &eye, &eye)).starts_with("U: expected"));
    assert!(message(logdet::householder(&normal(1, &[3]), &eye)).starts_with("vectors: expected"));
    assert!(message(logdet::block_triangular(&[])).contains("at least one block"));
    let factors = LuFactors::new(&eye).unwrap();
    assert!(message(factors.solve(&normal(1, &[3, 1]))).starts_with("right-hand side: expected"));
    let singular = LuFactors::new(&eye.zeros_like()).unwrap();
    assert_eq!(singular.log_det().unwrap().double_value(&[]), f64::NEG_INFINITY);
}
