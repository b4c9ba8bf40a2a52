//! Manifolds: their maps, steps that stay on them, densities on them.

use crate::flows::Net;
use crate::{distance, normal, slope, vector};
use maxlik_model::{Density, VectorField};
use maxlik_nn::Params;
use maxlik_ode::manifold::{
    Geodesic, Hyperboloid, Manifold, OnManifold, Projected, Sphere, Torus, UniformSphere,
};
use maxlik_ode::{Adaptive, Cnf, FromFn, Solver, Stepper, tableau};
use maxlik_tensor::Result;
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

/// Points and tangent vectors of length up to about one.
fn points(manifold: &dyn Manifold, name: &str, seed: u64) -> (Tensor, Tensor) {
    let raw = normal(seed, &[6, 3]);
    let x = match name {
        "hyperboloid" => Hyperboloid.lift(&raw.narrow(1, 0, 2)).unwrap(),
        _ => manifold.project(&raw).unwrap(),
    };
    let v = manifold.tangent(&x, &(normal(seed + 1, &[6, 3]) * 0.4)).unwrap();
    (x, v)
}

fn all() -> [(&'static str, Box<dyn Manifold>); 3] {
    [
        ("sphere", Box::new(Sphere)),
        ("torus", Box::new(Torus)),
        ("hyperboloid", Box::new(Hyperboloid)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn exponential_and_logarithm_are_inverse(seed in 0_u64..1 << 40) {
        for (name, m) in all() {
            let (x, v) = points(m.as_ref(), name, seed);
            let y = m.exp(&x, &v).unwrap();
            prop_assert!(distance(&m.project(&y).unwrap(), &y) < 1e-10, "{}", name);
            prop_assert!(distance(&m.log(&x, &y).unwrap(), &v) < 1e-9, "{}", name);
            prop_assert!(distance(&m.tangent(&x, &v).unwrap(), &v) < 1e-10, "{}", name);
            // The geodesic as a whole: half and half, with the velocity carried along.
            let half = &v * 0.5;
            let middle = m.exp(&x, &half).unwrap();
            let onward = m.transport(&x, &half, &half).unwrap();
            prop_assert!(distance(&m.exp(&middle, &onward).unwrap(), &y) < 1e-9, "{}", name);
            let there = m.distance(&x, &y).unwrap();
            prop_assert!(distance(&there, &(m.distance(&x, &middle).unwrap() * 2.0)) < 1e-9, "{}", name);
            prop_assert!(distance(&m.exp(&x, &(&v * 0.0)).unwrap(), &x) < 1e-12, "{}", name);
            // Transport there and back.
            let (_, w) = points(m.as_ref(), name, seed);
            let carried = m.transport(&x, &v, &w).unwrap();
            let back = m.log(&y, &x).unwrap();
            prop_assert!(distance(&m.transport(&y, &back, &carried).unwrap(), &w) < 1e-9, "{}", name);
        }
    }
}

/// A turn about a tilted axis whose speed changes: `y′ = (1 + t) K y`.
fn turning(generator: [f64; 9]) -> FromFn<impl Fn(&Tensor, &Tensor) -> Result<Tensor>> {
    let k = vector(&generator).view([3, 3]);
    FromFn(move |t: &Tensor, y: &Tensor| Ok(y.matmul(&k.transpose(0, 1)) * (t + 1.0).view([-1, 1])))
}

#[track_caller]
fn check_order(
    name: &str,
    stepper: impl Into<Box<dyn Stepper>>,
    manifold: &dyn Manifold,
    generator: [f64; 9],
    y0: &Tensor,
) {
    let stepper = stepper.into();
    // exp(1.5 K) after unit time.
    let exact =
        y0.matmul(&(vector(&generator).view([3, 3]) * 1.5).linalg_matrix_exp().transpose(0, 1));
    let steps: &[usize] = if stepper.order() > 2 { &[8, 12, 18] } else { &[64, 128, 256] };
    let order = stepper.order();
    let errors: Vec<f64> = steps
        .iter()
        .map(|&n| {
            let solver = Solver::fixed(stepper.clone(), n).unwrap();
            let end = solver.solve(&turning(generator), y0, &vector(&[0.0, 0.4, 1.0])).unwrap();
            let off = distance(&manifold.project(&end.states.get(1)).unwrap(), &end.states.get(1));
            assert!(off < 1e-12, "{name}: {off} off the manifold");
            distance(&end.final_states(), &exact)
        })
        .collect();
    let found = slope(steps, &errors);
    assert!((found - f64::from(order)).abs() < 0.15, "{name}: {found}, not {order}");
}

#[test]
fn steps_have_their_orders_and_stay() {
    let turn = [0.0, -1.0, 0.5, 1.0, 0.0, -0.7, -0.5, 0.7, 0.0];
    let y0 = Sphere.project(&normal(1, &[3, 3])).unwrap();
    check_order("sphere, Bosh3", Projected::new(tableau::BOSH3, Sphere, 3), &Sphere, turn, &y0);
    check_order("sphere, Dopri5", Projected::new(tableau::DOPRI5, Sphere, 3), &Sphere, turn, &y0);
    check_order("sphere, Euler", Geodesic::euler(Sphere), &Sphere, turn, &y0);
    check_order("sphere, midpoint", Geodesic::midpoint(Sphere), &Sphere, turn, &y0);
    // Boosts and a turn keep the Minkowski product.
    let boost = [0.0, 0.8, 0.3, 0.8, 0.0, -0.6, 0.3, 0.6, 0.0];
    let y0 = Hyperboloid.lift(&normal(2, &[3, 2])).unwrap();
    check_order(
        "hyperboloid, Bosh3",
        Projected::new(tableau::BOSH3, Hyperboloid, 3),
        &Hyperboloid,
        boost,
        &y0,
    );
    check_order("hyperboloid, Euler", Geodesic::euler(Hyperboloid), &Hyperboloid, boost, &y0);
    check_order("hyperboloid, midpoint", Geodesic::midpoint(Hyperboloid), &Hyperboloid, boost, &y0);
}

#[test]
fn angles_wrap() {
    let field = FromFn(|_: &Tensor, y: &Tensor| Ok(y.sin() + 2.5));
    let y0 = vector(&[0.1, -3.0]).view([2, 1]);
    let free = Solver::adaptive(tableau::DOPRI5, Adaptive::new(1e-10, 1e-10)).unwrap();
    let free = free.solve(&field, &y0, &vector(&[0.0, 6.0])).unwrap().final_states();
    for stepper in [
        Box::new(Projected::new(tableau::DOPRI5, Torus, 1)) as Box<dyn Stepper>,
        Geodesic::midpoint(Torus).into(),
    ] {
        let tolerance = if stepper.order() > 2 { 1e-10 } else { 1e-6 };
        let solver = Solver::adaptive(stepper, Adaptive::new(tolerance, tolerance)).unwrap();
        let end = solver.solve(&field, &y0, &vector(&[0.0, 6.0])).unwrap().final_states();
        assert!(end.abs().max().double_value(&[]) <= std::f64::consts::PI);
        assert!(distance(&end, &Torus.project(&free).unwrap()) < 1e3 * tolerance);
    }
    assert!(free.abs().max().double_value(&[]) > 7.0);
}

#[test]
fn densities_on_the_sphere_integrate_to_one() {
    let params = Params::new(4, Kind::Double, Device::Cpu);
    let field = OnManifold { manifold: Sphere, field: Net::new(&params, 3, 0, 3.0) };
    let base = UniformSphere::new(3, Kind::Double, Device::Cpu).unwrap();
    let stepper = Projected::new(tableau::DOPRI5, Sphere, 3);
    let cnf = Cnf::new(field, base, Solver::adaptive(stepper, Adaptive::new(1e-6, 1e-6)).unwrap());
    let _no_grad = tch::no_grad_guard();
    // Equal parts of height and of longitude have equal areas.
    let (rows, columns) = (40, 60);
    let options = (Kind::Double, Device::Cpu);
    let height = (Tensor::arange(rows, options) + 0.5) / rows as f64 * 2.0 - 1.0;
    let angle = (Tensor::arange(columns, options) + 0.5) / columns as f64 * std::f64::consts::TAU;
    let ring: Tensor = (height.square() * -1.0 + 1.0).sqrt();
    let x = ring.unsqueeze(1) * angle.cos().unsqueeze(0);
    let y = ring.unsqueeze(1) * angle.sin().unsqueeze(0);
    let z = height.unsqueeze(1).expand_as(&x);
    let grid = Tensor::stack(&[x, y, z], -1).view([-1, 3]);
    let density = cnf.log_prob(&grid, None).unwrap().exp();
    let mass = density.mean(Kind::Double).double_value(&[]) * 4.0 * std::f64::consts::PI;
    assert!((mass - 1.0).abs() < 2e-3, "{mass}");
    assert!(density.std(false).double_value(&[]) > 0.01);
    let samples = cnf.sample(100, None).unwrap();
    assert!(distance(&Sphere.project(&samples).unwrap(), &samples) < 1e-12);
    // The divergence of a tangential field of the circle's kind is that of its angle.
    #[derive(Debug)]
    struct Turn;
    impl VectorField for Turn {
        fn velocity(&self, _t: &Tensor, x: &Tensor, _c: Option<&Tensor>) -> Result<Tensor> {
            // In the angle a: a′ = x = cos a, whose divergence is −sin a.
            Ok(Tensor::stack(&[-x.select(1, 1), x.select(1, 0)], 1) * x.narrow(1, 0, 1))
        }
    }
    use maxlik_ode::{Autograd, Drift};
    let on = Autograd(OnManifold { manifold: Sphere, field: Turn });
    let x = Sphere.project(&normal(1, &[5, 2])).unwrap();
    let found = on.exact(&Tensor::zeros([5], options), &x, None, false).unwrap().divergence;
    assert!(distance(&found, &-x.select(1, 1)) < 1e-12);
}
